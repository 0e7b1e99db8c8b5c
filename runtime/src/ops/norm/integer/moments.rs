//! From sums over a group to the factors of its channels.

use core::ops::Range;

use super::{FACTOR_WORDS, Norm};
use crate::numeric::divide::divide_by_small;
use crate::numeric::product::product;
use crate::numeric::requant::{rounded, saturate_i32};
use crate::numeric::rsqrt::rsqrt_u64;

/// Fractional bits of the mean.
pub const MEAN_FRAC: u32 = 14;
/// Fractional bits of the normalized value.
const OUT_FRAC: i32 = 16;
/// Shift above which beta (32 bits) would leave an int64 together with the product.
pub const MAX_SHIFT: i32 = 30;

/// What a normalization does with an element of a channel: `(a, mean, shift)`, or what a family's kernel has for it.
pub type Factors = [i32; FACTOR_WORDS];

/// Leaves every channel's factors, as `form` makes them of what its group shares; `None` where it cannot. `sums` gives those of a
/// range of channels, of which `factors` may hold its own, see [`Sums::of_channels`].
pub fn fill(
    norm: &Norm<'_>,
    factors: &mut [i32],
    sums: &dyn Fn(Range<usize>, &[i32]) -> Sums,
    form: &dyn Fn(&Affine, usize) -> Option<Factors>,
) -> Option<()> {
    let size = divide_by_small(norm.channels as u64, norm.groups as u32) as usize;
    let (mut affine, mut end) = (Affine::default(), 0);
    for channel in 0..norm.channels {
        if channel == end {
            end += size;
            affine = sums(channel..end, factors).affine(norm, size);
        }
        let words = factors.get_mut(channel * FACTOR_WORDS..)?.first_chunk_mut()?;
        *words = form(&affine, channel)?;
    }
    Some(())
}

/// Sums over elements.
#[derive(Clone, Copy)]
pub struct Sums {
    /// Of `q`: at most 2^16 of at most 2^15.
    pub sum: i32,
    /// Of `q^2`.
    pub squares: u64,
}

impl Sums {
    /// Of channels, from a word for the sum of each and two for its sum of squares, the low one first.
    pub fn of_channels(channels: Range<usize>, words: &[i32]) -> Self {
        let (mut sum, mut squares) = (0, 0);
        for channel in channels {
            let own = words
                .get(channel * FACTOR_WORDS..)
                .and_then(|words| words.first_chunk());
            let Some(&[part, low, high]) = own else { break };
            sum += part;
            squares += u64::from(high as u32) << 32 | u64::from(low as u32);
        }
        Self { sum, squares }
    }

    /// Adds an element to the words of its channel.
    #[cfg_attr(feature = "fast", allow(dead_code))]
    #[inline(always)]
    pub fn add(words: &mut [i32; FACTOR_WORDS], q: i32) {
        let squares = u64::from(words[2] as u32) << 32 | u64::from(words[1] as u32);
        let squares = squares + u64::from((q * q) as u32);
        *words = [words[0] + q, squares as i32, (squares >> 32) as i32];
    }

    /// Of `count` elements, from sums of them as they are stored.
    #[cfg(feature = "fast")]
    #[inline(always)]
    pub fn without_zero(sum: i64, squares: u64, count: usize, zero: i32) -> Self {
        let (elements, zero) = (count as i64, i64::from(zero));
        Self {
            sum: (sum - elements * zero) as i32,
            squares: (squares as i64 - 2 * zero * sum + elements * zero * zero) as u64,
        }
    }

    /// `count^2` times the variance.
    #[inline(always)]
    pub fn spread(self, count: u32) -> u64 {
        // Cauchy-Schwarz: n SS >= S^2; n <= 2^16 and |q| <= 2^15 keep both below 2^62.
        u64::from(count) * self.squares - product(self.sum, self.sum) as u64
    }

    /// What the `size` channels of the group share.
    #[inline(never)]
    pub fn affine(self, norm: &Norm<'_>, size: usize) -> Affine {
        let count = (norm.positions * size) as u32;
        let spread = self.spread(count) + norm.eps_q;
        // Floored: a mean is within 2^29, so 2^30 more makes it positive.
        let above = (i64::from(self.sum) << (MEAN_FRAC + 1)) + (i64::from(count) << 31) + i64::from(count);
        let mean = divide_by_small(above as u64, 2 * count).wrapping_sub(1 << 30) as i32;
        let inverse = rsqrt_u64(spread);
        // `mant * n` brought to 31 bits.
        let (mut twice, mut excess) = (product(inverse.mant_q31 as i32, 2 * count as i32), 0);
        while twice >> 32 != 0 {
            twice >>= 1;
            excess += 1;
        }
        // y = d * a * 2^-(14 + 31 + exp - excess + gamma_frac - 31), wanted in Q16.
        let s = MEAN_FRAC as i32 + inverse.exp - excess + i32::from(norm.gamma_frac) - OUT_FRAC;
        Affine {
            mean,
            p: (twice + 1) >> 1,
            s,
            shift: s.clamp(1, MAX_SHIFT),
        }
    }
}

/// What the channels of a group share.
#[derive(Default)]
pub struct Affine {
    /// Q14.
    pub mean: i32,
    /// `mant * n`, at most 2^31.
    p: i64,
    s: i32,
    /// `s` within its limits.
    pub shift: i32,
}

impl Affine {
    /// The factor of a channel.
    pub fn slope(&self, norm: &Norm<'_>, channel: usize) -> i32 {
        let gamma = norm.gamma.get(channel).copied().unwrap_or_default();
        let a = rounded(self.p * i64::from(gamma), 31, 0);
        let beyond = self.s - self.shift;
        if beyond < 0 {
            // At most 20.
            saturate_i32(i64::from(a) << (-beyond & 31))
        } else {
            a >> (beyond & 31)
        }
    }

    /// What a gamma is multiplied by, and how far its product is shifted beyond 31; `None` where either is out of a loop's range.
    #[cfg(feature = "fast")]
    #[inline(always)]
    pub fn narrow(&self) -> Option<(i32, u32)> {
        let (p, down) = (i32::try_from(self.p).ok()?, self.s - self.shift);
        (down >= 0).then_some((p, (down & 31) as u32))
    }

    /// All factors of a channel: `y = ((q * 2^14 - mean) * a + (beta << shift) + 2^(shift - 1)) >> shift`.
    pub fn factors(&self, norm: &Norm<'_>, channel: usize) -> Factors {
        [self.slope(norm, channel), self.mean, self.shift]
    }
}

/// What elements of a position become, where no stage saturates: `y = (d * a + (beta << 32) + 2^31) >> 32`.
#[derive(Clone, Copy)]
pub struct Lines {
    /// Q14.
    mean: i32,
    p: i64,
    /// What a factor loses beyond the largest shift.
    down: u32,
    /// What brings a deviation, and what brings a factor, from the shift to 32 together.
    up: [u32; 2],
}

impl Affine {
    /// For gammas and betas of at most these magnitudes, and elements of `spare` bits less than 16; `None` where a stage may saturate.
    #[inline(always)]
    pub fn lines(&self, [gamma, beta]: [u32; 2], spare: u32) -> Option<Lines> {
        let (all, down) = ((32 - self.shift) as u32, (self.s - self.shift) as u32);
        let of_d = all.min(spare);
        let up = all - of_d;
        // Rounded half up, in magnitude at most one more; and one more for the floor.
        let a = ((self.p * i64::from(gamma)) >> 31) + 1;
        // With d within 2^30, its spare bits used, the product is below 2^60, and so is the term.
        let holds = self.s >= self.shift && a >> 31 == 0 && up <= 30 && ((a >> (down & 31)) + 1) >> (30 - up) == 0;
        (holds && beta < 1 << 27).then_some(Lines {
            mean: self.mean,
            p: self.p,
            down: down & 31,
            up: [of_d, up],
        })
    }
}

#[cfg(feature = "fast")]
impl Affine {
    /// The largest magnitude that an element reaches by [`Affine::lines`] of the same arguments.
    pub fn reach(&self, [gamma, beta]: [u32; 2], spare: u32) -> u64 {
        let down = (self.s - self.shift) as u32 & 31;
        let a = ((((self.p * i64::from(gamma)) >> 31) as u64 + 1) >> down) + 1;
        // d is within 2^30, less the spare bits; a is below 2^30.
        ((a << (30 - spare)) >> self.shift) + u64::from(beta) + 1
    }
}

#[cfg(feature = "fast")]
impl Lines {
    /// The mean as elements are, with a zero point and shifted, and the left shift of an element.
    pub fn mean(&self, zero: i32) -> (i32, u32) {
        ((self.mean + (zero << MEAN_FRAC)) << self.up[0], MEAN_FRAC + self.up[0])
    }

    /// The factor of a deviation for a channel's gamma.
    #[inline(always)]
    pub fn slope(&self, gamma: i32) -> i32 {
        (((self.p * i64::from(gamma) + (1 << 30)) >> 31) as i32 >> self.down) << self.up[1]
    }
}

impl Lines {
    /// An element, q with its zero point removed.
    #[inline(always)]
    pub fn at(&self, q: i16, gamma: i32, beta: i32) -> i32 {
        let a = ((self.p * i64::from(gamma) + (1 << 30)) >> 31) as i32 >> self.down;
        let d = ((i32::from(q) << MEAN_FRAC) - self.mean) << self.up[0];
        let term = i64::from(beta) << 32 | 1 << 31;
        ((product(d, a << self.up[1]) + term) >> 32) as i32
    }
}
