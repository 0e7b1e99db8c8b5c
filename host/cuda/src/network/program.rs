//! A graph as the kernels read it.

use std::ops::Range;

use bytemuck::NoUninit;

use super::Precision;
use super::fuse::{self, KernelWork};
use super::launches::Kernel;
use super::ops::{self, NetworkOp, NetworkTensor};
use super::place::place;
use crate::CudaError;
use crate::pack::Constants;
use mote_graph::float::FloatError;
use mote_graph::graph::{Graph, ValueId};

/// The features of a timestep that a graph asks for, as [`mote_graph::float::features`] takes them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Features {
    pub dim: usize,
    pub flip: bool,
    pub freq_shift: f64,
    pub max_period: f64,
}

/// A graph for the kernels.
#[derive(Debug)]
pub(super) struct Program {
    pub ops: Vec<NetworkOp>,
    pub kernels: Vec<Kernel>,
    pub constants: Vec<u8>,
    /// Bytes of a sample's arena.
    pub stride: u64,
    pub features: Vec<Features>,
    /// Shape of the sample, `(channel, row, col)`.
    pub sample: [usize; 3],
    pub classes: Option<usize>,
    /// Where each wanted value lies among a sample's outputs.
    pub outputs: Vec<Range<usize>>,
}

impl Program {
    /// What gives the `wanted` values of `graph`.
    pub fn new(graph: &Graph, precision: Precision, wanted: &[ValueId]) -> Result<Self, CudaError> {
        graph.check().map_err(FloatError::from)?;
        if wanted.iter().any(|id| id.0 >= graph.values.len()) {
            return Err(CudaError::Model);
        }
        let steps = fuse::steps(graph, wanted);
        let half = |id: usize| {
            let [_, rows, cols] = graph.values[id].shape;
            precision == Precision::F16 && rows * cols > 1 && graph.output != Some(ValueId(id))
        };
        let bytes: Vec<u64> = (0..graph.values.len())
            .map(|id| graph.values[id].shape.iter().product::<usize>() as u64 * if half(id) { 2 } else { 4 })
            .collect();
        let places = place(&steps, &bytes);
        if places.bytes > u32::MAX.into() {
            return Err(CudaError::Unsupported(
                "a network whose activations take 4 GiB a sample",
            ));
        }
        let tensors = (0..graph.values.len()).map(|id| {
            let [channels, rows, cols] = graph.values[id].shape.map(|extent| extent as u32);
            NetworkTensor {
                offset: places.offsets[id] as u32,
                rows,
                cols,
                channels,
                half: half(id).into(),
            }
        });
        let mut at = 0;
        let outputs = wanted.iter().map(|id| {
            let len = graph.values[id.0].shape.iter().product::<usize>();
            at += len;
            at - len..at
        });
        let mut writing = Writing {
            graph,
            tensors: tensors.collect(),
            constants: Constants::default(),
            program: Self {
                ops: vec![],
                kernels: vec![],
                constants: vec![],
                stride: places.bytes,
                features: vec![],
                sample: graph.sample_shape(),
                classes: graph.classes,
                outputs: outputs.collect(),
            },
        };
        for step in &steps {
            writing.step(step)?;
            for (i, _) in wanted.iter().enumerate().filter(|(_, id)| **id == step.output) {
                let place = writing.program.outputs[i].start as u32;
                ops::output(writing.tensor(step.output), place, &mut writing);
            }
        }
        if writing.constants.bytes.len() > u32::MAX as usize {
            return Err(CudaError::Unsupported("a network of more than 4 GiB of weights"));
        }
        writing.program.constants = writing.constants.bytes;
        Ok(writing.program)
    }

    /// Numbers of all features of a timestep.
    pub fn feature_len(&self) -> usize {
        self.features.iter().map(|features| features.dim).sum()
    }

    /// Elements of a sample.
    pub fn sample_len(&self) -> usize {
        self.sample.iter().product()
    }

    /// Elements of a sample's outputs.
    pub fn output_len(&self) -> usize {
        self.outputs.last().map_or(0, |range| range.end)
    }
}

/// A program while it is written.
pub(super) struct Writing<'g> {
    graph: &'g Graph,
    tensors: Vec<NetworkTensor>,
    constants: Constants,
    program: Program,
}

impl<'g> Writing<'g> {
    fn step(&mut self, step: &KernelWork<'g>) -> Result<(), CudaError> {
        let tensor = |id: Option<&ValueId>| id.map_or(NetworkTensor::default(), |id| self.tensors[id.0]);
        let op = NetworkOp {
            out: self.tensors[step.output.0],
            first: tensor(step.inputs.first()),
            second: tensor(step.inputs.get(1)),
            ..NetworkOp::default()
        };
        ops::write(step, op, self)
    }

    /// A value of the graph.
    pub fn tensor(&self, id: ValueId) -> NetworkTensor {
        self.tensors[id.0]
    }

    /// The numbers of a parameter; none where the graph does not have it.
    pub fn param(&self, key: &str) -> &'g [f32] {
        self.graph.params.get(key).map_or(&[], |param| &param.data)
    }

    /// A parameter among the constants, or `len` zeros where there is none; its place.
    pub fn vector(&mut self, key: Option<&String>, len: usize) -> u32 {
        match key.and_then(|key| self.graph.params.get(key)) {
            Some(param) => self.constants.push(&param.data),
            None => self.constants.push(&vec![0.0f32; len]),
        }
    }

    /// Constants that kernels read; their place.
    pub fn constants<T: NoUninit>(&mut self, values: &[T]) -> u32 {
        self.constants.push(values)
    }

    /// Asks for features of the timestep; the number of the first.
    pub fn features(&mut self, features: Features) -> u32 {
        let first = self.program.feature_len() as u32;
        self.program.features.push(features);
        first
    }

    /// One operator more.
    pub fn push(&mut self, kernel: Kernel, op: NetworkOp) {
        self.program.kernels.push(kernel);
        self.program.ops.push(op);
    }
}
