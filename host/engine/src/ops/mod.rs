//! The operators that the engine accelerates, a file or a folder each.
//!
//! [`accelerated!`] lists them. The engine is opt-in: an operator that is not in the list, and one that its file declines, runs in the
//! runtime's own body, to the same bits. An operator with inner loops of its own has a trait for them beside it, whose default bodies are
//! plain Rust; a family writes those that are worth it.

pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod float;
pub(crate) mod group_norm;
mod norm_conv;

use crate::family::{Family, Line};
use crate::source::Buffers;
use attention::AttentionLoops;
use conv::ConvLoops;
use float::FloatLoops;
use group_norm::NormLoops;
use mote_runtime::Model;
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::internals::ops;
use mote_runtime::internals::ops::{Op, Operator};

/// The inner loops of every accelerated operator.
pub(crate) trait Loops: ConvLoops + NormLoops + AttentionLoops + FloatLoops {}

impl<S: ConvLoops + NormLoops + AttentionLoops + FloatLoops> Loops for S {}

/// An operator, prepared for a family: its weights in the order of the engine, its factors laid out for lanes.
pub(crate) trait Accelerated: Sized {
    /// Its record in the model file.
    type Record: Operator;

    /// `None` for forms that the engine has no kernel for.
    fn prepare(model: &Model<'_>, record: &Self::Record, family: Family) -> Option<Self>;

    /// Bytes of the arena with what it keeps behind it; 0 where that is nothing.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Runs it over the arena; `None` where that is too small.
    fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()>;
}

macro_rules! accelerated {
    (integer { $($op:ident($kernel:ty),)* } f16 { $($float:ident = $float_op:ident($float_kernel:ty),)* }) => {
        /// An accelerated operator.
        #[derive(Debug)]
        pub(crate) enum Kernel {
            $($op(Box<$kernel>),)*
            $($float(Box<$float_kernel>),)*
        }

        /// Names of the kinds that the engine accelerates in integer models.
        pub const ACCELERATED: &[&str] = &[$(<ops::$op as Operator>::NAME,)*];

        /// Names of the kinds that the engine accelerates in f16 models.
        pub const ACCELERATED_F16: &[&str] = &[$(<ops::$float_op as Operator>::NAME,)*];

        impl Kernel {
            /// `None` where the runtime's own body is to run `op`.
            pub fn prepare(model: &Model<'_>, op: &Op, family: Family) -> Option<Self> {
                match (model.header().arithmetic, op) {
                    $((Arithmetic::Integer, Op::$op(record)) => {
                        <$kernel>::prepare(model, record, family).map(|kernel| Self::$op(Box::new(kernel)))
                    })*
                    $((Arithmetic::F16, Op::$float_op(record)) => {
                        <$float_kernel>::prepare(model, record, family).map(|kernel| Self::$float(Box::new(kernel)))
                    })*
                    // What is not in the list.
                    _ => None,
                }
            }

            /// [`Accelerated::memory_bytes`].
            pub fn memory_bytes(&self) -> usize {
                match self {
                    $(Self::$op(kernel) => kernel.memory_bytes(),)*
                    $(Self::$float(kernel) => kernel.memory_bytes(),)*
                }
            }

            /// [`Accelerated::run`].
            pub fn run(&self, simd: impl Loops, arena: &mut [u8], work: &mut Workspace) -> Option<()> {
                match self {
                    $(Self::$op(kernel) => kernel.run(simd, arena, work),)*
                    $(Self::$float(kernel) => kernel.run(simd, arena, work),)*
                }
            }
        }
    };
}

accelerated! {
    integer {
        Conv(conv::Conv),
        GroupNorm(group_norm::Norm),
        NormConv(norm_conv::NormConv),
        Attention(attention::Attention),
    }
    f16 {
        FloatConv = Conv(float::Conv),
        FloatNorm = GroupNorm(float::Norm),
        FloatAttention = Attention(float::Attention),
    }
}

/// Buffers that operators share; each grows to the largest that is asked for.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// Threads that the operator may use, this one included.
    pub threads: usize,
    /// The padded input of a convolution.
    pub window: Vec<Line>,
    /// Inputs as int16.
    pub buffers: Buffers,
    /// A convolution's addend: a tensor as int16.
    pub addend: Vec<i16>,
    /// A convolution's addend: a requantized vector.
    pub vector: Vec<i32>,
    /// A normalization's sums and factors.
    pub norm: group_norm::Scratch,
    /// An attention's keys, values and probabilities.
    pub attention: attention::Scratch,
    /// What f16 models read.
    pub float: float::Scratch,
}
