//! Normalizations by the family's kernel: those whose numbers it holds.

use core::ops::Range;

use super::moments::{Affine, Factors, MAX_SHIFT, Sums, fill};
use super::{FACTOR_WORDS, Input, Norm, exact};
use crate::family::CHUNK;
use crate::family::{Elements, Family, Finish, Native, Normalized};
use crate::features::MODULATES;
use crate::numeric::divide::divide_by_small;
use crate::numeric::product::product;
use crate::numeric::requant::Requant;
use crate::tensor::view::{Operand, View, ViewMut};

/// What [`Norm::prepare`] gives beside the factors: what follows them in the family's kernel, if that runs it.
pub type Prepared = Option<Finish>;

/// Whether the factors are for the family's kernel.
pub fn is_quick(prepared: &Prepared) -> bool {
    prepared.is_some()
}

impl Norm<'_> {
    /// Leaves every channel's factors for [`positions`].
    #[inline(never)]
    pub fn prepare(&self, input: &Input<'_>, factors: &mut [i32], out: &ViewMut<'_>) -> Prepared {
        let finish = self.quick(input, factors, out);
        if finish.is_none() {
            self.fill(input, factors, out, &|affine, channel| {
                Some(affine.factors(self, channel))
            });
        }
        finish
    }

    /// What [`prepare`](Self::prepare) gave where it left the factors that are still there: for the family's kernel, or not.
    pub fn prepared(&self, quick: bool) -> Prepared {
        let Requant { mult, shift } = self.out_requant;
        (quick && shift > 32).then(|| self.after_factors(mult, shift))
    }

    #[inline(always)]
    fn after_factors(&self, mult: i32, shift: u8) -> Finish {
        Finish {
            silu: self.silu,
            mult,
            round: 1 << (shift - 33),
            shift: u32::from(shift) - 32,
        }
    }

    /// Leaves the factors for [`Family::normalize`], or finds that it cannot run this.
    fn quick(&self, input: &Input<'_>, factors: &mut [i32], out: &ViewMut<'_>) -> Option<Finish> {
        let Requant { mult, shift } = self.out_requant;
        if self.scale_shift.is_some() || shift <= 32 || !matches!(out, ViewMut::I8(..) | ViewMut::I16(_)) {
            return None;
        }
        // Stored values, as the kernel reads them.
        let (bits, zero) = match (input, out) {
            (Input::One(Operand::Apart(View::I8(_, zero))), _) => (7, *zero),
            (Input::One(Operand::InPlace { zero }), ViewMut::I8(..)) => (7, *zero),
            _ => (15, 0),
        };
        if MODULATES && let Input::One(_) = input {
            self.fill_quick(input, factors, out, bits, zero)?;
        } else {
            self.fill(input, factors, out, &|affine, channel| {
                affine.quick(self, channel, bits, zero)
            })?;
        }
        let finish = self.after_factors(mult, shift);
        let pieces = match input {
            Input::Two([first, second]) if self.channels > CHUNK => first.channels | second.channels,
            _ => self.channels,
        };
        Native::normalizes(&finish, pieces, out).then_some(finish)
    }

    /// What [`Affine::quick`] makes of every channel of one tensor, in a loop of its own.
    #[inline(never)]
    fn fill_quick(
        &self,
        input: &Input<'_>,
        factors: &mut [i32],
        out: &ViewMut<'_>,
        bits: u32,
        zero: i32,
    ) -> Option<()> {
        let size = divide_by_small(self.channels as u64, self.groups as u32) as usize;
        let mut first = 0;
        for words in factors.chunks_mut((size * FACTOR_WORDS).max(1)) {
            let channels = first..first + size;
            let affine = input.sums(out, self, channels.clone(), &[]).affine(self, size);
            let (words, _) = words.as_chunks_mut::<FACTOR_WORDS>();
            let (gammas, betas) = (self.gamma.get(channels.clone())?, self.beta_q16.get(channels)?);
            if !affine.quick_all(gammas, betas, bits, zero, words)? {
                for (channel, words) in (first..).zip(words) {
                    *words = affine.quick(self, channel, bits, zero)?;
                }
            }
            first += size;
        }
        Some(())
    }

    /// Leaves every channel's factors, as `form` makes them; `None` where it cannot.
    #[inline(never)]
    fn fill(
        &self,
        input: &Input<'_>,
        factors: &mut [i32],
        out: &ViewMut<'_>,
        form: &dyn Fn(&Affine, usize) -> Option<Factors>,
    ) -> Option<()> {
        if let Input::Two([one, two]) = input {
            factors.fill(0);
            let (first, second) = factors.split_at_mut(one.channels * FACTOR_WORDS);
            one.add_sums(first);
            two.add_sums(second);
        }
        fill(
            self,
            factors,
            &|channels, factors| input.sums(out, self, channels, factors),
            form,
        )
    }
}

impl Affine {
    /// `(a, offset low, high)` such that `y = (q * 2^16 * a + offset) >> 32` for `abs(q) <= 2^bits`, `zero` not yet removed from q; `None`
    /// where 64 bits do not hold it, or y could reach 2^27.
    fn quick(&self, norm: &Norm<'_>, channel: usize, bits: u32, zero: i32) -> Option<Factors> {
        let (slope, up) = (self.slope(norm, channel), (MAX_SHIFT - self.shift) as u32);
        let a = slope << up;
        // The product below 2^57, the offset below 2^58; none of its terms reaches 2^62.
        let reach = u64::from(a.unsigned_abs()) >> (41 - bits);
        let beta = norm.beta_q16[channel];
        if a >> up != slope || reach > 0 || beta.unsigned_abs() >= 1 << 29 {
            return None;
        }
        let mean_q16 = (self.mean << 2) + (zero << 16);
        let offset = (i64::from(beta) << 32) + (1 << 31) - i64::from(mean_q16) * i64::from(a);
        (offset.unsigned_abs() < 1 << 58).then_some([a, offset as i32, (offset >> 32) as i32])
    }

    /// The same of the channels of a group; `false` where its numbers are too large for the loop, and `None` as there.
    #[inline(always)]
    fn quick_all(&self, gammas: &[i32], betas: &[i32], bits: u32, zero: i32, words: &mut [Factors]) -> Option<bool> {
        let Some((p, down)) = self.narrow() else {
            return Some(false);
        };
        let up = (MAX_SHIFT - self.shift) as u32;
        let mean_q16 = (self.mean << 2) + (zero << 16);
        // A slope that stays within 32 bits and `2^(41 - bits)` when it is shifted.
        let most = ((1u64 << (41 - bits)) - 1).min(i32::MAX as u64) as u32 >> up;
        for ((words, &gamma), &beta) in words.iter_mut().zip(gammas).zip(betas) {
            // With p below 2^31 it is within 32 bits.
            let slope = ((product(p, gamma) + (1 << 30)) >> 31) as i32 >> down;
            if slope.unsigned_abs() > most || beta.unsigned_abs() >= 1 << 29 {
                return None;
            }
            let a = slope << up;
            let term = i64::from(beta) << 32 | 1 << 31;
            let offset = term - product(mean_q16, a);
            let high = (offset >> 32) as i32;
            if high.unsigned_abs() >= 1 << 26 {
                return None;
            }
            *words = [a, offset as i32, high];
        }
        Some(true)
    }
}

impl Input<'_> {
    /// Sums of a group's channels; `joined` has those of every channel of a concatenation.
    #[inline(never)]
    fn sums(&self, out: &ViewMut<'_>, norm: &Norm<'_>, channels: Range<usize>, joined: &[i32]) -> Sums {
        let (view, zero) = match self {
            Self::One(Operand::Apart(view @ View::I8(_, zero))) => (*view, *zero),
            Self::One(Operand::Apart(view)) => (*view, 0),
            Self::One(Operand::InPlace { zero }) => (out.as_view(), *zero),
            Self::Two(_) => return Sums::of_channels(channels, joined),
        };
        let (first, size) = (channels.start, channels.len());
        let (sum, squares) = match view {
            View::I8(data, _) => Native::moments8(data, norm.channels, first, size),
            View::I16(data) => Native::moments16(data, norm.channels, first, size),
            View::F16(_) | View::Q24(_) => (0, 0),
        };
        // Sums of q - zero from sums of q.
        let (elements, zero) = ((norm.positions * size) as i64, i64::from(zero));
        Sums {
            sum: (sum - elements * zero) as i32,
            squares: (squares as i64 - 2 * zero * sum + elements * zero * zero) as u64,
        }
    }
}

/// Normalizes some positions, the first to the front of `out`. `factors` is what [`Norm::prepare`] left.
#[inline(never)]
pub fn positions(
    input: &Input<'_>,
    norm: &Norm<'_>,
    prepared: &Prepared,
    factors: &[i32],
    range: Range<usize>,
    out: &mut ViewMut<'_>,
) {
    let factors = &factors[..norm.channels * FACTOR_WORDS];
    match prepared {
        Some(finish) => normalize(input, norm, factors, finish, range, out),
        None => exact::positions(input, norm, factors, range, out),
    }
}

/// Every element through the family's kernel.
fn normalize(
    input: &Input<'_>,
    norm: &Norm<'_>,
    factors: &[i32],
    finish: &Finish,
    range: Range<usize>,
    out: &mut ViewMut<'_>,
) {
    let parts = match input {
        Input::One(operand) => {
            let elements = range.start * norm.channels..range.end * norm.channels;
            let count = elements.len();
            let from = match operand {
                Operand::Apart(View::I8(data, _)) => Elements::I8(&data[elements]),
                Operand::Apart(View::I16(data)) => Elements::I16(&data[elements]),
                _ => Elements::InPlace,
            };
            return run(from, 0, count, factors, finish, out);
        }
        Input::Two(parts) => parts,
    };
    if let Some(mut to) = normalized(out, 0, range.len() * norm.channels)
        && Native::normalize_two(parts, range.clone(), &mut to, factors, finish)
    {
        return;
    }
    let mut joined = [0; CHUNK];
    for position in range.clone() {
        let at = (position - range.start) * norm.channels;
        if let Some(joined) = joined.get_mut(..norm.channels) {
            let (first, second) = joined.split_at_mut(parts[0].channels);
            parts[0].join(position * parts[0].channels, first);
            parts[1].join(position * parts[1].channels, second);
            run(Elements::I16(joined), at, norm.channels, factors, finish, out);
            continue;
        }
        let mut first = 0;
        for part in parts {
            let mut done = 0;
            while done < part.channels {
                // A common scale first, a few elements at a time.
                let joined = &mut joined[..(part.channels - done).min(CHUNK)];
                part.join(position * part.channels + done, joined);
                let (channel, count) = (first + done, joined.len());
                let factors = &factors[channel * FACTOR_WORDS..][..count * FACTOR_WORDS];
                run(Elements::I16(joined), at + channel, count, factors, finish, out);
                done += count;
            }
            first += part.channels;
        }
    }
}

/// `count` elements of the output from `at` on.
fn run(from: Elements<'_>, at: usize, count: usize, factors: &[i32], finish: &Finish, out: &mut ViewMut<'_>) {
    if let Some(mut to) = normalized(out, at, count) {
        Native::normalize(from, &mut to, factors, finish);
    }
}

fn normalized<'o>(out: &'o mut ViewMut<'_>, at: usize, count: usize) -> Option<Normalized<'o>> {
    match out {
        ViewMut::I8(data, zero) => Some(Normalized::I8(data.get_mut(at..at + count)?, *zero)),
        ViewMut::I16(data) => Some(Normalized::I16(data.get_mut(at..at + count)?)),
        ViewMut::F16(_) | ViewMut::Q24(_) => None,
    }
}
