//! Changes of size, which have no record of their own.

use mote_runtime::internals::ops::{AvgPool, Upsample};

use super::{Built, DeviceOp, Kernel, OnGpu};
use crate::builder::Builder;

impl OnGpu for Upsample {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = DeviceOp {
            first: b.tensor(self.src)?,
            ..b.op(self.out)?
        };
        Some(vec![Built::new(Kernel::Upsample, op.out.len(), op)])
    }
}

impl OnGpu for AvgPool {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = DeviceOp {
            first: b.tensor(self.src)?,
            ..b.op(self.out)?
        };
        Some(vec![Built::new(Kernel::AvgPool, op.out.len(), op)])
    }
}
