//! The float operators, a file each: parameters, shape, cost, and what is computed.
//!
//! An operator is a struct with an [`Operator`] implementation, a [`Reverse`] implementation where it can be trained through, and a
//! line in the list below, from which [`Op`] and every dispatch follow.

mod add;
mod add_channel;
mod affine;
mod attention;
mod avg_pool;
mod blocks;
mod class_embed;
mod concat;
mod condition;
mod conditions;
mod constant;
mod conv;
mod curves;
mod function;
mod inputs;
pub mod library;
mod linear_attention;
mod loops;
mod modulate;
mod multiply;
mod norm;
mod pass;
mod pointwise;
mod pool;
mod readout;
mod sample;
mod scale_shift;
mod silu;
mod softmax;
mod time_proj;
mod upsample;
mod waves;

pub use add::Add;
pub use add_channel::AddChannel;
pub use affine::Affine;
pub use attention::Attention;
pub use avg_pool::AvgPool2;
pub use blocks::{DepthToSpace, Repeat, Reshape};
pub use class_embed::ClassEmbed;
pub use concat::Concat;
pub use condition::Condition;
pub use conditions::Conditions;
pub use constant::{Constant, Prepend};
pub use conv::{Conv, ConvTranspose};
pub use curves::{CurveMap, CurveStep, Curves, Numbers, Pairing};
pub use function::{Function, Setting};
pub use inputs::{Inputs, Shape};
pub use linear_attention::LinearAttention;
pub use modulate::Modulate;
pub use multiply::Multiply;
pub use norm::{Norm, Over};
pub use pass::{Backward, Batch, Extents, Forward, Gradients, Params, Slopes};
pub use pointwise::Pointwise;
pub use pool::Pool;
pub use readout::Readout;
pub use sample::Sample;
pub use scale_shift::ScaleShift;
pub use silu::Silu;
pub use softmax::Softmax;
pub use time_proj::{TimeFeatures, TimeProj, features};
pub use upsample::Upsample2;
pub use waves::{Rate, Wave, WaveKind, Waves};

pub(crate) use loops::add as add_all;

use crate::Real;
use crate::graph::GraphError;

/// A float operator.
pub trait Operator {
    /// Gives the output's shape, or says what does not fit.
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError>;

    /// Keys of the trained tensors.
    fn params(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Multiply-accumulates for one sample. Only matrix products count.
    fn macs(&self, _inputs: &[Shape], _output: Shape) -> u64 {
        0
    }

    /// Numbers that the pass in reverse needs beside what is read and written.
    fn saved_len(&self, _extents: &Extents<'_>) -> usize {
        0
    }

    /// Numbers that are used within one pass.
    fn scratch_len(&self, _extents: &Extents<'_>) -> usize {
        0
    }

    /// Computes the output, for a checked graph.
    fn forward<T: Real>(&self, pass: Forward<'_, T>);
}

/// An operator that gradients pass through.
pub trait Reverse: Operator {
    /// Adds the gradients by inputs and trained tensors, for a checked graph.
    fn backward<T: Real>(&self, pass: Backward<'_, T>);
}

/// The passes of every operator in one type, which this crate compiles once, and not each crate that calls them.
pub trait Passes: Sized {
    /// [`Operator::forward`] of `op`.
    fn forward(op: &Op, pass: Forward<'_, Self>);
    /// [`Reverse::backward`] of `op`; nothing for an operator without it.
    fn backward(op: &Op, pass: Backward<'_, Self>);
}

macro_rules! passes {
    ($($real:ty),*) => {
        $(impl Passes for $real {
            fn forward(op: &Op, pass: Forward<'_, Self>) {
                Operator::forward(op, pass);
            }

            fn backward(op: &Op, pass: Backward<'_, Self>) {
                op.backward(pass);
            }
        })*
    };
}

passes!(f32, f64);

/// Makes [`Op`] and its dispatch from the list of operators. `Reverse` behind a name says that the operator has that trait.
macro_rules! operators {
    ($($name:ident $(: $reverse:ident)?),* $(,)?) => {
        /// What a node computes. Trained tensors are named by their key in [`crate::graph::Graph::params`].
        #[derive(Debug, Clone, PartialEq)]
        pub enum Op {
            $(#[doc = concat!("See [`struct@", stringify!($name), "`].")] $name($name)),*
        }

        $(impl From<$name> for Op {
            fn from(op: $name) -> Self {
                Self::$name(op)
            }
        })*

        impl Op {
            /// The operator's name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name)),*
                }
            }

            /// Whether gradients pass through it.
            #[must_use]
            pub fn is_reversible(&self) -> bool {
                match self {
                    $(Self::$name(_) => operators!(@reversible $($reverse)?)),*
                }
            }

            /// [`Reverse::backward`]; nothing for an operator without it.
            fn backward<T: Real>(&self, pass: Backward<'_, T>) {
                match self {
                    $(Self::$name(op) => operators!(@backward op, pass $(, $reverse)?)),*
                }
            }
        }

        impl Operator for Op {
            fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
                match self {
                    $(Self::$name(op) => op.shape(inputs)),*
                }
            }

            fn params(&self) -> Vec<&str> {
                match self {
                    $(Self::$name(op) => op.params()),*
                }
            }

            fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
                match self {
                    $(Self::$name(op) => op.macs(inputs, output)),*
                }
            }

            fn saved_len(&self, extents: &Extents<'_>) -> usize {
                match self {
                    $(Self::$name(op) => op.saved_len(extents)),*
                }
            }

            fn scratch_len(&self, extents: &Extents<'_>) -> usize {
                match self {
                    $(Self::$name(op) => op.scratch_len(extents)),*
                }
            }

            fn forward<T: Real>(&self, pass: Forward<'_, T>) {
                match self {
                    $(Self::$name(op) => op.forward(pass)),*
                }
            }
        }
    };
    (@reversible) => { false };
    (@reversible Reverse) => { true };
    (@backward $op:ident, $pass:ident) => {{
        let _ = ($op, $pass);
    }};
    (@backward $op:ident, $pass:ident, Reverse) => { $op.backward($pass) };
}

operators! {
    Sample,
    Affine: Reverse,
    TimeProj,
    Waves,
    Curves,
    Constant,
    Prepend,
    LinearAttention,
    DepthToSpace,
    Reshape,
    Repeat,
    ClassEmbed: Reverse,
    Conv: Reverse,
    Norm: Reverse,
    Silu: Reverse,
    Add: Reverse,
    AddChannel: Reverse,
    ScaleShift: Reverse,
    Concat: Reverse,
    Upsample2: Reverse,
    AvgPool2: Reverse,
    Pool,
    Attention: Reverse,
    Softmax: Reverse,
    Readout: Reverse,
    ConvTranspose: Reverse,
    Pointwise: Reverse,
    Modulate: Reverse,
    Multiply: Reverse,
    Condition,
}
