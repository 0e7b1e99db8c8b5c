//! What is minimized: L_simple (Ho et al. 2020, eq. 14) under any prediction, L_hybrid for learned variances (Nichol and Dhariwal 2021,
//! section 3.1), and conditional flow matching (Lipman et al. 2023, eq. 23; Liu et al. 2023, eq. 1).

use super::variance::Variance;
use mote_graph::schedule::{Prediction, Schedule};

/// The objective.
#[derive(Debug, Clone)]
pub struct Objective {
    meaning: Meaning,
    /// Shares of image and noise by timestep: square roots of alpha-bar and of 1 - alpha-bar, or `1 - s` and `s`.
    signal: Vec<f64>,
    noise: Vec<f64>,
    variance: Option<Variance>,
    times: Times,
}

/// What the network's output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Of(Prediction),
    /// The velocity of flow matching, `noise - x0`.
    Flow,
}

/// How the timesteps of a batch are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// All alike.
    Uniform,
    /// The sigmoid of a standard normal: more in the middle (Esser et al. 2024, section 3.1).
    LogitNormal,
}

impl Objective {
    /// Under `schedule`; with `learned_variance` the network's output has twice the sample's channels.
    #[must_use]
    pub fn new(schedule: &Schedule, prediction: Prediction, learned_variance: bool) -> Self {
        let bars = &schedule.alphas_cumprod;
        Self {
            meaning: Meaning::Of(prediction),
            signal: bars.iter().map(|a| libm::sqrt(*a)).collect(),
            noise: bars.iter().map(|a| libm::sqrt(1.0 - a)).collect(),
            variance: learned_variance.then(|| Variance::new(schedule)),
            times: Times::Uniform,
        }
    }

    /// Of flow matching: `x_s = (1 - s) x0 + s z` at the levels `s = (i + 1) / T` of `timesteps` T, as the library's scheduler has them.
    #[must_use]
    pub fn flow(timesteps: usize, times: Times) -> Self {
        let noise: Vec<f64> = (1..=timesteps).map(|i| i as f64 / timesteps as f64).collect();
        Self {
            meaning: Meaning::Flow,
            signal: noise.iter().map(|s| 1.0 - s).collect(),
            noise,
            variance: None,
            times,
        }
    }

    /// The place of a level, 0 to below [`Self::timesteps`]: from a uniform number of a stratum, or from a standard normal one.
    #[must_use]
    pub fn place(&self, uniform: f32, normal: f32) -> usize {
        let u = match self.times {
            Times::Uniform => uniform,
            Times::LogitNormal => 1.0 / (1.0 + libm::expf(-normal)),
        };
        ((u * self.timesteps() as f32) as usize).min(self.timesteps() - 1)
    }

    /// Whether a level's place needs a standard normal number.
    #[must_use]
    pub fn draws_normal(&self) -> bool {
        self.times == Times::LogitNormal
    }

    /// The timestep that the network is told at a place.
    #[must_use]
    pub fn told(&self, place: usize) -> usize {
        match self.meaning {
            Meaning::Of(_) => place,
            Meaning::Flow => place + 1,
        }
    }

    /// Training timesteps.
    #[must_use]
    pub fn timesteps(&self) -> usize {
        self.signal.len()
    }

    /// `x_t` of a clean image and noise (Ho et al. 2020, eq. 4).
    pub fn diffuse(&self, t: usize, x0: &[f32], noise: &[f32], x: &mut [f32]) {
        let (a, b) = (self.signal[t] as f32, self.noise[t] as f32);
        for ((x, x0), e) in x.iter_mut().zip(x0).zip(noise) {
            *x = a * x0 + b * e;
        }
    }

    /// What the network should say of `x_t`.
    pub fn target(&self, t: usize, x0: &[f32], noise: &[f32], target: &mut [f32]) {
        let (a, b) = (self.signal[t] as f32, self.noise[t] as f32);
        for ((target, x0), e) in target.iter_mut().zip(x0).zip(noise) {
            *target = match self.meaning {
                Meaning::Of(Prediction::Epsilon) => *e,
                Meaning::Of(Prediction::Velocity) => a * e - b * x0,
                Meaning::Of(Prediction::Sample) => *x0,
                Meaning::Flow => e - x0,
            };
        }
    }

    /// The loss of one sample, and its gradient by the output; `share` is what the sample counts, divided by its elements.
    ///
    /// `output` has the sample's channels, or twice as many: the prediction, then the variance's place between its bounds.
    pub fn loss(&self, sample: &Sample<'_>, output: &[f32], share: f64, slope: &mut [f32]) -> f64 {
        let len = sample.target.len();
        let mut total = 0.0;
        let factor = (2.0 * share) as f32;
        for ((y, target), slope) in output.iter().zip(sample.target).zip(&mut slope[..len]) {
            let error = y - target;
            total += f64::from(error) * f64::from(error);
            *slope = factor * error;
        }
        let Some(variance) = &self.variance else {
            return total * share;
        };
        let (prediction, place) = output.split_at(len);
        let scale = self.timesteps() as f64 / 1000.0 * share;
        let bound = (0..place.len()).map(|i| {
            let predicted = self.clean(sample.timestep, sample.x[i], prediction[i]);
            let (bits, by_place) = variance.term(sample.timestep, sample.x0[i].into(), predicted, place[i].into());
            slope[len + i] = (scale * by_place) as f32;
            bits
        });
        total * share + bound.sum::<f64>() * scale
    }

    /// The clean value that a prediction means.
    fn clean(&self, t: usize, x: f32, y: f32) -> f64 {
        let (a, b, x, y) = (self.signal[t], self.noise[t], f64::from(x), f64::from(y));
        match self.meaning {
            Meaning::Of(Prediction::Epsilon) => (x - b * y) / a.max(1e-12),
            Meaning::Of(Prediction::Velocity) => a * x - b * y,
            Meaning::Of(Prediction::Sample) => y,
            Meaning::Flow => x - b * y,
        }
    }
}

/// One noisy image.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// How noisy.
    pub timestep: usize,
    /// Clean.
    pub x0: &'a [f32],
    /// Noisy.
    pub x: &'a [f32],
    /// What the network should say.
    pub target: &'a [f32],
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_graph::schedule::{Precision, SchedulerConfig};

    fn objective(prediction: Prediction, learned: bool) -> Objective {
        let config = SchedulerConfig::parse("test", r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
        Objective::new(&Schedule::new(&config, Precision::F64).unwrap(), prediction, learned)
    }

    /// Whatever is predicted, a perfect prediction means the clean image.
    #[test]
    fn targets_mean_the_clean_image() {
        let predictions = [Prediction::Epsilon, Prediction::Velocity, Prediction::Sample];
        let alphas = predictions.map(|prediction| objective(prediction, false));
        for objective in alphas.into_iter().chain([Objective::flow(1000, Times::Uniform)]) {
            let (x0, noise) = ([0.5f32, -0.25], [1.5f32, -0.5]);
            let (mut x, mut target) = ([0.0; 2], [0.0; 2]);
            objective.diffuse(300, &x0, &noise, &mut x);
            objective.target(300, &x0, &noise, &mut target);
            for i in 0..2 {
                assert!((objective.clean(300, x[i], target[i]) - f64::from(x0[i])).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn levels_of_flow_matching_are_the_librarys() {
        let objective = Objective::flow(1000, Times::Uniform);
        assert_eq!(
            (objective.timesteps(), objective.told(0), objective.told(999)),
            (1000, 1, 1000)
        );
        assert_eq!((objective.noise[499], objective.signal[999]), (0.5, 0.0));
        assert_eq!([0.0, 0.5, 0.999_99].map(|u| objective.place(u, 9.0)), [0, 500, 999]);
        // Half of the sigmoids of normal numbers lie between those of -0.674 and 0.674.
        let middle = Objective::flow(1000, Times::LogitNormal);
        assert_eq!(
            [-0.674, 0.0, 0.674, 99.0].map(|z| middle.place(0.0, z)),
            [337, 500, 662, 999]
        );
    }

    #[test]
    fn slopes_are_finite_differences() {
        for learned in [false, true] {
            let objective = objective(Prediction::Epsilon, learned);
            for t in [0, 1, 500] {
                let (x0, noise) = ([0.5f32, -0.25], [0.75f32, -0.5]);
                let (mut x, mut target) = ([0.0; 2], [0.0; 2]);
                objective.diffuse(t, &x0, &noise, &mut x);
                objective.target(t, &x0, &noise, &mut target);
                let sample = Sample {
                    timestep: t,
                    x0: &x0,
                    x: &x,
                    target: &target,
                };
                let output = [0.5f32, -0.25, 0.25, -0.5];
                let output = if learned { &output[..] } else { &output[..2] };
                let mut slope = vec![0.0; output.len()];
                objective.loss(&sample, output, 0.5, &mut slope);
                // The mean is held fixed in the bound: only the variance's place is moved by it.
                let moved = if learned { 2..4 } else { 0..2 };
                for i in moved {
                    let at = |h: f32| {
                        let mut output = output.to_vec();
                        output[i] += h;
                        objective.loss(&sample, &output, 0.5, &mut vec![0.0; output.len()])
                    };
                    let h = 1.0 / 256.0;
                    let expected = (at(h) - at(-h)) / (2.0 * f64::from(h));
                    let found = f64::from(slope[i]);
                    assert!(
                        (found - expected).abs() < 2e-3 * expected.abs().max(0.01),
                        "{t} {i}: {found}, {expected}"
                    );
                }
            }
        }
    }
}
