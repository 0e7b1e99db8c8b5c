//! What integer and f16 models run alike: shapes, and operators that only move numbers.

use super::Call;
use super::regions::Regions;
use crate::blob::io::slot;
use crate::blob::model::Model;
use crate::blob::op::{At, Conv, Readout};
use crate::features::Feature;
use crate::kernels::conv::Geometry;
use crate::kernels::pointwise;
use crate::kernels::view::ViewMut;

/// Shapes of a convolution from the records.
pub(super) fn geometry(c: &Conv, r: &Regions<'_, '_>) -> Geometry {
    let (input, out) = (r.tensor(slot::FIRST), r.out());
    Geometry {
        input: [input.rows.into(), input.cols.into()],
        output: [out.rows.into(), out.cols.into()],
        outs: out.channels.into(),
        kernel: c.kernel.into(),
        stride: c.stride.into(),
        pad: [c.pad[0].into(), c.pad[1].into()],
        upsample: c.upsample,
    }
}

/// Which rows of a convolution's tables it uses.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// Group of timesteps.
    pub group: usize,
    /// Number of groups.
    pub groups: usize,
}

impl Rows {
    /// Those of a convolution that has no others.
    pub(super) const ALL: Self = Self { group: 0, groups: 1 };

    /// The group that the call's timestep belongs to.
    pub(super) fn of(model: &Model<'_>, call: &Call<'_>, readout: &Readout) -> Option<Self> {
        Feature::Chain.built()?;
        let groups = usize::from(readout.groups);
        let first = model.table::<u32>(readout.first, groups)?;
        let group = first
            .partition_point(|&first| first <= call.timestep())
            .checked_sub(1)?;
        Some(Self { group, groups })
    }

    /// The group's `count` of a table that has as many for each.
    pub(super) fn table<'m, T: bytemuck::AnyBitPattern>(
        self,
        model: &Model<'m>,
        at: At,
        count: usize,
    ) -> Option<&'m [T]> {
        let skipped = self.group * count * size_of::<T>();
        model.table(At(at.0.checked_add(skipped as u32)?), count)
    }
}

/// Whether an addend is one value a channel: it has one position where the output has more.
pub(super) fn is_vector(r: &Regions<'_, '_>) -> bool {
    r.tensor(slot::THIRD).positions() == 1
}

/// Row `class` of the embedding table at `table`, whose numbers are `T` as they are stored.
pub(super) fn class_embed<T: bytemuck::AnyBitPattern + Into<i32>>(
    model: &Model<'_>,
    call: &Call<'_>,
    table: At,
    r: &Regions<'_, '_>,
    out: &mut ViewMut<'_>,
) -> Option<()> {
    Feature::Class.built()?;
    let dim = usize::from(r.out().channels);
    let table = model.table::<T>(table, usize::from(model.header().classes) * dim)?;
    let row = table.get(usize::from(call.class) * dim..)?;
    row.iter()
        .take(dim)
        .enumerate()
        .for_each(|(i, &v)| out.put(i, v.into()));
    Some(())
}

/// Each position four times.
pub(super) fn upsample(r: &mut Regions<'_, '_>, out: &mut ViewMut<'_>) -> Option<()> {
    Feature::Resample.built()?;
    let (view, t) = (r.view(slot::FIRST)?, r.tensor(slot::FIRST));
    let size = [t.rows.into(), t.cols.into()];
    pointwise::upsample(&view, size, t.channels.into(), out);
    Some(())
}
