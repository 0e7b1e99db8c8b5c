//! Attention, a warp a query of a head.

use mote_graph::graph::ops;

use super::{NetworkOp, NetworkTensor, OnGpu};
use crate::CudaError;
use crate::network::fuse::KernelWork;
use crate::network::launches::Kernel;
use crate::network::program::Writing;
use crate::records::records;

records! {
    /// Of an attention, whose first inputs are queries and keys.
    Fields in C "NetworkAttention" {
        /// The third input.
        values: NetworkTensor,
        /// Heads.
        heads: u32,
        /// What scores are divided by.
        divisor: f32,
    }
}

impl OnGpu for ops::Attention {
    fn write(&self, step: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let values = step.inputs.get(2).ok_or(CudaError::Model)?;
        let depth = op.out.channels as usize / self.heads;
        let fields = Fields {
            values: to.tensor(*values),
            heads: self.heads as u32,
            divisor: (depth as f64).sqrt() as f32,
        };
        let positions = op.out.positions();
        if fields.values.positions() != positions {
            return Err(CudaError::Unsupported("Attention over other positions than its own"));
        }
        let kernel = Kernel::Attention {
            queries: positions * self.heads as u64,
            positions: positions as u32,
        };
        to.push(kernel, op.with(&fields));
        Ok(())
    }
}
