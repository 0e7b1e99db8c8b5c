//! What a group of samples takes of the device's memory, and one batch of it after the other.

use bytemuck::Zeroable;
use mote_runtime::Config;
use mote_runtime::internals::schedule::coefficients::Clip;

use super::launch::{Buffer, Launcher};
use super::layered::{Layered, grid};
use super::moves::Moves;
use super::ops::DeviceOp;
use super::program::DeviceRun;
use super::resident::Block;
use super::run::{Executor, Gpu, Image, ImageStep, Start};
use super::{CudaError, filled};

/// Samples of a batch at most where nobody says how many.
const BATCH: u64 = 8192;
/// Elements that kernels count in 32 bits.
const ELEMENTS: u64 = 1 << 31;

/// What the batches of a group have in common.
#[derive(Debug)]
pub struct GroupRun<'p> {
    /// Who runs it.
    pub executor: Executor,
    /// Whether the layered executor records a move.
    pub recorded: bool,
    /// Whether operators are digested.
    pub operators: bool,
    /// Everything but the seed.
    pub config: &'p Config,
    /// What is known of every image.
    pub known: Option<&'p [i32]>,
    /// How their states move.
    pub moves: &'p Moves,
}

impl GroupRun<'_> {
    /// Network calls of a move.
    pub fn calls(&self) -> u64 {
        1 + u64::from(self.config.guidance_q16.is_some())
    }

    /// Samples of a batch of at most `asked`, of `images` in all.
    pub fn batch<L>(&self, gpu: &Gpu<'_, L>, asked: Option<usize>, images: usize) -> Result<usize, CudaError> {
        let sample = gpu.model.header().sample_len() as u64;
        let arena = match self.executor {
            Executor::Layered => gpu.stride(),
            Executor::Resident => 0,
        };
        let operators = match self.operators {
            true => self.moves.device.len() as u64 * self.calls() * gpu.program.ops.len() as u64,
            false => 0,
        };
        let digests = 8 * (self.moves.steps.len() as u64 + operators);
        let each = arena + 4 * sample * tensors(self.config) + digests + 8;
        // A part is left to the driver and to others.
        let room = (gpu.limits.memory / 10 * 9).saturating_sub(gpu.program.constants.len() as u64) / each;
        let elements = |op: &DeviceOp| op.out.len();
        let widest = gpu.program.ops.iter().map(elements).max().unwrap_or(1);
        // A warp an output is the most that an operator counts.
        let counted = ELEMENTS / (32 * widest.max(sample));
        if room == 0 {
            return Err(CudaError::Memory {
                needed: each,
                found: gpu.limits.memory,
            });
        }
        let most = asked.map_or(BATCH, |asked| asked as u64);
        Ok(most.min(room).min(counted).min(images as u64).max(1) as usize)
    }
}

/// Tensors of the sample's size that a run keeps: the state, the conditional output, the clean sample predicted before.
pub fn tensors(config: &Config) -> u64 {
    1 + u64::from(config.guidance_q16.is_some()) + u64::from(config.method.holds_sample())
}

/// A group's memory on the device.
#[derive(Debug)]
pub struct Memory {
    run: DeviceRun,
    at: Buffer,
    states: Buffer,
    seeds: Buffer,
    r#move: Buffer,
    digests: Buffer,
    op_digests: Option<Buffer>,
    block: Block,
}

impl Memory {
    /// For batches of `batch` samples.
    pub fn new<L: Launcher>(gpu: &mut Gpu<'_, L>, plan: &GroupRun<'_>, batch: usize) -> Result<Self, CudaError> {
        let (header, config, moves) = (*gpu.model.header(), plan.config, plan.moves);
        let sample = header.sample_len();
        let stride = gpu.stride();
        let layered = plan.executor == Executor::Layered;
        let block = if layered {
            Block::default()
        } else {
            Block::of(gpu, config)?
        };
        let output = gpu.model.tensor(header.output).ok_or(CudaError::Model)?;
        let null = u32::from(header.null_class.unwrap_or(0));
        let class = config.class.map_or(null, u32::from);
        let slots = moves.device.len() * plan.calls() as usize * gpu.program.ops.len();

        let launcher = &mut gpu.launcher;
        let of_states = |used: bool| if used { batch * sample * 4 } else { 16 };
        let (guided, keeps) = (plan.calls() == 2, config.method.holds_sample());
        let ops = filled(launcher, bytemuck::cast_slice(&gpu.program.ops))?;
        let constants = filled(launcher, &gpu.program.constants)?;
        let list = filled(launcher, bytemuck::cast_slice(&moves.device))?;
        let known = plan.known.map(|known| filled(launcher, bytemuck::cast_slice(known)));
        let known = known.transpose()?;
        let arenas = launcher.alloc(if layered { batch * stride as usize } else { 16 })?;
        let states = launcher.alloc(of_states(true))?;
        let held = launcher.alloc(of_states(guided))?;
        let cleans = launcher.alloc(of_states(keeps))?;
        let seeds = launcher.alloc(batch * 8)?;
        let r#move = launcher.alloc(4)?;
        let digests = launcher.alloc(moves.steps.len() * batch * 8)?;
        let op_digests = plan.operators.then(|| launcher.alloc(slots * batch * 8)).transpose()?;
        let at = launcher.alloc(size_of::<DeviceRun>())?;
        let (state_end, each) = (stride as u32 + sample as u32 * 4, sample as u32 * 4);
        let resident_cleans = state_end + if guided { each } else { 0 };
        let run = DeviceRun {
            ops: ops.address,
            constants: constants.address,
            arenas: arenas.address,
            states: states.address,
            held: held.address,
            cleans: cleans.address,
            known: known.map_or(0, |buffer| buffer.address),
            seeds: seeds.address,
            moves: list.address,
            r#move: r#move.address,
            digests: digests.address,
            op_digests: op_digests.map_or(0, |buffer| buffer.address),
            arena_stride: stride,
            samples: 0,
            sample_len: sample as u32,
            op_count: gpu.program.ops.len() as u32,
            move_count: moves.device.len() as u32,
            calls: plan.calls() as u32,
            classes: [class, null],
            output: output.offset,
            rule: moves.rule,
            keeps: keeps.into(),
            clips: (config.clip != Clip::Off).into(),
            noisy: config.method.draws(config.eta_q16).into(),
            clip_range: config.clip_range_q24,
            guidance_q16: config.guidance_q16.unwrap_or(0),
            channels: header.channels.into(),
            first_bit: moves.first_bit,
            begin: moves.begin,
            scores: gpu.program.scores(),
            resident_state: stride as u32,
            resident_cleans,
            resident_scores: resident_cleans + if keeps { each } else { 0 },
            pad: 0,
        };
        Ok(Self {
            run,
            at,
            states,
            seeds,
            r#move,
            digests,
            op_digests,
            block,
        })
    }

    /// Address of the run.
    pub fn at(&self) -> u64 {
        self.at.address
    }

    /// One batch. `starts` are the states that are not made on the device.
    pub fn run<L: Launcher>(
        &mut self,
        gpu: &mut Gpu<'_, L>,
        plan: &GroupRun<'_>,
        layered: &mut Layered,
        images: &[(u64, Start<'_>)],
        starts: &[Option<Vec<i32>>],
    ) -> Result<Vec<Image>, CudaError> {
        let samples = images.len();
        self.run.samples = samples as u32;
        let seeds: Vec<u64> = images.iter().map(|(seed, _)| *seed).collect();
        let launcher = &mut gpu.launcher;
        launcher.write(&self.at, 0, bytemuck::bytes_of(&self.run))?;
        launcher.write(&self.seeds, 0, bytemuck::cast_slice(&seeds))?;
        launcher.write(&self.r#move, 0, &[0; 4])?;
        zero(launcher, &self.digests)?;
        if let Some(op_digests) = &self.op_digests {
            zero(launcher, op_digests)?;
        }
        if starts.iter().any(Option::is_some) {
            let states: Vec<i32> = starts.iter().flatten().flatten().copied().collect();
            launcher.write(&self.states, 0, bytemuck::cast_slice(&states))?;
        } else {
            let threads = samples as u64 * u64::from(self.run.sample_len);
            let begin = grid(&gpu.limits, "begin_layer", threads, 0, [self.at.address, 0, 0])?;
            launcher.launch(&begin)?;
        }
        match plan.executor {
            Executor::Layered => layered.run(gpu, self, plan, samples)?,
            Executor::Resident => launcher.launch(&self.block.launch(self.at.address, samples))?,
        }
        self.images(gpu, plan, &seeds)
    }

    /// What a batch has made.
    fn images<L: Launcher>(
        &self,
        gpu: &mut Gpu<'_, L>,
        plan: &GroupRun<'_>,
        seeds: &[u64],
    ) -> Result<Vec<Image>, CudaError> {
        let (samples, ops, moves) = (seeds.len(), gpu.program.ops.len() * plan.calls() as usize, plan.moves);
        let states: Vec<i32> = read(&mut gpu.launcher, &self.states, samples * self.run.sample_len as usize)?;
        let digests: Vec<u64> = read(&mut gpu.launcher, &self.digests, moves.steps.len() * samples)?;
        let op_digests: Vec<u64> = match &self.op_digests {
            Some(buffer) => read(&mut gpu.launcher, buffer, moves.device.len() * ops * samples)?,
            None => vec![],
        };
        let operators = |sample: usize, slots: std::ops::Range<usize>| -> Vec<u64> {
            slots
                .filter(|slot| gpu.program.ends[slot % gpu.program.ends.len()])
                .filter_map(|slot| op_digests.get(slot * samples + sample).copied())
                .collect()
        };
        let step = |sample: usize, i: usize| {
            let step = &moves.steps[i];
            ImageStep {
                index: step.index,
                timestep: step.timestep,
                digest: digests[i * samples + sample],
                operators: operators(sample, step.moves.start * ops..step.moves.end * ops),
            }
        };
        let image = |(sample, (&seed, state)): (usize, (&u64, &[i32]))| Image {
            seed,
            steps: (0..moves.steps.len()).map(|i| step(sample, i)).collect(),
            state: state.to_vec(),
        };
        let states = states.chunks_exact(self.run.sample_len as usize);
        Ok(seeds.iter().zip(states).enumerate().map(image).collect())
    }
}

/// Writes zeros, a block at a time.
fn zero(launcher: &mut impl Launcher, buffer: &Buffer) -> Result<(), CudaError> {
    let block = vec![0; buffer.len.min(1 << 20)];
    for offset in (0..buffer.len).step_by(block.len().max(1)) {
        launcher.write(buffer, offset, &block[..block.len().min(buffer.len - offset)])?;
    }
    Ok(())
}

fn read<T: bytemuck::Pod + Zeroable>(
    launcher: &mut impl Launcher,
    buffer: &Buffer,
    count: usize,
) -> Result<Vec<T>, CudaError> {
    let mut values = vec![T::zeroed(); count];
    launcher.read(buffer, bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}
