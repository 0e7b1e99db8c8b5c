//! A sampler that owns its model and its memory: it lives in a `static` or in a struct, and makes one image after the other.
//!
//! [`Sampler`] borrows its arena for as long as it lives, which suits a function that draws an image. A state machine keeps a [`Run`]
//! in place of it, which borrows nothing between two calls.

use super::condition::ConditionState;
use super::cooperative::Begun;
#[cfg(feature = "posterior")]
use super::posterior::Before;
use super::snapshot::snapshot_in;
use super::{Config, Memories, Sampler, Start, Step, StepObserver, q24_to_pixel};
use crate::digest::Digest;
use crate::error::RunError;
use crate::model::Model;
use crate::model::exec::Network;
use crate::tensor::arena::Arena;

/// Everything of a sampler but its model and its memory.
#[derive(Debug, Clone, Copy)]
struct Paused<'k> {
    config: Config,
    index: u32,
    follows: bool,
    known: Option<&'k [i32]>,
    known_tag: u32,
    held: ConditionState<'k>,
}

/// What [`Run::poll`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Poll {
    /// Some operators of a step: call again.
    Operators,
    /// The last of a step, which is finished.
    Step(Step),
    /// Nothing: the run is finished, or none was started.
    Finished,
}

/// A model, memory of any kind (`&'static mut [u8]`, [`Aligned<[u8; N]>`](crate::Aligned), two of them [`Apart`]), and the run that is in it.
///
/// Known images and condition vectors are borrowed for as long as the model.
///
/// ```
/// use mote_runtime::{Aligned, Config, Model, Poll, Run, Start};
///
/// static MODEL: Aligned<[u8; 12_432]> = Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tiny.mote")));
///
/// /// What a firmware keeps in a static, or in the resources of a task.
/// struct Painter {
///     run: Run<'static, Aligned<[u8; 6144]>>,
///     seed: u64,
/// }
///
/// impl Painter {
///     /// Called by a timer: a few operators each time. True where an image is there.
///     fn tick(&mut self) -> Result<bool, mote_runtime::RunError> {
///         if self.run.poll(1)? != Poll::Finished {
///             return Ok(false);
///         }
///         self.seed += 1;
///         let config = Config { seed: self.seed, ..Config::of(self.run.model().header(), 20) };
///         self.run.start(&config, &Start::Seed)?;
///         Ok(true)
///     }
/// }
///
/// let mut painter = Painter { run: Run::new(Model::parse(&MODEL.0)?, Aligned([0; 6144])), seed: 6 };
/// painter.tick()?; // starts the first image
/// while !painter.tick()? {}
///
/// // Without a timer: whole steps. A run is saved, and taken up again after a reset.
/// let mut run = painter.run;
/// run.split(1000); // from here on no piece is longer than so many products
/// run.step()?;
/// let (mut slot, digest) = ([0; 512], run.digest());
/// let length = run.snapshot(&mut slot)?;
/// run.resume(&slot[..length])?;
/// assert_eq!((run.index(), run.digest()), (1, digest));
/// assert_eq!(run.config().map(|config| config.seed), Some(8));
///
/// // Two pixels are known, -0.5 and 0.5 with 24 bits after the point; the rest is made.
/// static KNOWN: [i32; 64] = {
///     let mut known = [i32::MIN; 64];
///     known[0] = -1 << 23;
///     known[1] = 1 << 23;
///     known
/// };
/// run.start(&Config::of(run.model().header(), 4), &Start::Seed)?;
/// run.inpaint(&KNOWN)?;
/// while run.step()?.is_some() {}
/// let mut pixels = [0; 64];
/// run.image(&mut pixels)?;
/// assert_eq!(pixels[..2], [64, 191]);
/// let memory = run.into_memory(); // for whatever else needs it
/// # drop(memory);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Run<'m, M> {
    model: Model<'m>,
    memory: M,
    paused: Option<Paused<'m>>,
    pending: Option<Begun>,
    /// The most multiply-accumulates that are run at once.
    most: u32,
}

/// Memory that a [`Run`] can own.
pub trait Memory {
    /// What begins with the state.
    fn state(&self) -> &[u8];

    /// All of it, or that of the state and that of the activations.
    fn parts(&mut self) -> (&mut [u8], Option<&mut [u8]>);
}

impl<M: AsRef<[u8]> + AsMut<[u8]>> Memory for M {
    fn state(&self) -> &[u8] {
        self.as_ref()
    }

    fn parts(&mut self) -> (&mut [u8], Option<&mut [u8]>) {
        (self.as_mut(), None)
    }
}

/// State and activations in two memories: [`Sampler::new_apart`] says how large they are.
#[derive(Debug)]
pub struct Apart<S, A> {
    /// The state's.
    pub state: S,
    /// The activations'.
    pub activations: A,
}

impl<S: AsRef<[u8]> + AsMut<[u8]>, A: AsMut<[u8]>> Memory for Apart<S, A> {
    fn state(&self) -> &[u8] {
        self.state.as_ref()
    }

    fn parts(&mut self) -> (&mut [u8], Option<&mut [u8]>) {
        (self.state.as_mut(), Some(self.activations.as_mut()))
    }
}

/// The parts of a run's memory, which are aligned.
#[inline(always)]
fn aligned<M: Memory>(memory: &mut M) -> Result<Memories<'_>, RunError> {
    let (state, activations) = memory.parts();
    let activations = activations.map(Arena::new).transpose()?;
    Ok((Arena::new(state)?.bytes, activations.map(|arena| arena.bytes)))
}

impl<'m, M: Memory> Run<'m, M> {
    /// Nothing runs yet: [`start`](Self::start) or [`resume`](Self::resume). The memory starts at a multiple of 16 whenever
    /// the run is called; a run may be moved with it.
    pub fn new(model: Model<'m>, memory: M) -> Self {
        Self {
            model,
            memory,
            paused: None,
            pending: None,
            most: u32::MAX,
        }
    }

    /// Convolutions of more than `macs` multiply-accumulates run in pieces from the next step on; as [`Pending::split`](super::Pending::split).
    pub fn split(&mut self, macs: u32) {
        self.most = macs;
    }

    /// Begins an image. What was there before is gone, also where this fails.
    ///
    /// # Errors
    /// Those of [`Sampler::new`].
    pub fn start(&mut self, config: &Config, start: &Start<'_>) -> Result<(), RunError> {
        self.begin(|model, memory| Sampler::begun(model, memory, config, start))
    }

    /// Begins where a snapshot was taken, which may be followed by padding; as [`Sampler::resume_slot`].
    ///
    /// # Errors
    /// Those of [`Sampler::resume`].
    pub fn resume(&mut self, slot: &[u8]) -> Result<(), RunError> {
        self.begin(|model, memory| Sampler::resumed(model, memory, snapshot_in(model, slot)))
    }

    #[inline(always)]
    fn begin(
        &mut self,
        make: impl for<'s> FnOnce(&'s Model<'s>, Memories<'s>) -> Result<Sampler<'s, 's>, RunError>,
    ) -> Result<(), RunError> {
        (self.paused, self.pending) = (None, None);
        let sampler = make(&self.model, aligned(&mut self.memory)?)?;
        // Neither a known image nor a condition can have been given yet.
        self.paused = Some(Paused {
            config: sampler.config,
            index: sampler.index,
            follows: sampler.follows,
            known: None,
            known_tag: sampler.known_tag,
            held: sampler.held.not_given(),
        });
        Ok(())
    }

    /// Lets `work` move the sampler; `None` where no run was started.
    #[inline(always)]
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Sampler<'_, '_>, &mut Option<Begun>) -> Result<T, RunError>,
    ) -> Result<Option<T>, RunError> {
        let Some(paused) = &mut self.paused else {
            return Ok(None);
        };
        let memory = aligned(&mut self.memory)?;
        let mut sampler = Sampler::placed(&self.model, memory, &paused.config, paused.held)?;
        (sampler.index, sampler.follows) = (paused.index, paused.follows);
        (sampler.known, sampler.known_tag) = (paused.known, paused.known_tag);
        let done = work(&mut sampler, &mut self.pending);
        (paused.index, paused.follows) = (sampler.index, sampler.follows);
        paused.known_tag = sampler.known_tag;
        done.map(Some)
    }

    /// Runs the next step, or what is left of one that was begun; `None` when the run is finished, or where none was started.
    ///
    /// # Errors
    /// Those of [`Sampler::step`].
    pub fn step(&mut self) -> Result<Option<Step>, RunError> {
        self.finish_step()
    }

    /// Runs the next step with `network` for the network's calls, such as [`Streamed`](crate::Streamed); as [`Sampler::step_by`].
    ///
    /// # Errors
    /// Those of [`Sampler::step_by`]; `StepBegun` within a step.
    pub fn step_by(
        &mut self,
        network: &mut impl Network,
        observer: &mut impl StepObserver,
    ) -> Result<Option<Step>, RunError> {
        self.between_steps()?;
        Ok(self.with(|sampler, _| sampler.step_by(network, observer))?.flatten())
    }

    /// Begins the next step where none is begun; gives whether one is.
    ///
    /// # Errors
    /// Those of [`Sampler::begin_step`].
    pub fn begin_step(&mut self) -> Result<bool, RunError> {
        let most = self.most;
        let begun = self.with(|sampler, pending| {
            if pending.is_none() {
                *pending = sampler.begin_operators(most)?;
            }
            Ok(pending.is_some())
        });
        Ok(begun? == Some(true))
    }

    /// Runs the next `count` operators of the step that was begun; gives whether none is left.
    ///
    /// # Errors
    /// Those of [`Sampler::run_operators`].
    pub fn run_operators(&mut self, count: u16) -> Result<bool, RunError> {
        let done = self.with(|sampler, pending| match pending {
            Some(step) => sampler.run_begun(step, count),
            None => Ok(true),
        });
        Ok(done? != Some(false))
    }

    /// Runs what is left of a step, which is begun where none is, and finishes it; `None` when the run is finished, or where none was
    /// started.
    ///
    /// # Errors
    /// Those of [`Sampler::begin_step`] and [`Sampler::finish_step`].
    pub fn finish_step(&mut self) -> Result<Option<Step>, RunError> {
        let most = self.most;
        let done = self.with(|sampler, pending| {
            let begun = match pending.take() {
                None => sampler.begin_operators(most)?,
                begun => begun,
            };
            begun.map(|step| sampler.finish_begun(step)).transpose()
        });
        Ok(done?.flatten())
    }

    /// Runs up to `count` operators, at least one: for a loop that has other work between two calls. The call that runs a step's last
    /// finishes the step.
    ///
    /// # Errors
    /// Those of [`Sampler::step`].
    pub fn poll(&mut self, count: u16) -> Result<Poll, RunError> {
        let most = self.most;
        let polled = self.with(|sampler, pending| {
            let begun = match pending.take() {
                None => sampler.begin_operators(most)?,
                begun => begun,
            };
            let Some(mut step) = begun else {
                return Ok(Poll::Finished);
            };
            if sampler.run_begun(&mut step, count.max(1))? {
                return sampler.finish_begun(step).map(Poll::Step);
            }
            *pending = Some(step);
            Ok(Poll::Operators)
        });
        Ok(polled?.unwrap_or(Poll::Finished))
    }

    /// Conditions the run on `vector`; as [`Sampler::condition`].
    ///
    /// # Errors
    /// Those of [`Sampler::condition`]; `StepBegun` within a step.
    pub fn condition(&mut self, vector: &'m [i32]) -> Result<(), RunError> {
        self.between_steps()?;
        match &mut self.paused {
            Some(paused) => paused.held.give(vector),
            None => Ok(()),
        }
    }

    /// Numbers of the condition vector that are outside the model's range; as [`Sampler::clamped`].
    ///
    /// # Errors
    /// `ArenaMisaligned`: the memory was moved.
    pub fn clamped(&mut self) -> Result<u32, RunError> {
        Ok(self.with(|sampler, _| Ok(sampler.clamped()))?.unwrap_or(0))
    }

    /// Makes elements of the image known; as [`Sampler::inpaint`].
    ///
    /// # Errors
    /// Those of [`Sampler::inpaint`]; `StepBegun` within a step.
    pub fn inpaint(&mut self, image_q24: &'m [i32]) -> Result<(), RunError> {
        self.between_steps()?;
        let tag = self.with(|sampler, _| sampler.can_know(image_q24))?;
        if let (Some(tag), Some(paused)) = (tag, &mut self.paused) {
            (paused.known, paused.known_tag) = (Some(image_q24), tag);
        }
        let begun = self.with(|sampler, _| {
            sampler.begin_known();
            Ok(())
        });
        begun.map(|_| ())
    }

    /// Multiplies the steps of a chain by what is known of its elements; as [`Sampler::posterior`].
    ///
    /// # Errors
    /// Those of [`Sampler::posterior`]; `StepBegun` within a step.
    #[cfg(feature = "posterior")]
    pub fn posterior(&mut self, seen_q24: &'m [i32], noise: u32) -> Result<(), RunError> {
        self.between_steps()?;
        let seen = self.with(|sampler, _| sampler.can_see(seen_q24, noise))?;
        if let (Some(_), Some(paused)) = (seen, &mut self.paused) {
            (paused.known, paused.known_tag) = (Some(seen_q24), noise);
        }
        let begun = self.with(|sampler, _| {
            sampler.begin_seen(seen == Some(Before::Nothing));
            Ok(())
        });
        begun.map(|_| ())
    }

    /// Refuses: this runtime was built without the part.
    ///
    /// # Errors
    /// `NotBuilt`.
    #[cfg(not(feature = "posterior"))]
    pub fn posterior(&mut self, _: &'m [i32], _: u32) -> Result<(), RunError> {
        Err(RunError::NotBuilt(crate::features::Feature::Posterior))
    }

    /// Saves the run into `to`; gives the bytes written, none where no run was started. As [`Sampler::snapshot`].
    ///
    /// # Errors
    /// Those of [`Sampler::snapshot`]; `StepBegun` within a step.
    pub fn snapshot(&mut self, to: &mut [u8]) -> Result<usize, RunError> {
        self.between_steps()?;
        Ok(self.with(|sampler, _| sampler.snapshot(to))?.unwrap_or(0))
    }

    /// Makes the picture of the state; as [`Sampler::decode`]. Nothing is made where no run was started.
    ///
    /// # Errors
    /// Those of [`Sampler::decode`]; `StepBegun` within a step.
    pub fn decode(&mut self, rows: impl FnMut(&[i32])) -> Result<(), RunError> {
        self.between_steps()?;
        self.with(|sampler, _| sampler.decode(rows)).map(|_| ())
    }

    /// Refuses what is not for the middle of a step.
    fn between_steps(&self) -> Result<(), RunError> {
        match self.pending {
            Some(_) => Err(RunError::StepBegun),
            None => Ok(()),
        }
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// What the run was started with; `None` where none was.
    pub fn config(&self) -> Option<&Config> {
        self.paused.as_ref().map(|paused| &paused.config)
    }

    /// Steps done so far.
    pub fn index(&self) -> u32 {
        self.paused.as_ref().map_or(0, |paused| paused.index)
    }

    /// The state x_t in Q24, `(row, col, channel)`: the image once the run is finished. Empty where no run was started.
    pub fn state(&self) -> &[i32] {
        let bytes = self.paused.as_ref().map(|_| self.model.header().sample_len() * 4);
        let bytes = bytes.and_then(|len| self.memory.state().get(..len));
        bytes
            .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
            .unwrap_or_default()
    }

    /// Digest of the state.
    pub fn digest(&self) -> u64 {
        Digest::of(self.state().iter().copied()).0
    }

    /// Writes the state as pixels; as [`Sampler::image`].
    ///
    /// # Errors
    /// `Length`.
    pub fn image(&self, pixels: &mut [u8]) -> Result<(), RunError> {
        let (expected, found) = (self.state().len() as u32, pixels.len() as u32);
        if expected != found {
            return Err(RunError::Length { expected, found });
        }
        for (pixel, &x) in pixels.iter_mut().zip(self.state()) {
            *pixel = q24_to_pixel(x);
        }
        Ok(())
    }

    /// Gives the memory back. The run in it is gone.
    pub fn into_memory(self) -> M {
        self.memory
    }
}
