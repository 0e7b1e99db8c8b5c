//! The float graph: one intermediate representation that is crosschecked, trained and lowered to integers.
//!
//! A [`Graph`] is a straight list of [`Node`]s in execution order over single-assignment [`Value`]s. Every value is one
//! sample's activation of shape `(channel, row, col)`; a vector is `(channel, 1, 1)`. There is no batch axis in the IR;
//! executors add one.
//!
//! [`Builder`] makes graphs and infers every shape; [`Graph::check`] proves that a graph made elsewhere is sound;
//! [`Graph::macs`] counts the work. Node order is execution order and parameters are sorted by key, so the same
//! checkpoint always gives the same graph, element for element.

mod build;
mod check;
mod error;
mod macs;
mod shape;

#[cfg(test)]
mod tests;

pub use build::Builder;
pub use error::GraphError;

use std::collections::BTreeMap;

/// Index of a [`Value`] in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub usize);

/// One activation: its name (the checkpoint's module path where there is one) and shape `(channel, row, col)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Unique name, such as `down_blocks.0.resnets.0.conv1`.
    pub name: String,
    /// `(channel, row, col)`.
    pub shape: [usize; 3],
}

/// A trained tensor in float32, in the checkpoint's own order (convolutions are `(out, in, row, col)`).
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub data: Vec<f32>,
}

/// What a node computes. Parameters are named by their key in [`Graph::params`].
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// The noisy sample x_t. No inputs.
    Sample,
    /// `scale * x + shift`, for `center_input_sample`.
    Affine {
        /// Factor.
        scale: f64,
        /// Offset added after the factor.
        shift: f64,
    },
    /// Sinusoidal timestep features (DDPM, Vaswani et al. 2017): no inputs, `(dim, 1, 1)`.
    /// `freq_i = exp(-ln(max_period) * i / (dim/2 - freq_shift))`.
    TimeProj {
        /// Number of features, even.
        dim: usize,
        /// Cosines first when set.
        flip_sin_to_cos: bool,
        /// Subtracted from the divisor of the exponent.
        freq_shift: f64,
        /// 10,000 in every known checkpoint.
        max_period: f64,
    },
    /// Row `class` of an embedding table `(classes, dim)`. No inputs.
    ClassEmbed {
        /// Key of the table.
        weight: String,
    },
    /// 2-D convolution with zero padding; a linear layer over channels is `kernel = 1`.
    Conv {
        /// Key of `(out, in, kernel, kernel)`; `(out, in)` is accepted for `kernel = 1`.
        weight: String,
        /// Key of `(out)`.
        bias: Option<String>,
        /// Side of the square kernel.
        kernel: usize,
        /// Step between outputs, 1 or 2.
        stride: usize,
        /// Zeros added at top, left, bottom, right.
        pad: [usize; 4],
    },
    /// Group normalization (Wu and He 2018) with an affine a channel.
    GroupNorm {
        /// Number of groups; divides the channel count.
        groups: usize,
        /// Added to the variance.
        eps: f64,
        /// Key of gamma `(channel)`.
        weight: String,
        /// Key of beta `(channel)`.
        bias: String,
    },
    /// `x * sigmoid(x)`.
    Silu,
    /// `(a + b) / divisor`, same shapes.
    Add {
        /// The resnet's `output_scale_factor`.
        divisor: f64,
    },
    /// `a + v` with `v` of shape `(channel, 1, 1)` broadcast over rows and columns.
    AddChannel,
    /// `a * (1 + v[..C]) + v[C..]` with `v` of shape `(2C, 1, 1)` (the `scale_shift` resnet).
    ScaleShift,
    /// Channels of the inputs, one after the other.
    Concat,
    /// Nearest-neighbour x2 in rows and columns.
    Upsample2,
    /// Mean over 2x2 windows.
    AvgPool2,
    /// `softmax(q k^T / sqrt(head_dim)) v` over positions; inputs q, k, v of one shape. A head is a contiguous range of channels.
    Attention {
        /// Number of heads; divides the channel count.
        heads: usize,
    },
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The checkpoint's module path, such as `mid_block.attentions.0.to_q`.
    pub name: String,
    /// What is computed.
    pub op: Op,
    /// Values read, in the operator's order.
    pub inputs: Vec<ValueId>,
    /// The value written.
    pub output: ValueId,
}

/// An epsilon-network as a straight-line program.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// All activations.
    pub values: Vec<Value>,
    /// Operations in execution order; each reads only values written before it.
    pub nodes: Vec<Node>,
    /// Trained tensors by checkpoint key.
    pub params: BTreeMap<String, Param>,
    /// The network's output.
    pub output: Option<ValueId>,
    /// Rows of the class embedding, when the network is conditional.
    pub classes: Option<usize>,
    /// Checkpoint block names (`down_blocks.0`, `conv_act`, `time_embedding`) and the value that is that block's output.
    pub taps: Vec<(String, ValueId)>,
}
