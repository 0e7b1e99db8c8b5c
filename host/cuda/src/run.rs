//! Batches of samples through all steps.

use mote_runtime::{Arena, Config, Method, Model, Sampler};
use std::ops::ControlFlow;

use super::CudaError;
use super::launch::{Launcher, Limits};
use super::layered::Layered;
use super::memory::{GroupRun, Memory};
use super::moves::Moves;
use super::program::Program;
use super::resident::Block;

pub use mote_runtime::Start;

/// How work is cut into launches. Both give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// A kernel an operator over all samples of a batch; the launches of a move are recorded once and repeated.
    Layered,
    /// A block of threads a sample: the whole network and all its moves in one launch, activations in shared memory.
    Resident,
}

/// What to make.
#[derive(Debug, Clone)]
pub struct Sampling<'j> {
    /// Everything but the seed.
    pub config: Config,
    /// Seed and start of every image.
    pub images: &'j [(u64, Start<'j>)],
    /// Elements that are known in every image, Q24, `(row, col, channel)`, [`UNKNOWN`](mote_runtime::internals::sampler::UNKNOWN) where they are not.
    pub known: Option<&'j [i32]>,
    /// Digest every operator's output as well.
    pub operators: bool,
    /// Which executor; `None` is the resident one wherever the model fits it.
    pub executor: Option<Executor>,
    /// Images of a batch at most; `None` is as many as fit.
    pub batch: Option<usize>,
    /// Whether the layered executor records a move and repeats it, or launches every kernel by itself.
    pub recorded: bool,
}

/// A finished step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageStep {
    /// Number of the step.
    pub index: u32,
    /// Training timestep.
    pub timestep: u32,
    /// Digest of the state after it.
    pub digest: u64,
    /// Digests of the operators' outputs, where asked for; under guidance the conditional call first.
    pub operators: Vec<u64>,
}

/// A finished image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Its seed.
    pub seed: u64,
    /// Its steps.
    pub steps: Vec<ImageStep>,
    /// The final state, Q24, `(row, col, channel)`.
    pub state: Vec<i32>,
}

/// A model prepared for a device.
#[derive(Debug)]
pub struct Gpu<'m, L> {
    pub(super) launcher: L,
    pub(super) limits: Limits,
    pub(super) model: &'m Model<'m>,
    pub(super) program: Program,
}

impl<'m, L: Launcher> Gpu<'m, L> {
    /// Prepares `model`.
    pub fn prepare(launcher: L, model: &'m Model<'m>) -> Result<Self, CudaError> {
        if model.has_variances() {
            return Err(CudaError::Unsupported(
                "a network that gives variances beside its prediction",
            ));
        }
        let program = |join| Program::new(model, join);
        let mut gpu = Self {
            limits: launcher.limits(),
            launcher,
            model,
            program: program(true)?,
        };
        // Guidance and a sampler that keeps a clean sample take the most memory.
        let most = Config {
            guidance_q16: Some(0),
            method: Method::ALL
                .into_iter()
                .find(|method| method.holds_sample())
                .unwrap_or(Method::Ddim),
            ..Config::of(model.header(), 1)
        };
        // Where a block holds a sample only without joined activations, they are not joined.
        if Block::of(&gpu, &most).is_err() {
            let joined = std::mem::replace(&mut gpu.program, program(false)?);
            if Block::of(&gpu, &most).is_err() {
                gpu.program = joined;
            }
        }
        Ok(gpu)
    }

    /// The device.
    pub fn launcher(&mut self) -> &mut L {
        &mut self.launcher
    }

    /// Makes the images in order, and hands them on a batch at a time, for as long as `take` wants more.
    pub fn run(
        &mut self,
        sampling: &Sampling<'_>,
        mut take: impl FnMut(Vec<Image>) -> ControlFlow<()>,
    ) -> Result<(), CudaError> {
        sampling.config.validate(self.model.header())?;
        if let (Some(_), Some((seed, _))) = (sampling.known, sampling.images.first()) {
            // Whether the sampler takes the known image.
            self.begin_here(sampling, *seed, &Start::Seed)?;
        }
        let mut rest = sampling.images;
        while let Some(first) = rest.first() {
            // Images that start at the same step go together.
            let begin = self.begin(sampling, first)?;
            let mut same = 1;
            let mut starts = vec![begin.1];
            while same < rest.len() {
                let next = match (&first.1, &rest[same].1) {
                    (Start::Seed, Start::Seed) => (0, None),
                    _ => self.begin(sampling, &rest[same])?,
                };
                if next.0 != begin.0 || next.1.is_some() != starts[0].is_some() {
                    break;
                }
                starts.push(next.1);
                same += 1;
            }
            let (images, after) = rest.split_at(same);
            if self.group(sampling, begin.0, images, &starts, &mut take)?.is_break() {
                return Ok(());
            }
            rest = after;
        }
        Ok(())
    }

    /// The first step of an image, and its state before it where that is not the seed's noise.
    fn begin(
        &self,
        sampling: &Sampling<'_>,
        (seed, start): &(u64, Start<'_>),
    ) -> Result<(u32, Option<Vec<i32>>), CudaError> {
        if matches!(start, Start::Seed) {
            return Ok((0, None));
        }
        let (first, state) = self.begin_here(sampling, *seed, start)?;
        Ok((first, Some(state)))
    }

    /// The same as the runtime computes it.
    fn begin_here(&self, sampling: &Sampling<'_>, seed: u64, start: &Start<'_>) -> Result<(u32, Vec<i32>), CudaError> {
        let config = Config {
            seed,
            ..sampling.config
        };
        // Of 16 bytes each: an arena is aligned to so many.
        let bytes = mote_runtime::arena_bytes(self.model, &config);
        let mut memory = vec![0u128; bytes.div_ceil(16)];
        let mut arena = Arena::new(bytemuck::cast_slice_mut(&mut memory))?;
        let mut sampler = Sampler::new(self.model, &mut arena, &config, start)?;
        if let Some(known) = sampling.known {
            sampler.inpaint(known)?;
        }
        Ok((sampler.index(), sampler.state().to_vec()))
    }

    /// Images that start at step `first`, in batches.
    fn group(
        &mut self,
        sampling: &Sampling<'_>,
        first: u32,
        images: &[(u64, Start<'_>)],
        starts: &[Option<Vec<i32>>],
        take: &mut impl FnMut(Vec<Image>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, CudaError> {
        let executor = sampling.executor.unwrap_or_else(|| self.executor(&sampling.config));
        let moves = Moves::new(self.model, &sampling.config, first)?;
        let plan = GroupRun {
            executor,
            recorded: sampling.recorded,
            operators: sampling.operators,
            config: &sampling.config,
            known: sampling.known,
            moves: &moves,
        };
        let batch = plan.batch(self, sampling.batch, images.len())?;
        self.launcher.free_all();
        let mut memory = Memory::new(self, &plan, batch)?;
        let mut layered = Layered::default();
        for (images, starts) in images.chunks(batch).zip(starts.chunks(batch)) {
            let made = memory.run(self, &plan, &mut layered, images, starts)?;
            if take(made).is_break() {
                self.launcher.free_all();
                return Ok(ControlFlow::Break(()));
            }
        }
        self.launcher.free_all();
        Ok(ControlFlow::Continue(()))
    }
}

impl<L> Gpu<'_, L> {
    /// The executor that runs `config` where nobody says which.
    pub fn executor(&self, config: &Config) -> Executor {
        match Block::of(self, config) {
            Ok(_) => Executor::Resident,
            Err(_) => Executor::Layered,
        }
    }

    /// Bytes of a sample's arena.
    pub(super) fn stride(&self) -> u64 {
        self.program.arena_bytes.next_multiple_of(16)
    }
}
