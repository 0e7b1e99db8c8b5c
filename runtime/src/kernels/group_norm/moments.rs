//! What the channels of a group share: sums, mean, and the reciprocal root of the variance.

use core::ops::Range;

use super::{FACTOR_WORDS, Input, Norm};
use crate::features::Feature;
use crate::kernels::family;
use crate::kernels::view::{Operand, View, ViewMut};
use crate::numeric::divide::divide_by_small;
use crate::numeric::requant::{rounded, saturate_i32};
use crate::numeric::rsqrt::rsqrt_u64;

/// Fractional bits of the mean.
pub const MEAN_FRAC: u32 = 14;
/// Fractional bits of the normalized value.
const OUT_FRAC: i32 = 16;
/// Shift above which beta (32 bits) would leave an int64 together with the product.
pub const MAX_SHIFT: i32 = 30;

/// Sums over a group.
pub struct Moments {
    count: u32,
    sum: i32,
    /// `n SS - S^2 + eps_q`
    spread: u64,
}

impl Moments {
    /// Of a group's channels. `sums` are from [`Input::sum`].
    #[inline(never)]
    pub fn of(input: &Input<'_>, out: &ViewMut<'_>, norm: &Norm<'_>, channels: Range<usize>, sums: &[i32]) -> Self {
        let count = (norm.positions * channels.len()) as u32;
        let (sum, squares) = if Feature::Fast.is_built() {
            by_family(input, out, norm, channels, sums)
        } else {
            one_by_one(input, out, norm, channels)
        };
        // Cauchy-Schwarz: n SS >= S^2; n <= 2^16 and |q| <= 2^15 keep both below 2^62.
        let root = u64::from(sum.unsigned_abs());
        let spread = u64::from(count) * squares - root * root + norm.eps_q;
        Self { count, sum, spread }
    }

    /// What the channels of the group share.
    pub fn affine(&self, norm: &Norm<'_>) -> Affine {
        let count = i64::from(self.count);
        // Floored: a mean is within 2^29, so 2^30 more makes it positive.
        let above = ((i64::from(self.sum) << (MEAN_FRAC + 1)) + count + (count << 31)) as u64;
        let mean = divide_by_small(above, 2 * self.count).wrapping_sub(1 << 30) as i32;
        let inverse = rsqrt_u64(self.spread);
        // `mant * n` of 31 bits.
        let (mut twice, mut excess) = (u64::from(inverse.mant_q31) * u64::from(2 * self.count), 0);
        while twice >> 32 != 0 {
            twice >>= 1;
            excess += 1;
        }
        // y = d * a * 2^-(14 + 31 + exp - excess + gamma_frac - 31), wanted in Q16.
        let s = MEAN_FRAC as i32 + inverse.exp - excess + i32::from(norm.gamma_frac) - OUT_FRAC;
        Affine {
            mean,
            p: (twice as i64 + 1) >> 1,
            s,
            shift: s.clamp(1, MAX_SHIFT) as u32,
        }
    }
}

/// Sum and sum of squares, by the family's kernels.
fn by_family(
    input: &Input<'_>,
    out: &ViewMut<'_>,
    norm: &Norm<'_>,
    channels: Range<usize>,
    sums: &[i32],
) -> (i32, u64) {
    let (first, size) = (channels.start, channels.len());
    let (view, zero) = match input {
        Input::One(Operand::Apart(view @ View::I8(_, zero))) => (*view, *zero),
        Input::One(Operand::Apart(view)) => (*view, 0),
        Input::One(Operand::InPlace { zero }) => (out.as_view(), *zero),
        Input::Two(_) => {
            let sums = sums.as_chunks::<FACTOR_WORDS>().0.iter().skip(first).take(size);
            return sums.fold((0, 0), |(sum, squares), &[part, low, high]| {
                let part_squares = u64::from(high as u32) << 32 | u64::from(low as u32);
                (sum + part, squares + part_squares)
            });
        }
    };
    let (sum, squares) = match view {
        View::I8(data, _) => family::moments8(data, norm.channels, first, size),
        View::I16(data) => family::moments16(data, norm.channels, first, size),
        View::F16(_) | View::Q24(_) => (0, 0),
    };
    // Sums of q - zero from sums of q.
    let (elements, zero) = ((norm.positions * size) as i64, i64::from(zero));
    let squares = squares as i64 - 2 * zero * sum + elements * zero * zero;
    ((sum - elements * zero) as i32, squares as u64)
}

/// The same, an element at a time.
fn one_by_one(input: &Input<'_>, out: &ViewMut<'_>, norm: &Norm<'_>, channels: Range<usize>) -> (i32, u64) {
    let (mut sum, mut squares) = (0, 0);
    for position in 0..norm.positions {
        for channel in channels.clone() {
            // At most 2^16 elements of at most 2^15.
            let q = input.at(out, position, channel, norm.channels);
            sum += q;
            squares += u64::from((q * q) as u32);
        }
    }
    (sum, squares)
}

/// What makes a channel's factors.
#[derive(Default)]
pub struct Affine {
    /// Q14.
    pub mean: i32,
    /// `mant * n`, at most 2^31.
    p: i64,
    s: i32,
    /// `s` within its limits.
    pub shift: u32,
}

impl Affine {
    /// The factor of a channel.
    #[inline(never)]
    pub fn slope(&self, norm: &Norm<'_>, channel: usize) -> i32 {
        let a = rounded(self.p * i64::from(norm.gamma[channel]), 31, 0);
        let beyond = self.s - self.shift as i32;
        if beyond < 0 {
            // At most 20.
            saturate_i32(i64::from(a) << (-beyond & 31))
        } else {
            a >> (beyond & 31)
        }
    }
}
