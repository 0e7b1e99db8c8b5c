//! Samplers on continuous noise levels in floating point, as their papers write them: flow matching and EDM.
//!
//! A state is `x = w x0 + tau z`, of flow matching with `w = 1 - tau`, of EDM with `w = 1`; the flow is `dx / dtau = (x - x0) / tau`.

use mote_runtime::internals::model::sampling::Levels;
use mote_runtime::{Method, Spacing};

use super::Real;
use super::ddim::Clip;
use super::samplers::Shown;
use crate::schedule::{ScheduleError, SchedulerConfig};

/// The levels tau of a run, then 0.
///
/// # Errors
/// Of a number of steps that is not 1 to the training timesteps.
pub fn levels(scheduler: &SchedulerConfig, steps: usize) -> Result<Vec<f64>, ScheduleError> {
    match &scheduler.edm {
        Some(edm) => {
            let max = scheduler.num_train_timesteps;
            if steps == 0 || steps > max {
                return Err(ScheduleError::Steps { steps, max });
            }
            Ok(edm.sigmas(steps))
        }
        None => flow_sigmas(scheduler, steps),
    }
}

/// The noise levels of a run of flow matching, then 0: `f s / (1 + (f - 1) s)` with shift f (Esser et al. 2024, equation 23), as diffusers'
/// `FlowMatchEulerDiscreteScheduler` has it. `s` is `1 - k / S` (trailing, what pipelines ask for), or evenly spread from 1 to the shifted level
/// of timestep 1 (linspace, that class's own default).
///
/// # Errors
/// Of a number of steps that is not 1 to the training timesteps.
pub fn flow_sigmas(scheduler: &SchedulerConfig, steps: usize) -> Result<Vec<f64>, ScheduleError> {
    let max = scheduler.num_train_timesteps;
    if steps == 0 || steps > max {
        return Err(ScheduleError::Steps { steps, max });
    }
    let shift = scheduler.shift;
    let shifted = |s: f64| shift * s / (1.0 + (shift - 1.0) * s);
    let lowest = shifted(1.0 / max as f64);
    let level = |k: usize| match scheduler.timestep_spacing {
        Spacing::Linspace if steps > 1 => 1.0 - k as f64 / (steps - 1) as f64 * (1.0 - lowest),
        _ => 1.0 - k as f64 / steps as f64,
    };
    Ok((0..steps).map(|k| shifted(level(k))).chain([0.0]).collect())
}

/// A run.
#[derive(Debug)]
pub struct OverLevels<'a> {
    /// Noisiest first, then 0.
    pub levels: &'a [f64],
    /// What the network means.
    pub scheduler: &'a SchedulerConfig,
    /// The sampler.
    pub method: Method,
    /// What is done about x0 out of range.
    pub clip: Clip,
}

/// What a call of the network says, at a level.
struct Said<T> {
    output: Vec<T>,
    x0: Vec<T>,
}

impl OverLevels<'_> {
    /// Takes standard normal `x` through all steps: see [`super::samplers::FloatRun::sample`].
    pub fn sample<T: Real, E>(
        &self,
        mut x: Vec<T>,
        mut model: impl FnMut(&[T], f64) -> Result<Vec<T>, E>,
        mut noise: impl FnMut(usize) -> Result<Vec<T>, E>,
        mut observe: impl FnMut(&Shown<'_, T>),
    ) -> Result<Vec<T>, E> {
        let first = self.norm(self.levels[0]);
        if self.scheduler.levels == Levels::Edm {
            x.iter_mut().for_each(|x| *x *= T::of(first));
        }
        let mut before: Option<(f64, Vec<T>)> = None;
        for (index, pair) in self.levels.windows(2).enumerate() {
            let (now, next) = (pair[0], pair[1]);
            let said = self.ask(&x, now, &mut model)?;
            let moved = match self.method {
                Method::FlowHeun if next > 0.0 => {
                    let there = self.euler(&x, &said, now, next);
                    let second = self.ask(&there, next, &mut model)?;
                    let (one, other) = (slope(&x, &said.x0, now), slope(&there, &second.x0, next));
                    let half = T::of((next - now) / 2.0);
                    zip(&x, &one, &other, |x, v, w| x + half * (v + w))
                }
                Method::FlowMidpoint => {
                    let middle = (now + next) / 2.0;
                    let there = self.euler(&x, &said, now, middle);
                    let second = self.ask(&there, middle, &mut model)?;
                    let v = slope(&there, &second.x0, middle);
                    zip(&x, &v, &v, |x, v, _| x + T::of(next - now) * v)
                }
                Method::FlowDpmSolver2M => {
                    let q = before
                        .as_ref()
                        .map_or(0.0, |(before, _)| self.extrapolation(*before, now, next));
                    let kept = before.as_ref().map_or(&said.x0, |(_, kept)| kept);
                    let x0 = zip(&said.x0, kept, kept, |x0, kept, _| {
                        T::of(1.0 + q) * x0 - T::of(q) * kept
                    });
                    let [a, c] = self.towards(now, next).map(T::of);
                    zip(&x, &x0, &x0, |x, x0, _| a * x + c * x0)
                }
                Method::FlowConsistency if next > 0.0 => {
                    let [w, tau] = [self.signal(next), next].map(T::of);
                    let z = noise(index)?;
                    zip(&said.x0, &z, &z, |x0, z, _| w * x0 + tau * z)
                }
                Method::FlowConsistency => said.x0.clone(),
                _ => self.euler(&x, &said, now, next),
            };
            observe(&Shown {
                x: &x,
                output: &said.output,
                x0: &said.x0,
                next: &moved,
                unit: 1.0 / self.norm(next),
            });
            (x, before) = (moved, Some((now, said.x0)));
        }
        Ok(x)
    }

    fn signal(&self, tau: f64) -> f64 {
        if self.scheduler.levels == Levels::Flow {
            1.0 - tau
        } else {
            1.0
        }
    }

    fn norm(&self, tau: f64) -> f64 {
        let w = self.signal(tau);
        libm::sqrt(w * w + tau * tau)
    }

    /// The network's output and the clean sample that it means.
    fn ask<T: Real, E>(
        &self,
        x: &[T],
        tau: f64,
        model: &mut impl FnMut(&[T], f64) -> Result<Vec<T>, E>,
    ) -> Result<Said<T>, E> {
        let steps = self.scheduler.num_train_timesteps as f64;
        let clamp = |v: T| match self.clip {
            Clip::Off => v,
            Clip::Stock { range } | Clip::Rederived { range } => T::of(v.wide().clamp(-range, range)),
        };
        let (output, x0) = match &self.scheduler.edm {
            Some(edm) => {
                let [skip, out, input] = edm.preconditioning(tau).map(T::of);
                let seen: Vec<T> = x.iter().map(|x| input * *x).collect();
                let output = model(&seen, steps * edm.place(tau))?;
                let x0 = x
                    .iter()
                    .zip(&output)
                    .map(|(&x, &f)| clamp(skip * x + out * f))
                    .collect();
                (output, x0)
            }
            None => {
                let output = model(x, steps * tau)?;
                let x0 = x
                    .iter()
                    .zip(&output)
                    .map(|(&x, &v)| clamp(x - T::of(tau) * v))
                    .collect();
                (output, x0)
            }
        };
        Ok(Said { output, x0 })
    }

    /// Euler's step (Lipman et al. 2023; Liu et al. 2023; Karras et al. 2022), with the velocity that leads to the clamped sample where one is.
    fn euler<T: Real>(&self, x: &[T], said: &Said<T>, now: f64, next: f64) -> Vec<T> {
        if self.scheduler.levels == Levels::Flow && self.clip == Clip::Off {
            return zip(x, &said.output, &said.output, |x, v, _| x + T::of(next - now) * v);
        }
        zip(x, &said.x0, &said.x0, |x, x0, _| {
            x + T::of((next - now) / now) * (x - x0)
        })
    }

    /// `(a, c)` of `x' = a x + c x0`, as DPM-Solver++ has it: `a = tau' / tau`, `c = -w' expm1(-h) = w' - a w`, which is there also where h is
    /// infinite: from no signal, and to no noise.
    fn towards(&self, now: f64, next: f64) -> [f64; 2] {
        let a = next / now;
        [a, self.signal(next) - a * self.signal(now)]
    }

    /// How far `ln(w / tau)` rises.
    fn rise(&self, now: f64, next: f64) -> f64 {
        let lambda = |tau: f64| libm::log(self.signal(tau) / tau);
        lambda(next) - lambda(now)
    }

    /// `h / (2 h_before)`; 0 to the end, and after a step from pure noise.
    fn extrapolation(&self, before: f64, now: f64, next: f64) -> f64 {
        if next > 0.0 && self.signal(before) > 0.0 {
            self.rise(now, next) / (2.0 * self.rise(before, now))
        } else {
            0.0
        }
    }
}

/// `(x - x0) / tau`.
fn slope<T: Real>(x: &[T], x0: &[T], tau: f64) -> Vec<T> {
    x.iter().zip(x0).map(|(&x, &x0)| (x - x0) / T::of(tau)).collect()
}

fn zip<T: Real>(a: &[T], b: &[T], c: &[T], f: impl Fn(T, T, T) -> T) -> Vec<T> {
    a.iter().zip(b).zip(c).map(|((&a, &b), &c)| f(a, b, c)).collect()
}
