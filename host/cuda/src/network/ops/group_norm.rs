//! Group normalization, a warp a group.

use mote_graph::graph::ops;

use super::{NetworkOp, OnGpu};
use crate::CudaError;
use crate::network::fuse::KernelWork;
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

/// The groups of a normalization that the kernel knows.
fn groups(norm: &ops::Norm) -> Option<usize> {
    match norm.over {
        ops::Over::Groups(groups) if norm.centred && norm.floor == 0.0 => Some(groups),
        _ => None,
    }
}

impl OnGpu for ops::Norm {
    fn write(&self, step: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let (Some(groups), Some(gamma), Some(beta)) = (groups(self), &self.gamma, &self.beta) else {
            return Err(CudaError::Unsupported("a Norm that is no GroupNorm"));
        };
        let fields = Fields {
            gamma: to.vector(Some(gamma), 0),
            beta: to.vector(Some(beta), 0),
            groups: groups as u32,
            silu: step.silu.into(),
            eps: self.eps as f32,
        };
        to.push(Kernel::Norm(groups as u64), op.with(&fields));
        Ok(())
    }
}
