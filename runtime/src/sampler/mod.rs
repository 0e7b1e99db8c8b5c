//! The samplers: one network call a step (Heun's method two), twice as many with guidance. A model that is a chain of 2015 is sampled by
//! its own reverse kernels instead ([`crate::schedule::chain`]); sampler, eta and clipping are not asked there.
//!
//! The state x_t is an int32 with 24 fractional bits. The sampler ([`Method`]), steps, spacing, eta, clipping, class and guidance
//! are chosen at run time; the step's coefficients are computed in fixed point when they are needed ([`crate::schedule`]). Of a file that
//! plans its run ([`crate::blob::plan`]) only class, guidance, seed and start are left to choose.

mod chain;
mod config;
mod course;
mod inpaint;
mod method;
mod pixels;
mod snapshot;
mod start;

pub use config::{Config, Start};
pub use course::Course;
pub use inpaint::UNKNOWN;
pub use method::{Method, Variance};
pub use pixels::{pixel_to_q24, q24_to_pixel};

use crate::arena::{ALIGN, Arena};
use crate::blob::model::Model;
use crate::digest::Digest;
use crate::error::RunError;
use crate::exec::{Call, Network, Observer, Portable, Unobserved};
use crate::features::Feature;
use crate::numeric::normal::normal_q24;
use crate::schedule::coefficients::StepCoefficients;

/// One finished step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Step {
    /// Number of the step, 0 first.
    pub index: u32,
    /// Training timestep that the network was called with.
    pub timestep: u32,
    /// [`Digest`] of the state after the step.
    pub digest: u64,
}

/// What a step is about to be computed from; for an observer.
#[derive(Debug, Clone, Copy)]
pub struct Prediction0<'a> {
    /// Number of the step.
    pub index: u32,
    /// Training timestep.
    pub timestep: u32,
    /// State before the step, Q24.
    pub x_q24: &'a [i32],
    /// The network's output (after guidance), Q24.
    pub out_q24: &'a [i32],
    /// Coefficients; `predicted_x0` gives the clean sample.
    pub coefficients: StepCoefficients,
    /// Bound of the clipped x0, Q24.
    pub clip_range_q24: i32,
}

/// Sees operators (as an [`Observer`]) and steps.
pub trait StepObserver: Observer {
    /// After the network's (first) call of a step and before the state moves.
    fn predicted(&mut self, prediction: &Prediction0<'_>) {
        let _ = prediction;
    }
}

impl StepObserver for Unobserved {}

/// A run that advances one step a call, and can be stopped, saved and resumed between any two.
#[derive(Debug)]
pub struct Sampler<'m, 'a> {
    model: &'m Model<'m>,
    config: Config,
    index: u32,
    x: &'a mut [i32],
    /// The conditional output while the unconditional one is computed; empty without guidance.
    held: &'a mut [i32],
    /// The clean sample that was predicted before; empty where the sampler needs none.
    sample: &'a mut [i32],
    /// Whether `sample` is that of the step before.
    has_sample: bool,
    /// The known image of an inpainting run.
    known: Option<&'a [i32]>,
    /// Tells it apart from others; 0 without one. Set and `known` not: the run was resumed and waits for it.
    known_tag: u32,
    activations: &'a mut [u8],
}

/// Bytes of arena that a run needs: state, held output under guidance, held sample of samplers that have one, activations.
pub fn arena_bytes(model: &Model<'_>, config: &Config) -> usize {
    let held = usize::from(config.guidance_q16.is_some()) + usize::from(config.method.holds_sample());
    state_bytes(model) * (1 + held) + model.header().arena_bytes as usize
}

fn state_bytes(model: &Model<'_>) -> usize {
    (model.header().sample_len() * 4).next_multiple_of(ALIGN)
}

impl<'m, 'a> Sampler<'m, 'a> {
    /// Checks the configuration and sets the starting state.
    pub fn new(
        model: &'m Model<'m>,
        arena: &'a mut Arena<'_>,
        config: &Config,
        start: &Start<'_>,
    ) -> Result<Self, RunError> {
        let mut sampler = Self::bare(model, arena, config)?;
        sampler.begin(start)?;
        Ok(sampler)
    }

    /// A checked run whose state is not set yet.
    fn bare(model: &'m Model<'m>, arena: &'a mut Arena<'_>, config: &Config) -> Result<Self, RunError> {
        config.validate(model.header())?;
        let (needed, found) = (arena_bytes(model, config), arena.bytes.len());
        let small = RunError::ArenaTooSmall {
            needed: needed as u32,
            found: found.min(u32::MAX as usize) as u32,
        };
        let len = model.header().sample_len();
        let (state, rest) = arena.bytes.split_at_mut_checked(state_bytes(model)).ok_or(small)?;
        let count = |used: bool, bytes: usize| if used { bytes } else { 0 };
        let (guided, holds) = (config.guidance_q16.is_some(), config.method.holds_sample());
        let (held, rest) = rest
            .split_at_mut_checked(count(guided, state_bytes(model)))
            .ok_or(small)?;
        let (sample, activations) = rest
            .split_at_mut_checked(count(holds, state_bytes(model)))
            .ok_or(small)?;
        if activations.len() < model.header().arena_bytes as usize {
            return Err(small);
        }
        let words = |bytes: &'a mut [u8], len: usize| -> Result<&'a mut [i32], RunError> {
            let words = bytemuck::try_cast_slice_mut(bytes).map_err(|_| RunError::ArenaMisaligned(ALIGN as u32))?;
            words.get_mut(..len).ok_or(small)
        };
        Ok(Self {
            model,
            config: *config,
            index: 0,
            x: words(state, len)?,
            held: words(held, count(guided, len))?,
            sample: words(sample, count(holds, len))?,
            has_sample: false,
            known: None,
            known_tag: 0,
            activations,
        })
    }

    /// Runs the next step; `None` when the run is finished.
    pub fn step(&mut self) -> Result<Option<Step>, RunError> {
        self.step_observed(&mut Unobserved)
    }

    /// Runs the next step and shows it to `observer`.
    pub fn step_observed(&mut self, observer: &mut impl StepObserver) -> Result<Option<Step>, RunError> {
        self.step_by(&mut Portable, observer)
    }

    /// Runs the next step with `network` for the network's calls, and shows it to `observer`.
    pub fn step_by(
        &mut self,
        network: &mut impl Network,
        observer: &mut impl StepObserver,
    ) -> Result<Option<Step>, RunError> {
        let Some(t) = self.course().timestep(self.index) else {
            return Ok(None);
        };
        if self.is_chain() {
            let (now, next) = self.course().levels(self.index, t)?;
            self.predict(t, network, observer)?;
            self.chain_step(now, next)?;
            return Ok(Some(self.done(t)));
        }
        if Feature::Inpaint.is_built() && self.known_tag != 0 && self.known.is_none() {
            return Err(RunError::KnownImage);
        }
        let coefficients = self.course().coefficients(self.index, t, self.has_sample)?;
        self.predict(t, network, observer)?;
        observer.predicted(&Prediction0 {
            index: self.index,
            timestep: t,
            x_q24: self.x,
            out_q24: output(self.model, self.activations)?,
            coefficients,
            clip_range_q24: self.config.clip_range_q24,
        });
        self.advance(&coefficients)?;
        if Feature::Heun.is_built() && self.config.method == Method::Heun {
            self.correct(t, network, observer)?;
        }
        if self.is_known() {
            self.set_known(self.course().noising(self.index + 1));
        }
        self.has_sample = true;
        Ok(Some(self.done(t)))
    }

    /// Counts the step from timestep `t`.
    fn done(&mut self, t: u32) -> Step {
        let step = Step {
            index: self.index,
            timestep: t,
            digest: self.digest(),
        };
        self.index += 1;
        step
    }

    /// Known without a look where chains are left out, or the schedule, which they need.
    fn is_chain(&self) -> bool {
        Feature::Chain.is_built() && Feature::Schedule.is_built() && self.model.header().prediction.is_chain()
    }

    /// Moves the state by what the network said of it.
    fn advance(&mut self, coefficients: &StepCoefficients) -> Result<(), RunError> {
        let config = &self.config;
        let out = output(self.model, self.activations)?;
        // Stream 0 made x_T; step k draws from stream k + 1.
        let (noisy, stream) = (config.method.draws(config.eta_q16), self.index + 1);
        let noise = |i: usize| {
            if noisy {
                normal_q24(config.seed, stream, i as u32)
            } else {
                0
            }
        };
        let by_sample = config.method.feature().is_some_and(Feature::is_built);
        if !by_sample {
            for (i, (x, out)) in self.x.iter_mut().zip(out).enumerate() {
                *x = coefficients.apply(*x, *out, noise(i), config.clip_range_q24);
            }
            return Ok(());
        }
        for (i, (x, out)) in self.x.iter_mut().zip(out).enumerate() {
            let x0 = coefficients.predicted_x0(*x, *out, config.clip_range_q24);
            let held = self.sample.get_mut(i).map_or(0, |held| core::mem::replace(held, x0));
            *x = coefficients.advance(x0, held, *x, noise(i));
        }
        Ok(())
    }

    /// The second half of a step of Heun's method from timestep `t`, where there is a timestep to ask about.
    fn correct(
        &mut self,
        t: u32,
        network: &mut impl Network,
        observer: &mut impl StepObserver,
    ) -> Result<(), RunError> {
        let Some(there) = self.course().second_timestep(self.index) else {
            return Ok(());
        };
        if self.is_known() {
            self.set_known(self.course().second_noising(self.index));
        }
        self.predict(there, network, observer)?;
        self.advance(&self.course().correction(self.index, t)?)
    }

    /// The network's output for the state at timestep `t`, after guidance, left in the arena.
    fn predict(&mut self, t: u32, network: &mut impl Network, observer: &mut impl Observer) -> Result<(), RunError> {
        let header = self.model.header();
        let class = self.config.class.or(header.null_class).unwrap_or(0);
        self.call(t, class, network, observer)?;
        let Some(weight_q16) = self.config.guidance_q16 else {
            return Ok(());
        };
        self.held.copy_from_slice(output(self.model, self.activations)?);
        let null = header.null_class.ok_or(RunError::GuidanceUnsupported)?;
        self.call(t, null, network, observer)?;
        guide(self.held, output(self.model, self.activations)?, weight_q16);
        Ok(())
    }

    fn call(
        &mut self,
        timestep: u32,
        class: u16,
        network: &mut impl Network,
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        let x_q24 = &*self.x;
        let call = Call { x_q24, timestep, class };
        network.forward(self.model, &call, self.activations, observer)
    }

    fn course(&self) -> Course<'_> {
        Course {
            model: self.model,
            config: &self.config,
        }
    }

    /// Steps done so far, those that a start from an image skipped included.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The state x_t in Q24, `(row, col, channel)`; the image once the run is finished.
    pub fn state(&self) -> &[i32] {
        self.x
    }

    /// Digest of the state.
    pub fn digest(&self) -> u64 {
        Digest::of(self.x.iter().copied()).0
    }

    /// Writes the state as pixels, `-1 -> 0` and `1 -> 255`, `(row, col, channel)`.
    pub fn image(&self, pixels: &mut [u8]) -> Result<(), RunError> {
        if pixels.len() != self.x.len() {
            return Err(RunError::Length {
                expected: self.x.len() as u32,
                found: pixels.len() as u32,
            });
        }
        for (pixel, &x) in pixels.iter_mut().zip(self.x.iter()) {
            *pixel = q24_to_pixel(x);
        }
        Ok(())
    }
}

/// The network's output in the activations, Q24.
#[inline(never)]
fn output<'b>(model: &Model<'_>, activations: &'b mut [u8]) -> Result<&'b mut [i32], RunError> {
    let header = model.header();
    let missing = RunError::Memory { op: header.op_count };
    let range = model.known(header.output).range();
    let bytes = activations.get_mut(range).ok_or(missing)?;
    bytemuck::try_cast_slice_mut(bytes).map_err(|_| missing)
}

/// Classifier-free guidance (Ho and Salimans 2022): `out = uncond + w (cond - uncond)`, rounded half up.
fn guide(cond: &[i32], out: &mut [i32], weight_q16: i32) {
    for (out, &cond) in out.iter_mut().zip(cond) {
        let delta = i64::from(cond) - i64::from(*out);
        let moved = i64::from(*out) + ((delta * i64::from(weight_q16) + (1 << 15)) >> 16);
        *out = crate::numeric::requant::saturate_i32(moved);
    }
}
