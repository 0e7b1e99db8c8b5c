//! The sampler's state, brought to the network's input format.

use mote_runtime::internals::ops::Input;

use super::{Built, Factor, Kernel, OnGpu};
use crate::builder::Builder;
use crate::records::records;

records! {
    /// Of an input.
    Fields in C "InputFields" {
        /// From Q24 to the output's unit.
        factor: Factor,
        /// Added after it.
        offset: i32,
        /// Factor of f16 models.
        scale: f32,
        /// Added after it in f16 models.
        shift: f32,
    }
}

impl OnGpu for Input {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = b.op(self.out)?.with(&Fields {
            factor: self.requant.into(),
            offset: self.offset,
            scale: self.scale,
            shift: self.shift,
        });
        Some(vec![Built::new(Kernel::Input, op.out.len(), op)])
    }
}
