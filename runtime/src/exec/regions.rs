//! The memory of one operator as disjoint typed views, without unsafe code.

use core::ops::Range;

use crate::blob::model::Model;
use crate::blob::op::{Io, Source};
use crate::blob::tensor::{Tensor, TensorId};
use crate::kernels::view::{Operand, View, ViewMut};

/// Inputs, output and scratch of one operator.
pub struct Regions<'m, 'a> {
    model: &'m Model<'m>,
    ids: [Option<TensorId>; 4],
    inputs: [&'a [u8]; 4],
    in_place: Option<TensorId>,
    /// The output's record.
    pub out_tensor: Tensor,
    /// The output's bytes.
    out: &'a mut [u8],
    scratch: &'a mut [u8],
}

impl<'m, 'a> Regions<'m, 'a> {
    /// Splits `arena`; `None` when regions overlap, which validation has ruled out.
    pub fn new(model: &'m Model<'m>, io: &Io, arena: &'a mut [u8]) -> Option<Self> {
        let out_tensor = model.tensor(io.out)?;
        let mut in_place = None;
        let mut range = |id: Option<TensorId>| -> Option<Range<usize>> {
            let Some(id) = id else { return Some(0..0) };
            let range = model.tensor(id)?.range();
            if range == out_tensor.range() {
                in_place = Some(id);
                return Some(0..0);
            }
            Some(range)
        };
        let [a, b, c, d] = [
            range(io.inputs[0])?,
            range(io.inputs[1])?,
            range(io.inputs[2])?,
            range(io.inputs[3])?,
        ];
        let scratch = match io.scratch {
            Some(id) => model.tensor(id)?.range(),
            None => 0..0,
        };
        let [a, b, c, d, out, scratch] = arena.get_disjoint_mut([a, b, c, d, out_tensor.range(), scratch]).ok()?;
        Some(Self {
            model,
            ids: io.inputs,
            inputs: [a, b, c, d],
            in_place,
            out_tensor,
            out,
            scratch,
        })
    }

    /// An input's record.
    pub fn tensor(&self, id: TensorId) -> Option<Tensor> {
        self.model.tensor(id)
    }

    /// An input that does not share the output's memory.
    pub fn view(&self, id: TensorId) -> Option<View<'a>> {
        let slot = self.ids.iter().position(|i| *i == Some(id))?;
        // The slices are only read from here on, so they may be handed out as shared.
        View::new(&self.tensor(id)?, self.inputs[slot])
    }

    /// An input that may share the output's memory.
    pub fn operand(&self, id: TensorId) -> Option<Operand<'a>> {
        if self.in_place == Some(id) {
            return Some(Operand::InPlace {
                zero: self.tensor(id)?.zero_point.into(),
            });
        }
        self.view(id).map(Operand::Apart)
    }

    /// The parts of a source: views, channels, and whether there are two.
    pub fn parts(&self, source: &Source) -> Option<([(View<'a>, usize); 2], usize)> {
        let part = |id: TensorId| Some((self.view(id)?, usize::from(self.tensor(id)?.channels)));
        let first = part(source.first)?;
        match source.second {
            Some((id, _)) => Some(([first, part(id)?], 2)),
            None => Some(([first, first], 1)),
        }
    }

    /// The output once it is written.
    pub fn written(self) -> Option<View<'a>> {
        View::new(&self.out_tensor, self.out)
    }

    /// The output and the scratch memory.
    pub fn output<T: bytemuck::Pod>(&mut self) -> Option<(ViewMut<'_>, &mut [T])> {
        let out = ViewMut::new(&self.out_tensor, self.out)?;
        let whole = self.scratch.len() / size_of::<T>() * size_of::<T>();
        let scratch = bytemuck::try_cast_slice_mut(self.scratch.get_mut(..whole)?).ok()?;
        Some((out, scratch))
    }
}
