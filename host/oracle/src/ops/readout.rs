//! A convolution with weights by group of timesteps.

use super::conv::{Filter, Record};
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::TensorId;
use crate::file::weights;
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "readout",
    read: |r, file| Some(Box::new(Readout::read(r, file)?)),
};

#[derive(Debug)]
struct Readout {
    record: Record,
    /// The first timestep of each group.
    first: Vec<u32>,
    /// The weights of each group.
    filters: Vec<Filter>,
}

impl Readout {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let record = Record::read(r, file)?;
        let (first, groups) = (r.at()?, usize::from(r.u16()?));
        Some(Self {
            first: weights::uint32(file, first, groups)?,
            filters: record.filters(file, groups)?,
            record,
        })
    }

    /// The weights of the group that a timestep belongs to.
    fn filter(&self, time_q16: u32) -> Option<&Filter> {
        let begun = self.first.iter().filter(|first| **first <= time_q16 / 65_536).count();
        self.filters.get(begun.checked_sub(1)?)
    }
}

impl Operator for Readout {
    fn out(&self) -> TensorId {
        self.record.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let filter = self.filter(at.call.time_q16)?;
        self.record.integer(filter, &self.record.source.integer(at)?, at)
    }

    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let filter = self.filter(at.call.time_q16)?;
        self.record.float(filter, &self.record.source.float(at)?, at)
    }
}
