//! The swiss roll (2015, section 3.1.1): points of the plane on a spiral; the Gaussian chain over it, trained and sampled.
//!
//! The paper gives neither generator nor beta_1, on which K depends. Here: the angle is uniform in `[1.5 pi, 4.5 pi]`, the radius is
//! the angle, [`NOISE`] is added to both coordinates, and both are shifted and scaled to mean 0 and variance 1; beta_1 is
//! [`BETA_1`].

use candle_core::{Device, Result, Tensor};
use std::time::{Duration, Instant};

use super::adam::{Adam, rate};
use super::bound::{Bound, Entropies, Estimate};
use super::condition::Known;
use super::gaussian::{Gaussian, Kernels};
use super::random::Random;
use super::rbf::Rbf;

/// Steps of the paper's chain.
pub const STEPS: usize = 40;
/// Units of the paper's network.
pub const UNITS: usize = 16;
/// Standard deviation of the noise on the roll, in units of the angle, before it is scaled.
pub const NOISE: f64 = 0.1;
/// beta of the first step, which is fixed.
pub const BETA_1: f64 = 1e-4;

/// The generator of points.
#[derive(Debug, Clone)]
pub struct Roll {
    mean: [f64; 2],
    scale: [f64; 2],
    random: Random,
}

impl Roll {
    /// Points of a seed.
    pub fn new(seed: u64) -> Self {
        // Moments by the midpoint rule: it is exact to 1e-9.
        let n = 100_000;
        let (mut sum, mut squares) = ([0.0; 2], [0.0; 2]);
        for i in 0..n {
            let p = spiral((f64::from(i) + 0.5) / f64::from(n));
            for a in 0..2 {
                sum[a] += p[a] / f64::from(n);
                squares[a] += p[a] * p[a] / f64::from(n);
            }
        }
        let scale = core::array::from_fn(|a| libm::sqrt(squares[a] - sum[a] * sum[a] + NOISE * NOISE));
        Self {
            mean: sum,
            scale,
            random: Random::new(seed, 10),
        }
    }

    /// The next point.
    pub fn point(&mut self) -> [f64; 2] {
        let p = spiral(self.random.uniform());
        core::array::from_fn(|a| (p[a] + NOISE * self.random.normal() - self.mean[a]) / self.scale[a])
    }

    /// `(n, 2)`.
    pub fn points(&mut self, n: usize) -> Result<Tensor> {
        let values: Vec<f64> = (0..n).flat_map(|_| self.point()).collect();
        Tensor::from_vec(values, (n, 2), &Device::Cpu)
    }
}

fn spiral(u: f64) -> [f64; 2] {
    let angle = 1.5 * core::f64::consts::PI * (1.0 + 2.0 * u);
    [angle * libm::cos(angle), angle * libm::sin(angle)]
}

/// Points that lie far from each other: each the farthest of many from those before it.
fn spread(roll: &mut Roll) -> [[f64; 2]; UNITS] {
    let points: Vec<[f64; 2]> = (0..2000).map(|_| roll.point()).collect();
    let mut nearest = vec![f64::INFINITY; points.len()];
    let mut chosen = points[0];
    core::array::from_fn(|_| {
        let centre = chosen;
        for (nearest, p) in nearest.iter_mut().zip(&points) {
            let squared: f64 = (0..2).map(|a| (p[a] - centre[a]) * (p[a] - centre[a])).sum();
            *nearest = nearest.min(squared);
        }
        let farthest = nearest.iter().zip(&points).max_by(|a, b| a.0.total_cmp(b.0));
        chosen = farthest.map_or(chosen, |(_, p)| *p);
        centre
    })
}

/// The chain and its network.
#[derive(Debug)]
pub struct SwissRoll {
    /// Forward process.
    pub chain: Gaussian,
    /// Points in, [`Kernels::reverse`]'s outputs out; the first step's readout is not used.
    pub rbf: Rbf,
}

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Options {
    /// Seed of weights and batches.
    pub seed: u64,
    /// Optimizer steps.
    pub updates: usize,
    /// Points of a batch, each at every step.
    pub points: usize,
    /// Largest step size.
    pub rate: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            updates: 6000,
            points: 64,
            rate: 1e-2,
        }
    }
}

/// Where training stands.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Progress {
    /// Updates done.
    pub update: usize,
    /// K of the batch, bits.
    pub k_bits: f64,
}

impl SwissRoll {
    /// An untrained chain, with centres at points of the data that lie far from each other.
    pub fn new(seed: u64) -> Result<Self> {
        let mut random = Random::new(seed, 0);
        let centres = Tensor::new(&spread(&mut Roll::new(seed)), &Device::Cpu)?;
        Ok(Self {
            chain: Gaussian::new(STEPS, BETA_1)?,
            rbf: Rbf::new(&centres, STEPS, 4, 0.5, &mut random)?,
        })
    }

    /// Trains network and betas by Adam on the bound, with the noise of x_t drawn first and held while beta moves.
    pub fn train(&mut self, options: &Options, limit: Option<Duration>, on: &mut dyn FnMut(Progress)) -> Result<()> {
        let (mut roll, start) = (Roll::new(options.seed.wrapping_add(1)), Instant::now());
        let mut random = Random::new(options.seed, 1);
        let mut vars = self.rbf.vars();
        vars.push(self.chain.logits.clone());
        let mut adam = Adam::new(vars)?;
        let mut shown = Progress {
            update: 0,
            k_bits: f64::NAN,
        };
        for update in 0..options.updates {
            let spent = limit.map_or(0.0, |l| start.elapsed().as_secs_f64() / l.as_secs_f64());
            let at = spent.max(update as f64 / options.updates as f64);
            if at >= 1.0 {
                break;
            }
            let x0 = roll.points(options.points)?;
            let kernels = self.chain.kernels()?;
            let divergences = self.divergences(&kernels, &x0, &mut random)?;
            let total = divergences.mean(1)?.sum_all()?;
            // What else of the bound moves with beta: H_q(X_T | X_0).
            let last = kernels.alpha_bar.narrow(0, STEPS - 1, 1)?.flatten_all()?.sum_all()?;
            let loss = (&total - (1.0 - last)?.log()?)?;
            adam.step(&loss.backward()?, rate(options.rate, at))?;
            let Entropies { last, first, prior, .. } = entropies(&kernels)?;
            shown = Progress {
                update: update + 1,
                k_bits: (last - first - prior - total.to_scalar::<f64>()?) / super::LN_2,
            };
            if shown.update.is_multiple_of(100) {
                on(shown);
            }
        }
        on(shown);
        Ok(())
    }

    /// Divergences of steps 2 to T, `(T - 1, n)`, of fresh noise.
    fn divergences(&self, kernels: &Kernels, x0: &Tensor, random: &mut Random) -> Result<Tensor> {
        let n = x0.dim(0)?;
        let noise: Vec<f64> = (0..STEPS * n * 2).map(|_| random.normal()).collect();
        let x = kernels.noised(x0, &Tensor::from_vec(noise, (STEPS, n, 2), &Device::Cpu)?)?;
        kernels.divergences(x0, &x, &self.rbf.forward(&x)?)
    }

    /// The bound, from `draws` points at every step.
    pub fn bound(&self, draws: usize, seed: u64) -> Result<Bound> {
        let kernels = self.chain.kernels()?;
        let x0 = Roll::new(seed).points(draws)?;
        let rows = self
            .divergences(&kernels, &x0, &mut Random::new(seed, 3))?
            .to_vec2::<f64>()?;
        let steps: Vec<Estimate> = rows.iter().map(|row| Estimate::of(row)).collect();
        Ok(Bound::new(&steps, entropies(&kernels)?))
    }

    /// `count` samples of the reverse process, times what is known of both coordinates ([`super::condition`]).
    pub fn sample(&self, count: usize, seed: u64, known: [Known; 2]) -> Result<Vec<[f64; 2]>> {
        self.trajectory(count, seed, known, &mut |_, _| {})
    }

    /// As [`SwissRoll::sample`]; shows the state before the first step as step T, and after each as the one it reached.
    pub fn trajectory(
        &self,
        count: usize,
        seed: u64,
        known: [Known; 2],
        on: &mut dyn FnMut(usize, &[[f64; 2]]),
    ) -> Result<Vec<[f64; 2]>> {
        let mut random = Random::new(seed, 2);
        let mut draw = |known: Known, mean: f64, variance: f64| {
            let (mean, variance) = known.times(mean, variance);
            mean + libm::sqrt(variance) * random.normal()
        };
        let mut x: Vec<[f64; 2]> = (0..count).map(|_| known.map(|k| draw(k, 0.0, 1.0))).collect();
        on(STEPS, &x);
        let kernels = self.chain.kernels()?;
        for t in (1..=STEPS).rev() {
            let rows = Tensor::from_vec(x.concat(), (1, count, 2), &Device::Cpu)?;
            let (mean, variance) = kernels.at(t)?.reverse(&rows, &self.rbf.read(&rows, t - 1)?)?;
            let (mean, variance) = (mean.get(0)?.to_vec2::<f64>()?, variance.get(0)?.to_vec2::<f64>()?);
            for (x, (mean, variance)) in x.iter_mut().zip(mean.iter().zip(&variance)) {
                *x = core::array::from_fn(|a| draw(known[a], mean[a], variance[a]));
            }
            on(t - 1, &x);
        }
        Ok(x)
    }

    /// Draws of x_t of the forward process from fresh points, for each of `steps`.
    pub fn forward(&self, count: usize, seed: u64, steps: &[usize]) -> Result<Vec<Vec<[f64; 2]>>> {
        let (mut roll, mut random) = (Roll::new(seed), Random::new(seed, 4));
        let alpha_bars: Vec<f64> = self.chain.kernels()?.alpha_bar.flatten_all()?.to_vec1()?;
        let mut at = |t: usize| {
            let kept = if t == 0 { 1.0 } else { alpha_bars[t - 1] };
            let mut noised = |v: f64| libm::sqrt(kept) * v + libm::sqrt(1.0 - kept) * random.normal();
            (0..count).map(|_| roll.point().map(&mut noised)).collect()
        };
        Ok(steps.iter().map(|&t| at(t)).collect())
    }
}

/// Entropies of the chain over points of variance 1, which every step keeps.
pub fn entropies(kernels: &Kernels) -> Result<Entropies> {
    let alpha_bars: Vec<f64> = kernels.alpha_bar.flatten_all()?.to_vec1()?;
    // Of two dimensions.
    let normal = |variance: f64| libm::log(2.0 * core::f64::consts::PI * core::f64::consts::E * variance);
    Ok(Entropies {
        last: normal(1.0 - alpha_bars[STEPS - 1]),
        first: normal(1.0 - alpha_bars[0]),
        prior: normal(1.0),
        null: -normal(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_null_is_the_entropy_of_the_plane_s_normal_and_the_points_have_its_moments() {
        let e = entropies(&Gaussian::new(STEPS, BETA_1).unwrap().kernels().unwrap()).unwrap();
        assert!((e.null / super::super::LN_2 + 4.094).abs() < 5e-4);
        // The log likelihood of the points themselves under the prior.
        let (mut roll, n) = (Roll::new(1), 200_000);
        let squares: f64 = (0..n).map(|_| roll.point()).map(|p| p[0] * p[0] + p[1] * p[1]).sum();
        let measured = -libm::log(core::f64::consts::TAU) - squares / f64::from(n) / 2.0;
        assert!((measured - e.null).abs() < 6e-3, "{measured} {}", e.null);
    }

    #[test]
    fn without_a_network_the_bound_is_below_l_null() {
        let roll = SwissRoll::new(0).unwrap();
        let bound = roll.bound(500, 1).unwrap();
        assert!(bound.k_bits < bound.l_null_bits + 0.1, "{bound:?}");
    }

    #[test]
    fn training_raises_the_bound() {
        let mut roll = SwissRoll::new(0).unwrap();
        let before = roll.bound(500, 1).unwrap().k_bits;
        let options = Options {
            updates: 600,
            points: 32,
            ..Options::default()
        };
        roll.train(&options, None, &mut |_| {}).unwrap();
        assert!(roll.bound(500, 1).unwrap().k_bits > before + 0.5);
    }

    #[test]
    fn a_known_coordinate_stays_known() {
        let known = [Known::Value(0.25), Known::Free];
        let points = SwissRoll::new(0).unwrap().sample(10, 1, known).unwrap();
        assert!(points.iter().all(|p| p[0] == 0.25));
    }
}
