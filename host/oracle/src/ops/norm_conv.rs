//! A normalization inside the one convolution that reads it: the numbers of the two, one after the other. Integer models alone have it.

use super::conv::{Filter, Record};
use super::group_norm::GroupNorm;
use super::{Context, Kind, Operator};
use crate::file::File;
use crate::file::reader::Reader;
use crate::file::tensor::{Tensor, TensorId};
use crate::planes::Planes;

pub const KIND: Kind = Kind {
    name: "norm_conv",
    read: |r, file| Some(Box::new(NormConv::read(r, file)?)),
};

#[derive(Debug)]
struct NormConv {
    norm: GroupNorm,
    /// The record of what lies between the two; a device keeps only some of its rows at a time.
    window: Tensor,
    conv: Record,
    filter: Filter,
}

impl NormConv {
    fn read(r: &mut Reader<'_>, file: &File<'_>) -> Option<Self> {
        let norm = GroupNorm::read(r, file)?;
        let shape = norm.source.shape(file)?;
        let window = file.tensor(norm.out)?;
        let conv = Record::read_behind(r, file, norm.out, shape)?;
        let filter = conv.filters(file, 1)?.pop()?;
        Some(Self {
            norm,
            window,
            conv,
            filter,
        })
    }
}

impl Operator for NormConv {
    fn out(&self) -> TensorId {
        self.conv.out
    }

    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>> {
        let between = Context {
            out: self.window,
            ..*at
        };
        let normalized = self.norm.integer(&between)?;
        self.conv.integer(&self.filter, &normalized, at)
    }

    fn float(&self, _: &Context<'_>) -> Option<Planes<i64>> {
        None
    }
}
