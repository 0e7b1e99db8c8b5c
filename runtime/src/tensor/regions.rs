//! The memory of one operator as disjoint typed views, without unsafe code.

use core::ops::Range;

use super::slots::{Slots, slot};
use super::view::{Operand, View, ViewMut};
use super::{Record, Tensor, record};
use crate::features::MODULATES;

/// Inputs, output and scratch of one operator, by [`slot`].
pub struct Regions<'m, 'a> {
    records: [Option<&'m Record>; slot::COUNT],
    /// What was not yet given away.
    memory: [Option<&'a mut [u8]>; slot::COUNT],
    /// Slot of the input that has the output's memory; [`slot::OUT`] where none has.
    in_place: usize,
}

impl<'m, 'a> Regions<'m, 'a> {
    /// Of no operator: zeros, to be filled in where they are.
    pub const NONE: Self = Self {
        records: [None; slot::COUNT],
        memory: [const { None }; slot::COUNT],
        in_place: slot::OUT,
    };

    /// Splits `arena` into the memory of the tensors in `slots`, whose records are in `table`. A region that
    /// overlaps another, which validation has ruled out, gets no memory.
    #[inline(never)]
    pub fn find(&mut self, table: &'m [Record], slots: &Slots, arena: &'a mut [u8]) {
        let mut ranges = [const { 0..0 }; slot::COUNT];
        for slot in 0..slot::COUNT {
            let Some(record) = record(table, slots.tensors[slot]) else {
                continue;
            };
            self.records[slot] = Some(record);
            let range = if MODULATES {
                Tensor::range_of(record)
            } else {
                Tensor::known(record).range()
            };
            if slot >= slot::FIRST && range == ranges[slot::OUT] {
                self.in_place = slot;
            } else {
                ranges[slot] = range;
            }
        }
        disjoint(arena, &ranges, &mut self.memory);
    }

    /// The output's record.
    pub fn out(&self) -> Tensor {
        self.tensor(slot::OUT)
    }

    /// The record in a slot.
    #[inline(never)]
    pub fn tensor(&self, slot: usize) -> Tensor {
        Tensor::known(self.records.get(slot).copied().flatten().unwrap_or(&Tensor::NONE))
    }

    /// The memory of a slot, as large as its record says. It is there once.
    #[inline(never)]
    fn bytes(&mut self, slot: usize) -> Option<&'a mut [u8]> {
        let len = self.tensor(slot).bytes();
        self.memory.get_mut(slot)?.take().filter(|bytes| bytes.len() == len)
    }

    /// The memory of a slot in its number format. It is there once.
    #[inline(never)]
    fn typed(&mut self, slot: usize) -> Option<ViewMut<'a>> {
        if !MODULATES {
            return ViewMut::new(&self.tensor(slot), self.bytes(slot)?);
        }
        let tensor = self.tensor(slot);
        let bytes = self
            .memory
            .get_mut(slot)?
            .take()
            .filter(|bytes| bytes.len() == tensor.bytes())?;
        ViewMut::new(&tensor, bytes)
    }

    /// An input that does not share the output's memory. It is there once.
    pub fn view(&mut self, slot: usize) -> Option<View<'a>> {
        self.typed(slot).map(ViewMut::into_view)
    }

    /// An input that may share the output's memory. It is there once.
    #[inline(never)]
    pub fn operand(&mut self, slot: usize) -> Option<Operand<'a>> {
        if self.in_place == slot {
            return Some(Operand::InPlace {
                zero: self.tensor(slot).zero_point.into(),
            });
        }
        self.view(slot).map(Operand::Apart)
    }

    /// The output. It is there once.
    pub fn output(&mut self) -> Option<ViewMut<'a>> {
        self.typed(slot::OUT)
    }

    /// The window. It is there once.
    pub fn window(&mut self) -> Option<ViewMut<'a>> {
        self.typed(slot::WINDOW)
    }

    /// The scratch memory. It is there once.
    pub fn scratch<T: bytemuck::Pod>(&mut self) -> Option<&'a mut [T]> {
        bytemuck::try_cast_slice_mut(self.bytes(slot::SCRATCH)?).ok()
    }
}

/// Gives `slices` those of `bytes` at `ranges`, from the lowest up to one that meets another or ends behind `bytes`. Empty ranges
/// meet nothing.
fn disjoint<'a, const N: usize>(
    bytes: &'a mut [u8],
    ranges: &[Range<usize>; N],
    slices: &mut [Option<&'a mut [u8]>; N],
) {
    // The lowest first; there are few.
    let (mut order, mut count) = ([0; N], 0);
    for (i, range) in ranges.iter().enumerate().filter(|(_, range)| !range.is_empty()) {
        let mut place = count;
        while let Some((before, [other, own])) = pair(&mut order, place) {
            if ranges.get(*other).is_none_or(|other| other.start <= range.start) {
                break;
            }
            (*own, place) = (*other, before);
        }
        if let Some(own) = order.get_mut(place) {
            *own = i;
        }
        count += 1;
    }
    let (mut rest, mut at) = (bytes, 0);
    for &i in order.get(..count).unwrap_or_default() {
        let (Some(range), Some(slice)) = (ranges.get(i), slices.get_mut(i)) else {
            return;
        };
        let gap = range.start.checked_sub(at);
        let from = gap.and_then(|gap| rest.split_at_mut_checked(gap));
        let Some((own, after)) = from.and_then(|(_, from)| from.split_at_mut_checked(range.len())) else {
            return;
        };
        *slice = Some(own);
        (rest, at) = (after, range.end);
    }
}

/// The place before `place`, and the elements at both.
fn pair(order: &mut [usize], place: usize) -> Option<(usize, &mut [usize; 2])> {
    let before = place.checked_sub(1)?;
    let two = order.get_mut(before..)?.first_chunk_mut()?;
    Some((before, two))
}

#[cfg(test)]
mod tests {
    use core::ops::Range;

    fn disjoint<const N: usize>(bytes: &mut [u8], ranges: [Range<usize>; N]) -> [&mut [u8]; N] {
        let mut slices = [const { None }; N];
        super::disjoint(bytes, &ranges, &mut slices);
        slices.map(Option::unwrap_or_default)
    }

    #[test]
    fn slices_are_those_of_the_ranges_and_never_meet() {
        let mut bytes: [u8; 10] = core::array::from_fn(|i| i as u8);
        let [a, b, c] = disjoint(&mut bytes, [6..10, 0..0, 1..4]);
        assert_eq!((&*a, &*b, &*c), (&[6, 7, 8, 9][..], &[][..], &[1, 2, 3][..]));
        let [a, b] = disjoint(&mut bytes, [3..6, 0..3]);
        assert_eq!((&*a, &*b), (&[3, 4, 5][..], &[0, 1, 2][..]));
        for (ranges, lens) in [
            ([3..6, 5..7], [3, 0]),
            ([0..10, 2..3], [10, 0]),
            ([2..3, 0..10], [0, 10]),
            ([2..5, 2..5], [3, 0]),
            ([9..11, 0..1], [0, 1]),
            ([0..0, 4..4], [0, 0]),
        ] {
            let slices = disjoint(&mut bytes, ranges.clone());
            assert_eq!(slices.map(|slice| slice.len()), lens, "{ranges:?}");
        }
    }
}
