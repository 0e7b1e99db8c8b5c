//! The memory of one operator as disjoint typed views, without unsafe code.

use core::ops::Range;

use crate::blob::model::Model;
use crate::blob::op::{Io, Source};
use crate::blob::tensor::{Tensor, TensorId};
use crate::features::Feature;
use crate::kernels::view::{Operand, View, ViewMut};

/// Inputs, output and scratch of one operator.
pub struct Regions<'m, 'a> {
    model: &'m Model<'m>,
    ids: &'m [Option<TensorId>; 4],
    inputs: [&'a [u8]; 4],
    in_place: Option<TensorId>,
    /// The output's record.
    pub out_tensor: Tensor,
    /// The output's bytes.
    out: &'a mut [u8],
    scratch: &'a mut [u8],
    window: &'a mut [u8],
}

impl<'m, 'a> Regions<'m, 'a> {
    /// Splits `arena`; `None` when regions overlap, which validation has ruled out.
    #[inline(never)]
    pub fn new(model: &'m Model<'m>, io: &'m Io, arena: &'a mut [u8]) -> Option<Self> {
        let out_tensor = model.known(io.out);
        let [a, b, c, d] = io.inputs;
        let window = io.window.filter(|_| Feature::NormConv.is_built());
        let mut ranges = [const { 0..0 }; 7];
        let mut in_place = None;
        let whole = out_tensor.range();
        for (slot, id) in [a, b, c, d, None, io.scratch, window].into_iter().enumerate() {
            let Some(id) = id else { continue };
            let range = model.known(id).range();
            if slot < 4 && range == whole {
                in_place = Some(id);
            } else {
                ranges[slot] = range;
            }
        }
        ranges[4] = whole;
        let [a, b, c, d, out, scratch, window] = disjoint(arena, ranges)?;
        Some(Self {
            model,
            ids: &io.inputs,
            inputs: [a, b, c, d],
            in_place,
            out_tensor,
            out,
            scratch,
            window,
        })
    }

    /// An input's record.
    pub fn tensor(&self, id: TensorId) -> Tensor {
        self.model.known(id)
    }

    /// An input that does not share the output's memory.
    pub fn view(&self, id: TensorId) -> Option<View<'a>> {
        let slot = self.ids.iter().position(|i| *i == Some(id))?;
        // The slices are only read from here on, so they may be handed out as shared.
        View::new(&self.tensor(id), self.inputs[slot])
    }

    /// An input that may share the output's memory.
    pub fn operand(&self, id: TensorId) -> Option<Operand<'a>> {
        if self.in_place == Some(id) {
            return Some(Operand::InPlace {
                zero: self.tensor(id).zero_point.into(),
            });
        }
        self.view(id).map(Operand::Apart)
    }

    /// The parts of a source: views, channels, and whether there are two.
    #[inline(never)]
    pub fn parts(&self, source: &Source) -> Option<([(View<'a>, usize); 2], usize)> {
        let part = |id: TensorId| Some((self.view(id)?, usize::from(self.tensor(id).channels)));
        let first = part(source.first)?;
        match source.second {
            Some((id, _)) => Some(([first, part(id)?], 2)),
            None => Some(([first, first], 1)),
        }
    }

    /// The output and the scratch memory.
    pub fn output<T: bytemuck::Pod>(&mut self) -> Option<(ViewMut<'_>, &mut [T])> {
        let out = ViewMut::new(&self.out_tensor, self.out)?;
        let whole = self.scratch.len() / size_of::<T>() * size_of::<T>();
        let scratch = bytemuck::try_cast_slice_mut(self.scratch.get_mut(..whole)?).ok()?;
        Some((out, scratch))
    }

    /// The output, the scratch memory, and the window whose record this is.
    pub fn windowed(&mut self, window: &Tensor) -> Option<(ViewMut<'_>, &mut [u8], ViewMut<'_>)> {
        let out = ViewMut::new(&self.out_tensor, self.out)?;
        Some((out, self.scratch, ViewMut::new(window, self.window)?))
    }
}

/// The slices at `ranges`; `None` where two of them meet or one ends behind `bytes`. Empty ranges meet nothing.
fn disjoint<const N: usize>(bytes: &mut [u8], ranges: [Range<usize>; N]) -> Option<[&mut [u8]; N]> {
    /// The start of a range that is empty or done.
    const DONE: usize = usize::MAX;
    let mut slices: [&mut [u8]; N] = core::array::from_fn(|_| Default::default());
    let mut starts = ranges
        .each_ref()
        .map(|range| if range.is_empty() { DONE } else { range.start });
    let (mut rest, mut at) = (bytes, 0);
    loop {
        // The lowest that is left.
        let (mut slot, mut start) = (0, DONE);
        for (i, &next) in starts.iter().enumerate() {
            if next < start {
                (slot, start) = (i, next);
            }
        }
        if start == DONE {
            return Some(slices);
        }
        starts[slot] = DONE;
        let end = ranges[slot].end;
        let (_, from) = rest.split_at_mut_checked(start.checked_sub(at)?)?;
        (slices[slot], rest) = from.split_at_mut_checked(end - start)?;
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::disjoint;

    #[test]
    fn slices_are_those_of_the_ranges_and_never_meet() {
        let mut bytes: [u8; 10] = core::array::from_fn(|i| i as u8);
        let [a, b, c] = disjoint(&mut bytes, [6..10, 0..0, 1..4]).expect("apart");
        assert_eq!((&*a, &*b, &*c), (&[6, 7, 8, 9][..], &[][..], &[1, 2, 3][..]));
        let [a, b] = disjoint(&mut bytes, [3..6, 0..3]).expect("side by side");
        assert_eq!((&*a, &*b), (&[3, 4, 5][..], &[0, 1, 2][..]));
        assert!(disjoint(&mut bytes, [3..6, 5..7]).is_none());
        assert!(disjoint(&mut bytes, [0..10, 2..3]).is_none());
        assert!(disjoint(&mut bytes, [2..5, 2..5]).is_none());
        assert!(disjoint(&mut bytes, [9..11, 0..1]).is_none());
        assert!(disjoint(&mut bytes, [0..0, 4..4]).is_some());
    }
}
