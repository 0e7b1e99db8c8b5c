//! DDIM backwards: from an image to the noise that it comes from (Song, Meng and Ermon 2021, sections 4.3 and 5.4), and between two noises.

use super::Real;
use super::ddim::{Coefficients, Ddim};
use crate::schedule::ScheduleError;

impl Ddim<'_> {
    /// Takes clean samples `x` through all steps backwards, without noise and without clipping: the x_T that [`Ddim::sample`] with `eta = 0` and as
    /// many steps leads back from, up to the error of the steps. Each step asks the model where it starts; at the clean image it is told
    /// timestep 0.
    pub fn encode<T: Real, E: From<ScheduleError>>(
        &self,
        mut x: Vec<T>,
        mut model: impl FnMut(&[T], usize) -> Result<Vec<T>, E>,
    ) -> Result<Vec<T>, E> {
        let plain = Ddim {
            clip: super::ddim::Clip::Off,
            ..self.clone()
        };
        for &step in self.steps.iter().rev() {
            let (alpha, previous) = self.schedule.alphas(step);
            let told = step.previous.unwrap_or(0);
            if previous == 1.0 && self.prediction == crate::schedule::Prediction::Sample {
                return Err(ScheduleError::Singular {
                    timestep: told,
                    alpha: previous,
                    prediction: self.prediction.name(),
                }
                .into());
            }
            let upwards = Coefficients {
                sqrt_alpha: libm::sqrt(previous),
                sqrt_beta: libm::sqrt(1.0 - previous),
                sqrt_alpha_prev: libm::sqrt(alpha),
                direction: libm::sqrt(1.0 - alpha),
                sigma: 0.0,
            };
            let output = model(&x, told)?;
            x = plain.step(&upwards, &x, &output).0;
        }
        Ok(x)
    }
}

/// The point at `fraction` of the great circle from `a` to `b` (Song, Meng and Ermon 2021, appendix D.5; Shoemake 1985), so that noise stays as long as
/// noise is; a straight line where they are parallel.
#[must_use]
pub fn slerp(a: &[f64], b: &[f64], fraction: f64) -> Vec<f64> {
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = inner(a, b) / libm::sqrt(inner(a, a) * inner(b, b));
    let angle = libm::acos(cosine.clamp(-1.0, 1.0));
    let (of_a, of_b) = if libm::sin(angle).abs() < 1e-6 || !angle.is_finite() {
        (1.0 - fraction, fraction)
    } else {
        let sine = libm::sin(angle);
        (
            libm::sin((1.0 - fraction) * angle) / sine,
            libm::sin(fraction * angle) / sine,
        )
    };
    a.iter().zip(b).map(|(a, b)| of_a * a + of_b * b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::normals;
    use crate::float::ddim::Clip;
    use crate::schedule::{Precision, Prediction, PreviousRule, Schedule, SchedulerConfig};

    /// There and back on normal data of deviation 0.3: the error falls with the steps, and the code is the flow's.
    #[test]
    fn what_is_encoded_comes_back_the_better_the_more_steps() {
        let config = SchedulerConfig::parse("test", r#"{"_class_name": "DDIMScheduler"}"#).unwrap();
        let schedule = Schedule::new(&config, Precision::F64).unwrap();
        let start: Vec<f64> = normals(1, 0, 8).into_iter().map(|z| 0.3 * z).collect();
        let model = |x: &[f64], t: usize| {
            let bar: f64 = schedule.alphas_cumprod[t];
            let factor = (1.0 - bar).sqrt() / (bar * 0.09 + 1.0 - bar);
            Ok::<_, ScheduleError>(x.iter().map(|x| factor * x).collect())
        };
        let error = |count: usize| {
            let steps = config.steps(count, PreviousRule::List).unwrap();
            let ddim = Ddim {
                schedule: &schedule,
                steps: &steps,
                prediction: Prediction::Epsilon,
                clip: Clip::Off,
                eta: 0.0,
            };
            let code = ddim.encode(start.clone(), model).unwrap();
            let back = ddim.sample(code.clone(), model, |_| Ok(vec![]), |_| ()).unwrap();
            let off = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
            let exact: Vec<f64> = start.iter().map(|x| x / 0.3).collect();
            (off(&back, &start), off(&code, &exact))
        };
        let errors: Vec<(f64, f64)> = [10, 50, 200, 1000].map(error).to_vec();
        assert!(
            errors.windows(2).all(|w| w[1].0 < w[0].0 / 2.0 && w[1].1 < w[0].1),
            "{errors:?}"
        );
        assert!(errors[3].0 < 1e-4, "{errors:?}");
    }

    #[test]
    fn great_circles_by_hand() {
        let half = slerp(&[2.0, 0.0], &[0.0, 2.0], 0.5);
        assert!(half.iter().all(|v| (v - 2f64.sqrt()).abs() < 1e-12));
        assert_eq!(slerp(&[2.0, 0.0], &[0.0, 2.0], 0.0), [2.0, 0.0]);
        assert_eq!(slerp(&[1.0, 1.0], &[3.0, 3.0], 0.5), [2.0, 2.0]);
        assert_eq!(slerp(&[0.0], &[0.0], 0.5), [0.0]);
    }
}
