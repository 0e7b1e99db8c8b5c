//! A row of the class table.

use mote_runtime::internals::ops::ClassEmbed;

use super::{Built, Kernel, OnGpu};
use crate::builder::Builder;
use crate::records::records;

records! {
    /// Of a class embedding.
    Fields in C "ClassEmbedFields" {
        /// i16 or f16 (class, channel).
        table: u32,
    }
}

impl OnGpu for ClassEmbed {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let op = b.op(self.out)?;
        let rows = usize::from(b.model().header().classes);
        let table = b.table::<u16>(self.table, rows * op.out.channels as usize)?;
        let op = op.with(&Fields { table });
        Some(vec![Built::new(Kernel::ClassEmbed, op.out.len(), op)])
    }
}
