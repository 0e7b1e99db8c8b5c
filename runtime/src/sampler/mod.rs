//! The deterministic DDIM sampler (Song, Meng and Ermon 2021): one network call (two with guidance) a step. A model that is a chain of
//! 2015 is sampled by its own reverse kernels instead ([`crate::schedule::chain`]); eta and clipping are not asked there.
//!
//! The state x_t is an int32 with 24 fractional bits. Steps, spacing, eta, clipping, class and guidance are chosen at run
//! time; the step's coefficients are computed in fixed point when they are needed ([`crate::schedule::coefficients`]).

mod chain;
mod config;
mod pixels;
mod snapshot;

pub use config::{Config, Start};
pub use pixels::{pixel_to_q24, q24_to_pixel};

use crate::arena::{ALIGN, Arena};
use crate::blob::model::Model;
use crate::digest::Digest;
use crate::error::RunError;
use crate::exec::{Call, Network, Observer, Portable, Unobserved};
use crate::features::Feature;
use crate::numeric::normal::{fill_normal_q24, normal_q24};
use crate::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Prediction, StepCoefficients, add_noise, ddim, noising};
use crate::schedule::spacing::{prev_timestep, timestep};

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
    /// After the network's call and before the state moves.
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
    activations: &'a mut [u8],
}

/// Bytes of arena that a run needs: state, held output under guidance, activations.
pub fn arena_bytes(model: &Model<'_>, guided: bool) -> usize {
    state_bytes(model) * (1 + usize::from(guided)) + model.header().arena_bytes as usize
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
        let guided = config.guidance_q16.is_some();
        let (needed, found) = (arena_bytes(model, guided), arena.bytes.len());
        let small = RunError::ArenaTooSmall {
            needed: needed as u32,
            found: found.min(u32::MAX as usize) as u32,
        };
        let len = model.header().sample_len();
        let (state, rest) = arena.bytes.split_at_mut_checked(state_bytes(model)).ok_or(small)?;
        let held_bytes = if guided { state_bytes(model) } else { 0 };
        let (held, activations) = rest.split_at_mut_checked(held_bytes).ok_or(small)?;
        if activations.len() < model.header().arena_bytes as usize {
            return Err(small);
        }
        let words = |bytes: &'a mut [u8], len: usize| -> Result<&'a mut [i32], RunError> {
            let words = bytemuck::try_cast_slice_mut(bytes).map_err(|_| RunError::ArenaMisaligned(ALIGN as u32))?;
            words.get_mut(..len).ok_or(small)
        };
        let held_len = if guided { len } else { 0 };
        Ok(Self {
            model,
            config: *config,
            index: 0,
            x: words(state, len)?,
            held: words(held, held_len)?,
            activations,
        })
    }

    fn begin(&mut self, start: &Start<'_>) -> Result<(), RunError> {
        let len = self.x.len() as u32;
        let fits = |given: &[i32]| {
            let found = given.len() as u32;
            if found == len {
                Ok(())
            } else {
                Err(RunError::Length { expected: len, found })
            }
        };
        match start {
            Start::Seed if self.is_chain() => self.draw_prior(),
            Start::Seed => fill_normal_q24(self.config.seed, 0, self.x),
            Start::Noise(noise) => {
                fits(noise)?;
                self.x.copy_from_slice(noise);
                if self.is_chain() {
                    self.given_bits();
                }
            }
            Start::Image {
                image_q24,
                strength_q16,
            } => {
                fits(image_q24)?;
                if *strength_q16 > 1 << 16 {
                    return Err(RunError::Strength(*strength_q16));
                }
                self.x.copy_from_slice(image_q24);
                let run = (u64::from(self.config.steps) * u64::from(*strength_q16) + (1 << 15)) >> 16;
                self.index = self.config.steps - run as u32;
                if self.is_chain() {
                    self.given_bits();
                }
                if let Some(t) = self.timestep(self.index) {
                    if let (true, Prediction::Bits { prior_q31 }) = (self.is_chain(), self.model.header().prediction) {
                        self.noise_bits(self.model.alpha_bar_q62(t), prior_q31);
                        return Ok(());
                    }
                    let coefficients = noising(self.model.alpha_bar_q62(t));
                    for (i, x) in self.x.iter_mut().enumerate() {
                        *x = add_noise(coefficients, *x, normal_q24(self.config.seed, 0, i as u32));
                    }
                }
            }
        }
        Ok(())
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
        let Some(t) = self.timestep(self.index) else {
            return Ok(None);
        };
        if self.is_chain() {
            self.predict(t, network, observer)?;
            self.chain_step(t)?;
            return Ok(Some(self.done(t)));
        }
        let coefficients = self.coefficients(t)?;
        self.predict(t, network, observer)?;
        let out = output(self.model, self.activations)?;
        if let Some(weight_q16) = self.config.guidance_q16 {
            guide(self.held, out, weight_q16);
        }
        let clip_range_q24 = self.config.clip_range_q24;
        observer.predicted(&Prediction0 {
            index: self.index,
            timestep: t,
            x_q24: self.x,
            out_q24: out,
            coefficients,
            clip_range_q24,
        });
        // Stream 0 made x_T; step k draws from stream k + 1.
        let (noisy, stream) = (self.config.eta_q16 != 0, self.index + 1);
        for (i, (x, out)) in self.x.iter_mut().zip(out).enumerate() {
            let z = if noisy {
                normal_q24(self.config.seed, stream, i as u32)
            } else {
                0
            };
            *x = coefficients.apply(*x, *out, z, clip_range_q24);
        }
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

    /// Known without a look where chains are left out.
    fn is_chain(&self) -> bool {
        Feature::Chain.is_built() && self.model.header().prediction.is_chain()
    }

    /// The network's output for the state, left in the arena (and in `held` the conditional one, under guidance).
    fn predict(&mut self, t: u32, network: &mut impl Network, observer: &mut impl Observer) -> Result<(), RunError> {
        let header = self.model.header();
        let class = self.config.class.or(header.null_class).unwrap_or(0);
        self.call(t, class, network, observer)?;
        if self.config.guidance_q16.is_none() {
            return Ok(());
        }
        self.held.copy_from_slice(output(self.model, self.activations)?);
        let null = header.null_class.ok_or(RunError::GuidanceUnsupported)?;
        self.call(t, null, network, observer)
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

    fn timestep(&self, index: u32) -> Option<u32> {
        let header = self.model.header();
        timestep(
            self.config.spacing,
            header.train_steps,
            self.config.steps,
            header.steps_offset,
            index,
        )
    }

    fn coefficients(&self, t: u32) -> Result<StepCoefficients, RunError> {
        let (header, c) = (self.model.header(), &self.config);
        let before = prev_timestep(
            c.prev,
            c.spacing,
            header.train_steps,
            c.steps,
            header.steps_offset,
            self.index,
        );
        let now = self.model.alpha_bar_q62(t);
        if now == 0 && header.prediction == Prediction::Epsilon {
            return Err(RunError::ZeroSnr);
        }
        let next = before.map_or(header.final_alpha_bar_q62, |t| self.model.alpha_bar_q62(t));
        Ok(ddim(
            now,
            next.min(ALPHA_BAR_ONE_Q62),
            c.eta_q16,
            header.prediction,
            c.clip,
        ))
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
fn output<'b>(model: &Model<'_>, activations: &'b mut [u8]) -> Result<&'b mut [i32], RunError> {
    let header = model.header();
    let missing = RunError::Memory { op: header.op_count };
    let range = model.tensor(header.output).ok_or(missing)?.range();
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
