//! The probability flow in few steps of equal length in the level `u`: DDIM and DPM-Solver++(2M).

use crate::schedule::alpha_sigma;

/// Solvers with a fixed number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Solver {
    /// DDIM (Song, Meng and Ermon 2021, eq. 12), order 1.
    Ddim,
    /// DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), order 2.
    DpmSolver2M,
}

impl Solver {
    /// As it is published.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddim => "DDIM",
            Self::DpmSolver2M => "DPM-Solver++(2M)",
        }
    }

    /// The power of the step that its error falls with.
    #[must_use]
    pub fn order(self) -> u32 {
        match self {
            Self::Ddim => 1,
            Self::DpmSolver2M => 2,
        }
    }

    /// Takes `x`, any number of samples, from level `from` down to level `to` in `steps` steps. `model(x, u)` gives epsilon; one call a step.
    pub fn run<E>(
        self,
        mut x: Vec<f64>,
        [from, to]: [f64; 2],
        steps: usize,
        mut model: impl FnMut(&[f64], f64) -> Result<Vec<f64>, E>,
    ) -> Result<Vec<f64>, E> {
        let level = |i: usize| from + (to - from) * i as f64 / steps as f64;
        let mut previous: Option<Vec<f64>> = None;
        for i in 0..steps {
            let (alpha, sigma) = alpha_sigma(level(i));
            let (alpha_next, sigma_next) = alpha_sigma(level(i + 1));
            let noise = model(&x, level(i))?;
            let clean: Vec<f64> = x.iter().zip(&noise).map(|(x, e)| (x - sigma * e) / alpha).collect();
            // All steps are of one length, so that D = (1 + 1 / 2) x0_i - 1 / 2 x0_{i-1}; DDIM's is x0_i.
            let directed: Vec<f64> = match previous.as_ref().filter(|_| self == Self::DpmSolver2M) {
                Some(previous) => clean
                    .iter()
                    .zip(previous)
                    .map(|(new, old)| 1.5 * new - 0.5 * old)
                    .collect(),
                None => clean.clone(),
            };
            // With x0 held, x = alpha x0 + sigma (x - alpha x0) / sigma: sigma' / sigma x + (alpha' - alpha sigma' / sigma) D.
            let ratio = sigma_next / sigma;
            let gain = alpha_next - alpha * ratio;
            x = x.iter().zip(&directed).map(|(x, d)| ratio * x + gain * d).collect();
            previous = Some(clean);
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::float::ddim::{Clip, Coefficients, Ddim};
    use crate::schedule::{Precision, Prediction, PreviousRule, Schedule, SchedulerConfig};
    use std::convert::Infallible;

    /// The same step as the sampler of timesteps.
    #[test]
    fn ddim_is_ddim() {
        let config = SchedulerConfig::parse("test", r#"{"_class_name": "DDIMScheduler"}"#).unwrap();
        let schedule = Schedule::new(&config, Precision::F64).unwrap();
        let steps = config.steps(2, PreviousRule::List).unwrap();
        let c = Coefficients::new(&schedule, steps[0], 0.0, Prediction::Epsilon).unwrap();
        let ddim = Ddim {
            schedule: &schedule,
            steps: &steps,
            prediction: Prediction::Epsilon,
            clip: Clip::Off,
            eta: 0.0,
        };
        let (x, noise) = (vec![0.7, -1.1], vec![0.2, -0.4]);
        let (theirs, _) = ddim.step(&c, &x, &noise);
        let level = |bar: f64| 0.5 * ((1.0 - bar) / bar).ln();
        let (alpha, previous) = schedule.alphas(steps[0]);
        let ends = [level(alpha), level(previous)];
        let ours = Solver::Ddim
            .run(x, ends, 1, |_, _| Ok::<_, Infallible>(noise.clone()))
            .unwrap();
        assert!(ours.iter().zip(theirs).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
