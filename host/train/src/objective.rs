//! What is minimized: L_simple (Ho et al. 2020, eq. 14) under any prediction, and L_hybrid for learned variances (Nichol and
//! Dhariwal 2021, section 3.1).

use super::variance::Variance;
use mote_graph::schedule::{Prediction, Schedule};

/// The objective.
#[derive(Debug, Clone)]
pub struct Objective {
    prediction: Prediction,
    /// Square roots of alpha-bar and of 1 - alpha-bar, by timestep.
    signal: Vec<f64>,
    noise: Vec<f64>,
    variance: Option<Variance>,
}

impl Objective {
    /// Under `schedule`; with `learned_variance` the network's output has twice the sample's channels.
    #[must_use]
    pub fn new(schedule: &Schedule, prediction: Prediction, learned_variance: bool) -> Self {
        let bars = &schedule.alphas_cumprod;
        Self {
            prediction,
            signal: bars.iter().map(|a| libm::sqrt(*a)).collect(),
            noise: bars.iter().map(|a| libm::sqrt(1.0 - a)).collect(),
            variance: learned_variance.then(|| Variance::new(schedule)),
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
            *target = match self.prediction {
                Prediction::Epsilon => *e,
                Prediction::Velocity => a * e - b * x0,
                Prediction::Sample => *x0,
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
        match self.prediction {
            Prediction::Epsilon => (x - b * y) / a.max(1e-12),
            Prediction::Velocity => a * x - b * y,
            Prediction::Sample => y,
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
        for prediction in [Prediction::Epsilon, Prediction::Velocity, Prediction::Sample] {
            let objective = objective(prediction, false);
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
