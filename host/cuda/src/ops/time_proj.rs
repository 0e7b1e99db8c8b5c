//! Sinusoidal features of the timestep.

use mote_runtime::internals::ops::TimeProj;

use super::{Built, Kernel, OnGpu};
use crate::builder::Builder;
use crate::records::records;

records! {
    /// Of timestep features.
    Fields in C "TimeProjFields" {
        /// Turns a timestep: u32 of half as many as there are channels.
        phases: u32,
        /// Whether cosines come first.
        cos_first: u32,
    }
}

impl OnGpu for TimeProj {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = b.op(self.out)?;
        let phases = b.table::<u32>(self.phases, op.out.channels as usize / 2)?;
        let op = op.with(&Fields {
            phases,
            cos_first: self.cos_first.into(),
        });
        Some(vec![Built::new(Kernel::TimeProj, op.out.len() / 2, op)])
    }
}
