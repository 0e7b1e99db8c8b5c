//! SiLU alone.

use mote_runtime::internals::ops::Silu;

use super::{Built, DeviceOp, Factor, Kernel, OnGpu};
use crate::builder::Builder;
use crate::records::records;

records! {
    /// Of SiLU.
    Fields in C "SiluFields" {
        /// From the input's unit to Q16.
        to_q16: Factor,
        /// From Q16 to the output's unit.
        from_q16: Factor,
    }
}

impl OnGpu for Silu {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = DeviceOp {
            first: b.tensor(self.src)?,
            ..b.op(self.out)?
        };
        let op = op.with(&Fields {
            to_q16: self.in_requant.into(),
            from_q16: self.out_requant.into(),
        });
        Some(vec![Built::new(Kernel::Silu, op.out.len(), op)])
    }
}
