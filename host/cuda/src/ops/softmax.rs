//! Softmax over the channels of each position.

use mote_runtime::internals::ops::Softmax;

use super::{Built, DeviceOp, Factor, Kernel, OnGpu};
use crate::builder::Builder;
use crate::records::records;

records! {
    /// Of softmax.
    Fields in C "SoftmaxFields" {
        /// From the input's unit to Q16 in units of log2.
        factor: Factor,
    }
}

impl OnGpu for Softmax {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = DeviceOp {
            first: b.tensor(self.src)?,
            ..b.op(self.out)?
        };
        let op = op.with(&Fields {
            factor: self.in_requant.into(),
        });
        Some(vec![Built::new(Kernel::Softmax, op.out.positions(), op)])
    }
}
