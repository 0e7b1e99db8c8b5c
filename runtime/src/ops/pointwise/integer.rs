//! The integer body: a table look-up, one multiply-accumulate of 64 bits, one rounding.
//!
//! Elements go through in blocks of neighbours, so that a factor of a channel is found once for all positions. Each stage is a loop of its
//! own over numbers of one format, four at a time.

use core::ops::Range;

use super::{Affine, Beside, Pointwise, Table};
use crate::family::{Curve, Elements, Family, Native, Normalized, Rescale};
use crate::numeric::product::product;
use crate::numeric::requant::{SmallRequant, saturate_i8, saturate_i16, saturate_i32};
use crate::ops::Context;
use crate::tensor::Dtype;
use crate::tensor::regions::Regions;
use crate::tensor::slots::slot;
use crate::tensor::view::{Operand, View, ViewMut};

/// Elements a block, a multiple of four.
const BLOCK: usize = 32;
/// The smallest shift that leaves the sum 32 bits.
const LEAST_QUICK_SHIFT: u8 = 18;

/// Numbers of a block.
type Block = [i32; BLOCK];

/// What a table holds, and for which input.
enum Values<'a> {
    /// No table.
    Same,
    /// By the stored byte.
    Bytes(&'a [i16; 256]),
    /// Of int16.
    Segments(Curve<'a>),
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
        if values.stored(&src, &Rescale::NONE, &mut out) {
            return Some(());
        }
        let mut block = [0; BLOCK];
        for at in (0..out.len()).step_by(BLOCK) {
            let block = block.get_mut(..BLOCK.min(out.len() - at))?;
            values.load(&src, &out, at, block, Rescale::NONE);
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
            each(from, to, |from| table[usize::from(from.cast_unsigned())]);
        }
        _ => {
            let value = |from: i8| table[usize::from(from.cast_unsigned())];
            let (fours, rest) = to.as_chunks_mut::<4>();
            for four in fours {
                let [a, b, c, d] = *four;
                *four = [value(a), value(b), value(c), value(d)];
            }
            rest.iter_mut().for_each(|to| *to = value(*to));
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
                let bits = table.segment_bits.into();
                Self::Segments(Curve { ends, bits })
            }
        })
    }

    /// The function's values of the elements from `at` on.
    #[inline(never)]
    fn load(&self, src: &Operand<'_>, out: &ViewMut<'_>, at: usize, to: &mut [i32], scale: Rescale) {
        let stored = match src {
            Operand::Apart(view) => *view,
            Operand::InPlace { zero } => out.as_view().with_zero(*zero),
        };
        match stored {
            View::I8(from, zero) => self.of_bytes(&from[at..], zero, to),
            View::I16(from) => self.of_words(&from[at..], to, scale),
            View::F16(_) | View::Q24(_) => {}
        }
    }

    /// Stores the values at int16 inputs at once; `false` where there is no kernel for it.
    #[inline(always)]
    fn stored(&self, src: &Operand<'_>, scale: &Rescale, out: &mut ViewMut<'_>) -> bool {
        let Self::Segments(curve) = self else { return false };
        let from = match (src, &*out) {
            (Operand::Apart(View::I16(from)), _) => Elements::I16(from),
            (Operand::InPlace { .. }, ViewMut::I16(_)) => Elements::InPlace,
            _ => return false,
        };
        let len = out.len();
        places(out, 0, len).is_some_and(|mut to| Native::curve_stored(from, curve, scale, &mut to))
    }

    /// A table of int16 and those elements, where that is what they are.
    #[inline(always)]
    fn curve_of<'s>(
        &self,
        src: &Operand<'s>,
        range: Range<usize>,
        out: &ViewMut<'_>,
    ) -> Option<(&Curve<'a>, Elements<'s>)> {
        let Self::Segments(curve) = self else { return None };
        Some(match (src, out) {
            (Operand::Apart(View::I16(from)), _) => (curve, Elements::I16(from.get(range)?)),
            (Operand::InPlace { .. }, ViewMut::I16(_)) => (curve, Elements::InPlace),
            _ => return None,
        })
    }

    #[inline(always)]
    fn of_bytes(&self, from: &[i8], zero: i32, to: &mut [i32]) {
        match self {
            Self::Bytes(table) => each(from, to, |from| table[usize::from(from.cast_unsigned())].into()),
            _ => each(from, to, |from| i32::from(from) - zero),
        }
    }

    #[inline(always)]
    fn of_words(&self, from: &[i16], to: &mut [i32], scale: Rescale) {
        match *self {
            Self::Segments(curve) => {
                if scale == Rescale::NONE && Native::curve(from, &curve, to) {
                    return;
                }
                let Curve { ends, bits } = curve;
                let (mask, half) = ((1 << bits) - 1, 1 << (bits - 1));
                // One at a time: four would need more registers than there are.
                for (to, from) in to.iter_mut().zip(from) {
                    let input = u32::from(from.cast_unsigned() ^ 0x8000);
                    let i = (input >> bits) as usize;
                    // There is one end more than there are segments.
                    let Some(&[left, right]) = ends.get(i..i + 2) else {
                        return;
                    };
                    let (left, right) = (i32::from(left), i32::from(right));
                    let t = left + (((right - left) * (input & mask) as i32 + half) >> bits);
                    *to = (t * scale.mult + scale.half) >> scale.shift;
                }
            }
            _ => each(from, to, i32::from),
        }
    }
}

/// `f` of as many elements as both have.
#[inline(always)]
fn each<F: Copy, T>(from: &[F], to: &mut [T], f: impl Fn(F) -> T) {
    let (fours, rest) = to.as_chunks_mut::<4>();
    let (from_fours, from_rest) = from.as_chunks::<4>();
    let done = fours.len().min(from_fours.len()) * 4;
    for (to, from) in fours.iter_mut().zip(from_fours) {
        let [a, b, c, d] = *from;
        *to = [f(a), f(b), f(c), f(d)];
    }
    // Where `from` goes on its next four elements hold what is left.
    let from = from.get(done..).unwrap_or(from_rest);
    rest.iter_mut().zip(from).for_each(|(to, from)| *to = f(*from));
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

/// What a block's sums are made of. What is behind its last element has no meaning.
struct Terms {
    /// The function's values.
    t: Block,
    /// Their factors.
    a: Block,
    /// Elements of an addend of the output's shape.
    y: Block,
    /// Addend of the channel, and half a unit, shifted left as [`Affine::up`] says.
    base: [i64; BLOCK],
}

impl Affine {
    /// Block by block of channels, each over all positions; without a vector or a single channel all elements are channels of one position.
    fn run(&self, values: &Values<'_>, src: &Operand<'_>, others: &Others<'_>, channels: usize, out: &mut ViewMut<'_>) {
        if let (Some(scale), Values::Segments(..)) = (self.rescale(), values) {
            if values.stored(src, &scale, out) {
                return;
            }
            let mut block = [0; BLOCK];
            for at in (0..out.len()).step_by(BLOCK) {
                let block = &mut block[..BLOCK.min(out.len() - at)];
                values.load(src, out, at, block, scale);
                store(out, at, block);
            }
            return;
        }
        if self.curve_added(values, src, others, out) {
            return;
        }
        let whole = |other: &Option<(View<'_>, Beside)>| other.is_none_or(|(_, beside)| beside == Beside::Whole);
        let mask = matches!(others.factor, Some((_, Beside::Positions)));
        let width = if whole(&others.factor) && whole(&others.addend) {
            out.len()
        } else if mask {
            channels
        } else {
            // A block has several positions where the channels are few.
            channels * BLOCK.checked_div(channels).unwrap_or(1).max(1)
        };
        let beside = |other: &Option<(View<'_>, Beside)>| other.is_none_or(|(_, beside)| beside == Beside::Channels);
        let by_channel = beside(&others.factor) && beside(&others.addend);
        let half = 1 << (self.shift - 1) << self.up();
        let mut terms = Terms {
            t: [0; BLOCK],
            a: [self.one; BLOCK],
            y: [0; BLOCK],
            base: [half; BLOCK],
        };
        for first in (0..width).step_by(BLOCK) {
            let count = BLOCK.min(width - first);
            if let Some((vector, Beside::Channels)) = &others.factor {
                self.factors(vector, first, &mut terms.a[..count.min(channels)]);
                (channels..count).for_each(|i| terms.a[i] = terms.a[i - channels]);
            }
            if let (Some((vector, Beside::Channels)), Some(of)) = (&others.addend, self.addend) {
                let (up, few) = (self.up(), count.min(channels));
                // A vector's element has 16 bits, and the shift is at most 15.
                let base = |q: i32| product(q << up, of.mult) + half;
                if let View::I16(vector) = vector {
                    let from = terms.base[..few].iter_mut().zip(&vector[first..]);
                    from.for_each(|(to, q)| *to = base((*q).into()));
                } else {
                    let from = terms.base[..few].iter_mut().enumerate();
                    from.for_each(|(i, to)| *to = base(vector.get(first + i)));
                }
                (channels..count).for_each(|i| terms.base[i] = terms.base[i - channels]);
            }
            for (line, at) in (first..out.len()).step_by(width).enumerate() {
                let count = count.min(out.len() - at);
                if by_channel && self.curve_modulated(values, src, &terms, count, at, out) {
                    continue;
                }
                values.load(src, out, at, &mut terms.t[..count], Rescale::NONE);
                match &others.factor {
                    Some((view, Beside::Whole)) => self.factors(view, at, &mut terms.a[..count]),
                    Some((view, Beside::Positions)) => {
                        self.factors(view, line, &mut terms.a[..1]);
                        terms.a = [terms.a[0]; BLOCK];
                    }
                    Some((_, Beside::Channels)) | None => {}
                }
                let mult = match (&others.addend, self.addend) {
                    (Some((view, Beside::Whole)), Some(of)) => {
                        if self.add_stored(&terms, count, (view, of.mult), at, out) {
                            continue;
                        }
                        let (src, y) = (Operand::Apart(*view), &mut terms.y[..count]);
                        Values::Same.load(&src, out, at, y, Rescale::NONE);
                        Some(of.mult)
                    }
                    _ => {
                        if self.modulate_stored(&terms, count, at, out) {
                            continue;
                        }
                        None
                    }
                };
                self.sums(&mut terms, count, mult);
                store(out, at, &terms.t[..count]);
            }
        }
    }

    /// The whole of it in 32 bits, where it is no more than a small factor.
    fn rescale(&self) -> Option<Rescale> {
        let small = self.one.unsigned_abs() <= 1 << 15 && (1..=30).contains(&self.shift);
        let alone = self.factor.is_none() && self.addend.is_none();
        (small && alone).then(|| Rescale {
            mult: self.one,
            half: 1 << (self.shift - 1),
            shift: self.shift.into(),
        })
    }

    /// A left shift of what has 16 bits, after which the result is in the high word, where it does not saturate. 0 where there is none.
    fn up(&self) -> u8 {
        if self.shift < LEAST_QUICK_SHIFT {
            0
        } else {
            33u8.saturating_sub(self.shift)
        }
    }

    /// The shifts before the product and after its high word; `None` where a result may saturate.
    #[inline(always)]
    fn shifts(&self) -> Option<[u32; 2]> {
        let up = u32::from(self.up());
        (self.shift >= LEAST_QUICK_SHIFT).then(|| [up, u32::from(self.shift) + up - 32])
    }

    /// [`Affine::sums`] and [`store`] at once, without `y`; `false` where there is no kernel for it.
    #[inline(always)]
    fn modulate_stored(&self, terms: &Terms, count: usize, at: usize, out: &mut ViewMut<'_>) -> bool {
        let (Some(shifts), Some(mut to)) = (self.shifts(), places(out, at, count)) else {
            return false;
        };
        Native::modulate(&terms.t[..count], &terms.a, &terms.base, shifts, &mut to)
    }

    /// The same with an addend of the output's shape and its factor.
    #[inline(always)]
    fn add_stored(
        &self,
        terms: &Terms,
        count: usize,
        (view, mult): (&View<'_>, i32),
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> bool {
        let (Some(shifts), Some(mut to)) = (self.shifts(), places(out, at, count)) else {
            return false;
        };
        let y = view.part(at..at + count);
        Native::add_scaled(&terms.t[..count], y, &terms.a, mult, terms.base[0], shifts, &mut to)
    }

    /// A table of int16, one factor for all and an addend of the output's shape: all of it at once; `false` where there is no kernel for it.
    #[inline(never)]
    fn curve_added(&self, values: &Values<'_>, src: &Operand<'_>, others: &Others<'_>, out: &mut ViewMut<'_>) -> bool {
        let (Some((y, Beside::Whole)), None, Some(of)) = (others.addend, others.factor, self.addend) else {
            return false;
        };
        let len = out.len();
        let (Some((curve, from)), Some(shifts)) = (values.curve_of(src, 0..len, out), self.shifts()) else {
            return false;
        };
        let (factors, half) = ([self.one, of.mult], 1 << (self.shift - 1) << self.up());
        places(out, 0, len).is_some_and(|mut to| Native::curve_add(from, curve, y, factors, half, shifts, &mut to))
    }

    /// A table of int16, with a factor and an addend for each of `count` elements from `at` on; `false` where there is no kernel for it.
    #[inline(always)]
    fn curve_modulated(
        &self,
        values: &Values<'_>,
        src: &Operand<'_>,
        terms: &Terms,
        count: usize,
        at: usize,
        out: &mut ViewMut<'_>,
    ) -> bool {
        let (Some((curve, from)), Some(shifts)) = (values.curve_of(src, at..at + count, out), self.shifts()) else {
            return false;
        };
        places(out, at, count)
            .is_some_and(|mut to| Native::curve_modulate(from, curve, &terms.a, &terms.base, shifts, &mut to))
    }

    /// `sat32(one + scaled(factor))` of the elements from `at` on.
    #[inline(never)]
    fn factors(&self, view: &View<'_>, at: usize, to: &mut [i32]) {
        let Some(factor) = self.factor else { return };
        let requant = SmallRequant::new(factor.requant);
        for (i, to) in to.iter_mut().enumerate() {
            *to = self.one.saturating_add(requant.apply(view.get(at + i)));
        }
    }

    /// `(t * a + y * mult + base) >> shift` in place of t, for `count` elements and up to three more.
    #[inline(never)]
    fn sums(&self, terms: &mut Terms, count: usize, mult: Option<i32>) {
        if self.shift < LEAST_QUICK_SHIFT {
            let mult = mult.unwrap_or_default();
            for (i, t) in terms.t.iter_mut().enumerate().take(count) {
                let sum = product(*t, terms.a[i]) + product(terms.y[i], mult) + terms.base[i];
                *t = saturate_i32(sum >> self.shift);
            }
            return;
        }
        let up = self.up();
        let down = u32::from(self.shift + up - 32);
        let high = |sum: i64| (sum >> 32) as i32 >> down;
        let plus = i64::wrapping_add;
        let (t, a) = (terms.t.as_chunks_mut::<4>().0, terms.a.as_chunks::<4>().0);
        let base = terms.base.as_chunks::<4>().0;
        let products = t.iter_mut().zip(a).zip(base).take(count.div_ceil(4));
        match mult {
            None => {
                let one = |t: i32, a: i32, base: i64| high(plus(product(t << up, a), base));
                for ((t, a), base) in products {
                    *t = [
                        one(t[0], a[0], base[0]),
                        one(t[1], a[1], base[1]),
                        one(t[2], a[2], base[2]),
                        one(t[3], a[3], base[3]),
                    ];
                }
            }
            Some(mult) => {
                let [[round, ..], ..] = base else { return };
                let round = *round;
                let one = |t: i32, a: i32, y: i32| high(plus(plus(product(t << up, a), product(y << up, mult)), round));
                for (((t, a), _), y) in products.zip(terms.y.as_chunks::<4>().0) {
                    *t = [
                        one(t[0], a[0], y[0]),
                        one(t[1], a[1], y[1]),
                        one(t[2], a[2], y[2]),
                        one(t[3], a[3], y[3]),
                    ];
                }
            }
        }
    }
}

/// `count` places of the output from `at` on.
#[inline(always)]
fn places<'o>(out: &'o mut ViewMut<'_>, at: usize, count: usize) -> Option<Normalized<'o>> {
    match out {
        ViewMut::I8(to, zero) => Some(Normalized::I8(to.get_mut(at..at + count)?, *zero)),
        ViewMut::I16(to) => Some(Normalized::I16(to.get_mut(at..at + count)?)),
        ViewMut::F16(_) | ViewMut::Q24(_) => None,
    }
}

/// Stores a block from `at` on: zero point added, saturated.
#[inline(never)]
fn store(out: &mut ViewMut<'_>, at: usize, values: &[i32]) {
    match out {
        ViewMut::I8(to, zero) => {
            let zero = *zero;
            each(values, &mut to[at..][..values.len()], |v: i32| {
                saturate_i8(v.saturating_add(zero))
            });
        }
        ViewMut::I16(to) => {
            each(values, &mut to[at..][..values.len()], saturate_i16);
        }
        ViewMut::Q24(to) => to[at..][..values.len()].copy_from_slice(values),
        ViewMut::F16(_) => {}
    }
}
