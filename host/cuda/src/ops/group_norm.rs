//! Group normalization.

use mote_runtime::internals::ops::GroupNorm;

use super::{Built, DeviceOp, Factor, Kernel, OnGpu, warps};
use crate::builder::Builder;
use crate::records::records;

records! {
    /// Of a group normalization.
    Fields in C "GroupNormFields" {
        /// Epsilon of integer models.
        eps_q: u64,
        /// Gamma, then beta, a word a channel.
        affine: u32,
        /// Groups.
        groups: u32,
        /// Whether SiLU follows.
        silu: u32,
        /// Fraction bits of gamma.
        gamma_frac: u32,
        /// Factor of scale and shift to Q16.
        vector: Factor,
        /// From Q16 to the output's unit.
        factor: Factor,
        /// Epsilon of f16 models.
        eps: f32,
        /// Nothing.
        pad: u32,
    }
}

impl OnGpu for GroupNorm {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let mut op = b.op(self.out)?;
        b.source(&self.source, &mut op)?;
        let mut vector = Factor::default();
        if let Some((id, requant)) = self.scale_shift {
            op = DeviceOp {
                third: b.tensor(id)?,
                has_third: 1,
                ..op
            };
            vector = requant.into();
        }
        let op = op.with(&Fields {
            eps_q: self.eps_q,
            affine: b.table::<u32>(self.affine, 2 * op.out.channels as usize)?,
            groups: self.groups.into(),
            silu: self.silu.into(),
            gamma_frac: self.gamma_frac.into(),
            vector,
            factor: self.out_requant.into(),
            eps: self.eps,
            pad: 0,
        });
        let kernel = if b.is_float() {
            Kernel::GroupNormF16
        } else {
            Kernel::GroupNorm
        };
        Some(vec![Built::new(kernel, warps(self.groups.into()), op)])
    }
}
