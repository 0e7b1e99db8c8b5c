//! Operators as they stand in the file: postcard, decoded one at a time as they run.
//!
//! Offsets into the weights section are bytes. Adding an operator: a variant here, its tensors in `io`, its fields in `decode`, its check in `validate`,
//! its kernel in `kernels`, its arm in `exec`, its lowering in the tools.

use serde::{Deserialize, Serialize};

use super::tensor::TensorId;
use crate::numeric::requant::{Requant, WideRequant};

/// A byte offset into the weights section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At(pub u32);

/// One or two tensors read as the channels of one (a concatenation that is never copied).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The first channels.
    pub first: TensorId,
    /// The channels after them, with the factors that bring both to one int16 scale.
    pub second: Option<(TensorId, [Requant; 2])>,
}

impl Source {
    const EMPTY: Self = Self {
        first: TensorId(0),
        second: None,
    };
}

/// Weights of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Weights {
    /// int8 with int32 accumulators. At `requant`: multipliers (i32 a channel), then shifts (u8 a channel).
    W8 {
        /// i8 `(out, row, col, in)`.
        data: At,
        /// i32 `(out)`.
        bias: At,
        /// i32 `(out)` then u8 `(out)`.
        requant: At,
    },
    /// int16 with int64 accumulators.
    W16 {
        /// i16 `(out, row, col, in)`.
        data: At,
        /// i64 `(out)`.
        bias: At,
        /// i32 `(out)` then u8 `(out)`, as [`WideRequant`].
        requant: At,
    },
    /// f16 with f32 arithmetic.
    F16 {
        /// f16 `(row, col, in, out)`.
        data: At,
        /// f32 `(out)`.
        bias: At,
    },
    /// int4 with int32 accumulators: nibbles that count 16 times their value.
    W4 {
        /// u32 `(out, word)`, each word eight taps of `(row, col, in)`, see [`super::int4`].
        data: At,
        /// i32 `(out)`.
        bias: At,
        /// i32 `(out)` then u8 `(out)`.
        requant: At,
    },
}

/// A term added to a convolution's output before its one rounding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Addend {
    /// Of the output's shape, or a vector over channels.
    pub tensor: TensorId,
    /// Brings it to the output's scale with `ADD_GUARD_BITS` more (integer models).
    pub requant: Requant,
    /// Factor (f16 models).
    pub factor: f32,
}

/// A convolution over `(row, col, channel)`; a linear layer is `kernel = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Input.
    pub source: Source,
    /// Output.
    pub out: TensorId,
    /// Scratch: one im2col column.
    pub scratch: TensorId,
    /// Weights, biases, multipliers.
    pub weights: Weights,
    /// Side of the kernel, 1 to 15.
    pub kernel: u8,
    /// 1 or 2.
    pub stride: u8,
    /// Zeros at top, left, bottom, right.
    pub pad: [u8; 4],
    /// Reads the input through a nearest-neighbour x2.
    pub upsample: bool,
    /// Residual or timestep term.
    pub addend: Option<Addend>,
}

impl Conv {
    /// Before anything is known: zeros, which take no place in flash.
    pub(super) const EMPTY: Self = Self {
        source: Source::EMPTY,
        out: TensorId(0),
        scratch: TensorId(0),
        weights: Weights::W8 {
            data: At(0),
            bias: At(0),
            requant: At(0),
        },
        kernel: 0,
        stride: 0,
        pad: [0; 4],
        upsample: false,
        addend: None,
    };
}

/// A convolution that has weights for each group of timesteps: the tables of [`Conv::weights`] hold those of all groups, one group after
/// the other (multipliers of all groups, then shifts of all groups).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Readout {
    /// The convolution of one group.
    pub conv: Conv,
    /// u32 `(groups)`, ascending from 0: the first timestep of each group.
    pub first: At,
    /// Number of groups.
    pub groups: u16,
}

/// Group normalization, with the timestep's scale and shift and SiLU where asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GroupNorm {
    /// Input.
    pub source: Source,
    /// Output.
    pub out: TensorId,
    /// Scratch: sums and per-channel factors.
    pub scratch: TensorId,
    /// Divides the channels.
    pub groups: u16,
    /// SiLU after the affine.
    pub silu: bool,
    /// i32 gamma `(channel)` in Q`gamma_frac`, then i32 beta `(channel)` in Q16. f16: f32 gamma, then f32 beta.
    pub affine: At,
    /// Fractional bits of gamma, 0 to 30.
    pub gamma_frac: u8,
    /// `eps * n^2 / scale^2` with n the elements of a group (integer models).
    pub eps_q: u64,
    /// Epsilon itself (f16 models).
    pub eps: f32,
    /// From Q16 to the output's scale.
    pub out_requant: Requant,
    /// Vector `(2 * channels)`: scale, then shift; with the factor from its own unit to Q16.
    pub scale_shift: Option<(TensorId, Requant)>,
}

impl GroupNorm {
    /// Before anything is known: zeros, which take no place in flash.
    pub(super) const EMPTY: Self = Self {
        source: Source::EMPTY,
        out: TensorId(0),
        scratch: TensorId(0),
        groups: 0,
        silu: false,
        affine: At(0),
        gamma_frac: 0,
        eps_q: 0,
        eps: 0.0,
        out_requant: Requant { mult: 0, shift: 0 },
        scale_shift: None,
    };
}

/// `softmax(q k^T / sqrt(d)) v`, a row of scores at a time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// Queries.
    pub q: TensorId,
    /// Keys.
    pub k: TensorId,
    /// Values.
    pub v: TensorId,
    /// Output; may be the queries' own memory.
    pub out: TensorId,
    /// Scratch: one row of scores.
    pub scratch: TensorId,
    /// Divides the channels.
    pub heads: u16,
    /// From the dot product to Q16 in units of log2 (integer models).
    pub score: WideRequant,
    /// From Q15 probabilities times v to the output's scale.
    pub out_requant: Requant,
    /// `1 / sqrt(d)` (f16 models).
    pub scale: f32,
}

/// One operator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// The sampler's x_t (Q24) brought to the network's input format.
    Input {
        /// Output.
        out: TensorId,
        /// From Q24 to the output's unit.
        requant: Requant,
        /// Added after it, output units.
        offset: i32,
        /// `scale * x + shift` (f16 models).
        scale: f32,
        /// See `scale`.
        shift: f32,
    },
    /// Sinusoidal timestep features, Q15 or f16.
    TimeProj {
        /// Output `(2 * half)`.
        out: TensorId,
        /// u32 `(half)`: turns a timestep, Q32.
        phases: At,
        /// Cosines first.
        cos_first: bool,
    },
    /// Row `class` of an embedding table.
    ClassEmbed {
        /// Output.
        out: TensorId,
        /// i16 or f16 `(classes, dim)`.
        table: At,
    },
    /// SiLU alone, for the timestep vectors.
    Silu {
        /// Input.
        src: TensorId,
        /// Output.
        out: TensorId,
        /// From the input's unit to Q16.
        in_requant: Requant,
        /// From Q16 to the output's unit.
        out_requant: Requant,
    },
    /// Convolution.
    Conv(Conv),
    /// Group normalization.
    GroupNorm(GroupNorm),
    /// Attention.
    Attention(Attention),
    /// Nearest-neighbour x2, where it cannot be folded.
    Upsample {
        /// Input.
        src: TensorId,
        /// Output.
        out: TensorId,
    },
    /// Mean over 2x2 windows.
    AvgPool {
        /// Input.
        src: TensorId,
        /// Output.
        out: TensorId,
    },
    /// A group normalization inside the one convolution that reads it (integer models).
    NormConv(NormConv),
    /// A convolution with weights by timestep.
    Readout(Readout),
    /// Softmax over the channels of each position, Q15 or f16.
    Softmax {
        /// Input.
        src: TensorId,
        /// Output.
        out: TensorId,
        /// From the input's unit to Q16 in units of log2 (integer models).
        in_requant: Requant,
    },
}

/// A group normalization and the convolution that alone reads it: only as many normalized rows are there at a time as the convolution
/// looks at. The same numbers as the two operators one after the other.
///
/// `norm.out` is the window that holds those rows, and `conv` reads it. Both name one scratch: factors of the channels, then columns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NormConv {
    /// Its output's record has the rows of the window, at least those that one output row looks at.
    pub norm: GroupNorm,
    /// Not upsampled.
    pub conv: Conv,
}

impl Op {
    /// Name of the kind, for reports.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::TimeProj { .. } => "time_proj",
            Self::ClassEmbed { .. } => "class_embed",
            Self::Silu { .. } => "silu",
            Self::Conv(_) => "conv",
            Self::GroupNorm(_) => "group_norm",
            Self::Attention(_) => "attention",
            Self::Upsample { .. } => "upsample",
            Self::AvgPool { .. } => "avg_pool",
            Self::NormConv(_) => "norm_conv",
            Self::Readout(_) => "readout",
            Self::Softmax { .. } => "softmax",
        }
    }

    /// Its convolution, if it has one.
    #[inline(always)]
    pub fn conv(&self) -> Option<&Conv> {
        match self {
            Self::Conv(conv) | Self::NormConv(NormConv { conv, .. }) | Self::Readout(Readout { conv, .. }) => {
                Some(conv)
            }
            _ => None,
        }
    }

    /// Its group normalization, if it has one.
    #[inline(always)]
    pub fn norm(&self) -> Option<&GroupNorm> {
        match self {
            Self::GroupNorm(norm) | Self::NormConv(NormConv { norm, .. }) => Some(norm),
            _ => None,
        }
    }
}
