//! The swiss roll (2015, section 3.1.1): points of the plane on a spiral; the Gaussian chain over it, trained and sampled.
//!
//! The paper gives neither generator nor beta_1, on which K depends. Here: the angle is uniform in `[1.5 pi, 4.5 pi]`, the radius is
//! the angle, [`NOISE`] is added to both coordinates, and both are shifted and scaled to mean 0 and variance 1; beta_1 is
//! [`BETA_1`].

use mote_graph::float::{Call, DType, Executor, FloatError, Passes, PreparedGraph};
use mote_graph::graph::{Graph, GraphError};
use mote_train::adam::Adam;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::bound::{Bound, Entropies, Estimate};
use crate::condition::Known;
use crate::gaussian::{Gaussian, TransitionKernel};
use crate::random::Random;
use crate::rbf::Rbf;
use crate::{TOGETHER, rate};

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

    /// The next n points.
    pub fn points(&mut self, n: usize) -> Vec<[f64; 2]> {
        (0..n).map(|_| self.point()).collect()
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
#[derive(Debug, Clone)]
pub struct SwissRoll {
    /// Forward process.
    pub chain: Gaussian,
    /// Points in, [`TransitionKernel::reverse`]'s outputs out: two means, then two variances as log odds above those of beta.
    pub rbf: Rbf,
}

/// Channels of the network's output.
const OUTPUTS: usize = 4;

/// Points at every step, and what the network says of them.
struct Batch {
    x0: Vec<[f64; 2]>,
    /// `(step, point)`.
    noise: Vec<[f64; 2]>,
    /// `(step, point)`.
    x: Vec<[f64; 2]>,
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
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        Self {
            chain: Gaussian::new(STEPS, BETA_1),
            rbf: Rbf::new(&spread(&mut Roll::new(seed)), STEPS, OUTPUTS, 0.5, &mut random),
        }
    }

    /// The network: points in, [`TransitionKernel::reverse`]'s outputs out. The log odds of beta are in the readouts' biases.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        self.rbf.graph(&shift(&self.chain.kernels()))
    }

    /// Trains network and betas by Adam on the bound, with the noise of x_t drawn first and held while beta moves. Gives the number of
    /// updates.
    pub fn train(
        &mut self,
        options: &Options,
        limit: Option<Duration>,
        on: &mut dyn FnMut(Progress),
    ) -> Result<usize, FloatError> {
        let network = PreparedGraph::new(&self.graph()?)?.with_sample_gradient();
        let mut passes = Passes::of_shards(TOGETHER);
        let (mut roll, start) = (Roll::new(options.seed.wrapping_add(1)), Instant::now());
        let mut random = Random::new(options.seed, 1);
        let mut adam = Adam::<f64>::new(self.rbf.len() + self.chain.logits.len());
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
            let kernels = self.chain.kernels();
            let batch = Batch::new(&kernels, roll.points(options.points), &mut random);
            let (divergence, gradient) = self.gradient(&network, &mut passes, &kernels, &batch)?;
            let mut params = [self.rbf.flat(), self.chain.logits.clone()].concat();
            adam.update(&mut params, &gradient, update as u64, rate(options.rate, at), 0.0);
            let (rbf, logits) = params.split_at(self.rbf.len());
            self.rbf.set(rbf);
            self.chain.logits.copy_from_slice(logits);
            let Entropies { last, first, prior, .. } = entropies(&kernels);
            shown = Progress {
                update: update + 1,
                k_bits: (last - first - prior - divergence) / super::LN_2,
            };
            if shown.update.is_multiple_of(100) {
                on(shown);
            }
        }
        on(shown);
        Ok(shown.update)
    }

    /// The sum over the steps of the batch's mean divergence; and the gradient of what of the bound moves with [`Rbf::flat`] and
    /// [`Gaussian::logits`]: of that sum less `H_q(X_T | X_0)`.
    fn gradient(
        &self,
        network: &PreparedGraph,
        passes: &mut Passes<f64>,
        kernels: &[TransitionKernel],
        batch: &Batch,
    ) -> Result<(f64, Vec<f64>), FloatError> {
        let (n, layout) = (batch.x0.len(), network.layout());
        let params = self.rbf.params(layout, &shift(kernels));
        let timesteps: Vec<usize> = (0..batch.x.len()).map(|row| row / n).collect();
        let call = Call {
            x: batch.x.as_flattened(),
            timesteps: &timesteps,
            labels: &[],
            condition: &[],
        };
        let outputs = passes.forward(network, &params, call)?;
        let mut slopes = vec![0.0; outputs.len()];
        let mut by_x = vec![[0.0; 2]; batch.x.len()];
        let mut by_kernel = vec![TransitionKernel::default(); STEPS];
        let (mut divergence, share) = (0.0, 1.0 / n as f64);
        // The first step's kernel is fixed.
        for (row, out) in outputs.chunks_exact(OUTPUTS).enumerate().skip(n) {
            let k = &kernels[row / n];
            let to = &mut by_kernel[row / n];
            for a in 0..2 {
                let (x0, x, out) = (batch.x0[row % n][a], batch.x[row][a], [out[a], out[2 + a]]);
                divergence += share * k.divergence(x0, x, out);
                let slope = k.slopes(x0, x, out);
                slopes[row * OUTPUTS + a] = share * slope.out[0];
                slopes[row * OUTPUTS + 2 + a] = share * slope.out[1];
                by_x[row][a] = share * slope.x;
                to.beta += share * slope.kernel.beta;
                to.of_x0 += share * slope.kernel.of_x0;
                to.of_x += share * slope.kernel.of_x;
                to.variance += share * slope.kernel.variance;
            }
        }
        let mut by_params = vec![0.0; params.len()];
        let copied = |rows: Range<usize>, _: &[f64], to: &mut [f64]| {
            to.copy_from_slice(&slopes[rows.start * OUTPUTS..rows.end * OUTPUTS]);
            0.0
        };
        passes.gradient(network, &params, call, &copied, &mut by_params)?;
        let through = passes.by_sample(network);
        for (row, (direct, through)) in by_x.iter().zip(through.chunks_exact(2)).enumerate() {
            for a in 0..2 {
                let slope = kernels[row / n].noised_slope(batch.x0[row % n][a], batch.noise[row][a]);
                by_kernel[row / n].alpha_bar += slope * (direct[a] + through[a]);
            }
        }
        // The entropy of two coordinates is `log (1 - alpha_bar_T)` and a constant.
        by_kernel[STEPS - 1].alpha_bar += 1.0 / (1.0 - kernels[STEPS - 1].alpha_bar);
        // The biases carry beta's log odds too.
        let biases = self.rbf.by_bias(layout, &by_params).chunks_exact(OUTPUTS);
        for ((to, k), bias) in by_kernel.iter_mut().zip(kernels).zip(biases) {
            to.beta += (bias[2] + bias[3]) / (k.beta * (1.0 - k.beta));
        }
        let gradient = [self.rbf.pull(layout, &by_params), self.chain.pull(&by_kernel)].concat();
        Ok((divergence, gradient))
    }

    /// The bound, from `draws` points at every step.
    pub fn bound(&self, draws: usize, seed: u64) -> Result<Bound, FloatError> {
        let kernels = self.chain.kernels();
        let batch = Batch::new(&kernels, Roll::new(seed).points(draws), &mut Random::new(seed, 3));
        let graph = self.graph()?;
        let network = Executor::new(&graph, DType::F64)?;
        let step = |t: usize| {
            let (k, x) = (&kernels[t], &batch.x[t * draws..][..draws]);
            let out = network.run(x.as_flattened(), &vec![t; draws], &[])?;
            let rows = batch.x0.iter().zip(x).zip(out.chunks_exact(OUTPUTS));
            let each = rows.map(|((x0, x), out)| (0..2).map(|a| k.divergence(x0[a], x[a], [out[a], out[2 + a]])).sum());
            Ok(Estimate::of(&each.collect::<Vec<f64>>()))
        };
        let steps = (1..STEPS).map(step).collect::<Result<Vec<_>, FloatError>>()?;
        Ok(Bound::new(&steps, entropies(&kernels)))
    }

    /// `count` samples of the reverse process, times what is known of both coordinates ([`super::condition`]).
    pub fn sample(&self, count: usize, seed: u64, known: [Known; 2]) -> Result<Vec<[f64; 2]>, FloatError> {
        self.trajectory(count, seed, known, &mut |_, _| {})
    }

    /// As [`SwissRoll::sample`]; shows the state before the first step as step T, and after each as the one it reached.
    pub fn trajectory(
        &self,
        count: usize,
        seed: u64,
        known: [Known; 2],
        on: &mut dyn FnMut(usize, &[[f64; 2]]),
    ) -> Result<Vec<[f64; 2]>, FloatError> {
        let mut random = Random::new(seed, 2);
        let mut draw = |known: Known, mean: f64, variance: f64| {
            let (mean, variance) = known.times(mean, variance);
            mean + libm::sqrt(variance) * random.normal()
        };
        let mut x: Vec<[f64; 2]> = (0..count).map(|_| known.map(|k| draw(k, 0.0, 1.0))).collect();
        on(STEPS, &x);
        let kernels = self.chain.kernels();
        let graph = self.graph()?;
        let network = Executor::new(&graph, DType::F64)?;
        for t in (1..=STEPS).rev() {
            let out = network.run(x.as_flattened(), &vec![t - 1; count], &[])?;
            for (x, out) in x.iter_mut().zip(out.chunks_exact(OUTPUTS)) {
                *x = core::array::from_fn(|a| {
                    let (mean, variance) = kernels[t - 1].reverse(x[a], [out[a], out[2 + a]]);
                    draw(known[a], mean, variance)
                });
            }
            on(t - 1, &x);
        }
        Ok(x)
    }

    /// Draws of x_t of the forward process from fresh points, for each of `steps`.
    pub fn forward(&self, count: usize, seed: u64, steps: &[usize]) -> Vec<Vec<[f64; 2]>> {
        let (mut roll, mut random) = (Roll::new(seed), Random::new(seed, 4));
        let kernels = self.chain.kernels();
        let mut at = |t: usize| {
            let kept = if t == 0 { 1.0 } else { kernels[t - 1].alpha_bar };
            let mut noised = |v: f64| libm::sqrt(kept) * v + libm::sqrt(1.0 - kept) * random.normal();
            (0..count).map(|_| roll.point().map(&mut noised)).collect()
        };
        steps.iter().map(|&t| at(t)).collect()
    }
}

/// What the readouts' biases are shifted by, `(step, out)`: the log odds of beta, for the variances.
fn shift(kernels: &[TransitionKernel]) -> Vec<f64> {
    let of = |k: &TransitionKernel| [0.0, 0.0, k.beta_logit(), k.beta_logit()];
    kernels.iter().flat_map(of).collect()
}

impl Batch {
    /// Draws of x_t at every step t for each of the points.
    fn new(kernels: &[TransitionKernel], x0: Vec<[f64; 2]>, random: &mut Random) -> Self {
        let noise: Vec<[f64; 2]> = (0..kernels.len() * x0.len())
            .map(|_| core::array::from_fn(|_| random.normal()))
            .collect();
        let n = x0.len();
        let noised = |(row, noise): (usize, &[f64; 2])| {
            core::array::from_fn(|a| kernels[row / n].noised(x0[row % n][a], noise[a]))
        };
        let x = noise.iter().enumerate().map(noised).collect();
        Self { x0, noise, x }
    }
}

/// Entropies of the chain over points of variance 1, which every step keeps.
pub fn entropies(kernels: &[TransitionKernel]) -> Entropies {
    // Of two dimensions.
    let normal = |variance: f64| libm::log(2.0 * core::f64::consts::PI * core::f64::consts::E * variance);
    Entropies {
        last: normal(1.0 - kernels[STEPS - 1].alpha_bar),
        first: normal(1.0 - kernels[0].alpha_bar),
        prior: normal(1.0),
        null: -normal(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_null_is_the_entropy_of_the_plane_s_normal_and_the_points_have_its_moments() {
        let e = entropies(&Gaussian::new(STEPS, BETA_1).kernels());
        assert!((e.null / crate::LN_2 + 4.094).abs() < 5e-4);
        // The log likelihood of the points themselves under the prior.
        let (mut roll, n) = (Roll::new(1), 200_000);
        let squares: f64 = (0..n).map(|_| roll.point()).map(|p| p[0] * p[0] + p[1] * p[1]).sum();
        let measured = -libm::log(core::f64::consts::TAU) - squares / f64::from(n) / 2.0;
        assert!((measured - e.null).abs() < 6e-3, "{measured} {}", e.null);
    }

    #[test]
    fn without_a_network_the_bound_is_below_l_null() {
        let roll = SwissRoll::new(0);
        let bound = roll.bound(500, 1).unwrap();
        assert!(bound.k_bits < bound.l_null_bits + 0.1, "{bound:?}");
    }

    #[test]
    fn the_bound_s_gradient_is_its_finite_difference() {
        let mut roll = SwissRoll::new(0);
        let mut random = Random::new(5, 0);
        // Away from the start, where most outputs are 0.
        let moved: Vec<f64> = roll.rbf.flat().iter().map(|v| v + 0.3 * random.normal()).collect();
        roll.rbf.set(&moved);
        let (points, noise) = (Roll::new(1).points(3), Random::new(6, 0));
        let batch = |roll: &SwissRoll| Batch::new(&roll.chain.kernels(), points.clone(), &mut noise.clone());
        let network = PreparedGraph::new(&roll.graph().unwrap())
            .unwrap()
            .with_sample_gradient();
        let value = |roll: &SwissRoll| {
            let kernels = roll.chain.kernels();
            let mut passes = Passes::of_shards(50);
            let (divergence, gradient) = roll.gradient(&network, &mut passes, &kernels, &batch(roll)).unwrap();
            (divergence - entropies(&kernels).last, gradient)
        };
        let loss = |roll: &SwissRoll| value(roll).0;
        let (_, gradient) = value(&roll);
        let at = |i: usize, by: f64| {
            let mut moved = roll.clone();
            let mut values = moved.rbf.flat();
            match i.checked_sub(values.len()) {
                Some(logit) => moved.chain.logits[logit] += by,
                None => values[i] += by,
            }
            moved.rbf.set(&values);
            loss(&moved)
        };
        assert_eq!(gradient.len(), roll.rbf.len() + STEPS - 1);
        // Every kind of parameter, and all betas. The first betas are small: what is left of 1 - alpha_bar has few digits, so that
        // their steps are longer.
        let betas = roll.rbf.len()..gradient.len();
        for i in (0..roll.rbf.len()).step_by(23).chain([32]).chain(betas) {
            let step = if i < roll.rbf.len() { 1e-6 } else { 1e-4 };
            let numeric = (at(i, step) - at(i, -step)) / (2.0 * step);
            let error = (gradient[i] - numeric).abs();
            assert!(
                error < 2e-6 * (1.0 + numeric.abs()),
                "{i}: {}, not {numeric}",
                gradient[i]
            );
        }
    }

    #[test]
    fn training_raises_the_bound() {
        let mut roll = SwissRoll::new(0);
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
        let points = SwissRoll::new(0).sample(10, 1, known).unwrap();
        assert!(points.iter().all(|p| p[0] == 0.25));
    }
}
