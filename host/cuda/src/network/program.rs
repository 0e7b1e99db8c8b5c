//! A graph as the kernels read it.

use std::ops::Range;

use super::Precision;
use super::fuse::{self, Step};
use super::launches::Kernel;
use super::layout::{NetworkOp, NetworkTensor};
use super::pack::Weights;
use super::place::place;
use crate::CudaError;
use crate::pack::Constants;
use mote_graph::float::FloatError;
use mote_graph::graph::{Graph, Op, ValueId, ops};

/// Kinds of `network_pointwise`, in the order of network_pointwise.cuh.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Sample,
    Features,
    Label,
    Affine,
    Silu,
    Add,
    AddChannel,
    ScaleShift,
    Copy,
    Upsample,
    AvgPool,
    Output,
}

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
                writing.output(step.output, i);
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

struct Writing<'g> {
    graph: &'g Graph,
    tensors: Vec<NetworkTensor>,
    constants: Constants,
    program: Program,
}

impl<'g> Writing<'g> {
    fn step(&mut self, step: &Step<'g>) -> Result<(), CudaError> {
        let tensor = |id: Option<&ValueId>| id.map_or(NetworkTensor::default(), |id| self.tensors[id.0]);
        let op = NetworkOp {
            out: self.tensors[step.output.0],
            first: tensor(step.inputs.first()),
            second: tensor(step.inputs.get(1)),
            real: [1.0, 0.0],
            ..NetworkOp::default()
        };
        match &step.node.op {
            // Opt-in: an operator without a kernel here is refused by its name.
            refused @ (Op::Softmax(_) | Op::Readout(_)) => return Err(CudaError::Unsupported(refused.name())),
            Op::Sample(_) => self.pointwise(Kind::Sample, op),
            Op::TimeProj(ops::TimeProj {
                dim,
                flip_sin_to_cos,
                freq_shift,
                max_period,
            }) => {
                let first = self.program.feature_len() as u32;
                self.program.features.push(Features {
                    dim: *dim,
                    flip: *flip_sin_to_cos,
                    freq_shift: *freq_shift,
                    max_period: *max_period,
                });
                self.pointwise(Kind::Features, counted(op, first));
            }
            Op::ClassEmbed(ops::ClassEmbed { weight }) => {
                let at = [self.vector(Some(weight), 0), 0, 0, 0];
                self.pointwise(Kind::Label, NetworkOp { at, ..op });
            }
            Op::Affine(ops::Affine { scale, shift }) => self.pointwise(Kind::Affine, real(op, [*scale, *shift])),
            Op::Silu(_) => self.pointwise(Kind::Silu, op),
            Op::Add(ops::Add { divisor }) => self.pointwise(Kind::Add, real(op, [*divisor, 0.0])),
            Op::AddChannel(_) => self.pointwise(Kind::AddChannel, op),
            Op::ScaleShift(_) => self.pointwise(Kind::ScaleShift, op),
            Op::Concat(_) => {
                let mut channels = 0;
                for id in &step.inputs {
                    let first = self.tensors[id.0];
                    self.pointwise(Kind::Copy, counted(NetworkOp { first, ..op }, channels));
                    channels += first.channels;
                }
            }
            Op::Upsample2(_) => self.pointwise(Kind::Upsample, op),
            Op::AvgPool2(_) => self.pointwise(Kind::AvgPool, op),
            Op::GroupNorm(ops::GroupNorm {
                groups,
                eps,
                weight,
                bias,
            }) => {
                let at = [self.vector(Some(weight), 0), self.vector(Some(bias), 0), 0, 0];
                let mut op = counted(real(NetworkOp { at, ..op }, [*eps, 0.0]), *groups as u32);
                op.count[1] = step.silu.into();
                self.push(Kernel::Norm(*groups as u64), op);
            }
            Op::Attention(ops::Attention { heads }) => {
                let values = tensor(step.inputs.get(2));
                let depth = op.out.channels as usize / heads;
                let op = NetworkOp {
                    at: [values.offset, values.half, 0, 0],
                    ..counted(real(op, [(depth as f64).sqrt(), 0.0]), *heads as u32)
                };
                let positions = op.out.positions();
                self.push(
                    Kernel::Attention {
                        queries: positions * *heads as u64,
                        positions: positions as u32,
                    },
                    op,
                );
            }
            Op::Conv(ops::Conv {
                weight,
                bias,
                kernel,
                stride,
                pad,
            }) => {
                let outs = op.out.channels as usize;
                let weights = Weights {
                    data: self.graph.params.get(weight).map_or(&[], |param| &param.data),
                    outs,
                    channels: op.first.channels as usize,
                    side: *kernel,
                };
                if *kernel > 15 || weights.channels >= 1 << 24 {
                    return Err(CudaError::Unsupported(
                        "a convolution of more than 15 rows or 2^24 channels",
                    ));
                }
                let bias = self.vector(bias.as_ref(), outs);
                let on_tensor_cores = op.first.half != 0;
                let (at, taps) = if on_tensor_cores {
                    let (halves, taps) = weights.fragments()?;
                    (self.constants.push(&halves), taps)
                } else {
                    let (rows, taps) = weights.rows();
                    (self.constants.push(&rows), taps)
                };
                let steps = taps.len() as u32 / if on_tensor_cores { 4 } else { 16 };
                let (addend, divisor) = step
                    .addend
                    .map_or((None, 1.0), |(id, by)| (Some(self.tensors[id.0]), by));
                let kind = addend.map_or(0, |t| if t.positions() == 1 { 2 } else { 1 });
                let op = NetworkOp {
                    second: addend.unwrap_or_default(),
                    at: [at, bias, self.constants.push(&taps), 0],
                    count: [
                        *kernel as u32,
                        *stride as u32,
                        pad[0] as u32,
                        pad[1] as u32,
                        step.zoom.into(),
                        steps,
                        kind,
                        0,
                    ],
                    real: [divisor as f32, 0.0],
                    ..op
                };
                let (positions, outs) = (op.out.positions(), outs as u64);
                let tiles = if on_tensor_cores {
                    Kernel::TensorConv
                } else {
                    Kernel::Conv
                };
                self.push(tiles(positions, outs), op);
            }
        }
        Ok(())
    }

    fn output(&mut self, id: ValueId, wanted: usize) {
        let first = self.tensors[id.0];
        let op = NetworkOp {
            first,
            ..NetworkOp::default()
        };
        let at = self.program.outputs[wanted].start as u32;
        self.pointwise(Kind::Output, counted(op, at));
    }

    fn pointwise(&mut self, kind: Kind, op: NetworkOp) {
        let over = if matches!(kind, Kind::Copy | Kind::Output) {
            op.first
        } else {
            op.out
        };
        let kind = kind as u32;
        self.push(Kernel::Pointwise(over.len()), NetworkOp { kind, ..op });
    }

    fn push(&mut self, kernel: Kernel, op: NetworkOp) {
        self.program.kernels.push(kernel);
        self.program.ops.push(op);
    }

    /// A parameter as it stands, or `len` zeros where there is none.
    fn vector(&mut self, key: Option<&String>, len: usize) -> u32 {
        match key.and_then(|key| self.graph.params.get(key)) {
            Some(param) => self.constants.push(&param.data),
            None => self.constants.push(&vec![0.0f32; len]),
        }
    }
}

fn counted(mut op: NetworkOp, first: u32) -> NetworkOp {
    op.count[0] = first;
    op
}

fn real(op: NetworkOp, values: [f64; 2]) -> NetworkOp {
    NetworkOp {
        real: values.map(|v| v as f32),
        ..op
    }
}
