//! Some rows of an activation, or of two that follow each other: what [`crate::plan::bands`] puts between the bands of a picture.

use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;

use super::{Operator, OutputFormat};
use crate::emit::Emitter;
use crate::program::SlotId;

/// Row `i` is row `from + i` of the first input's rows with the second's below them.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// One input, or two of the same width, channels and format.
    pub source: Vec<SlotId>,
    /// The first row that is taken.
    pub from: usize,
}

impl Operator for Band {
    fn inputs(&self) -> Vec<SlotId> {
        self.source.clone()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        self.source.iter_mut().collect()
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::SameAs(self.source[0])
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        Record::Band(record::Band {
            first: e.id(self.source[0]),
            second: self.source.get(1).map(|slot| e.id(*slot)),
            out: e.id(out),
            from: self.from as u16,
        })
    }
}
