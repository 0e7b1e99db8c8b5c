//! Evaluations of a network, a batch at a time.

use std::ops::Range;

use super::Precision;
use super::launches::{fitting, launches};
use super::layout::NetworkRun;
use super::program::Program;
use crate::launch::{Buffer, Launcher, Limits, Recording};
use crate::{CudaError, filled};
use mote_graph::float::{FloatError, Time, TimeFeatures, features};
use mote_graph::graph::{Graph, ValueId};

/// Batch sizes whose launches are recorded; others are launched one by one.
const RECORDINGS: usize = 8;

/// A network on a device, its weights uploaded and its memory allocated.
#[derive(Debug)]
pub struct DeviceNetwork<L> {
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

impl<L: Launcher> DeviceNetwork<L> {
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
    /// [`mote_graph::float::Executor::run`] takes them.
    pub fn run(&mut self, x: &[f32], timesteps: &[impl Time], labels: &[usize]) -> Result<Vec<Vec<f32>>, CudaError> {
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

    fn check(&self, x: &[f32], timesteps: &[impl Time], labels: &[usize]) -> Result<(), FloatError> {
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
        timesteps: &[impl Time],
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
    fn features<T: Time>(&self, timesteps: &[T]) -> Vec<f32> {
        let of = |t: &T| -> Vec<f32> {
            let all = self.program.features.iter();
            all.flat_map(|f| features(t.value(), f.dim, f.flip, f.freq_shift, f.max_period, TimeFeatures::F32))
                .map(|v| v as f32)
                .collect()
        };
        timesteps.iter().flat_map(of).collect()
    }

    fn evaluate(&mut self, samples: usize) -> Result<(), CudaError> {
        if let Some((_, recording)) = self.recordings.iter().find(|(of, _)| *of == samples) {
            return self.launcher.replay(*recording);
        }
        let launches = launches(&self.program, &self.limits, self.buffers.at.address, samples as u64)?;
        if self.recordings.len() == RECORDINGS {
            return launches.iter().try_for_each(|launch| self.launcher.launch(launch));
        }
        let recording = self.launcher.record(&launches)?;
        self.recordings.push((samples, recording));
        self.launcher.replay(recording)
    }
}
