//! Every sampler in floating point, as its paper writes it: what the device's fixed-point rows are held to.
//!
//! [`FloatRun`] runs any of them over a checkpoint's scheduler. A sampler that moves by the clean sample is its [`Weights`]: [`ancestral`]
//! (DDPM), [`multistep`] (DPM-Solver++(2M)), [`euler`] and [`trapezoid`] (Heun's method), [`renewed`] (consistency sampling).
//! [`super::ddim`] has DDIM, [`super::continuous`] the samplers on continuous noise levels.

use mote_runtime::Method;
use mote_runtime::internals::sampler::Variance;

use super::Real;
pub use super::continuous::flow_sigmas;
use super::continuous::{OverLevels, levels};
use super::ddim::{Clip, Ddim};
use crate::schedule::{Precision, Prediction, PreviousRule, Schedule, ScheduleError, SchedulerConfig, Transition};

/// A run of any sampler.
#[derive(Debug, Clone)]
pub struct FloatRun<'a> {
    /// The checkpoint's scheduler, with the spacing that is wanted.
    pub scheduler: &'a SchedulerConfig,
    /// The arithmetic of schedule and coefficients.
    pub precision: Precision,
    /// Number of steps.
    pub steps: usize,
    /// What the timestep after a timestep is.
    pub prev: PreviousRule,
    /// The sampler.
    pub method: Method,
    /// What is done about x0 out of range.
    pub clip: Clip,
    /// DDIM's noise level: 0 is deterministic.
    pub eta: f64,
}

/// What a run shows after each step.
#[derive(Debug)]
pub struct Shown<'a, T> {
    /// x before the step.
    pub x: &'a [T],
    /// The network's output in the step's first call, after guidance.
    pub output: &'a [T],
    /// The clean sample predicted from it, after clipping.
    pub x0: &'a [T],
    /// x after the step.
    pub next: &'a [T],
    /// The device's state is `next` times this: it has unit variance for standard normal data.
    pub unit: f64,
}

impl FloatRun<'_> {
    /// Takes `x` (any number of samples, in one vector) through all steps.
    ///
    /// `model(x, time)` gives the network's output, after guidance, the length of `x`; `time` is a training timestep, or lies between two.
    /// `noise(index)` gives the standard normal noise that a step adds; it is called only where the step draws any.
    pub fn sample<T: Real, E: From<ScheduleError>>(
        &self,
        x: Vec<T>,
        mut model: impl FnMut(&[T], f64) -> Result<Vec<T>, E>,
        noise: impl FnMut(usize) -> Result<Vec<T>, E>,
        mut observe: impl FnMut(&Shown<'_, T>),
    ) -> Result<Vec<T>, E> {
        if self.scheduler.levels.are_continuous() {
            let sampler = OverLevels {
                levels: &levels(self.scheduler, self.steps)?,
                scheduler: self.scheduler,
                method: self.method,
                clip: self.clip,
            };
            return sampler.sample(x, model, noise, observe);
        }
        let schedule = &Schedule::new(self.scheduler, self.precision)?;
        let steps = &self.scheduler.steps(self.steps, self.prev)?;
        let (prediction, clip) = (self.scheduler.prediction_type, self.clip);
        let whole = |x: &[T], t: usize| model(x, t as f64);
        if self.method != Method::Ddim {
            let sampler = BySample {
                schedule,
                steps,
                prediction,
                clip,
                method: self.method,
            };
            return sampler.sample(x, whole, noise, observe);
        }
        let ddim = Ddim {
            schedule,
            steps,
            prediction,
            clip,
            eta: self.eta,
        };
        ddim.sample(x, whole, noise, |seen| {
            observe(&Shown {
                x: seen.x,
                output: seen.output,
                x0: seen.x0,
                next: seen.next,
                unit: 1.0,
            });
        })
    }
}

/// The noise levels of a run: noise over signal at each step (of flow matching the noise's share), then 0.
///
/// # Errors
/// Those of the schedule and of its steps.
pub fn sigmas(scheduler: &SchedulerConfig, steps: usize, prev: PreviousRule) -> Result<Vec<f64>, ScheduleError> {
    if scheduler.levels.are_continuous() {
        return levels(scheduler, steps);
    }
    let schedule = Schedule::new(scheduler, Precision::F64)?;
    let level = |ab: f64| libm::sqrt((1.0 - ab) / ab);
    let steps = scheduler.steps(steps, prev)?;
    let levels = steps.iter().map(|step| level(schedule.alphas(*step).0));
    Ok(levels.chain([0.0]).collect())
}

/// A run of a sampler that moves the state by its predicted clean sample, over cumulative alphas.
#[derive(Debug, Clone)]
pub struct BySample<'a> {
    /// Cumulative alphas. The run ends at the clean sample whatever their final one is.
    pub schedule: &'a Schedule,
    /// The steps, noisiest first.
    pub steps: &'a [Transition],
    /// What the model's output means.
    pub prediction: Prediction,
    /// What is done about x0 out of range; both kinds of clipping are one here.
    pub clip: Clip,
    /// The sampler.
    pub method: Method,
}

/// `x_prev = x0 * sample + kept * (the sample before) + state * x + sigma * z`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the predicted clean sample.
    pub sample: f64,
    /// Of the one that was predicted before.
    pub kept: f64,
    /// Of the state.
    pub state: f64,
    /// Of a standard normal.
    pub sigma: f64,
}

impl BySample<'_> {
    /// Takes `x` through all steps: see [`Ddim::sample`]. Where the network's variances are asked for, `model` gives them behind its output.
    pub fn sample<T: Real, E: From<ScheduleError>>(
        &self,
        mut x: Vec<T>,
        mut model: impl FnMut(&[T], usize) -> Result<Vec<T>, E>,
        mut noise: impl FnMut(usize) -> Result<Vec<T>, E>,
        mut observe: impl FnMut(&Shown<'_, T>),
    ) -> Result<Vec<T>, E> {
        let alpha = |t: usize| self.schedule.alphas_cumprod[t];
        let mut before: Option<(f64, Vec<T>)> = None;
        for (index, step) in self.steps.iter().enumerate() {
            let (ab, next) = (alpha(step.timestep), step.previous.map_or(1.0, alpha));
            let both = model(&x, step.timestep)?;
            let (output, variances) = both.split_at(x.len().min(both.len()));
            let x0 = self.clean(&x, output, step.timestep)?;
            let w = match self.method {
                Method::Ddpm(variance) => ancestral(ab, next, variance),
                Method::DpmSolver2M => multistep(before.as_ref().map(|(ab, _)| *ab), ab, next),
                Method::Consistency => renewed(next),
                _ => euler(ab, next),
            };
            let kept = before.take().map_or_else(|| x0.clone(), |(_, kept)| kept);
            let mut moved = combine(w, [&x0, &kept, &x]);
            if w.sigma > 0.0 {
                let mut drawn = noise(index)?;
                if let Method::Ddpm(Variance::Learned) = self.method {
                    let each = drawn.iter_mut().zip(variances);
                    each.for_each(|(z, v)| *z = T::of(share(ab, next, v.wide())) * *z);
                }
                for (v, z) in moved.iter_mut().zip(drawn) {
                    *v += T::of(w.sigma) * z;
                }
            }
            if let (Method::Heun, Some(there)) = (self.method, step.previous) {
                let second = self.clean(&moved, &model(&moved, there)?, there)?;
                moved = combine(trapezoid(ab, next), [&second, &x0, &x]);
            }
            observe(&Shown {
                x: &x,
                output,
                x0: &x0,
                next: &moved,
                unit: 1.0,
            });
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

fn combine<T: Real>(w: Weights, [sample, kept, state]: [&[T]; 3]) -> Vec<T> {
    let [a, b, c] = [w.sample, w.kept, w.state].map(T::of);
    let terms = sample.iter().zip(kept).zip(state);
    terms.map(|((&s, &h), &x)| a * s + b * h + c * x).collect()
}

/// The ancestral step (Ho, Jain and Abbeel 2020, equations 6 and 7) between any two cumulative alphas.
#[must_use]
pub fn ancestral(ab: f64, next: f64, variance: Variance) -> Weights {
    let alpha = ab / next;
    let beta = 1.0 - alpha;
    let small = (1.0 - next) / (1.0 - ab) * beta;
    let variance = match variance {
        Variance::Large | Variance::Learned if next < 1.0 => beta,
        _ => small,
    };
    Weights {
        sample: libm::sqrt(next) * beta / (1.0 - ab),
        kept: 0.0,
        state: libm::sqrt(alpha) * (1.0 - next) / (1.0 - ab),
        sigma: libm::sqrt(variance.max(0.0)),
    }
}

/// The deviation of a step between two cumulative alphas over that of the large variance, where the network says `v`: the variance lies
/// between the two fixed ones on a logarithmic scale (Nichol and Dhariwal 2021, equation 15), at `(v + 1) / 2` of the way.
#[must_use]
pub fn share(ab: f64, next: f64, v: f64) -> f64 {
    let ratio = (1.0 - next) / (1.0 - ab);
    libm::exp((1.0 - v) / 4.0 * libm::log(ratio))
}

/// DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), with its logarithms and exponentials: the step between two cumulative alphas, after one
/// that began at `before`; of first order without it and to the end.
#[must_use]
pub fn multistep(before: Option<f64>, ab: f64, next: f64) -> Weights {
    // Half the log-SNR.
    let lambda = |ab: f64| 0.5 * (libm::log(ab) - libm::log1p(-ab));
    let h = lambda(next) - lambda(ab);
    let r = before.map_or(f64::INFINITY, |before| (lambda(ab) - lambda(before)) / h);
    // At the end h is infinite: of first order, and exactly x0.
    let half = if next < 1.0 && r > 0.0 { 0.5 / r } else { 0.0 };
    let towards = -libm::sqrt(next) * libm::expm1(-h);
    Weights {
        sample: towards * (1.0 + half),
        kept: -towards * half,
        state: libm::sqrt(1.0 - next) / libm::sqrt(1.0 - ab),
        sigma: 0.0,
    }
}

/// Euler's step between two cumulative alphas on the probability-flow ODE `dy / drho = x0` in `y = x / n`, `rho = s / n` (Song et al. 2021,
/// equation 13).
#[must_use]
pub fn euler(ab: f64, next: f64) -> Weights {
    let level = |ab: f64| (libm::sqrt(ab), libm::sqrt(1.0 - ab));
    let ((s, n), (s_next, n_next)) = (level(ab), level(next));
    Weights {
        sample: s_next - s * n_next / n,
        kept: 0.0,
        state: n_next / n,
        sigma: 0.0,
    }
}

/// Consistency sampling (Song et al. 2023, algorithm 1) to a cumulative alpha: its noise upon the clean sample.
#[must_use]
pub fn renewed(next: f64) -> Weights {
    Weights {
        sample: libm::sqrt(next),
        kept: 0.0,
        state: 0.0,
        sigma: libm::sqrt(1.0 - next),
    }
}

/// The step of Heun's method with the mean of both slopes (Karras et al. 2022, algorithm 1), over (x0 at the end, x0 at the beginning, x).
#[must_use]
pub fn trapezoid(ab: f64, next: f64) -> Weights {
    let w = euler(ab, next);
    Weights {
        sample: w.sample / 2.0,
        kept: w.sample / 2.0,
        ..w
    }
}
