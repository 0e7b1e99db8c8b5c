//! Attention over positions.

use mote_runtime::internals::ops::Attention;

use super::{Built, DeviceOp, Factor, Kernel, Layer, OnGpu, warps};
use crate::builder::Builder;
use crate::records::records;

records! {
    /// Of an attention.
    Fields in C "AttentionFields" {
        /// Heads.
        heads: u32,
        /// From the dot product to Q16 in units of log2.
        score: Factor,
        /// From Q15 probabilities times values to the output's unit.
        factor: Factor,
        /// Factor of scores in f16 models.
        scale: f32,
    }
}

impl OnGpu for Attention {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = DeviceOp {
            first: b.tensor(self.q)?,
            second: b.tensor(self.k)?,
            third: b.tensor(self.v)?,
            ..b.op(self.out)?
        };
        let op = op.with(&Fields {
            heads: self.heads.into(),
            score: Factor {
                mult: self.score.mult,
                shift: self.score.shift.into(),
            },
            factor: self.out_requant.into(),
            scale: self.scale,
        });
        let kernel = if b.is_float() {
            Kernel::AttentionF16
        } else {
            Kernel::Attention
        };
        let built = Built::new(kernel, warps(op.out.positions() * u64::from(self.heads)), op);
        let layer = Layer {
            scores: op.out.positions() as u32,
            ..built.layer
        };
        Some(vec![Built { layer, ..built }])
    }
}
