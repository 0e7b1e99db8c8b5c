//! The operators of the float graph that have kernels here, and the records that those kernels read.
//!
//! The GPU is opt-in: `on_gpu!` lists the operators, and a graph with another one is refused by that operator's name.
//! `kernels/network/network_ops.cuh` is written from the records and from the kinds of the pointwise kernel.

mod attention;
mod conv;
mod group_norm;
mod pointwise;

use bytemuck::NoUninit;
use mote_graph::graph::Op;

use super::fuse::KernelWork;
use super::program::Writing;
use crate::CudaError;
use crate::records::records;

records! {
    /// An activation of shape (row, col, channel).
    NetworkTensor in C "NetworkTensor" {
        /// Byte in a sample's arena.
        offset: u32,
        /// Extents.
        rows: u32,
        /// Extents.
        cols: u32,
        /// Extents.
        channels: u32,
        /// Whether it is stored in f16, else in f32.
        half: u32,
    }

    /// An operator: what kernels of all kinds read alike, and a record of its own kind.
    NetworkOp in C "NetworkOp" {
        /// What it makes.
        out: NetworkTensor,
        /// The input.
        first: NetworkTensor,
        /// The second input, or what is added.
        second: NetworkTensor,
        /// Kind of a pointwise operator.
        kind: u32,
        /// The record of its kind.
        fields: [u32; 12],
    }
}

impl NetworkTensor {
    /// Rows times columns.
    pub(super) fn positions(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }

    /// Elements.
    pub(super) fn len(&self) -> u64 {
        self.positions() * u64::from(self.channels)
    }
}

impl NetworkOp {
    /// With the record of its kind.
    fn with<T: NoUninit>(mut self, fields: &T) -> Self {
        const { assert!(size_of::<T>() <= size_of::<[u32; 12]>() && align_of::<T>() <= align_of::<u32>()) };
        bytemuck::bytes_of_mut(&mut self.fields)[..size_of::<T>()].copy_from_slice(bytemuck::bytes_of(fields));
        self
    }
}

/// An operator of the float graph that has kernels here.
trait OnGpu {
    /// Writes what kernels run for `step`; `op` has its output and its first two inputs.
    fn write(&self, step: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError>;
}

macro_rules! on_gpu {
    ($($op:ident,)*) => {
        /// Writes what kernels run for a step.
        pub(super) fn write(step: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
            match &step.node.op {
                $(Op::$op(node) => node.write(step, op, to),)*
                // What is not in the list.
                other => Err(CudaError::Unsupported(other.name())),
            }
        }

    };
}

on_gpu! {
    Sample,
    TimeProj,
    ClassEmbed,
    Affine,
    Silu,
    Add,
    AddChannel,
    ScaleShift,
    Concat,
    Upsample2,
    AvgPool2,
    Norm,
    Attention,
    Conv,
}

pub(super) use pointwise::output;

/// The text of `kernels/network/network_ops.cuh`.
#[must_use]
pub fn in_c() -> String {
    let records = [
        NetworkTensor::in_c(),
        NetworkOp::in_c(),
        pointwise::in_c(),
        group_norm::Fields::in_c(),
        attention::Fields::in_c(),
        conv::Fields::in_c(),
    ];
    let fields = "// The record of an operator's kind.\ntemplate <typename T> INLINE const T &fields_of(const NetworkOp &op) {\n    static_assert(sizeof(T) <= sizeof(op.fields), \"a record that an operator has no room for\");\n    return *(const T *)op.fields;\n}\n";
    format!(
        "// Operators as the host writes them: host/cuda/src/network/ops. A test writes this file:\n\
         // MOTE_UPDATE_TABLES=1 cargo test --release -p mote-tests --test cuda records\n\
         #pragma once\n#include \"types.cuh\"\n\n{}\n{fields}",
        records.join("\n"),
    )
}
