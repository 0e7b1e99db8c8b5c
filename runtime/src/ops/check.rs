//! What the checks of operators are made of.

use crate::ops::Context;
use core::cell::Cell;

use super::At;
use super::conv::Source;
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::requant::Requant;
use crate::tensor::slots::slot;
use crate::tensor::{Dtype, Tensor};

/// The exponent of an f32 that is infinite or not a number.
const INFINITE: u32 = 0x7F80_0000;

/// `None` where a check did not hold; the [`Checker`] knows which.
pub type Check = Option<()>;

/// Checks one tensor or operator after the other.
///
/// A check that does not hold leaves its fault here: errors that are carried out of every function by value take more code than the
/// checks. It ends those that rely on it (`?`); others are made, and the last fault is reported.
pub struct Checker<'m, 'a> {
    pub(crate) context: &'m Context<'a>,
    /// The operator's place in the file's list.
    pub(crate) index: u16,
    /// Rows, columns and channels of the sample.
    pub(crate) sample: [u16; 3],
    /// Rows of the class embedding.
    pub(crate) classes: u16,
    pub(crate) fault: Cell<Option<Fault>>,
    /// The operator's tensors by [`slot`]; those of nothing where it has none.
    pub(crate) tensors: [Tensor; slot::COUNT],
}

impl<'a> Checker<'_, 'a> {
    /// Tensors of an operator that has none.
    pub(crate) const NO_TENSORS: [Tensor; slot::COUNT] = [const { Tensor::known(&Tensor::NONE) }; slot::COUNT];

    /// Makes the source one tensor: that of the concatenation.
    #[inline(never)]
    pub(crate) fn join(&mut self, source: &Source) -> Check {
        let [_, _, _, first, second, _] = &self.tensors;
        if let Some((_, [a, b])) = source.second {
            self.same(first.rows.into(), second.rows.into());
            self.same(first.cols.into(), second.cols.into());
            let total = u32::from(first.channels) + u32::from(second.channels);
            self.at_most(0xFFFF, total);
            self.requant(a);
            self.requant(b);
            let dtype = if self.context.is_float() {
                Dtype::F16
            } else {
                Dtype::I16
            };
            let joined = &mut self.tensors[slot::FIRST];
            (joined.channels, joined.zero_point, joined.dtype) = (total as u16, 0, dtype);
        }
        Some(())
    }

    /// That `small` has half the rows and columns of `big`, whose extents `even` takes, in the same number format.
    #[inline(never)]
    pub(crate) fn halved(&self, big: &Tensor, small: &Tensor, even: u16) -> Check {
        self.ensure(
            (small.dtype, small.zero_point) == (big.dtype, big.zero_point),
            Fault::Dtype,
        )?;
        self.same(2 * u32::from(small.rows), u32::from(big.rows & even))?;
        self.same(2 * u32::from(small.cols), u32::from(big.cols & even))
    }

    /// A vector over channels, in the wide number format.
    #[inline(never)]
    pub(crate) fn vector(&self, tensor: &Tensor) {
        self.same(1, tensor.positions() as u32);
        let dtype = if self.context.is_float() {
            Dtype::F16
        } else {
            Dtype::I16
        };
        self.ensure(tensor.dtype == dtype, Fault::Dtype);
    }

    /// A factor in its range.
    #[inline(never)]
    pub(crate) fn requant(&self, requant: Requant) -> Check {
        self.ensure(self.context.is_float() || requant.is_valid(), Fault::Requant)
    }

    /// `count` values at `at`.
    pub(crate) fn table<T: bytemuck::AnyBitPattern>(&self, at: At, count: usize) -> Option<&'a [T]> {
        let table = self.context.table(at, count);
        if table.is_none() {
            self.no_table(at, count, size_of::<T>() as u32);
        }
        table
    }

    #[cold]
    #[inline(never)]
    fn no_table(&self, at: At, count: usize, size: u32) {
        let (limit, count) = (
            self.context.weights.len() as u32,
            u32::try_from(count).unwrap_or(u32::MAX),
        );
        let end = at.0.saturating_add(count.saturating_mul(size));
        self.fault.set(Some(if end > limit {
            Fault::OutOfBounds { limit, end }
        } else {
            Fault::Alignment(at.0)
        }));
    }

    /// Fails at the first f16 that is infinite or not a number.
    pub(crate) fn finite_f16(&self, bits: &[u16]) -> Check {
        let bad = bits.iter().position(|b| b & 0x7C00 == 0x7C00);
        bad.map_or(Some(()), |i| self.fail(Fault::NotFinite(i as u32)))
    }

    /// Fails at the first f32 that is infinite or not a number.
    pub(crate) fn finite_f32(&self, bits: &[i32]) -> Check {
        let bad = bits.iter().position(|b| b.cast_unsigned() & INFINITE == INFINITE);
        bad.map_or(Some(()), |i| self.fail(Fault::NotFinite(i as u32)))
    }

    /// A parameter that is a number, and finite.
    pub(crate) fn finite(&self, value: f32) -> Check {
        self.ensure(value.to_bits() & INFINITE != INFINITE, Fault::Parameter)
    }

    /// Comes before whatever only a part that can be left out needs, which is then not linked either.
    #[inline(always)]
    pub(crate) fn built(&self, feature: Feature) -> Check {
        self.ensure(feature.is_built(), Fault::NotBuilt(feature))
    }

    /// Leaves `fault` where `ok` is not.
    #[inline(always)]
    pub(crate) fn ensure(&self, ok: bool, fault: Fault) -> Check {
        if ok { Some(()) } else { self.fail(fault) }
    }

    /// Leaves a fault.
    #[inline(always)]
    pub(crate) fn fail<T>(&self, fault: Fault) -> Option<T> {
        self.fault.set(Some(fault));
        None
    }

    /// The same extents.
    #[inline(never)]
    pub(crate) fn alike(&self, expected: &Tensor, found: &Tensor) -> Check {
        let rows = self.same(expected.rows.into(), found.rows.into());
        let cols = self.same(expected.cols.into(), found.cols.into());
        self.same(expected.channels.into(), found.channels.into())
            .and(rows)
            .and(cols)
    }

    /// An extent that must be `expected`.
    #[inline(never)]
    pub(crate) fn same(&self, expected: u32, found: u32) -> Check {
        self.ensure(expected == found, Fault::Shape { expected, found })
    }

    /// An extent that must not be above `expected`.
    #[inline(never)]
    pub(crate) fn at_most(&self, expected: u32, found: u32) -> Check {
        self.ensure(found <= expected, Fault::Shape { expected, found })
    }
}
