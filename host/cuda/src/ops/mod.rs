//! The operators of model files that have kernels here, a file each: the record that their kernels read, and how it is built.
//!
//! The GPU is opt-in: `on_gpu!` lists the operators, and a model with another one is refused by that operator's name.
//! [`Kernel`] lists what they are run with; `kernels/ops.cuh` is written from it and from the records.

mod attention;
mod class_embed;
mod conv;
mod group_norm;
mod input;
mod norm_conv;
mod resample;
mod silu;
mod softmax;
mod time_proj;

use bytemuck::NoUninit;
use mote_runtime::internals::numeric::requant::Requant;
use mote_runtime::internals::ops::{Op, Operator};

use crate::CudaError;
use crate::builder::Builder;
use crate::records::records;

records! {
    /// A factor `mult * 2^-shift`.
    Factor in C "Factor" {
        /// Multiplier.
        mult: i32,
        /// Shift.
        shift: u32,
    }

    /// An activation of shape (row, col, channel).
    DeviceTensor in C "Tensor" {
        /// Byte in a sample's arena.
        offset: u32,
        /// Extents.
        rows: u32,
        /// Extents.
        cols: u32,
        /// Extents.
        channels: u32,
        /// Number format.
        dtype: u32,
        /// The integer that stands for 0.
        zero: i32,
    }

    /// An operator: what kernels of all kinds read alike, and a record of its own kind.
    DeviceOp in C "Op" {
        /// Number of the kernel that runs it.
        kernel: u32,
        /// Whether the model is of the float scheme.
        floats: u32,
        /// What it makes.
        out: DeviceTensor,
        /// The input; queries of an attention.
        first: DeviceTensor,
        /// Further channels of the input where 'parts' is 2; keys.
        second: DeviceTensor,
        /// Where 'has_third': a convolution's addend, a normalization's scale and shift; values.
        third: DeviceTensor,
        /// Activations of which the input is made.
        parts: u32,
        /// Whether there is a third activation.
        has_third: u32,
        /// The parts' factors to their common scale.
        join: [Factor; 2],
        /// The record of its kind.
        fields: [u64; 8],
    }
}

impl From<Requant> for Factor {
    fn from(r: Requant) -> Self {
        Self {
            mult: r.mult,
            shift: r.shift.into(),
        }
    }
}

impl DeviceTensor {
    /// Rows times columns.
    pub fn positions(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }

    /// Elements.
    pub fn len(&self) -> u64 {
        self.positions() * u64::from(self.channels)
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl DeviceOp {
    /// With the record of its kind.
    fn with<T: NoUninit>(mut self, fields: &T) -> Self {
        const { assert!(size_of::<T>() <= size_of::<[u64; 8]>() && align_of::<T>() <= align_of::<u64>()) };
        bytemuck::bytes_of_mut(&mut self.fields)[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(fields));
        self
    }
}

macro_rules! kernels {
    ($($(#[doc = $doc:literal])* $kernel:ident = $name:literal, $call:literal;)*) => {
        /// What runs an operator: a kernel of its own for all samples of a batch, and a case of the kernel that runs whole samples.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Kernel {
            $($(#[doc = $doc])* $kernel,)*
        }

        impl Kernel {
            /// Every kernel, its name and its call in C, by its number.
            pub const ALL: &[(Self, &'static str, &'static str)] = &[$((Self::$kernel, $name, $call),)*];

            /// The kernel's name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kernel => $name,)*
                }
            }
        }
    };
}

kernels! {
    /// The state to the network's input.
    Input = "input_layer", "input(op, site)";
    /// Features of the timestep.
    TimeProj = "time_proj_layer", "time_proj(run, op, site)";
    /// A row of the class table.
    ClassEmbed = "class_embed_layer", "class_embed(run, op, site)";
    /// SiLU.
    Silu = "silu_layer", "silu(op, site)";
    /// Convolution of bytes.
    ConvBytes = "conv_bytes_layer", "(conv<false, false, 4>(run, op, site))";
    /// Convolution of 16-bit inputs.
    ConvWords = "conv_words_layer", "(conv<true, false, 4>(run, op, site))";
    /// Convolution with 16-bit weights.
    ConvWide = "conv_wide_layer", "(conv<true, true, 2>(run, op, site))";
    /// Convolution in f16.
    ConvF16 = "conv_f16_layer", "conv_f16(run, op, site)";
    /// Group normalization in integers.
    GroupNorm = "group_norm_layer", "group_norm(run, op, site)";
    /// Group normalization in f16.
    GroupNormF16 = "group_norm_f16_layer", "group_norm_f16(run, op, site)";
    /// Attention in integers.
    Attention = "attention_layer", "attention(op, site)";
    /// Attention in f16.
    AttentionF16 = "attention_f16_layer", "attention_f16(op, site)";
    /// Each position four times.
    Upsample = "upsample_layer", "upsample(op, site)";
    /// Means of four positions.
    AvgPool = "avg_pool_layer", "avg_pool(op, site)";
    /// Softmax over channels.
    Softmax = "softmax_layer", "softmax(op, site)";
    /// Two activations on their common scale.
    Join = "join_layer", "join(op, site)";
}

/// Which kernel runs an operator, and over how many threads a sample its work goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// The kernel.
    pub kernel: Kernel,
    /// Threads that have work, a sample.
    pub threads: u64,
    /// Positions whose scores every warp holds in shared memory.
    pub scores: u32,
}

/// An operator with its layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Built {
    pub op: DeviceOp,
    pub layer: Layer,
}

impl Built {
    /// Run by `kernel` over so many threads a sample.
    fn new(kernel: Kernel, threads: u64, op: DeviceOp) -> Self {
        Self {
            op: DeviceOp {
                kernel: kernel as u32,
                ..op
            },
            layer: Layer {
                kernel,
                threads,
                scores: 0,
            },
        }
    }
}

/// Threads of so many warps.
fn warps(count: u64) -> u64 {
    32 * count
}

/// An operator of a model file that has kernels here.
trait OnGpu: Operator {
    /// What kernels run for it, in order; the last makes the operator's output. `None` where its record names what is not there.
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>>;

    /// What it is, where it has no kernels though others of its kind have.
    fn refused(&self) -> Option<&'static str> {
        None
    }
}

macro_rules! on_gpu {
    ($($op:ident,)*) => {
        /// Names of the kinds that have kernels.
        pub const ON_GPU: &[&str] = &[$(<mote_runtime::internals::ops::$op as Operator>::NAME,)*];

        /// What kernels run for an operator of the file.
        pub(crate) fn build(op: &Op, b: &mut Builder<'_>) -> Result<Vec<Built>, CudaError> {
            match op {
                $(Op::$op(record) => match record.refused() {
                    Some(what) => Err(CudaError::Operator(what)),
                    None => record.build(b).ok_or(CudaError::Model),
                },)*
                // What is not in the list.
                #[allow(unreachable_patterns, reason = "a list may hold every operator there is")]
                other => Err(CudaError::Operator(other.kind())),
            }
        }
    };
}

on_gpu! {
    Input,
    TimeProj,
    ClassEmbed,
    Silu,
    Conv,
    GroupNorm,
    Attention,
    Upsample,
    AvgPool,
    NormConv,
    Readout,
    Softmax,
}

/// The text of `kernels/ops.cuh`.
#[must_use]
pub fn in_c() -> String {
    let records = [
        Factor::in_c(),
        DeviceTensor::in_c(),
        DeviceOp::in_c(),
        input::Fields::in_c(),
        time_proj::Fields::in_c(),
        class_embed::Fields::in_c(),
        silu::Fields::in_c(),
        conv::Fields::in_c(),
        group_norm::Fields::in_c(),
        attention::Fields::in_c(),
        softmax::Fields::in_c(),
    ];
    let kernels = Kernel::ALL.iter();
    let kernels: Vec<String> = kernels
        .map(|(kernel, name, call)| format!("    KERNEL({}, {name}, {call})", *kernel as u32))
        .collect();
    let fields = "// The record of an operator's kind.\ntemplate <typename T> INLINE const T &fields_of(const Op &op) {\n    static_assert(sizeof(T) <= sizeof(op.fields), \"a record that an operator has no room for\");\n    return *(const T *)op.fields;\n}\n";
    format!(
        "// Operators as the host writes them: host/cuda/src/ops. A test writes this file:\n\
         // MOTE_UPDATE_TABLES=1 cargo test --release -p mote-tests --test cuda records\n\
         #pragma once\n#include \"types.cuh\"\n\n{}\n{fields}\n\
         // Number, name and call of every kernel of an operator.\n#define KERNELS(KERNEL) \\\n{}\n",
        records.join("\n"),
        kernels.join(" \\\n"),
    )
}
