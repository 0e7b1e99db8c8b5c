//! The integer body: a table look-up, one multiply-accumulate of 64 bits, one rounding.
//!
//! Elements go through in blocks of neighbours, so that a factor of a channel is found once for all positions, and each stage is a loop of
//! its own over numbers of one format.

use super::{Affine, Beside, Pointwise, Table};
use crate::numeric::requant::{saturate_i8, saturate_i16, saturate_i32};
use crate::ops::Context;
use crate::tensor::Dtype;
use crate::tensor::regions::Regions;
use crate::tensor::slots::slot;
use crate::tensor::view::{Operand, View, ViewMut};

/// Elements a block.
const BLOCK: usize = 16;

/// What a table holds, and for which input.
enum Values<'a> {
    /// No table.
    Same,
    /// By the stored byte.
    Bytes(&'a [i16; 256]),
    /// Ends of segments of 2^bits inputs.
    Segments(&'a [i16], u32),
}

/// The tensors beside the input.
struct Others<'a> {
    factor: Option<(View<'a>, Beside)>,
    addend: Option<(View<'a>, Beside)>,
}

/// `None` where the memory does not fit.
pub fn pointwise(op: &Pointwise, context: &Context<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
    let (mut out, src, dtype) = (r.output()?, r.operand(slot::FIRST)?, r.tensor(slot::FIRST).dtype);
    let Some(affine) = &op.affine else {
        let table = op.table?;
        if let (Dtype::I8, ViewMut::I8(to, _)) = (dtype, &mut out) {
            return bytes(context.table(table.at, 256)?, &src, to);
        }
        let values = Values::of(Some(table), dtype, context)?;
        let mut block = [0; BLOCK];
        for at in (0..out.len()).step_by(BLOCK) {
            let block = &mut block[..BLOCK.min(out.len() - at)];
            values.load(&src, &out, at, block);
            store(&mut out, at, block);
        }
        return Some(());
    };
    let values = Values::of(op.table, dtype, context)?;
    let others = Others::of(affine, r)?;
    affine.run(&values, &src, &others, r.out().channels.into(), &mut out);
    Some(())
}

/// int8 to int8: the table has the stored bytes.
#[inline(always)]
fn bytes(table: &[i8], src: &Operand<'_>, to: &mut [i8]) -> Option<()> {
    let table: &[i8; 256] = table.try_into().ok()?;
    match src {
        Operand::Apart(View::I8(from, _)) => {
            for (to, from) in to.iter_mut().zip(*from) {
                *to = table[usize::from(from.cast_unsigned())];
            }
        }
        _ => {
            for to in to {
                *to = table[usize::from(to.cast_unsigned())];
            }
        }
    }
    Some(())
}

impl<'a> Values<'a> {
    fn of(table: Option<Table>, src: Dtype, context: &Context<'a>) -> Option<Self> {
        Some(match (table, src) {
            (None, _) => Self::Same,
            (Some(table), Dtype::I8) => Self::Bytes(context.table(table.at, 256)?.try_into().ok()?),
            (Some(table), _) => {
                let ends = context.table(table.at, (1 << 16 >> table.segment_bits) + 1)?;
                Self::Segments(ends, table.segment_bits.into())
            }
        })
    }

    /// The function's values of the elements from `at` on.
    #[inline(never)]
    fn load(&self, src: &Operand<'_>, out: &ViewMut<'_>, at: usize, to: &mut [i32]) {
        match (src, out) {
            (Operand::Apart(View::I8(from, zero)), _) => self.of_bytes(&from[at..], *zero, to),
            (Operand::InPlace { zero }, ViewMut::I8(from, _)) => self.of_bytes(&from[at..], *zero, to),
            (Operand::Apart(View::I16(from)), _) => self.of_words(&from[at..], to),
            (Operand::InPlace { .. }, ViewMut::I16(from)) => self.of_words(&from[at..], to),
            _ => {}
        }
    }

    #[inline(always)]
    fn of_bytes(&self, from: &[i8], zero: i32, to: &mut [i32]) {
        let pairs = to.iter_mut().zip(from);
        match self {
            Self::Bytes(table) => pairs.for_each(|(to, from)| *to = table[usize::from(from.cast_unsigned())].into()),
            _ => pairs.for_each(|(to, from)| *to = i32::from(*from) - zero),
        }
    }

    #[inline(always)]
    fn of_words(&self, from: &[i16], to: &mut [i32]) {
        let pairs = to.iter_mut().zip(from);
        match *self {
            Self::Segments(ends, bits) => {
                let (mask, half) = ((1 << bits) - 1, 1 << (bits - 1));
                for (to, from) in pairs {
                    let input = u32::from(from.cast_unsigned() ^ 0x8000);
                    let i = (input >> bits) as usize;
                    let (left, right) = (i32::from(ends[i]), i32::from(ends[i + 1]));
                    *to = ((left << bits) + (right - left) * (input & mask) as i32 + half) >> bits;
                }
            }
            _ => pairs.for_each(|(to, from)| *to = i32::from(*from)),
        }
    }
}

impl<'a> Others<'a> {
    fn of(affine: &Affine, r: &mut Regions<'_, 'a>) -> Option<Self> {
        let out = r.out();
        let factor = match affine.factor {
            Some(_) => {
                let beside = affine.factor_beside(&r.tensor(slot::SECOND), &out)?;
                Some((r.view(slot::SECOND)?, beside))
            }
            None => None,
        };
        let addend = match affine.addend {
            Some(addend) if addend.tensor.is_some() => {
                let beside = Beside::of(&r.tensor(slot::THIRD), &out)?;
                Some((r.view(slot::THIRD)?, beside))
            }
            Some(_) => {
                let channels = usize::from(out.channels);
                let vector = factor.map(|(vector, _)| vector.part(channels..2 * channels))?;
                Some((vector, Beside::Channels))
            }
            None => None,
        };
        Some(Self { factor, addend })
    }
}

impl Affine {
    /// Block by block of channels, each over all positions; without a vector or a single channel all elements are channels of one position.
    fn run(&self, values: &Values<'_>, src: &Operand<'_>, others: &Others<'_>, channels: usize, out: &mut ViewMut<'_>) {
        let whole = |other: &Option<(View<'_>, Beside)>| other.is_none_or(|(_, beside)| beside == Beside::Whole);
        let width = if whole(&others.factor) && whole(&others.addend) {
            out.len()
        } else {
            channels
        };
        let (mut t, mut a, mut base) = ([0; BLOCK], [self.one; BLOCK], [0; BLOCK]);
        for first in (0..width).step_by(BLOCK) {
            let count = BLOCK.min(width - first);
            let (t, a, base) = (&mut t[..count], &mut a[..count], &mut base[..count]);
            if let Some((vector, Beside::Channels)) = &others.factor {
                self.factors(vector, first, a);
            }
            base.fill(1i64 << (self.shift - 1));
            if let (Some((vector, Beside::Channels)), Some(of)) = (&others.addend, self.addend) {
                let sums = base.iter_mut().enumerate();
                sums.for_each(|(i, base)| *base += i64::from(vector.at(first + i)) * i64::from(of.mult));
            }
            for (line, at) in (first..out.len()).step_by(width).enumerate() {
                values.load(src, out, at, t);
                match &others.factor {
                    Some((view, Beside::Whole)) => self.factors(view, at, a),
                    Some((view, Beside::Positions)) => {
                        self.factors(view, line, &mut a[..1]);
                        let one = a[0];
                        a.fill(one);
                    }
                    Some((_, Beside::Channels)) | None => {}
                }
                let addend = match (&others.addend, self.addend) {
                    (Some((view, Beside::Whole)), Some(of)) => Some((view, of.mult)),
                    _ => None,
                };
                self.sums(t, a, base, addend, at);
                store(out, at, t);
            }
        }
    }

    /// `sat32(one + scaled(factor))` of the elements from `at` on.
    #[inline(never)]
    fn factors(&self, view: &View<'_>, at: usize, to: &mut [i32]) {
        if let Some(factor) = self.factor {
            for (i, to) in to.iter_mut().enumerate() {
                *to = self.one.saturating_add(factor.requant.times(view.at(at + i)));
            }
        }
    }

    /// `(t * a + addend + base) >> shift` in place of t.
    #[inline(never)]
    fn sums(&self, t: &mut [i32], a: &[i32], base: &[i64], addend: Option<(&View<'_>, i32)>, at: usize) {
        let product = |t: i32, a: i32| i64::from(t) * i64::from(a);
        let terms = t.iter_mut().zip(a).zip(base).enumerate();
        let shift = u32::from(self.shift);
        let shifted = |sum: i64| {
            if shift >= 32 {
                // What is left of the high word does not saturate.
                (sum >> 32) as i32 >> (shift - 32)
            } else {
                saturate_i32(sum >> shift)
            }
        };
        match addend {
            Some((View::I8(data, zero), mult)) => {
                let data = &data[at..];
                for (i, ((t, a), base)) in terms {
                    *t = shifted(product(*t, *a) + product(i32::from(data[i]) - zero, mult) + base);
                }
            }
            Some((view, mult)) => {
                for (i, ((t, a), base)) in terms {
                    *t = shifted(product(*t, *a) + product(view.get(at + i), mult) + base);
                }
            }
            None => {
                for (_, ((t, a), base)) in terms {
                    *t = shifted(product(*t, *a) + base);
                }
            }
        }
    }
}

/// Stores a block from `at` on: zero point added, saturated.
#[inline(never)]
fn store(out: &mut ViewMut<'_>, at: usize, values: &[i32]) {
    match out {
        ViewMut::I8(to, zero) => {
            let pairs = to[at..].iter_mut().zip(values);
            pairs.for_each(|(to, v)| *to = saturate_i8(v.saturating_add(*zero)));
        }
        ViewMut::I16(to) => {
            let pairs = to[at..].iter_mut().zip(values);
            pairs.for_each(|(to, v)| *to = saturate_i16(*v));
        }
        ViewMut::Q24(to) => to[at..][..values.len()].copy_from_slice(values),
        ViewMut::F16(_) => {}
    }
}
