//! The float operators, a file each: parameters, shape, cost, and what is computed.
//!
//! An operator is a struct with an [`Operator`] implementation and a line in the list below, from which [`Op`] and every
//! dispatch follow.

mod add;
mod add_channel;
mod affine;
mod attention;
mod avg_pool;
mod class_embed;
mod concat;
mod conv;
mod group_norm;
mod inputs;
mod sample;
mod scale_shift;
mod silu;
mod time_proj;
mod upsample;

pub use add::Add;
pub use add_channel::AddChannel;
pub use affine::Affine;
pub use attention::Attention;
pub use avg_pool::AvgPool2;
pub use class_embed::ClassEmbed;
pub use concat::Concat;
pub use conv::Conv;
pub use group_norm::GroupNorm;
pub use inputs::{Inputs, Shape};
pub use sample::Sample;
pub use scale_shift::ScaleShift;
pub use silu::Silu;
pub use time_proj::TimeProj;
pub use upsample::Upsample2;

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
}

/// Makes [`Op`] and its dispatch from the list of operators.
macro_rules! operators {
    ($($name:ident),* $(,)?) => {
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
        }
    };
}

operators! {
    Sample,
    Affine,
    TimeProj,
    ClassEmbed,
    Conv,
    GroupNorm,
    Silu,
    Add,
    AddChannel,
    ScaleShift,
    Concat,
    Upsample2,
    AvgPool2,
    Attention,
}
