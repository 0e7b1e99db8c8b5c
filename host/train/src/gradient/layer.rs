//! One node of a graph with its parameters' places resolved.

use super::attention::Attention;
use super::conv::Conv;
use super::norm::Norm;
use crate::layout::Layout;
use mote_graph::graph::{Graph, Node, Op, ops};
use std::ops::Range;

/// A node.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What it computes.
    pub kind: Kind,
    /// Values read.
    pub inputs: Vec<usize>,
    /// The value written.
    pub output: usize,
}

/// What a node computes; as [`Op`], without keys.
#[derive(Debug, Clone)]
pub enum Kind {
    Sample,
    Affine {
        scale: f32,
        shift: f32,
    },
    TimeProj {
        dim: usize,
        flip: bool,
        freq_shift: f64,
        max_period: f64,
    },
    ClassEmbed {
        table: Range<usize>,
    },
    Conv(Conv),
    Norm(Norm),
    Silu,
    Add {
        factor: f32,
    },
    AddChannel,
    ScaleShift,
    Concat,
    Upsample,
    AvgPool,
    Attention(Attention),
}

impl Layer {
    /// Resolves a node of a checked graph.
    pub fn of(graph: &Graph, layout: &Layout, node: &Node) -> Self {
        // A checked graph has every key that it names.
        let place = |key: &String| layout.range(key).unwrap_or(0..0);
        let shape = |i: usize| graph.values[node.inputs[i].0].shape;
        let kind = match &node.op {
            Op::Sample(_) => Kind::Sample,
            Op::Affine(ops::Affine { scale, shift }) => Kind::Affine {
                scale: *scale as f32,
                shift: *shift as f32,
            },
            Op::TimeProj(ops::TimeProj {
                dim,
                flip_sin_to_cos,
                freq_shift,
                max_period,
            }) => Kind::TimeProj {
                dim: *dim,
                flip: *flip_sin_to_cos,
                freq_shift: *freq_shift,
                max_period: *max_period,
            },
            Op::ClassEmbed(ops::ClassEmbed { weight }) => Kind::ClassEmbed { table: place(weight) },
            Op::Conv(ops::Conv {
                weight,
                bias,
                kernel,
                stride,
                pad,
            }) => Kind::Conv(Conv {
                weight: place(weight),
                bias: bias.as_ref().map(place),
                input: shape(0),
                output: graph.values[node.output.0].shape,
                kernel: *kernel,
                stride: *stride,
                pad: [pad[0], pad[1]],
            }),
            Op::GroupNorm(ops::GroupNorm {
                groups,
                eps,
                weight,
                bias,
            }) => Kind::Norm(Norm {
                groups: *groups,
                eps: *eps as f32,
                gamma: place(weight),
                beta: place(bias),
                channels: shape(0)[0],
                positions: shape(0)[1] * shape(0)[2],
            }),
            Op::Silu(_) => Kind::Silu,
            Op::Add(ops::Add { divisor }) => Kind::Add {
                factor: (1.0 / divisor) as f32,
            },
            Op::AddChannel(_) => Kind::AddChannel,
            Op::ScaleShift(_) => Kind::ScaleShift,
            Op::Concat(_) => Kind::Concat,
            Op::Upsample2(_) => Kind::Upsample,
            Op::AvgPool2(_) => Kind::AvgPool,
            Op::Attention(ops::Attention { heads }) => Kind::Attention(Attention {
                heads: *heads,
                depth: shape(0)[0] / heads,
                positions: shape(0)[1] * shape(0)[2],
            }),
        };
        Self {
            kind,
            inputs: node.inputs.iter().map(|id| id.0).collect(),
            output: node.output.0,
        }
    }
}

impl Kind {
    /// Whether it has parameters of its own.
    pub fn has_params(&self) -> bool {
        matches!(self, Self::ClassEmbed { .. } | Self::Conv(_) | Self::Norm(_))
    }

    /// Numbers that the way back needs beside inputs and outputs, for `n` samples of an output of `len` elements.
    pub fn saved_len(&self, n: usize, len: usize) -> usize {
        match self {
            Self::Silu => n * len,
            Self::Norm(norm) => norm.saved_len(n),
            Self::Attention(a) => a.saved_len(n),
            _ => 0,
        }
    }

    /// Elements of memory that are used within one pass of one layer.
    pub fn scratch_len(&self, n: usize) -> usize {
        match self {
            Self::Conv(c) => c.columns_len(n),
            Self::Attention(a) => a.scratch_len(),
            _ => 0,
        }
    }
}
