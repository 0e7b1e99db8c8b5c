//! The samplers beside DDIM, in f64 as their papers write them: what the device's fixed-point coefficients are held to.
//!
//! - [`ddpm`]: ancestral, Ho et al. 2020.
//! - [`dpm_solver`]: DPM-Solver++(2M), Lu et al. 2022.
//! - [`heun`]: Heun's method on the probability-flow ODE.

pub mod ddpm;
pub mod dpm_solver;
pub mod heun;

use mote_runtime::Method;

use super::Real;
use super::ddim::Clip;
use crate::schedule::{Prediction, Schedule, ScheduleError, Step};

/// A run's settings.
#[derive(Debug, Clone)]
pub struct BySample<'a> {
    /// Cumulative alphas. The run ends at the clean sample whatever their final one is.
    pub schedule: &'a Schedule,
    /// The steps, noisiest first.
    pub steps: &'a [Step],
    /// What the model's output means.
    pub prediction: Prediction,
    /// What is done about x0 out of range; both kinds of clipping are one here.
    pub clip: Clip,
    /// The sampler.
    pub method: Method,
}

/// `x_prev = x0 * sample + held * (the sample before) + state * x + sigma * z`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the predicted clean sample.
    pub sample: f64,
    /// Of the one that was predicted before.
    pub held: f64,
    /// Of the state.
    pub state: f64,
    /// Of a standard normal.
    pub sigma: f64,
}

impl BySample<'_> {
    /// Takes `x` through all steps: see [`super::ddim::Ddim::sample`]. `observe` sees the state after each; `None` under
    /// [`Method::Ddim`], which is not one of these.
    pub fn sample<T: Real, E: From<ScheduleError>>(
        &self,
        mut x: Vec<T>,
        mut model: impl FnMut(&[T], usize) -> Result<Vec<T>, E>,
        mut noise: impl FnMut(usize) -> Result<Vec<T>, E>,
        mut observe: impl FnMut(&[T]),
    ) -> Result<Vec<T>, E> {
        let alpha = |t: usize| self.schedule.alphas_cumprod[t];
        let mut before: Option<(f64, Vec<T>)> = None;
        for (index, step) in self.steps.iter().enumerate() {
            let (ab, next) = (alpha(step.timestep), step.previous.map_or(1.0, alpha));
            let x0 = self.clean(&x, &model(&x, step.timestep)?, step.timestep)?;
            let w = match self.method {
                Method::Ddpm(variance) => ddpm::weights(ab, next, variance),
                Method::DpmSolver2M => dpm_solver::weights(before.as_ref().map(|(ab, _)| *ab), ab, next),
                Method::Ddim | Method::Heun => heun::euler(ab, next),
            };
            let held = before.take().map_or_else(|| x0.clone(), |(_, held)| held);
            let mut moved = combine(w, [&x0, &held, &x]);
            if w.sigma > 0.0 {
                for (v, z) in moved.iter_mut().zip(noise(index)?) {
                    *v += T::of(w.sigma) * z;
                }
            }
            if let (Method::Heun, Some(there)) = (self.method, step.previous) {
                let second = self.clean(&moved, &model(&moved, there)?, there)?;
                moved = combine(heun::trapezoid(ab, next), [&second, &x0, &x]);
            }
            observe(&moved);
            (x, before) = (moved, Some((ab, x0)));
        }
        Ok(x)
    }

    /// The predicted clean sample, clamped where that is asked for.
    fn clean<T: Real>(&self, x: &[T], out: &[T], timestep: usize) -> Result<Vec<T>, ScheduleError> {
        let alpha = self.schedule.alphas_cumprod[timestep];
        if alpha == 0.0 && self.prediction == Prediction::Epsilon {
            let prediction = self.prediction.name();
            return Err(ScheduleError::Singular {
                timestep,
                alpha,
                prediction,
            });
        }
        let (signal, noise) = (T::of(libm::sqrt(alpha)), T::of(libm::sqrt(1.0 - alpha)));
        let clamp = |v: T| match self.clip {
            Clip::Off => v,
            Clip::Stock { range } | Clip::Rederived { range } => T::of(v.wide().clamp(-range, range)),
        };
        let one = |(&x, &out): (&T, &T)| match self.prediction {
            Prediction::Epsilon => clamp((x - noise * out) / signal),
            Prediction::Velocity => clamp(signal * x - noise * out),
            Prediction::Sample => clamp(out),
        };
        Ok(x.iter().zip(out).map(one).collect())
    }
}

fn combine<T: Real>(w: Weights, [sample, held, state]: [&[T]; 3]) -> Vec<T> {
    let [a, b, c] = [w.sample, w.held, w.state].map(T::of);
    let terms = sample.iter().zip(held).zip(state);
    terms.map(|((&s, &h), &x)| a * s + b * h + c * x).collect()
}
