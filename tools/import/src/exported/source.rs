//! What holds the numbers that a [`View`] shows: a value of the graph, or a layer that is known and not yet written.
//!
//! A layer is written when something asks for its value. Until then the layers around it can change what it becomes: a sum that is
//! divided, a product to which a shift is added (FiLM), a projection of which every reader takes some rows only.

use super::curves::Curve;
use super::tensor::Tensor;
use super::view::View;
use super::waves::Wave;
use mote_graph::graph::ValueId;
use mote_graph::ops::{Function, Over, Pool};

/// A source.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// `(channel, row, col)`, or the extents of what is no activation yet.
    pub sizes: Vec<usize>,
    pub what: What,
    /// The module that it is part of.
    pub module: String,
    /// Whether it is a part of an attention or of a norm, which has no value of its own.
    pub part: bool,
    /// Sources on the way back to one that is written.
    pub depth: usize,
    /// The value, once it is written.
    pub value: Option<ValueId>,
}

/// What a source is.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// Written from the start: sample and condition.
    Given,
    Conv(Box<Convolved>),
    Map {
        x: usize,
        map: Map,
    },
    /// `(a + b) / divisor`; `b` may be a vector.
    Sum {
        a: usize,
        b: usize,
        divisor: f64,
    },
    /// `x` times a vector or another activation.
    Product {
        x: usize,
        factor: View,
    },
    /// `x * (1 +) scale + shift`, both of them vectors.
    Modulated {
        x: usize,
        scale: View,
        shift: View,
        one: bool,
    },
    Norm(Box<Normalized>),
    /// Channels one after the other.
    Joined(Vec<usize>),
    /// Positions one after the other: constant rows, then those of `x`.
    Extended {
        rows: Tensor,
        x: usize,
    },
    Constant(Tensor),
    Waves {
        features: Vec<Wave>,
        time: [f64; 2],
        single: bool,
    },
    /// Any other function of the timestep.
    Curve(Curve),
    Class(Tensor),
    /// A resampling by these factors.
    Up {
        x: usize,
        factors: [usize; 2],
    },
    /// The mean over windows, or the maximum.
    Pool {
        x: usize,
        pool: Pool,
    },
    /// The same positions in other rows.
    Rows {
        x: usize,
        rows: usize,
        cols: usize,
    },
    /// Blocks of positions from channels.
    Blocks {
        x: usize,
        block: [usize; 2],
    },
    Padded {
        x: usize,
        pad: [usize; 4],
    },
    /// So many positions reflected at both ends of a signal, the last itself left out.
    Reflected {
        x: usize,
        pad: usize,
    },
    /// `x` without its mean over some channels of a position.
    Centred {
        x: usize,
        over: Over,
    },
    /// What is divided by, over the channels of a position.
    Statistic {
        x: usize,
        over: Over,
        statistic: Statistic,
    },
    /// `q k^T * scale`, `(head, query, key)`.
    Scores {
        q: View,
        k: View,
        scale: f64,
    },
    /// Their softmax over keys.
    Weights {
        q: View,
        k: View,
        scale: f64,
    },
    /// A softmax as linear attention has it.
    Softmax {
        x: usize,
        over: Soft,
    },
    /// `k^T v` of linear attention, `(head, depth, value depth)`, before the softmax of `k` over positions.
    Context {
        k: usize,
        v: usize,
        heads: usize,
        scale: f64,
    },
    Attention {
        q: usize,
        k: usize,
        v: usize,
        heads: usize,
    },
    LinearAttention {
        q: usize,
        k: usize,
        v: usize,
        heads: usize,
        scale: f64,
    },
}

/// A function of every element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Map {
    Function(Function),
    Affine {
        scale: f64,
        shift: f64,
    },
    /// A part of a GELU that is written out, and nothing alone.
    Erf,
    /// The third power, likewise.
    Cube,
    /// Whether it is above a number: a part of a softplus that is one from there on.
    Above(f64),
}

/// A convolution, or a linear layer over channels.
#[derive(Debug, Clone)]
pub(crate) struct Convolved {
    pub x: usize,
    /// `(out, in / groups, row, col)`; transposed `(in, out, row, col)`.
    pub weight: Tensor,
    pub bias: Option<Tensor>,
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub pad: [usize; 4],
    pub dilation: [usize; 2],
    pub groups: usize,
    /// Of a transposed convolution.
    pub output_pad: Option<[usize; 2]>,
    /// Which rows of the stored weight these are, for its name.
    pub rows: String,
}

impl Convolved {
    /// One in so many groups, with no bias, stride or padding.
    pub fn plain(x: usize, weight: Tensor, groups: usize) -> Self {
        Self {
            x,
            weight,
            bias: None,
            stride: [1; 2],
            pad: [0; 4],
            dilation: [1; 2],
            groups,
            output_pad: None,
            rows: String::new(),
        }
    }

    /// Whether it is a factor for each channel and nothing else.
    pub fn is_each_channel(&self) -> bool {
        self.weight.sizes == [self.groups, 1, 1, 1]
            && self.bias.is_none()
            && self.stride == [1; 2]
            && self.pad == [0; 4]
            && self.output_pad.is_none()
    }
}

/// What a softmax of linear attention is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Soft {
    Positions,
    /// The channels of each of so many heads.
    Depth(usize),
}

/// A normalization, times `scale`.
#[derive(Debug, Clone)]
pub(crate) struct Normalized {
    pub x: usize,
    pub over: Over,
    pub centred: bool,
    pub eps: f64,
    pub floor: f64,
    pub scale: f64,
    pub gamma: Option<Tensor>,
    pub beta: Option<Tensor>,
}

/// A statistic over some channels of a position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Statistic {
    Mean,
    /// `max(root of the sum of squares, floor)`.
    Length {
        floor: f64,
    },
    /// Mean square of what is there, or of its distance from the mean.
    Square {
        centred: bool,
        eps: f64,
    },
    /// The root of that, or one over the root.
    Root {
        centred: bool,
        eps: f64,
        inverse: bool,
    },
}

impl What {
    /// The sources that it is made of.
    pub fn parts(&self) -> Vec<usize> {
        match self {
            Self::Given | Self::Constant(_) | Self::Waves { .. } | Self::Curve(_) | Self::Class(_) => vec![],
            Self::Conv(conv) => vec![conv.x],
            Self::Norm(norm) => vec![norm.x],
            Self::Map { x, .. }
            | Self::Extended { x, .. }
            | Self::Up { x, .. }
            | Self::Pool { x, .. }
            | Self::Rows { x, .. }
            | Self::Blocks { x, .. }
            | Self::Padded { x, .. }
            | Self::Reflected { x, .. }
            | Self::Softmax { x, .. }
            | Self::Centred { x, .. }
            | Self::Statistic { x, .. } => vec![*x],
            Self::Sum { a, b, .. } => vec![*a, *b],
            Self::Product { x, factor } => vec![*x, factor.source],
            Self::Modulated { x, scale, shift, .. } => vec![*x, scale.source, shift.source],
            Self::Joined(parts) => parts.clone(),
            Self::Scores { q, k, .. } | Self::Weights { q, k, .. } => vec![q.source, k.source],
            Self::Context { k, v, .. } => vec![*k, *v],
            Self::Attention { q, k, v, .. } | Self::LinearAttention { q, k, v, .. } => vec![*q, *k, *v],
        }
    }

    /// The operator's word in names of nodes.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Given => "input",
            Self::Conv(_) => "conv",
            Self::Map {
                map: Map::Function(function),
                ..
            } => function.name(),
            Self::Map { .. } => "affine",
            Self::Sum { .. } => "add",
            Self::Product { .. } => "mul",
            Self::Modulated { .. } => "modulate",
            Self::Norm(_) => "norm",
            Self::Joined(_) => "concat",
            Self::Extended { .. } => "memory",
            Self::Constant(_) => "constant",
            Self::Waves { .. } | Self::Curve(_) => "time_proj",
            Self::Class(_) => "class_embedding",
            Self::Up { .. } => "upsample",
            Self::Pool { .. } => "pool",
            Self::Rows { .. } => "reshape",
            Self::Blocks { .. } => "blocks",
            Self::Padded { .. } | Self::Reflected { .. } => "pad",
            Self::Centred { .. } | Self::Statistic { .. } => "statistic",
            Self::Scores { .. } | Self::Weights { .. } => "scores",
            Self::Softmax { .. } => "softmax",
            Self::Context { .. } => "context",
            Self::Attention { .. } | Self::LinearAttention { .. } => "attention",
        }
    }
}
