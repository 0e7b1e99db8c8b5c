//! Typed views of activations in the arena.

use core::ops::Range;

use super::{Dtype, Tensor};
use crate::features::Feature;
use crate::numeric::requant::{saturate_i8, saturate_i16};

/// An activation that is read.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// int8 with its zero point.
    I8(&'a [i8], i32),
    /// int16.
    I16(&'a [i16]),
    /// f16 bits.
    F16(&'a [u16]),
    /// Q24.
    Q24(&'a [i32]),
}

impl<'a> View<'a> {
    /// The bytes of `tensor` as its number format; `None` when they do not fit.
    pub fn new(tensor: &Tensor, bytes: &'a [u8]) -> Option<Self> {
        Some(match tensor.dtype {
            Dtype::I8 => Self::I8(bytemuck::try_cast_slice(bytes).ok()?, tensor.zero_point.into()),
            Dtype::I16 => Self::I16(bytemuck::try_cast_slice(bytes).ok()?),
            Dtype::F16 if Feature::F16.is_built() => Self::F16(bytemuck::try_cast_slice(bytes).ok()?),
            Dtype::Q24 => Self::Q24(bytemuck::try_cast_slice(bytes).ok()?),
            Dtype::F16 | Dtype::Scratch => return None,
        })
    }

    /// Element `i` as an integer: zero point removed, f16 as its bits.
    #[inline(always)]
    pub fn get(&self, i: usize) -> i32 {
        debug_assert!(i < self.len());
        match self {
            Self::I8(data, zero) => data.get(i).map_or(0, |q| i32::from(*q) - zero),
            Self::I16(data) => data.get(i).map_or(0, |q| (*q).into()),
            Self::F16(data) => data.get(i).map_or(0, |q| (*q).into()),
            Self::Q24(data) => data.get(i).map_or(0, |q| *q),
        }
    }

    /// [`View::get`], called: where there are few elements.
    #[inline(never)]
    pub fn at(&self, i: usize) -> i32 {
        self.get(i)
    }

    /// Some of the elements.
    pub fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::I8(data, zero) => Self::I8(&data[range], *zero),
            Self::I16(data) => Self::I16(&data[range]),
            Self::F16(data) => Self::F16(&data[range]),
            Self::Q24(data) => Self::Q24(&data[range]),
        }
    }

    /// Some of the elements; `None` where they are not there.
    pub fn cut(&self, range: Range<usize>) -> Option<Self> {
        Some(match self {
            Self::I8(data, zero) => Self::I8(data.get(range)?, *zero),
            Self::I16(data) => Self::I16(data.get(range)?),
            Self::F16(data) => Self::F16(data.get(range)?),
            Self::Q24(data) => Self::Q24(data.get(range)?),
        })
    }

    /// The same elements with another zero point.
    pub fn with_zero(self, zero: i32) -> Self {
        match self {
            Self::I8(data, _) => Self::I8(data, zero),
            other => other,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::I8(data, _) => data.len(),
            Self::I16(data) => data.len(),
            Self::F16(data) => data.len(),
            Self::Q24(data) => data.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An activation that is written (and, in place, read).
#[derive(Debug)]
pub enum ViewMut<'a> {
    /// int8 with its zero point.
    I8(&'a mut [i8], i32),
    /// int16.
    I16(&'a mut [i16]),
    /// f16 bits.
    F16(&'a mut [u16]),
    /// Q24.
    Q24(&'a mut [i32]),
}

impl<'a> ViewMut<'a> {
    /// The bytes of `tensor` as its number format; `None` when they do not fit.
    pub fn new(tensor: &Tensor, bytes: &'a mut [u8]) -> Option<Self> {
        Some(match tensor.dtype {
            Dtype::I8 => Self::I8(bytemuck::try_cast_slice_mut(bytes).ok()?, tensor.zero_point.into()),
            Dtype::I16 => Self::I16(bytemuck::try_cast_slice_mut(bytes).ok()?),
            Dtype::F16 if Feature::F16.is_built() => Self::F16(bytemuck::try_cast_slice_mut(bytes).ok()?),
            Dtype::Q24 => Self::Q24(bytemuck::try_cast_slice_mut(bytes).ok()?),
            Dtype::F16 | Dtype::Scratch => return None,
        })
    }

    /// Stores `v` at `i` in units of the tensor: zero point added, saturated.
    #[inline(always)]
    pub fn set(&mut self, i: usize, v: i32) {
        match self {
            Self::I8(data, zero) => store(data, i, saturate_i8(v.saturating_add(*zero))),
            Self::I16(data) => store(data, i, saturate_i16(v)),
            Self::F16(data) => store(data, i, v as u16),
            Self::Q24(data) => store(data, i, v),
        }
    }

    /// [`ViewMut::set`], called: where there are few elements.
    #[inline(never)]
    pub fn put(&mut self, i: usize, v: i32) {
        self.set(i, v);
    }

    /// Some of the elements.
    pub fn part(&mut self, range: Range<usize>) -> ViewMut<'_> {
        match self {
            Self::I8(data, zero) => ViewMut::I8(&mut data[range], *zero),
            Self::I16(data) => ViewMut::I16(&mut data[range]),
            Self::F16(data) => ViewMut::F16(&mut data[range]),
            Self::Q24(data) => ViewMut::Q24(&mut data[range]),
        }
    }

    /// Some of the elements; `None` where they are not there.
    pub fn cut(self, range: Range<usize>) -> Option<Self> {
        Some(match self {
            Self::I8(data, zero) => Self::I8(data.get_mut(range)?, zero),
            Self::I16(data) => Self::I16(data.get_mut(range)?),
            Self::F16(data) => Self::F16(data.get_mut(range)?),
            Self::Q24(data) => Self::Q24(data.get_mut(range)?),
        })
    }

    /// The elements before `at`, and those from there on; `None` where there are not so many.
    pub fn split(self, at: usize) -> Option<(Self, Self)> {
        Some(match self {
            Self::I8(data, zero) => {
                let (low, high) = data.split_at_mut_checked(at)?;
                (Self::I8(low, zero), Self::I8(high, zero))
            }
            Self::I16(data) => {
                let (low, high) = data.split_at_mut_checked(at)?;
                (Self::I16(low), Self::I16(high))
            }
            Self::F16(data) => {
                let (low, high) = data.split_at_mut_checked(at)?;
                (Self::F16(low), Self::F16(high))
            }
            Self::Q24(data) => {
                let (low, high) = data.split_at_mut_checked(at)?;
                (Self::Q24(low), Self::Q24(high))
            }
        })
    }

    /// Copies the elements `from..from + count` to `to`, which lies at least `count` before them.
    pub fn copy_down(&mut self, from: usize, to: usize, count: usize) {
        fn copy<T: Copy>(data: &mut [T], from: usize, to: usize, count: usize) {
            let (low, high) = data.split_at_mut(from);
            low[to..to + count].copy_from_slice(&high[..count]);
        }
        match self {
            Self::I8(data, _) => copy(data, from, to, count),
            Self::I16(data) => copy(data, from, to, count),
            Self::F16(data) => copy(data, from, to, count),
            Self::Q24(data) => copy(data, from, to, count),
        }
    }

    /// The same elements, to read from here on.
    pub fn into_view(self) -> View<'a> {
        match self {
            Self::I8(data, zero) => View::I8(data, zero),
            Self::I16(data) => View::I16(data),
            Self::F16(data) => View::F16(data),
            Self::Q24(data) => View::Q24(data),
        }
    }

    /// The same elements, to read.
    pub fn as_view(&self) -> View<'_> {
        match self {
            Self::I8(data, zero) => View::I8(data, *zero),
            Self::I16(data) => View::I16(data),
            Self::F16(data) => View::F16(data),
            Self::Q24(data) => View::Q24(data),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.as_view().len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an operator reads where its output may take over the same memory.
///
/// In place, `zero` is the zero point of the value that is there before it is overwritten.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a> {
    /// Other memory.
    Apart(View<'a>),
    /// The output's own memory.
    InPlace {
        /// Zero point of the operand.
        zero: i32,
    },
}

impl<'a> Operand<'a> {
    /// Some of the elements, where the output has the same of them; `None` where they are not there.
    pub fn cut(&self, range: Range<usize>) -> Option<Self> {
        Some(match self {
            Self::Apart(view) => Self::Apart(view.cut(range)?),
            Self::InPlace { zero } => Self::InPlace { zero: *zero },
        })
    }

    /// Element `i`, zero point removed.
    #[inline(always)]
    pub fn get(&self, out: &ViewMut<'_>, i: usize) -> i32 {
        match (self, out) {
            (Self::Apart(view), _) => view.get(i),
            (Self::InPlace { zero }, ViewMut::I8(data, _)) => i32::from(data[i]) - zero,
            (Self::InPlace { .. }, out) => out.as_view().get(i),
        }
    }

    /// [`Operand::get`], called: where there are few elements.
    pub fn at(&self, out: &ViewMut<'_>, i: usize) -> i32 {
        match *self {
            Self::Apart(view) => view.at(i),
            Self::InPlace { zero } => out.as_view().with_zero(zero).at(i),
        }
    }
}

/// Stores an element that is there.
#[inline(always)]
fn store<T>(data: &mut [T], i: usize, value: T) {
    debug_assert!(i < data.len());
    if let Some(place) = data.get_mut(i) {
        *place = value;
    }
}
