//! Evaluations of a network, a batch at a time.

use std::ops::Range;

use super::Precision;
use super::program::{Kernel, NetworkRun, Program};
use crate::cuda::launch::{Buffer, Launch, Launcher, Limits, Recording};
use crate::cuda::{CudaError, filled};
use crate::float::{FloatError, TimeFeatures, features};
use crate::graph::{Graph, ValueId};

/// Threads of a block; the convolution in f32 is written for so many.
const THREADS: u32 = 128;
/// Shared memory of the convolution in f32: 16 taps of 68 rows and of 32 columns, and 64 rows of 16 bytes (network_conv.cuh).
const CONV_SHARED: u32 = 16 * (68 + 32) * 4 + 64 * 16;
/// Rows and columns of its tiles, and of the tensor cores' kernel's.
const TILE: [u64; 2] = [64, 32];
const TENSOR_TILE: [u64; 2] = [16, 32];
/// Blocks of a kernel that a multiprocessor is given at most; every thread goes on until all work is done.
const BLOCKS_A_PROCESSOR: u32 = 16;
/// Elements and threads that kernels count in 32 bits.
const ELEMENTS: u64 = 1 << 31;
/// Batch sizes whose launches are recorded; others are launched one by one.
const RECORDINGS: usize = 8;

/// A network on a device, its weights uploaded and its memory allocated.
#[derive(Debug)]
pub struct Network<L> {
    launcher: L,
    limits: Limits,
    precision: Precision,
    program: Program,
    /// Samples at once at most.
    batch: usize,
    run: NetworkRun,
    buffers: Buffers,
    recordings: Vec<(usize, Recording)>,
}

#[derive(Debug)]
struct Buffers {
    at: Buffer,
    x: Buffer,
    features: Buffer,
    labels: Buffer,
    outputs: Buffer,
}

impl<L: Launcher> Network<L> {
    /// Prepares `graph` to give the values `outputs` of at most `batch` samples at once, fewer where memory does not hold so many.
    ///
    /// Memory is taken once, here. Refused are graphs that do not hold together, weights beyond f16's range in f16, and what no GPU's memory holds.
    pub fn new(
        mut launcher: L,
        graph: &Graph,
        precision: Precision,
        outputs: &[ValueId],
        batch: usize,
    ) -> Result<Self, CudaError> {
        let program = Program::new(graph, precision, outputs)?;
        let limits = launcher.limits();
        let batch = fitting(&program, &limits, batch)?;
        let bytes = |each: usize| (batch * each * 4).max(16);
        let buffers = Buffers {
            at: launcher.alloc(size_of::<NetworkRun>())?,
            x: launcher.alloc(bytes(program.sample_len()))?,
            features: launcher.alloc(bytes(program.feature_len()))?,
            labels: launcher.alloc(bytes(1))?,
            outputs: launcher.alloc(bytes(program.output_len()))?,
        };
        let run = NetworkRun {
            ops: filled(&mut launcher, bytemuck::cast_slice(&program.ops))?.address,
            constants: filled(&mut launcher, &program.constants)?.address,
            arenas: launcher.alloc(batch * program.stride as usize)?.address,
            x: buffers.x.address,
            features: buffers.features.address,
            labels: buffers.labels.address,
            outputs: buffers.outputs.address,
            stride: program.stride,
            samples: 0,
            sample_len: program.sample_len() as u32,
            output_len: program.output_len() as u32,
            feature_stride: 0,
        };
        Ok(Self {
            launcher,
            limits,
            precision,
            program,
            batch,
            run,
            buffers,
            recordings: vec![],
        })
    }

    /// Samples that are evaluated at once at most.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The device.
    pub fn launcher(&mut self) -> &mut L {
        &mut self.launcher
    }

    /// The values that were asked for, each `(sample, channel, row, col)`, of the samples `x`, each at its own timestep; `labels` as
    /// [`crate::float::Executor::run`] takes them.
    pub fn run(&mut self, x: &[f32], timesteps: &[usize], labels: &[usize]) -> Result<Vec<Vec<f32>>, CudaError> {
        self.check(x, timesteps, labels)?;
        let mut values = vec![Vec::new(); self.program.outputs.len()];
        for first in (0..timesteps.len()).step_by(self.batch) {
            let range = first..timesteps.len().min(first + self.batch);
            let outputs = self.part(x, timesteps, labels, range)?;
            for sample in outputs.chunks_exact(self.program.output_len()) {
                for (value, range) in values.iter_mut().zip(&self.program.outputs) {
                    value.extend_from_slice(&sample[range.clone()]);
                }
            }
        }
        Ok(values)
    }

    fn check(&self, x: &[f32], timesteps: &[usize], labels: &[usize]) -> Result<(), FloatError> {
        let refused = |what, expected: String, found: String| Err(FloatError::Input { what, expected, found });
        let (n, [c, h, w]) = (timesteps.len(), self.program.sample);
        if n == 0 || x.len() != n * self.program.sample_len() {
            let expected = format!("n x {c} x {h} x {w}, one timestep each of n");
            return refused(
                "the sample's element count",
                expected,
                format!("{} for {n} timesteps", x.len()),
            );
        }
        match self.program.classes {
            None if !labels.is_empty() => {
                let expected = "none: the network is unconditional";
                refused("labels", expected.into(), "some".into())
            }
            Some(_) if labels.len() != n => refused("labels", format!("{n} of them"), labels.len().to_string()),
            Some(classes) => match labels.iter().find(|label| **label >= classes) {
                Some(label) => refused("a class label", format!("below {classes}"), label.to_string()),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// One batch: all outputs of a sample one after the other.
    fn part(
        &mut self,
        x: &[f32],
        timesteps: &[usize],
        labels: &[usize],
        range: Range<usize>,
    ) -> Result<Vec<f32>, CudaError> {
        let (samples, len) = (range.len(), self.program.sample_len());
        let times = &timesteps[range.clone()];
        let same = times.iter().all(|t| *t == times[0]);
        let rows = self.features(if same { &times[..1] } else { times });
        self.run.samples = samples as u32;
        self.run.feature_stride = if same { 0 } else { self.program.feature_len() as u32 };
        let words: Vec<u32> = labels
            .iter()
            .skip(range.start)
            .take(samples)
            .map(|label| *label as u32)
            .collect();
        let launcher = &mut self.launcher;
        launcher.write(&self.buffers.at, 0, bytemuck::bytes_of(&self.run))?;
        launcher.write(&self.buffers.features, 0, bytemuck::cast_slice(&rows))?;
        launcher.write(&self.buffers.labels, 0, bytemuck::cast_slice(&words))?;
        let x = &x[range.start * len..range.end * len];
        launcher.write(&self.buffers.x, 0, bytemuck::cast_slice(x))?;
        self.evaluate(samples)?;
        let mut outputs = vec![0.0f32; samples * self.program.output_len()];
        self.launcher
            .read(&self.buffers.outputs, bytemuck::cast_slice_mut(&mut outputs))?;
        if self.precision == Precision::F16 && outputs.iter().any(|v| !v.is_finite()) {
            return Err(CudaError::Range);
        }
        Ok(outputs)
    }

    /// What the float executor computes of timesteps in f32, in its arithmetic.
    fn features(&self, timesteps: &[usize]) -> Vec<f32> {
        let of = |t: &usize| -> Vec<f32> {
            let all = self.program.features.iter();
            all.flat_map(|f| features(*t as f64, f.dim, f.flip, f.freq_shift, f.max_period, TimeFeatures::F32))
                .map(|v| v as f32)
                .collect()
        };
        timesteps.iter().flat_map(of).collect()
    }

    fn evaluate(&mut self, samples: usize) -> Result<(), CudaError> {
        if let Some((_, recording)) = self.recordings.iter().find(|(of, _)| *of == samples) {
            return self.launcher.replay(*recording);
        }
        let launches = self.launches(samples as u64)?;
        if self.recordings.len() == RECORDINGS {
            return launches.iter().try_for_each(|launch| self.launcher.launch(launch));
        }
        let recording = self.launcher.record(&launches)?;
        self.recordings.push((samples, recording));
        self.launcher.replay(recording)
    }

    fn launches(&self, samples: u64) -> Result<Vec<Launch>, CudaError> {
        let at = self.buffers.at.address;
        let launch = |(i, kernel): (usize, &Kernel)| {
            let (name, mut threads, mut shared) = (kernel.name(), THREADS, 0);
            if let Kernel::Attention { positions, .. } = kernel {
                let bytes = |threads: u32| u64::from(threads / 32) * u64::from(*positions) * 4;
                let fits = |threads: &u32| bytes(*threads) <= self.limits.shared.into();
                threads = [THREADS, THREADS / 2, THREADS / 4]
                    .into_iter()
                    .find(fits)
                    .ok_or(CudaError::Shared {
                        what: "an attention",
                        needed: bytes(32),
                        found: self.limits.shared,
                    })?;
                shared = bytes(threads) as u32;
            }
            if matches!(kernel, Kernel::Conv(..)) {
                shared = CONV_SHARED;
            }
            let blocks = kernel.threads(samples).div_ceil(threads.into());
            let most = u64::from(self.limits.processors.max(1) * BLOCKS_A_PROCESSOR);
            Ok(Launch {
                kernel: name,
                blocks: blocks.clamp(1, most) as u32,
                threads,
                shared,
                args: [at, i as u64, 0],
            })
        };
        self.program.kernels.iter().enumerate().map(launch).collect()
    }
}

impl Kernel {
    fn name(&self) -> &'static str {
        match self {
            Self::Pointwise(_) => "network_pointwise",
            Self::Conv(..) => "network_conv",
            Self::TensorConv(..) => "network_tensor_conv",
            Self::Norm(_) => "network_norm",
            Self::Attention { .. } => "network_attention",
        }
    }

    /// Threads that have work for `samples`.
    fn threads(&self, samples: u64) -> u64 {
        let tiles = |positions: u64, outs: u64, tile: [u64; 2]| {
            (samples * positions).div_ceil(tile[0]) * outs.div_ceil(tile[1])
        };
        match *self {
            Self::Pointwise(elements) => samples * elements,
            Self::Conv(positions, outs) => tiles(positions, outs, TILE) * u64::from(THREADS),
            Self::TensorConv(positions, outs) => tiles(positions, outs, TENSOR_TILE) * 32,
            Self::Norm(items) | Self::Attention { queries: items, .. } => samples * items * 32,
        }
    }
}

/// Samples of a batch: what was asked for, as far as memory and the kernels' counters go.
fn fitting(program: &Program, limits: &Limits, asked: usize) -> Result<usize, CudaError> {
    let words = program.sample_len() + program.output_len() + program.feature_len() + 1;
    let each = program.stride + 4 * words as u64;
    // A part is left to the driver and to others.
    let room = (limits.memory / 10 * 9).saturating_sub(program.constants.len() as u64) / each;
    let widest = program
        .kernels
        .iter()
        .map(|kernel| kernel.threads(1))
        .max()
        .unwrap_or(1);
    let longest = program
        .ops
        .iter()
        .map(|op| op.out.len().max(op.first.len()))
        .max()
        .unwrap_or(1);
    let counted = ELEMENTS / widest.max(longest).max(1);
    if room == 0 || counted == 0 {
        return Err(CudaError::Memory {
            needed: each,
            found: limits.memory,
        });
    }
    Ok((asked.max(1) as u64).min(room).min(counted) as usize)
}
