//! Batches of samples through all steps.

use bytemuck::Zeroable;
use mote_runtime::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Clip, Prediction, ddim};
use mote_runtime::schedule::spacing::{prev_timestep, timestep};
use mote_runtime::{Arena, Config, Method, Model, RunError, Sampler};

use super::launch::{Buffer, Launch, Launcher, Limits, Recording};
use super::program::{DeviceOp, DeviceRun, DeviceStep, Layer, Program};
use super::{CudaError, filled};
use crate::memory::AlignedBytes;

pub use mote_runtime::Start;

/// How work is cut into launches. Both give the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executor {
    /// A kernel an operator over all samples of a batch; the launches of a step are recorded once and repeated.
    Layered,
    /// A block of threads a sample: the whole network and all its steps in one launch, activations in shared memory.
    Resident,
}

/// What to make.
#[derive(Debug, Clone)]
pub struct Job<'j> {
    /// Everything but the seed.
    pub config: Config,
    /// Seed and start of every image.
    pub images: &'j [(u64, Start<'j>)],
    /// Digest every operator's output as well.
    pub operators: bool,
    /// Which executor; `None` is the resident one wherever the model fits it.
    pub executor: Option<Executor>,
    /// Images of a batch at most; `None` is as many as fit.
    pub batch: Option<usize>,
    /// Whether the layered executor records a step and repeats it, or launches every kernel by itself.
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

/// Threads of a block.
const LAYER_THREADS: u32 = 128;
const RESIDENT_THREADS: u32 = 256;
/// Blocks of a kernel that a multiprocessor is given at most; every thread goes on until all work is done.
const BLOCKS_A_PROCESSOR: u32 = 16;
/// Samples of a batch at most where nobody says how many.
const BATCH: u64 = 8192;
/// Elements that kernels count in 32 bits.
const ELEMENTS: u64 = 1 << 31;

/// A model prepared for a device.
#[derive(Debug)]
pub struct Gpu<'m, L> {
    launcher: L,
    limits: Limits,
    model: &'m Model<'m>,
    program: Program,
}

impl<'m, L: Launcher> Gpu<'m, L> {
    /// Prepares `model`.
    pub fn prepare(launcher: L, model: &'m Model<'m>) -> Result<Self, CudaError> {
        if model.header().prediction.is_chain() {
            return Err(CudaError::Unsupported("a diffusion chain of 2015"));
        }
        Ok(Self {
            limits: launcher.limits(),
            launcher,
            model,
            program: Program::new(model).ok_or(CudaError::Model)?,
        })
    }

    /// The device.
    pub fn launcher(&mut self) -> &mut L {
        &mut self.launcher
    }

    /// The executor that runs `config` where nobody says which.
    pub fn executor(&self, config: &Config) -> Executor {
        match self.resident(config) {
            Ok(_) => Executor::Resident,
            Err(_) => Executor::Layered,
        }
    }

    /// Makes the images in order, and hands them on a batch at a time.
    pub fn run(&mut self, job: &Job<'_>, mut take: impl FnMut(Vec<Image>)) -> Result<(), CudaError> {
        job.config.validate(self.model.header())?;
        if job.config.method != Method::Ddim {
            return Err(CudaError::Unsupported("a sampler other than DDIM"));
        }
        let mut rest = job.images;
        while let Some(first) = rest.first() {
            // Images that start at the same step go together.
            let begin = self.begin(&job.config, first)?;
            let mut same = 1;
            let mut starts = vec![begin.1];
            while same < rest.len() {
                let next = match (&first.1, &rest[same].1) {
                    (Start::Seed, Start::Seed) => (0, None),
                    _ => self.begin(&job.config, &rest[same])?,
                };
                if next.0 != begin.0 || next.1.is_some() != starts[0].is_some() {
                    break;
                }
                starts.push(next.1);
                same += 1;
            }
            let (images, after) = rest.split_at(same);
            self.group(job, begin.0, images, &starts, &mut take)?;
            rest = after;
        }
        Ok(())
    }

    /// The first step of an image, and its state before it where that is not the seed's noise.
    fn begin(&self, config: &Config, (seed, start): &(u64, Start<'_>)) -> Result<(u32, Option<Vec<i32>>), CudaError> {
        if matches!(start, Start::Seed) {
            return Ok((0, None));
        }
        let config = Config { seed: *seed, ..*config };
        let mut memory = AlignedBytes::for_run(self.model, &config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let sampler = Sampler::new(self.model, &mut arena, &config, start)?;
        Ok((sampler.index(), Some(sampler.state().to_vec())))
    }

    /// Images that start at step `first`, in batches.
    fn group(
        &mut self,
        job: &Job<'_>,
        first: u32,
        images: &[(u64, Start<'_>)],
        starts: &[Option<Vec<i32>>],
        take: &mut impl FnMut(Vec<Image>),
    ) -> Result<(), CudaError> {
        let executor = job.executor.unwrap_or_else(|| self.executor(&job.config));
        let steps = self.steps(&job.config, first)?;
        let plan = Plan {
            executor,
            recorded: job.recorded,
            operators: job.operators,
            config: &job.config,
            steps: &steps,
            first,
        };
        let batch = self.batch(&plan, job.batch, images.len())?;
        self.launcher.free_all();
        let mut memory = Memory::new(self, &plan, batch)?;
        for (images, starts) in images.chunks(batch).zip(starts.chunks(batch)) {
            let made = memory.run(self, &plan, images, starts)?;
            take(made);
        }
        self.launcher.free_all();
        Ok(())
    }

    /// Every step from `first` on.
    fn steps(&self, c: &Config, first: u32) -> Result<Vec<DeviceStep>, CudaError> {
        let (model, header) = (self.model, self.model.header());
        let step = |index| {
            let t = timestep(c.spacing, header.train_steps, c.steps, header.steps_offset, index)?;
            let before = prev_timestep(
                c.prev,
                c.spacing,
                header.train_steps,
                c.steps,
                header.steps_offset,
                index,
            );
            let now = model.alpha_bar_q62(t);
            if now == 0 && header.prediction == Prediction::Epsilon {
                return Some(Err(RunError::ZeroSnr.into()));
            }
            let next = before.map_or(header.final_alpha_bar_q62, |t| model.alpha_bar_q62(t));
            let next = next.min(ALPHA_BAR_ONE_Q62);
            let coefficients = ddim(now, next, c.eta_q16, header.prediction, c.clip);
            Some(Ok(DeviceStep::new(&coefficients, t, index)))
        };
        (first..c.steps).map_while(step).collect()
    }

    /// Bytes of a sample's arena.
    fn stride(&self) -> u64 {
        self.program.arena_bytes.next_multiple_of(16)
    }

    /// Threads and shared memory of the resident executor's blocks.
    fn resident(&self, config: &Config) -> Result<(u32, u32), CudaError> {
        let guided = u64::from(config.guidance_q16.is_some());
        let state = self.model.header().sample_len() as u64 * 4 * (1 + guided);
        let bytes =
            |threads: u32| self.stride() + state + u64::from(threads / 32) * u64::from(self.program.scores()) * 4;
        let fits = |threads: &u32| bytes(*threads) <= self.limits.shared.into();
        let threads = [RESIDENT_THREADS, RESIDENT_THREADS / 2, RESIDENT_THREADS / 4];
        match threads.into_iter().find(fits) {
            Some(threads) => Ok((threads, bytes(threads) as u32)),
            None => Err(CudaError::Shared {
                what: "a sample of this model",
                needed: bytes(RESIDENT_THREADS / 4),
                found: self.limits.shared,
            }),
        }
    }

    /// Samples of a batch.
    fn batch(&self, plan: &Plan<'_>, asked: Option<usize>, images: usize) -> Result<usize, CudaError> {
        let header = self.model.header();
        let state = header.sample_len() as u64 * 4;
        let arena = if plan.executor == Executor::Layered {
            self.stride()
        } else {
            0
        };
        let digests = 8
            * plan.steps.len() as u64
            * (1 + if plan.operators {
                plan.calls() * self.program.ops.len() as u64
            } else {
                0
            });
        let each = arena + 2 * state + digests + 8;
        // A part is left to the driver and to others.
        let room = (self.limits.memory / 10 * 9).saturating_sub(self.program.constants.len() as u64) / each;
        let elements = |op: &DeviceOp| op.out.shape.map(u64::from).iter().product::<u64>();
        let widest = self.program.ops.iter().map(elements).max().unwrap_or(1);
        // A warp an output is the most that an operator counts.
        let counted = ELEMENTS / (32 * widest.max(header.sample_len() as u64));
        if room == 0 {
            return Err(CudaError::Memory {
                needed: each,
                found: self.limits.memory,
            });
        }
        let most = asked.map_or(BATCH, |asked| asked as u64);
        Ok(most.min(room).min(counted).min(images as u64).max(1) as usize)
    }
}

/// What the batches of a group have in common.
struct Plan<'p> {
    executor: Executor,
    recorded: bool,
    operators: bool,
    config: &'p Config,
    steps: &'p [DeviceStep],
    first: u32,
}

impl Plan<'_> {
    /// Network calls of a step.
    fn calls(&self) -> u64 {
        1 + u64::from(self.config.guidance_q16.is_some())
    }
}

/// A group's memory on the device.
struct Memory {
    run: DeviceRun,
    at: Buffer,
    states: Buffer,
    seeds: Buffer,
    step: Buffer,
    digests: Buffer,
    op_digests: Option<Buffer>,
    /// The launches of a step for the batch size that was last run.
    layers: Vec<Launch>,
    recording: Option<(usize, Recording)>,
    /// Threads and shared memory of a block.
    resident: (u32, u32),
}

impl Memory {
    fn new<L: Launcher>(gpu: &mut Gpu<'_, L>, plan: &Plan<'_>, batch: usize) -> Result<Self, CudaError> {
        let (header, config) = (*gpu.model.header(), plan.config);
        let sample = header.sample_len();
        let stride = gpu.stride();
        let layered = plan.executor == Executor::Layered;
        let resident = if layered { (0, 0) } else { gpu.resident(config)? };
        let output = gpu.model.tensor(header.output).ok_or(CudaError::Model)?;
        let null = u32::from(header.null_class.unwrap_or(0));
        let class = config.class.map_or(null, u32::from);
        let slots = plan.steps.len() * plan.calls() as usize * gpu.program.ops.len();

        let launcher = &mut gpu.launcher;
        let ops = filled(launcher, bytemuck::cast_slice(&gpu.program.ops))?;
        let constants = filled(launcher, &gpu.program.constants)?;
        let steps = filled(launcher, bytemuck::cast_slice(plan.steps))?;
        let arenas = launcher.alloc(if layered { batch * stride as usize } else { 16 })?;
        let states = launcher.alloc(batch * sample * 4)?;
        let held = launcher.alloc(if plan.calls() == 2 { batch * sample * 4 } else { 16 })?;
        let seeds = launcher.alloc(batch * 8)?;
        let step = launcher.alloc(4)?;
        let digests = launcher.alloc(plan.steps.len() * batch * 8)?;
        let op_digests = plan.operators.then(|| launcher.alloc(slots * batch * 8)).transpose()?;
        let at = launcher.alloc(size_of::<DeviceRun>())?;
        let run = DeviceRun {
            ops: ops.address,
            constants: constants.address,
            arenas: arenas.address,
            states: states.address,
            held: held.address,
            seeds: seeds.address,
            steps: steps.address,
            step: step.address,
            digests: digests.address,
            op_digests: op_digests.map_or(0, |buffer| buffer.address),
            arena_stride: stride,
            samples: 0,
            sample_len: sample as u32,
            op_count: gpu.program.ops.len() as u32,
            step_count: plan.steps.len() as u32,
            calls: plan.calls() as u32,
            classes: [class, null],
            output: output.offset,
            clips: (config.clip != Clip::Off).into(),
            noisy: (config.eta_q16 != 0).into(),
            clip_range: config.clip_range_q24,
            guidance_q16: config.guidance_q16.unwrap_or(0),
            scores: gpu.program.scores(),
            resident_state: stride as u32,
            resident_scores: stride as u32 + sample as u32 * 4 * plan.calls() as u32,
            pad: 0,
        };
        Ok(Self {
            run,
            at,
            states,
            seeds,
            step,
            digests,
            op_digests,
            layers: vec![],
            recording: None,
            resident,
        })
    }

    /// One batch.
    fn run<L: Launcher>(
        &mut self,
        gpu: &mut Gpu<'_, L>,
        plan: &Plan<'_>,
        images: &[(u64, Start<'_>)],
        starts: &[Option<Vec<i32>>],
    ) -> Result<Vec<Image>, CudaError> {
        let samples = images.len();
        self.run.samples = samples as u32;
        let seeds: Vec<u64> = images.iter().map(|(seed, _)| *seed).collect();
        let launcher = &mut gpu.launcher;
        launcher.write(&self.at, 0, bytemuck::bytes_of(&self.run))?;
        launcher.write(&self.seeds, 0, bytemuck::cast_slice(&seeds))?;
        launcher.write(&self.step, 0, &[0; 4])?;
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
            Executor::Layered => self.layered(gpu, plan, samples)?,
            Executor::Resident => self.resident(gpu, samples)?,
        }
        self.images(gpu, plan, &seeds)
    }

    fn resident<L: Launcher>(&self, gpu: &mut Gpu<'_, L>, samples: usize) -> Result<(), CudaError> {
        gpu.launcher.launch(&Launch {
            kernel: "resident",
            blocks: samples as u32,
            threads: self.resident.0,
            shared: self.resident.1,
            args: [self.at.address, 0, 0],
        })
    }

    fn layered<L: Launcher>(&mut self, gpu: &mut Gpu<'_, L>, plan: &Plan<'_>, samples: usize) -> Result<(), CudaError> {
        if !matches!(&self.recording, Some((of, _)) if *of == samples) || !plan.recorded {
            self.layers = self.step_launches(gpu, plan, samples as u64)?;
            self.recording = None;
            if plan.recorded {
                self.recording = Some((samples, gpu.launcher.record(&self.layers)?));
            }
        }
        for _ in plan.steps {
            match self.recording {
                Some((_, recording)) => gpu.launcher.replay(recording)?,
                None => self.layers.iter().try_for_each(|launch| gpu.launcher.launch(launch))?,
            }
        }
        Ok(())
    }

    /// The launches of one step.
    fn step_launches<L>(&self, gpu: &Gpu<'_, L>, plan: &Plan<'_>, samples: u64) -> Result<Vec<Launch>, CudaError> {
        let (limits, at) = (&gpu.limits, self.at.address);
        let sample = u64::from(self.run.sample_len);
        let mut launches = Vec::new();
        for call in 0..plan.calls() {
            for (i, (layer, op)) in gpu.program.layers.iter().zip(&gpu.program.ops).enumerate() {
                let args = [at, i as u64, call];
                let Layer {
                    kernel,
                    threads,
                    scores,
                } = *layer;
                let held = if scores > 0 { self.run.scores } else { 0 };
                launches.push(grid(limits, kernel, threads * samples, held, args)?);
                if plan.operators {
                    let elements: u64 = op.out.shape.map(u64::from).iter().product();
                    launches.push(grid(
                        limits,
                        "digest_layer",
                        elements.next_multiple_of(32) * samples,
                        0,
                        args,
                    )?);
                }
            }
            if call + 1 < plan.calls() {
                launches.push(grid(limits, "hold_layer", sample * samples, 0, [at, 0, call])?);
            }
        }
        let threads = sample.next_multiple_of(32) * samples;
        launches.push(grid(limits, "advance_layer", threads, 0, [at, 0, 0])?);
        launches.push(Launch {
            kernel: "next_layer",
            blocks: 1,
            threads: 32,
            shared: 0,
            args: [at, 0, 0],
        });
        Ok(launches)
    }

    /// What a batch has made.
    fn images<L: Launcher>(
        &self,
        gpu: &mut Gpu<'_, L>,
        plan: &Plan<'_>,
        seeds: &[u64],
    ) -> Result<Vec<Image>, CudaError> {
        let (samples, ops) = (seeds.len(), gpu.program.ops.len() * plan.calls() as usize);
        let states: Vec<i32> = read(&mut gpu.launcher, &self.states, samples * self.run.sample_len as usize)?;
        let digests: Vec<u64> = read(&mut gpu.launcher, &self.digests, plan.steps.len() * samples)?;
        let op_digests: Vec<u64> = match &self.op_digests {
            Some(buffer) => read(&mut gpu.launcher, buffer, plan.steps.len() * ops * samples)?,
            None => vec![],
        };
        let step = |sample: usize, i: usize| ImageStep {
            index: plan.first + i as u32,
            timestep: plan.steps[i].timestep,
            digest: digests[i * samples + sample],
            operators: if plan.operators {
                (0..ops)
                    .filter(|op| gpu.program.ends[op % gpu.program.ends.len()])
                    .map(|op| op_digests[(i * ops + op) * samples + sample])
                    .collect()
            } else {
                vec![]
            },
        };
        let image = |(sample, (&seed, state)): (usize, (&u64, &[i32]))| Image {
            seed,
            steps: (0..plan.steps.len()).map(|i| step(sample, i)).collect(),
            state: state.to_vec(),
        };
        let states = states.chunks_exact(self.run.sample_len as usize);
        Ok(seeds.iter().zip(states).enumerate().map(image).collect())
    }
}

/// A launch over `threads` threads, of which every warp holds `scores` words of shared memory.
fn grid(limits: &Limits, kernel: &'static str, threads: u64, scores: u32, args: [u64; 3]) -> Result<Launch, CudaError> {
    let shared = |block: u32| u64::from(block / 32) * u64::from(scores) * 4;
    let sizes = [LAYER_THREADS, LAYER_THREADS / 2, LAYER_THREADS / 4];
    let block = sizes.into_iter().find(|block| shared(*block) <= limits.shared.into());
    let block = block.ok_or(CudaError::Shared {
        what: "an attention",
        needed: shared(32),
        found: limits.shared,
    })?;
    let most = u64::from(limits.processors.max(1) * BLOCKS_A_PROCESSOR);
    Ok(Launch {
        kernel,
        blocks: threads.div_ceil(block.into()).clamp(1, most) as u32,
        threads: block,
        shared: shared(block) as u32,
        args,
    })
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
