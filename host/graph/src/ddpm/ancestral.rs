//! Ancestral sampling (Ho et al. 2020, algorithm 2), over all timesteps or a subset of them (Nichol and Dhariwal 2021, section 4).

use super::process::{Posterior, variance_floor};
use crate::predictor::Predicted;
use crate::schedule::{Schedule, Transition, Variance};

/// A run's settings.
#[derive(Debug, Clone)]
pub struct Ancestral<'a> {
    /// Cumulative alphas.
    pub schedule: &'a Schedule,
    /// The steps, noisiest first.
    pub steps: &'a [Transition],
    /// Variance of a step.
    pub variance: Variance,
    /// Bound on the predicted x0, where it is clipped.
    pub clip: Option<f64>,
}

impl Ancestral<'_> {
    /// Takes `x`, any number of samples, through all steps. `model(x, timestep)` predicts the clean samples; `noise(index)` gives the standard
    /// normal noise of a step, the length of `x`, and is not asked at the last, which returns the mean.
    pub fn sample<E>(
        &self,
        mut x: Vec<f64>,
        mut model: impl FnMut(&[f64], usize) -> Result<Predicted, E>,
        mut noise: impl FnMut(usize) -> Vec<f64>,
    ) -> Result<Vec<f64>, E> {
        let floor = variance_floor(self.schedule);
        for (index, &step) in self.steps.iter().enumerate() {
            let (alpha_bar, previous) = self.schedule.alphas(step);
            let posterior = Posterior::new(alpha_bar, previous);
            let predicted = model(&x, step.timestep)?;
            let x0 = clipped(predicted.x0, self.clip);
            let mut next: Vec<f64> = posterior.mean(&x0, &x).collect();
            // Where the list repeats a timestep nothing is done.
            if posterior.beta <= 0.0 {
                continue;
            }
            if index + 1 < self.steps.len() {
                let fraction = |i: usize| predicted.fraction.get(i).copied().unwrap_or(0.0);
                for (i, (v, z)) in next.iter_mut().zip(noise(index)).enumerate() {
                    *v += libm::sqrt(posterior.variance(self.variance, fraction(i), floor)) * z;
                }
            }
            x = next;
        }
        Ok(x)
    }
}

/// `x0` clamped to `[-bound, bound]`.
#[must_use]
pub fn clipped(mut x0: Vec<f64>, bound: Option<f64>) -> Vec<f64> {
    if let Some(bound) = bound {
        x0.iter_mut().for_each(|v| *v = v.clamp(-bound, bound));
    }
    x0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::normals;
    use crate::float::ddim::{Clip, Ddim};
    use crate::schedule::{Precision, Prediction, PreviousRule, ScheduleError, SchedulerConfig};

    fn schedule() -> (SchedulerConfig, Schedule) {
        let config = SchedulerConfig::parse("test", r#"{"_class_name": "DDPMScheduler"}"#).unwrap();
        let schedule = Schedule::new(&config, Precision::F64).unwrap();
        (config, schedule)
    }

    /// DDIM's equation 16 with eta = 1 is DDPM with the posterior's variance: two formulas, one sampler.
    #[test]
    fn fixed_small_is_ddim_with_eta_one() {
        let (config, schedule) = schedule();
        let steps = config.steps(50, PreviousRule::List).unwrap();
        let x0 = |x: &[f64], t: usize| -> Vec<f64> { x.iter().map(|x| (x * 0.8 - t as f64 * 1e-4).tanh()).collect() };
        let noise = |i: usize| normals(7, i as u32 + 1, 3);
        let start = vec![0.3, -1.2, 2.0];
        let ancestral = Ancestral {
            schedule: &schedule,
            steps: &steps,
            variance: Variance::FixedSmall,
            clip: Some(0.9),
        };
        let model = |x: &[f64], t: usize| {
            let fraction = vec![];
            Ok::<_, ScheduleError>(Predicted { x0: x0(x, t), fraction })
        };
        let ours = ancestral.sample(start.clone(), model, noise).unwrap();
        let ddim = Ddim {
            schedule: &schedule,
            steps: &steps,
            prediction: Prediction::Sample,
            clip: Clip::Rederived { range: 0.9 },
            eta: 1.0,
        };
        let theirs = ddim
            .sample(start, |x, t| Ok::<_, ScheduleError>(x0(x, t)), |i| Ok(noise(i)), |_| ())
            .unwrap();
        assert!(
            ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-9),
            "{ours:?} {theirs:?}"
        );
    }

    /// Where the data are normal the best x0 is known, and samples must have the data's mean and variance, with either variance.
    #[test]
    fn normal_data_come_out_with_their_mean_and_variance() {
        let (config, schedule) = schedule();
        let steps = config.steps(1000, PreviousRule::List).unwrap();
        let (mean, variance, count) = (0.25, 0.16, 2000);
        for kind in [Variance::FixedSmall, Variance::FixedLarge, Variance::LearnedRange] {
            let model = |x: &[f64], t: usize| {
                let bar = schedule.alphas_cumprod[t];
                let gain = bar.sqrt() * variance / (bar * variance + 1.0 - bar);
                let x0 = x.iter().map(|x| mean + gain * (x - bar.sqrt() * mean)).collect();
                let fraction = vec![0.5; x.len()];
                Ok::<_, ScheduleError>(Predicted { x0, fraction })
            };
            let ancestral = Ancestral {
                schedule: &schedule,
                steps: &steps,
                variance: kind,
                clip: None,
            };
            let x = ancestral
                .sample(normals(5, 0, count), model, |i| normals(5, i as u32 + 1, count))
                .unwrap();
            let m = x.iter().sum::<f64>() / count as f64;
            let v = x.iter().map(|x| (x - m).powi(2)).sum::<f64>() / count as f64;
            // Five standard errors, and 2 % for what a thousand steps of the wrong variance leave.
            assert!(
                (m - mean).abs() < 5.0 * (variance / count as f64).sqrt(),
                "{kind:?} {m}"
            );
            assert!(
                (v / variance - 1.0).abs() < 5.0 * (2.0 / count as f64).sqrt() + 0.02,
                "{kind:?} {v}"
            );
        }
    }
}
