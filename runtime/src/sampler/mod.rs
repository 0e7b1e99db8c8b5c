//! The samplers: one network call a step (Heun's method two), twice as many with guidance. A model that is a chain of 2015 is sampled by
//! its own reverse kernels instead ([`crate::schedule::chain`]); sampler, eta and clipping are not asked there.
//!
//! The state x_t is an int32 with 24 fractional bits. The sampler ([`Method`]), steps, spacing, eta, clipping, class and guidance
//! are chosen at run time. A step is a row a network call ([`crate::schedule::rows`]), whichever the sampler. Of a file that plans its
//! run ([`crate::model::plan`]) only class, guidance, seed and start are left to choose.

mod chain;
mod condition;
mod cooperative;
pub mod decode;
mod inpaint;
mod pixels;
#[cfg(feature = "posterior")]
mod posterior;
mod run;
mod snapshot;
mod start;
#[cfg(feature = "learned-variance")]
pub mod variance;

pub use crate::model::sampling::{Method, Variance};
pub use crate::schedule::config::Config;
pub use cooperative::Pending;
pub use inpaint::UNKNOWN;
pub use pixels::{pixel_to_q24, q24_to_pixel};
pub use run::{Apart, Memory, Poll, Run};
pub use start::Start;

use core::mem::MaybeUninit;

use crate::digest::Digest;
use crate::error::RunError;
use crate::features::Feature;
use crate::model::Model;
use crate::model::exec::{Call, Network, Observer, Portable, Unobserved};
use crate::model::sampling::Terms;
use crate::numeric::normal::normal_q24;
use crate::ops::Given;
use crate::schedule::rows::{INPUT_ONE_Q30, Row, Rows};
use crate::tensor::arena::{ALIGN, Arena};
use condition::ConditionState;

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

/// What the network said in the first call of a step; for an observer.
#[derive(Debug, Clone, Copy)]
pub struct Predicted<'a> {
    /// Number of the step.
    pub index: u32,
    /// The call's row. Its coefficients' `predicted_x0` gives the clean sample.
    pub row: Row,
    /// State before the step, Q24; the network saw it times the row's factor.
    pub x_q24: &'a [i32],
    /// The network's output (after guidance), Q24.
    pub out_q24: &'a [i32],
    /// Bound of the clipped x0, Q24.
    pub clip_range_q24: i32,
}

/// Sees operators (as an [`Observer`]) and steps.
pub trait StepObserver: Observer {
    /// After the network's (first) call of a step and before the state moves.
    fn predicted(&mut self, predicted: &Predicted<'_>) {
        let _ = predicted;
    }
}

impl StepObserver for Unobserved {}

/// A run that advances one step a call, and can be stopped, saved and resumed between any two.
///
/// ```
/// use mote_runtime::{Aligned, Arena, Config, Model, Portable, Sampler, Start, Unobserved, arena_bytes, state_arena_bytes};
///
/// static MODEL: Aligned<[u8; 12_432]> = Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tiny.mote")));
/// let model = Model::parse(&MODEL.0)?;
/// let config = Config { seed: 7, ..Config::of(model.header(), 4) };
/// config.validate_for(&model)?; // what `new` refuses, known before
/// let mut memory = Aligned([0; 4096]);
/// assert!(arena_bytes(&model, &config) <= memory.0.len());
/// let mut arena = Arena::new(&mut memory.0)?;
///
/// // A run is saved after its first step, ...
/// let mut slot = [0; 512];
/// let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed)?;
/// run.step()?;
/// let length = run.snapshot(&mut slot)?;
/// assert!(length <= Sampler::snapshot_bytes(&model, &config));
/// run.step()?;
/// let (index, digest) = (run.index(), run.digest());
///
/// // ... and after a reset comes to the same bits, by kernels of the caller's own choice, ...
/// let mut run = Sampler::resume(&model, &mut arena, &slot[..length])?;
/// run.step_by(&mut Portable, &mut Unobserved)?;
/// assert_eq!((run.index(), run.digest()), (index, digest));
///
/// // ... or a few operators at a time, where a step is too long.
/// while let Some(mut step) = run.begin_step()? {
///     while !run.run_operators(&mut step, 3)? {}
///     run.finish_step(step)?;
/// }
/// assert_eq!(run.state().len(), 64);
/// let mut pixels = [0; 64];
/// run.image(&mut pixels)?;
/// let digest = run.digest();
///
/// // The same with state and activations in two memories.
/// let (mut first, mut second) = (Aligned([0; 2048]), Aligned([0; 2048]));
/// assert!(state_arena_bytes(&model, &config) <= first.0.len());
/// let (mut state, mut activations) = (Arena::new(&mut first.0)?, Arena::new(&mut second.0)?);
/// let mut run = Sampler::new_apart(&model, &mut state, &mut activations, &config, &Start::Seed)?;
/// while run.step()?.is_some() {}
/// assert_eq!(run.digest(), digest);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sampler<'m, 'a> {
    model: &'m Model<'m>,
    config: Config,
    index: u32,
    x: &'a mut [i32],
    /// The conditional output while the unconditional one is computed; empty without guidance.
    conditional: &'a mut [i32],
    /// The clean sample that was predicted in the call before; empty where the sampler keeps none.
    kept: &'a mut [i32],
    /// Whether `kept` is that of the step before.
    follows: bool,
    /// The known image of an inpainting run.
    known: Option<&'a [i32]>,
    /// Tells it apart from others; 0 without one. Set and `known` not: the run was resumed and waits for it. Of a chain whose `known` is set
    /// it is the noise, from which the tag follows: storage of a run is no larger for it.
    known_tag: u32,
    held: ConditionState<'a>,
    activations: &'a mut [u8],
}

/// Bytes of arena that a run needs: state, conditional output under guidance, kept clean sample of samplers that have one, activations.
pub fn arena_bytes(model: &Model<'_>, config: &Config) -> usize {
    state_arena_bytes(model, config) + model.header().arena_bytes as usize
}

/// The part of them that is not the activations, where the two lie in different memories ([`Sampler::new_apart`]). The activations take
/// the header's `arena_bytes`.
#[inline(always)]
pub fn state_arena_bytes(model: &Model<'_>, config: &Config) -> usize {
    let more = usize::from(config.guidance_q16.is_some()) + usize::from(config.method.holds_sample());
    state_bytes(model) * (1 + more)
}

/// A run's memory: all of it, or the state's and the activations'.
type Memories<'a> = (&'a mut [u8], Option<&'a mut [u8]>);

/// Bytes of a run's first memory.
#[inline(always)]
fn needed(model: &Model<'_>, config: &Config, apart: bool) -> usize {
    if apart {
        state_arena_bytes(model, config)
    } else {
        arena_bytes(model, config)
    }
}

/// The weight of a run's guidance, which is of models with classes.
#[inline(always)]
fn guidance_q16(config: &Config) -> Option<i32> {
    config.guidance_q16.filter(|_| Feature::Class.is_built())
}

fn state_bytes(model: &Model<'_>) -> usize {
    (model.header().sample_len() * 4).next_multiple_of(ALIGN)
}

impl<'m, 'a> Sampler<'m, 'a> {
    /// Checks the configuration and sets the starting state.
    #[inline(always)]
    pub fn new(
        model: &'m Model<'m>,
        arena: &'a mut Arena<'_>,
        config: &Config,
        start: &Start<'_>,
    ) -> Result<Self, RunError> {
        Self::begun(model, (arena.bytes, None), config, start)
    }

    /// [`new`](Self::new), made where it stays: moving it takes code. For callers that know no types, such as C.
    #[doc(hidden)]
    #[inline(always)]
    pub fn new_at<'r>(
        place: &'r mut MaybeUninit<Result<Self, RunError>>,
        model: &'m Model<'m>,
        arena: &'a mut Arena<'_>,
        config: &Config,
        start: &Start<'_>,
    ) -> &'r mut Result<Self, RunError> {
        let made = place.write(Self::checked(model, (arena.bytes, None), config));
        if let Ok(sampler) = made
            && let Err(error) = sampler.begin(start)
        {
            *made = Err(error);
        }
        made
    }

    /// [`new`](Self::new) with the state ([`state_arena_bytes`]) and the activations (the header's `arena_bytes`) in two memories: the
    /// activations in the quicker one, such as a core's own.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); the sizes that `ArenaTooSmall` names are those of the memory that is too small.
    #[inline(always)]
    pub fn new_apart(
        model: &'m Model<'m>,
        state: &'a mut Arena<'_>,
        activations: &'a mut Arena<'_>,
        config: &Config,
        start: &Start<'_>,
    ) -> Result<Self, RunError> {
        Self::begun(model, (state.bytes, Some(activations.bytes)), config, start)
    }

    #[inline(always)]
    fn begun(model: &'m Model<'m>, memory: Memories<'a>, config: &Config, start: &Start<'_>) -> Result<Self, RunError> {
        let mut sampler = Self::bare(model, memory, config)?;
        sampler.begin(start)?;
        Ok(sampler)
    }

    /// A checked run whose state is not set yet.
    fn bare(model: &'m Model<'m>, memory: Memories<'a>, config: &Config) -> Result<Self, RunError> {
        Self::checked(model, memory, config)
    }

    /// [`bare`](Self::bare) as a part of its caller.
    #[inline(always)]
    fn checked(model: &'m Model<'m>, memory: Memories<'a>, config: &Config) -> Result<Self, RunError> {
        config.validate_for(model)?;
        Self::placed(model, memory, config, ConditionState::of(model))
    }

    /// A run whose configuration was checked, at its first step.
    #[inline(always)]
    fn placed(
        model: &'m Model<'m>,
        (memory, apart): Memories<'a>,
        config: &Config,
        held: ConditionState<'a>,
    ) -> Result<Self, RunError> {
        if let Some(apart) = &apart {
            let (needed, found) = (model.header().arena_bytes, apart.len().min(u32::MAX as usize) as u32);
            if found < needed {
                return Err(RunError::ArenaTooSmall { needed, found });
            }
        }
        let (needed, found) = (needed(model, config, apart.is_some()), memory.len());
        let small = RunError::ArenaTooSmall {
            needed: needed as u32,
            found: found.min(u32::MAX as usize) as u32,
        };
        let len = model.header().sample_len();
        let (state, rest) = memory.split_at_mut_checked(state_bytes(model)).ok_or(small)?;
        let count = |used: bool, bytes: usize| if used { bytes } else { 0 };
        let (guided, keeps) = (guidance_q16(config).is_some(), config.method.holds_sample());
        let (conditional, rest) = rest
            .split_at_mut_checked(count(guided, state_bytes(model)))
            .ok_or(small)?;
        let (kept, activations) = rest
            .split_at_mut_checked(count(keeps, state_bytes(model)))
            .ok_or(small)?;
        let activations = apart.unwrap_or(activations);
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
            conditional: words(conditional, count(guided, len))?,
            kept: words(kept, count(keeps, len))?,
            follows: false,
            known: None,
            known_tag: 0,
            held,
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
        self.is_conditioned()?;
        if self.is_chain() {
            #[cfg(feature = "posterior")]
            self.is_seen()?;
            let Some(time_q16) = self.rows().time_q16(self.index, 0) else {
                return Ok(None);
            };
            let (now, next) = self.rows().alphas(self.index, time_q16 >> 16)?;
            self.predict(INPUT_ONE_Q30, time_q16, network, observer)?;
            self.chain_step(now, next)?;
            return Ok(Some(self.done(time_q16 >> 16)));
        }
        // Borrowed, not moved: a copy would take code and stack.
        let row = self.rows().row(self.index, 0, self.follows);
        let row = match &row {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(None),
            Err(error) => return Err(*error),
        };
        if Feature::Inpaint.is_built() && self.known_tag != 0 && self.known.is_none() {
            return Err(RunError::KnownImage);
        }
        self.predict(row.input_q30, row.time_q16, network, observer)?;
        self.advance(row, |predicted| observer.predicted(predicted))?;
        if Method::BUILT.two_calls && self.config.method.calls() > 1 {
            self.second_call(network, observer)?;
        }
        if self.is_known() {
            self.set_known(self.rows().noising(self.index + 1, 0));
        }
        self.follows = true;
        Ok(Some(self.done(row.timestep())))
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

    /// False at compile time where chains are left out, or the schedule, which they need.
    fn is_chain(&self) -> bool {
        Feature::Schedule.is_built() && self.model.header().prediction.is_chain()
    }

    /// Moves the state by what the network said of it, which it shows to `seen` before.
    fn advance(&mut self, row: &Row, seen: impl FnOnce(&Predicted<'_>)) -> Result<(), RunError> {
        let (config, coefficients) = (&self.config, &row.coefficients);
        let out = output(self.model, self.activations)?;
        seen(&Predicted {
            index: self.index,
            row: *row,
            x_q24: self.x,
            out_q24: out,
            clip_range_q24: config.clip_range_q24,
        });
        #[cfg(feature = "learned-variance")]
        if self.config.method.is_learned() {
            return self.learned_step(row);
        }
        // Stream 0 made x_T; step k draws from stream k + 1.
        let (noisy, stream) = (config.method.draws(config.eta_q16), self.index + 1);
        let noise = |i: usize| {
            if noisy {
                normal_q24(config.seed, stream, i as u32)
            } else {
                0
            }
        };
        if !Method::BUILT.kept_terms || config.method.entry().terms == Terms::Output {
            for (i, (x, out)) in self.x.iter_mut().zip(out).enumerate() {
                *x = coefficients.apply(*x, *out, noise(i), config.clip_range_q24);
            }
            return Ok(());
        }
        for (i, (x, out)) in self.x.iter_mut().zip(out).enumerate() {
            let x0 = coefficients.predicted_x0(*x, *out, config.clip_range_q24);
            let before = self.kept.get_mut(i).map_or(0, |kept| core::mem::replace(kept, x0));
            *x = coefficients.advance(x0, before, *x, noise(i));
        }
        Ok(())
    }

    /// The second call of a step, where there is a timestep to ask about.
    fn second_call(&mut self, network: &mut impl Network, observer: &mut impl StepObserver) -> Result<(), RunError> {
        let Some(row) = self.rows().row(self.index, 1, true)? else {
            return Ok(());
        };
        if self.is_known() {
            self.set_known(self.rows().noising(self.index, 1));
        }
        self.predict(row.input_q30, row.time_q16, network, observer)?;
        self.advance(&row, |_| ())
    }

    /// The network's output for the state times `input_q30` at a timestep, after guidance, left in the arena.
    fn predict(
        &mut self,
        input_q30: i32,
        time_q16: u32,
        network: &mut impl Network,
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        let mut call = Call {
            x_q24: self.x,
            input_q30,
            time_q16,
            class: self.class(),
            given: self.held.given,
        };
        network.forward(self.model, &call, self.activations, observer)?;
        #[cfg(feature = "learned-variance")]
        variance::keep(self.model, self.activations, &self.config, self.kept)?;
        let Some(weight_q16) = guidance_q16(&self.config) else {
            return Ok(());
        };
        self.conditional.copy_from_slice(output(self.model, self.activations)?);
        (call.class, call.given) = self.dropped()?;
        network.forward(self.model, &call, self.activations, observer)?;
        #[cfg(feature = "learned-variance")]
        variance::separate(self.model, self.activations, &mut [])?;
        guide(self.conditional, output(self.model, self.activations)?, weight_q16);
        Ok(())
    }

    /// The label of a step's calls.
    #[inline(always)]
    fn class(&self) -> u16 {
        self.config.class.or(self.model.header().null_class).unwrap_or(0)
    }

    /// Label and condition of guidance's unconditional call. What can be dropped is: the label, the condition vector, or both.
    #[inline(always)]
    fn dropped(&self) -> Result<(u16, Given<'a>), RunError> {
        let null = self.model.header().null_class;
        if self.drops_condition() {
            Ok((null.unwrap_or(0), Given::NONE))
        } else {
            Ok((null.ok_or(RunError::GuidanceUnsupported)?, self.held.given))
        }
    }

    /// Whether the model's condition vector is dropped in guidance's unconditional call.
    fn drops_condition(&self) -> bool {
        self.model.condition().is_some_and(|condition| condition.null.is_some())
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
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
    // What stands behind the means was taken.
    #[cfg(feature = "learned-variance")]
    let range = match model.has_variances() {
        true => range.start..range.start + 4 * header.sample_len(),
        false => range,
    };
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
