//! Group normalization, a warp a group.

use mote_graph::graph::ops;

use super::{NetworkOp, OnGpu};
use crate::CudaError;
use crate::network::fuse::Step;
use crate::network::launches::Kernel;
use crate::network::program::Writing;
use crate::records::records;

records! {
    /// Of a group normalization.
    Fields in C "NetworkNorm" {
        /// f32 a channel.
        gamma: u32,
        /// f32 a channel.
        beta: u32,
        /// Groups.
        groups: u32,
        /// Whether SiLU follows.
        silu: u32,
        /// Epsilon.
        eps: f32,
    }
}

impl OnGpu for ops::GroupNorm {
    fn write(&self, step: &Step<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let fields = Fields {
            gamma: to.vector(Some(&self.weight), 0),
            beta: to.vector(Some(&self.bias), 0),
            groups: self.groups as u32,
            silu: step.silu.into(),
            eps: self.eps as f32,
        };
        to.push(Kernel::Norm(self.groups as u64), op.with(&fields));
        Ok(())
    }
}
