//! What kernels are given of neighbours that are normalized together, and the definition of what they do.

use super::{Elements, Finish, Normalized};
use crate::numeric::product::product;
use crate::numeric::requant::{high_product, saturate_i8, saturate_i16};

/// Elements of one position: `y = (((q << up) - mean) * slope + (beta << 32) + 2^31) >> 32`, then
/// `y + ((y * scale + 2^15) >> 16) + shift`, then the factor of a [`Finish`].
///
/// `abs(y) < 2^27` and what it becomes is below 2^30, so that all of it stays within 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Of the elements as they are stored, shifted left as they are.
    pub mean: i32,
    /// Left shift of an element, at most 31.
    pub up: u32,
    /// Of each element.
    pub slopes: &'a [i32],
    /// Of each element: beta, scale times 2^12, shift.
    pub terms: &'a [[i32; 3]],
}

impl Line<'_> {
    #[inline(always)]
    fn at(&self, q: i32, (slope, [beta, scale, shift]): (&i32, &[i32; 3]), finish: &Finish) -> i32 {
        let d = (q << (self.up & 31)).wrapping_sub(self.mean);
        let term = i64::from(*beta) << 32 | 1 << 31;
        let y = ((product(d, *slope) + term) >> 32) as i32;
        let more = ((product(y << 4, *scale) + (1 << 31)) >> 32) as i32;
        (high_product(y + more + shift, finish.mult) + finish.round) >> finish.shift
    }
}

/// See [`super::Family::line`].
pub fn line(from: Elements<'_>, to: &mut Normalized<'_>, line: &Line<'_>, finish: &Finish) {
    match (from, to) {
        (Elements::I8(from), Normalized::I8(to, zero)) => each(from, to, line, finish, |v| saturate_i8(v + *zero)),
        (Elements::I16(from), Normalized::I8(to, zero)) => each(from, to, line, finish, |v| saturate_i8(v + *zero)),
        (Elements::I8(from), Normalized::I16(to)) => each(from, to, line, finish, saturate_i16),
        (Elements::I16(from), Normalized::I16(to)) => each(from, to, line, finish, saturate_i16),
        (Elements::InPlace, Normalized::I8(to, zero)) => in_place(to, line, finish, |v| saturate_i8(v + *zero)),
        (Elements::InPlace, Normalized::I16(to)) => in_place(to, line, finish, saturate_i16),
    }
}

#[inline(always)]
fn each<I: Copy + Into<i32>, O>(from: &[I], to: &mut [O], line: &Line<'_>, finish: &Finish, f: impl Fn(i32) -> O) {
    let factors = line.slopes.iter().zip(line.terms);
    for ((to, from), factors) in to.iter_mut().zip(from).zip(factors) {
        *to = f(line.at((*from).into(), factors, finish));
    }
}

#[inline(always)]
fn in_place<T: Copy + Into<i32>>(to: &mut [T], line: &Line<'_>, finish: &Finish, f: impl Fn(i32) -> T) {
    let factors = line.slopes.iter().zip(line.terms);
    for (to, factors) in to.iter_mut().zip(factors) {
        *to = f(line.at((*to).into(), factors, finish));
    }
}
