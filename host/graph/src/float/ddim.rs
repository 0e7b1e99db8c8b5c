//! DDIM (Song, Meng and Ermon 2021, eq. 12 and 16) on plain vectors, over any model.
//!
//! Coefficients are computed once a step in the schedule's own arithmetic ([`Precision`]), then applied in `T`: with an
//! f32 schedule and `T = f64` this is the reference run with its network in f64.

use super::Real;
use crate::schedule::{Precision, Prediction, Schedule, ScheduleError, Transition};

/// What is done about a predicted x0 outside the range of images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// Nothing: eq. 12 as it stands.
    Off,
    /// Clamp x0 to `[-range, range]` and keep epsilon as predicted: what diffusers does by default. The two no longer
    /// describe the same x_t, and images come out brighter.
    Stock {
        /// The bound.
        range: f64,
    },
    /// Clamp x0, then derive epsilon again from x_t and the clamped x0 (diffusers' `use_clipped_model_output`).
    Rederived {
        /// The bound.
        range: f64,
    },
}

/// The scalars of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// `sqrt(ab_t)`.
    pub sqrt_alpha: f64,
    /// `sqrt(1 - ab_t)`.
    pub sqrt_beta: f64,
    /// `sqrt(ab_prev)`.
    pub sqrt_alpha_prev: f64,
    /// `sqrt(1 - ab_prev - sigma^2)`.
    pub direction: f64,
    /// `sigma_t(eta)` of eq. 16.
    pub sigma: f64,
}

impl Coefficients {
    /// The scalars of `step` at noise level `eta` (0 is deterministic DDIM, 1 is DDPM's posterior variance).
    pub fn new(schedule: &Schedule, step: Transition, eta: f64, prediction: Prediction) -> Result<Self, ScheduleError> {
        let (alpha, previous) = schedule.alphas(step);
        let singular =
            (alpha == 0.0 && prediction == Prediction::Epsilon) || (alpha == 1.0 && prediction == Prediction::Sample);
        if singular {
            let (timestep, prediction) = (step.timestep, prediction.name());
            return Err(ScheduleError::Singular {
                timestep,
                alpha,
                prediction,
            });
        }
        Ok(match schedule.precision {
            Precision::F64 => Self::f64(alpha, previous, eta),
            Precision::F32 => Self::f32(alpha as f32, previous as f32, eta),
        })
    }

    fn f64(alpha: f64, previous: f64, eta: f64) -> Self {
        // Where the list repeats a timestep the variance is 0; rounding must not make it negative.
        let variance = if eta == 0.0 {
            0.0
        } else {
            (1.0 - previous) / (1.0 - alpha) * (1.0 - alpha / previous)
        };
        let sigma = eta * libm::sqrt(variance.max(0.0));
        Self {
            sqrt_alpha: libm::sqrt(alpha),
            sqrt_beta: libm::sqrt(1.0 - alpha),
            sqrt_alpha_prev: libm::sqrt(previous),
            direction: libm::sqrt((1.0 - previous - sigma * sigma).max(0.0)),
            sigma,
        }
    }

    fn f32(alpha: f32, previous: f32, eta: f64) -> Self {
        let variance = if eta == 0.0 {
            0.0
        } else {
            (1.0 - previous) / (1.0 - alpha) * (1.0 - alpha / previous)
        };
        let sigma = eta as f32 * libm::sqrtf(variance.max(0.0));
        Self {
            sqrt_alpha: f64::from(libm::sqrtf(alpha)),
            sqrt_beta: f64::from(libm::sqrtf(1.0 - alpha)),
            sqrt_alpha_prev: f64::from(libm::sqrtf(previous)),
            direction: f64::from(libm::sqrtf((1.0 - previous - sigma * sigma).max(0.0))),
            sigma: f64::from(sigma),
        }
    }
}

/// A run's settings: the schedule and what is fixed over the steps.
#[derive(Debug, Clone)]
pub struct Ddim<'a> {
    /// Cumulative alphas.
    pub schedule: &'a Schedule,
    /// The steps, noisiest first; from [`crate::schedule::SchedulerConfig::steps`].
    pub steps: &'a [Transition],
    /// What the model's output means.
    pub prediction: Prediction,
    /// What is done about x0 out of range.
    pub clip: Clip,
    /// Noise level: 0 is deterministic, 1 is DDPM's posterior variance.
    pub eta: f64,
}

/// What a run shows after each step.
#[derive(Debug)]
pub struct Seen<'a, T> {
    /// Index into the run's steps.
    pub index: usize,
    /// Where the step starts and ends.
    pub step: Transition,
    /// x before the step.
    pub x: &'a [T],
    /// The model's output, after guidance.
    pub output: &'a [T],
    /// The predicted clean sample, after clipping.
    pub x0: &'a [T],
    /// x after the step.
    pub next: &'a [T],
}

impl Ddim<'_> {
    /// Takes `x` (any number of samples at one timestep, in one vector) through all steps.
    ///
    /// `model(x, timestep)` gives the network's output, after guidance, the length of `x`. `noise(index)` gives the standard normal noise
    /// that a step adds, the length of `x`; it is called only when `eta > 0`. `observe` sees every step.
    pub fn sample<T: Real, E: From<ScheduleError>>(
        &self,
        mut x: Vec<T>,
        mut model: impl FnMut(&[T], usize) -> Result<Vec<T>, E>,
        mut noise: impl FnMut(usize) -> Result<Vec<T>, E>,
        mut observe: impl FnMut(Seen<'_, T>),
    ) -> Result<Vec<T>, E> {
        for (index, &step) in self.steps.iter().enumerate() {
            let c = Coefficients::new(self.schedule, step, self.eta, self.prediction)?;
            if c.sqrt_beta == 0.0 && matches!(self.clip, Clip::Rederived { .. }) {
                let (timestep, prediction) = (step.timestep, "epsilon derived again from a clipped");
                return Err(ScheduleError::Singular {
                    timestep,
                    alpha: 1.0,
                    prediction,
                }
                .into());
            }
            let output = model(&x, step.timestep)?;
            debug_assert_eq!(output.len(), x.len(), "the model's output must have the sample's shape");
            let (mut next, x0) = self.step(&c, &x, &output);
            if c.sigma > 0.0 {
                for (v, z) in next.iter_mut().zip(noise(index)?) {
                    *v += T::of(c.sigma) * z;
                }
            }
            observe(Seen {
                index,
                step,
                x: &x,
                output: &output,
                x0: &x0,
                next: &next,
            });
            x = next;
        }
        Ok(x)
    }

    /// One step without its noise: `(x_prev, x0)`.
    #[must_use]
    pub fn step<T: Real>(&self, c: &Coefficients, x: &[T], output: &[T]) -> (Vec<T>, Vec<T>) {
        let (sqrt_alpha, sqrt_beta) = (T::of(c.sqrt_alpha), T::of(c.sqrt_beta));
        let (sqrt_alpha_prev, direction) = (T::of(c.sqrt_alpha_prev), T::of(c.direction));
        x.iter()
            .zip(output)
            .map(|(&x, &out)| {
                let (x0, epsilon) = match self.prediction {
                    Prediction::Epsilon => ((x - sqrt_beta * out) / sqrt_alpha, out),
                    Prediction::Velocity => (sqrt_alpha * x - sqrt_beta * out, sqrt_alpha * out + sqrt_beta * x),
                    Prediction::Sample => (out, (x - sqrt_alpha * out) / sqrt_beta),
                };
                let (x0, epsilon) = match self.clip {
                    Clip::Off => (x0, epsilon),
                    Clip::Stock { range } => (clamp(x0, range), epsilon),
                    Clip::Rederived { range } => {
                        let x0 = clamp(x0, range);
                        (x0, (x - sqrt_alpha * x0) / sqrt_beta)
                    }
                };
                (sqrt_alpha_prev * x0 + direction * epsilon, x0)
            })
            .unzip()
    }
}

fn clamp<T: Real>(v: T, range: f64) -> T {
    let (low, high) = (T::of(-range), T::of(range));
    if v < low {
        low
    } else if v > high {
        high
    } else {
        v
    }
}

/// Classifier-free guidance (Ho and Salimans 2022, eq. 6): `uncond + weight * (cond - uncond)`.
#[must_use]
pub fn guide<T: Real>(cond: &[T], uncond: &[T], weight: f64) -> Vec<T> {
    let weight = T::of(weight);
    cond.iter().zip(uncond).map(|(&c, &u)| u + weight * (c - u)).collect()
}
