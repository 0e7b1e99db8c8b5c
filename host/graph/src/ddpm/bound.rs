//! The variational bound in bits a dimension, term by term: `L_T + sum L_{t-1} + L_0` (Ho et al. 2020, eq. 5).
//!
//! Timesteps are taken from strata, one at random in each, weighted by the stratum's length: an unbiased estimate of the whole
//! sum with as many network calls as there are strata, and the sum itself where each timestep is its own stratum. Strata grow
//! towards the noise, where terms are small and change little.

use super::ancestral::clipped;
use super::decoder::{kl, ln_pixel};
use super::process::{Posterior, marginal, variance_floor};
use crate::draws::{normals, uniforms};
use crate::predictor::Predicted;
use crate::schedule::{Schedule, Variance};
use std::f64::consts::LN_2;
use std::ops::Range;

/// What a bound is measured under.
#[derive(Debug, Clone)]
pub struct Bound<'a> {
    /// Cumulative alphas.
    pub schedule: &'a Schedule,
    /// Variance of the reverse process.
    pub variance: Variance,
    /// Bound on the predicted x0, where it is clipped: Ho et al. clip to the data's range.
    pub clip: Option<f64>,
    /// Distance of neighbouring pixel values.
    pub bin: f64,
    /// Timesteps 1 to T - 1, cut up; see [`strata`].
    pub strata: Vec<Range<usize>>,
}

/// The bound of one image, bits a dimension.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// `L_T`: how far the noisiest state is from pure noise.
    pub prior: f64,
    /// `L_1 + ... + L_{T-1}`.
    pub steps: f64,
    /// `L_0`: the decoder's, Ho et al.'s distortion.
    pub decoder: f64,
    /// The training loss, `L_simple`: mean squared error of the noise over all timesteps (Ho et al. 2020, eq. 14), unclipped.
    pub simple: f64,
    /// A point a stratum, from the noise on.
    pub curve: Vec<Point>,
}

impl Terms {
    /// The bound.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.prior + self.steps + self.decoder
    }

    /// Everything but the decoder's term (Ho et al. 2020, section 4.3).
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.prior + self.steps
    }
}

/// One stratum of a rate-distortion curve (Ho et al. 2020, figure 5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The timestep drawn.
    pub timestep: usize,
    /// Bits a dimension that the stratum stands for.
    pub bits: f64,
    /// Mean squared error of the x0 predicted there, on the scale of -1 to 1.
    pub squared_error: f64,
}

/// Timesteps `1..total` in at most `count` strata, quadratically longer towards the end.
#[must_use]
pub fn strata(total: usize, count: usize) -> Vec<Range<usize>> {
    let all = total.saturating_sub(1);
    let count = count.clamp(1, all.max(1));
    let mut edge = 1;
    (1..=count)
        .map_while(|k| {
            let wanted = 1 + (all as f64 * (k as f64 / count as f64).powi(2)).round() as usize;
            // Enough must be left for the strata that follow.
            let next = wanted.max(edge + 1).min(total - (count - k));
            let stratum = edge..next;
            edge = next;
            (!stratum.is_empty()).then_some(stratum)
        })
        .collect()
}

impl Bound<'_> {
    /// The bound of the image `x0`, scaled to -1 to 1. `model(x, timesteps)` predicts the clean samples of a batch, each at its own timestep;
    /// everything random follows from `seed`.
    pub fn image<E>(
        &self,
        x0: &[f64],
        seed: u64,
        model: impl FnOnce(&[f64], &[usize]) -> Result<Predicted, E>,
    ) -> Result<Terms, E> {
        let picks = uniforms(seed, 0, self.strata.len());
        let drawn = |(stratum, pick): (&Range<usize>, f64)| stratum.start + (pick * stratum.len() as f64) as usize;
        // The decoder's timestep first.
        let timesteps: Vec<usize> = [0]
            .into_iter()
            .chain(self.strata.iter().zip(picks).map(drawn))
            .collect();
        let noised = |(k, &t): (usize, &usize)| {
            let (mean, deviation) = marginal(self.schedule.alphas_cumprod[t]);
            let z = normals(seed, k as u32 + 1, x0.len());
            x0.iter()
                .zip(z)
                .map(|(x, z)| mean * x + deviation * z)
                .collect::<Vec<_>>()
        };
        let x: Vec<f64> = timesteps.iter().enumerate().flat_map(noised).collect();
        let predicted = model(&x, &timesteps)?;
        let simple = self.simple(x0, &predicted.x0, &timesteps);
        let guess = clipped(predicted.x0, self.clip);
        let n = x0.len();
        let part = |k: usize| BoundPart {
            x0,
            x: &x[k * n..(k + 1) * n],
            guess: &guess[k * n..(k + 1) * n],
            fraction: predicted.fraction.get(k * n..(k + 1) * n),
        };
        let curve: Vec<Point> = (1..timesteps.len())
            .rev()
            .map(|k| Point {
                timestep: timesteps[k],
                bits: self.step(&part(k), timesteps[k]) * self.strata[k - 1].len() as f64,
                squared_error: squared_error(x0, part(k).guess),
            })
            .collect();
        Ok(Terms {
            prior: self.prior(x0),
            steps: curve.iter().map(|point| point.bits).sum(),
            decoder: self.decoder(&part(0)),
            simple,
            curve,
        })
    }

    /// `L_T = KL(q(x_T | x_0) || N(0, I))`, bits a dimension: it knows no network.
    #[must_use]
    pub fn prior(&self, x0: &[f64]) -> f64 {
        let bar = self.schedule.alphas_cumprod.last().copied().unwrap_or(1.0);
        // kl(bar x^2, 1 - bar, 1), without the cancellation of 1 - bar - 1.
        let one = |x: &f64| 0.5 * (bar * (x * x - 1.0) - libm::log1p(-bar));
        bits(x0.iter().map(one))
    }

    /// `L_simple` from the predicted clean samples: noise and x0 are `alpha / sigma` apart.
    fn simple(&self, x0: &[f64], guess: &[f64], timesteps: &[usize]) -> f64 {
        let lengths = [1].into_iter().chain(self.strata.iter().map(Range::len));
        let parts = guess.chunks_exact(x0.len()).zip(timesteps).zip(lengths);
        let one = |((guess, t), length): ((&[f64], &usize), usize)| {
            let (mean, deviation) = marginal(self.schedule.alphas_cumprod[*t]);
            length as f64 * squared_error(x0, guess) * (mean / deviation).powi(2)
        };
        parts.map(one).sum::<f64>() / self.schedule.alphas_cumprod.len() as f64
    }

    /// `L_{t-1}` at 0-based timestep `t >= 1`, bits a dimension.
    fn step(&self, part: &BoundPart<'_>, t: usize) -> f64 {
        let bars = &self.schedule.alphas_cumprod;
        let posterior = Posterior::new(bars[t], bars[t - 1]);
        // A timestep without noise of its own costs nothing.
        if posterior.beta <= 0.0 {
            return 0.0;
        }
        let floor = variance_floor(self.schedule);
        let truth = posterior.mean(part.x0, part.x);
        let ours = posterior.mean(part.guess, part.x);
        let one = |(i, (truth, ours)): (usize, (f64, f64))| {
            let difference: f64 = truth - ours;
            let variance = posterior.variance(self.variance, part.fraction(i), floor);
            kl(difference * difference, posterior.beta_tilde, variance)
        };
        bits(truth.zip(ours).enumerate().map(one))
    }

    /// `L_0 = -ln p(x_0 | x_1)` over whole-number pixels, bits a dimension.
    fn decoder(&self, part: &BoundPart<'_>) -> f64 {
        let bar = self.schedule.alphas_cumprod.first().copied().unwrap_or(1.0);
        let posterior = Posterior::new(bar, 1.0);
        let floor = variance_floor(self.schedule);
        let means = posterior.mean(part.guess, part.x);
        let one = |(i, (x, mean)): (usize, (&f64, f64))| {
            let variance = posterior.variance(self.variance, part.fraction(i), floor);
            -ln_pixel(*x, mean, libm::sqrt(variance), self.bin)
        };
        bits(part.x0.iter().zip(means).enumerate().map(one))
    }
}

/// One timestep's share of a batch.
struct BoundPart<'a> {
    x0: &'a [f64],
    x: &'a [f64],
    guess: &'a [f64],
    fraction: Option<&'a [f64]>,
}

impl BoundPart<'_> {
    fn fraction(&self, i: usize) -> f64 {
        self.fraction.map_or(0.0, |fraction| fraction[i])
    }
}

/// Mean squared difference of an element.
fn squared_error(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / a.len() as f64
}

/// The mean of `nats` in bits.
fn bits(nats: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = nats.len().max(1) as f64;
    nats.sum::<f64>() / count / LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Precision, SchedulerConfig};
    use std::convert::Infallible;

    fn linear() -> Schedule {
        let config = SchedulerConfig::parse("test", r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
        Schedule::new(&config, Precision::F64).unwrap()
    }

    fn bound(schedule: &Schedule, count: usize, variance: Variance) -> Bound<'_> {
        Bound {
            schedule,
            variance,
            clip: None,
            bin: 2.0 / 255.0,
            strata: strata(1000, count),
        }
    }

    /// Half alpha_bar_T times the mean square of the data, 4.0358e-5 / 2: 9.70e-6 bits a dimension for pixels spread evenly.
    #[test]
    fn the_prior_s_term_is_as_published() {
        let schedule = linear();
        let bound = bound(&schedule, 1, Variance::FixedSmall);
        let even: Vec<f64> = (0..=255).map(|i| f64::from(i) / 127.5 - 1.0).collect();
        let prior = bound.prior(&even);
        assert!((5.8e-6..1.2e-5).contains(&prior), "{prior:e}");
        let mean_square = even.iter().map(|x| x * x).sum::<f64>() / 256.0;
        // The next order, alpha_bar_T / 2 relative to it, is all that is missing.
        assert!((prior / (0.5 * 4.0358e-5 * mean_square / LN_2) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn strata_hold_every_timestep_once() {
        for (total, count) in [(1000, 999), (1000, 2000), (1000, 100), (1000, 1), (20, 7), (2, 5)] {
            let strata = strata(total, count);
            assert_eq!(strata.len(), count.min(total - 1));
            let all: Vec<usize> = strata.into_iter().flatten().collect();
            assert_eq!(all, (1..total).collect::<Vec<_>>());
        }
        assert!(strata(1, 5).is_empty());
    }

    /// A model that knows the image: no step costs anything under the posterior's own variance, and the decoder is sure of the pixels.
    #[test]
    fn a_perfect_guess_costs_only_the_prior() {
        let schedule = linear();
        let x0: Vec<f64> = [0, 3, 128, 255].map(|i| f64::from(i) / 127.5 - 1.0).to_vec();
        let model = |_: &[f64], t: &[usize]| {
            let fraction = vec![0.0; 4 * t.len()];
            Ok::<_, Infallible>(Predicted {
                x0: x0.repeat(t.len()),
                fraction,
            })
        };
        for variance in [Variance::FixedSmall, Variance::LearnedRange] {
            let terms = bound(&schedule, 50, variance).image(&x0, 1, model).unwrap();
            assert!(terms.steps.abs() < 1e-12 && terms.rate() < 5e-5, "{terms:?}");
            // The decoder's deviation is 0.0074 where half a bin is 0.0039.
            assert!((0.3..1.6).contains(&terms.decoder), "{terms:?}");
        }
        let large = bound(&schedule, 50, Variance::FixedLarge).image(&x0, 1, model).unwrap();
        assert!(large.steps > 0.01);
    }

    /// Normal data and the best model of them: the bound cannot be below the entropy of the pixels. With a thousand steps it is near
    /// it where the variance is beta, which is right for data much wider than a step's noise, and not where it is the posterior's.
    /// Few strata and all timesteps agree.
    #[test]
    fn the_bound_of_normal_data_is_just_above_their_entropy() {
        let schedule = linear();
        let (mean, variance, n) = (0.1, 0.04, 5_000);
        let bin = 2.0 / 255.0;
        let x0: Vec<f64> = normals(11, 0, n)
            .into_iter()
            .map(|z| (((mean + 0.2 * z + 1.0) / bin).round().clamp(0.0, 255.0)) * bin - 1.0)
            .collect();
        let model = |x: &[f64], t: &[usize]| {
            let guess = x.chunks(n).zip(t).flat_map(|(x, &t)| {
                let bar = schedule.alphas_cumprod[t];
                let gain = bar.sqrt() * variance / (bar * variance + 1.0 - bar);
                x.iter().map(move |x| mean + gain * (x - bar.sqrt() * mean))
            });
            let x0: Vec<f64> = guess.collect();
            Ok::<_, Infallible>(Predicted { x0, fraction: vec![] })
        };
        let measured = |count, variance, seed| bound(&schedule, count, variance).image(&x0, seed, model).unwrap();
        let all = measured(999, Variance::FixedLarge, 3);
        let entropy = 0.5 * libm::log(2.0 * std::f64::consts::PI * std::f64::consts::E * variance / (bin * bin)) / LN_2;
        // One sample of 5,000 pixels: their own log-probability varies by 0.7 / ln 2 / sqrt(n) = 0.0144 a standard error; five are allowed.
        assert!(
            all.total() > entropy - 0.072 && all.total() < entropy + 0.1,
            "{} {entropy}",
            all.total()
        );
        let small = bound(&schedule, 999, Variance::FixedSmall)
            .image(&x0, 3, model)
            .unwrap();
        assert!(small.total() > all.total() + 0.3);
        assert!(measured(999, Variance::FixedSmall, 3).total() > all.total() + 0.3);
        // The least loss that there can be: noise is told as well as alpha x0 is not.
        let best = |bar: &f64| bar * variance / (bar * variance + 1.0 - bar);
        let least = schedule.alphas_cumprod.iter().map(best).sum::<f64>() / 1000.0;
        // The mean over 5 million elements, and pixels that are rounded.
        assert!((all.simple / least - 1.0).abs() < 0.01, "{} {least}", all.simple);
        let few = measured(60, Variance::FixedLarge, 4);
        assert!(
            (few.steps / all.steps - 1.0).abs() < 0.05,
            "{} {}",
            few.steps,
            all.steps
        );
    }
}
