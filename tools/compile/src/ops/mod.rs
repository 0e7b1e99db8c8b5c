//! The operators: one file each, with all that the stages of a conversion ask of it.
//!
//! An operator's home says which nodes of the float graph it is made from and what it absorbs (lowering), which number format its output has
//! (quantization), what memory it needs beside its tensors (planning), how its record stands in the model file (emission) and what a
//! record costs (reports). This file is the one list of operators: the enum [`Kind`] follows from it, and so do the dispatch from the
//! graph's operators and the dispatch from the file's records. None of them has an arm for "all others".
//!
//! To add an operator: write its file here, implement [`Operator`] for it, and add its lines to this file.

mod attention;
mod avg_pool;
mod band;
mod class_embed;
mod condition;
mod constant;
mod conv;
mod cost;
mod cross_attention;
mod filter;
mod input;
mod linear_attention;
mod norm;
mod operator;
pub mod pointwise;
mod pool;
mod rearrange;
mod rows;
mod silu;
mod softmax;
pub mod source;
mod time_proj;
mod transposed;
mod upsample;

pub use attention::Attention;
pub use avg_pool::AvgPool;
pub use band::Band;
pub use class_embed::ClassEmbed;
pub use condition::Condition;
pub use constant::Constant;
pub use conv::Conv;
pub use cost::Cost;
pub use cross_attention::CrossAttention;
pub use input::Input;
pub use linear_attention::LinearAttention;
pub use norm::{Bound, Norm};
pub use operator::{Operator, OutputFormat, Room};
pub use pointwise::Pointwise;
pub use pool::Pool;
pub use rearrange::Rearrange;
pub use rows::Rows;
pub use silu::Silu;
pub use softmax::Softmax;
pub use time_proj::TimeProj;
pub use upsample::Upsample;

use mote_graph::graph::{Node, Op as GraphOp};
use mote_runtime::Model;
use mote_runtime::internals::ops::Op as Record;
use mote_runtime::internals::ops::rearrange::Pattern;
use mote_runtime::internals::tensor::Tensor;

use crate::lower::{LowerError, Lowered, Lowering, refuse};

macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a fused operator computes.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Kind {
            $($(#[$doc])* $name($name),)*
        }

        impl Kind {
            /// What every operator answers.
            pub fn operator(&self) -> &dyn Operator {
                match self { $(Self::$name(operator) => operator,)* }
            }

            /// The same, to be changed.
            pub fn operator_mut(&mut self) -> &mut dyn Operator {
                match self { $(Self::$name(operator) => operator,)* }
            }
        }

        $(impl From<$name> for Kind {
            fn from(operator: $name) -> Self {
                Self::$name(operator)
            }
        })*
    };
}

operators! {
    /// The sample, brought to the network's input.
    Input,
    /// Sinusoidal features of the timestep.
    TimeProj,
    /// A row of the class embedding.
    ClassEmbed,
    /// The vector that a run is given.
    Condition,
    /// SiLU that nothing could absorb.
    Silu,
    /// Softmax over channels.
    Softmax,
    /// Convolution or linear layer.
    Conv,
    /// Normalization.
    Norm,
    /// Attention over positions.
    Attention,
    /// Nearest-neighbour x2 that no convolution reads through.
    Upsample,
    /// Mean over 2x2 windows.
    AvgPool,
    /// A function of every element, a factor, an addend.
    Pointwise,
    /// Elements in other places.
    Rearrange,
    /// Linear attention.
    LinearAttention,
    /// Attention over other positions, and over constant rows.
    CrossAttention,
    /// Means and maxima over windows.
    Pool,
    /// A table of the file, alone or added to an activation.
    Constant,
    /// Some rows of an activation, or of two.
    Band,
}

impl Kind {
    /// Its convolution, if it is one: the one kind of operator whose weights are rounded.
    pub fn conv(&self) -> Option<&Conv> {
        if let Self::Conv(conv) = self { Some(conv) } else { None }
    }
}

/// What becomes of a node that no operator before it has absorbed.
pub fn lower(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
    match &node.op {
        GraphOp::Sample(_) => Ok(Lowered::Operator(Input::IDENTITY.into())),
        GraphOp::Affine(_) | GraphOp::Pointwise(_) => Pointwise::lower_function(node, lowering),
        GraphOp::TimeProj(op) => Ok(TimeProj::lower(op)),
        GraphOp::Waves(op) => TimeProj::lower_waves(op, node, lowering.timesteps),
        GraphOp::Curves(op) => TimeProj::lower_curves(op, node, lowering.timesteps),
        GraphOp::Constant(op) => Constant::lower(op, node, lowering),
        GraphOp::Prepend(_) => rows::lower(node, lowering),
        GraphOp::LinearAttention(op) => LinearAttention::lower(op, node, lowering),
        GraphOp::DepthToSpace(op) => Rearrange::lower(Pattern::Channels, op.block, node, lowering),
        GraphOp::Reshape(_) => Rearrange::lower(Pattern::Reshape, [1; 2], node, lowering),
        GraphOp::Repeat(op) => Rearrange::lower(Pattern::Repeat, op.factors, node, lowering),
        GraphOp::ClassEmbed(op) => ClassEmbed::lower(op, node, lowering),
        GraphOp::Conv(op) => Conv::lower(op, node, lowering),
        GraphOp::Norm(op) => Norm::lower(op, node, lowering),
        GraphOp::Silu(_) => Silu::lower(node, lowering),
        GraphOp::Add(_)
        | GraphOp::AddChannel(_)
        | GraphOp::ScaleShift(_)
        | GraphOp::Modulate(_)
        | GraphOp::Multiply(_) => Pointwise::lower_pair(node, lowering),
        GraphOp::Concat(_) => source::lower_concat(node, lowering),
        GraphOp::Upsample2(_) => Upsample::lower(node, lowering),
        GraphOp::AvgPool2(_) => AvgPool::lower(node, lowering),
        GraphOp::Pool(op) => Pool::lower(op, node, lowering),
        GraphOp::Attention(op) => Attention::lower(op, node, lowering),
        GraphOp::Softmax(_) => Softmax::lower(node, lowering),
        GraphOp::ConvTranspose(op) => transposed::lower(op, node, lowering),
        GraphOp::Readout(op) => Conv::lower_readout(op, node, lowering),
        GraphOp::Condition(_) => Condition::lower(node, lowering),
    }
}

/// What the record of an operator costs, whose output is `out`.
pub fn cost(model: &Model<'_>, record: &Record, out: &Tensor) -> Cost {
    match record {
        Record::Conv(record) => conv::cost(model, record, 1, out),
        Record::Grouped(record) => conv::cost(model, &record.conv, record.groups, out),
        Record::Readout(record) => conv::cost_by_timestep(model, record, out),
        Record::NormConv(record) => norm::cost_inside(model, record, out),
        Record::GroupNorm(_) | Record::Norm(_) => norm::cost(out.channels),
        Record::Attention(_) => attention::cost(out),
        Record::CrossAttention(record) => cross_attention::cost(model, record, out),
        Record::LinearAttention(record) => linear_attention::cost(model, record, out),
        Record::ClassEmbed(_) => class_embed::cost(model, out),
        Record::Pointwise(record) => pointwise::cost(record, model.tensor(record.src).as_ref(), out),
        Record::TimeProj(_) => time_proj::cost(out),
        Record::Constant(record) => constant::cost(model, record, out),
        Record::Condition(_)
        | Record::Input(_)
        | Record::Silu(_)
        | Record::Softmax(_)
        | Record::Upsample(_)
        | Record::Rearrange(_)
        | Record::Pool(_)
        | Record::Band(_)
        | Record::AvgPool(_) => Cost::NOTHING,
    }
}
