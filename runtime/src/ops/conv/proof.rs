//! The accumulator proof: from the real weights, no output channel of a convolution can overflow.

use super::{Conv, Weights};
use crate::error::Fault;
use crate::family::padded;
use crate::features::Feature;
use crate::numeric::requant::{Requant, WideRequant, in_range};
use crate::ops::At;
use crate::ops::check::{Check, Checker};
use crate::tensor::int4;
use crate::tensor::{Dtype, Tensor};

/// Largest magnitude of an input as the accumulator sees it, zero point removed.
pub fn input_bound(dtype: Dtype, zero_point: i8) -> i64 {
    match dtype {
        Dtype::I8 => 128 + i64::from(zero_point.unsigned_abs()),
        _ => 1 << 15,
    }
}

/// Largest magnitude that an accumulator can reach, where the weights' magnitudes sum to `sum`, below 2^40, and an input's is at
/// most `input`, at most 2^15.
pub fn accumulator_bound(sum: u64, bias: i64, input: i64) -> u64 {
    bias.unsigned_abs() + sum * input.unsigned_abs()
}

/// Checks weights, biases and multipliers of a convolution whose shapes are valid. `source` is the joined input, `outs` the output
/// channels, those of every group of timesteps.
#[inline(never)]
pub(super) fn conv(check: &Checker<'_, '_>, c: &Conv, source: &Tensor, outs: usize) -> Check {
    let taps = c.kernel().area() * usize::from(source.channels);
    let values = |row: usize| row.checked_mul(outs).or_else(|| check.fail(Fault::Parameter));
    let (size, row) = match c.weights {
        Weights::W8 { .. } => (1, padded(taps)),
        Weights::W16 { .. } => (2, 2 * padded(taps)),
        Weights::W4 { .. } => (1, 4 * int4::row_words(taps)),
        Weights::F16 { data, bias } => {
            check.built(Feature::F16)?;
            if let Some([limit, _]) = check.context.apart() {
                elsewhere(check, data, values(2 * taps)?, limit)?;
            } else {
                check.finite_f16(check.table(data, values(taps)?)?)?;
            }
            return check.finite_f32(check.table(bias, outs)?);
        }
    };
    let (wide, int4) = (size == 2, matches!(c.weights, Weights::W4 { .. }));
    if wide {
        check.built(Feature::W16)?;
    }
    if int4 {
        check.built(Feature::W4)?;
    }
    let (Weights::W8 { data, bias, requant }
    | Weights::W16 { data, bias, requant }
    | Weights::W4 { data, bias, requant }) = c.weights
    else {
        return None;
    };
    let input = input_bound(source.dtype, source.zero_point);
    let (limit, least) = if wide {
        (WideRequant::ACC_LIMIT as u64 - 1, WideRequant::LEAST)
    } else {
        (i32::MAX as u64, Requant::LEAST)
    };
    // Those of another file are held to the accumulators when it is there ([`row_holds`]).
    let apart = check.context.apart();
    let mut weights = match apart {
        None => check.table::<u8>(data, values(row)?)?,
        Some([limit, _]) => elsewhere(check, data, values(row)?, limit).map(|()| [].as_slice())?,
    };
    let row = if apart.is_some() { 0 } else { row };
    let taps = if apart.is_some() { 0 } else { taps };
    // Kernels load weights a word at a time.
    check.ensure(data.0.is_multiple_of(4), Fault::Alignment(data.0))?;
    let mut biases = check.table::<i32>(bias, values(size)?)?.iter();
    let mults = check.table(requant, outs)?;
    let shifts = check.table(At(requant.0.saturating_add(outs as u32 * 4)), outs)?;
    for (o, (&mult, &shift)) in mults.iter().zip(shifts).enumerate() {
        let (row, after) = weights.split_at_checked(row)?;
        weights = after;
        let sum = if int4 {
            magnitudes4(row, taps)
        } else {
            magnitudes(row, taps, wide)
        };
        let sum = sum.or_else(|| check.fail(Fault::Padding(o as u32)))?;
        let low = *biases.next()?;
        let high = if wide { *biases.next()? } else { low >> 31 };
        let bound = accumulator_bound(sum, wide_bias([low, high]), input);
        check.ensure(bound <= limit, Fault::Accumulator(o as u32))?;
        check.ensure(in_range(mult, shift, least), Fault::Requant)?;
    }
    Some(())
}

/// Sum of the magnitudes of a row of weights of 8 or 16 bits; `None` where what follows the last tap is not zero.
#[inline(never)]
fn magnitudes(row: &[u8], taps: usize, wide: bool) -> Option<u64> {
    let (weights, padding) = row.split_at_checked(taps << u32::from(wide))?;
    let (mut sum, mut bytes) = (0u64, weights.iter());
    while let Some(&byte) = bytes.next() {
        let weight = if wide {
            i16::from_le_bytes([byte, *bytes.next()?])
        } else {
            (byte as i8).into()
        };
        sum += u64::from(weight.unsigned_abs());
    }
    padding.iter().all(|&byte| byte == 0).then_some(sum)
}

/// [`magnitudes`] of a row of int4 weights.
fn magnitudes4(row: &[u8], taps: usize) -> Option<u64> {
    let words = row.as_chunks().0.iter();
    let (mut sum, mut left) = (0u64, taps);
    for weight in words.flat_map(|&word| int4::unpack(u32::from_le_bytes(word))) {
        if left == 0 && weight != 0 {
            return None;
        }
        sum += u64::from(weight.unsigned_abs());
        left = left.saturating_sub(1);
    }
    Some(sum)
}

/// An int64 bias stored as two little-endian words, so that 4-byte alignment is enough.
pub fn wide_bias(words: [i32; 2]) -> i64 {
    i64::from(words[1]) << 32 | i64::from(words[0] as u32)
}

/// That a table of `len` bytes lies in the file of weights, of `limit` bytes, at a word.
#[inline(always)]
fn elsewhere(check: &Checker<'_, '_>, data: At, len: usize, limit: u32) -> Check {
    let end = u64::from(data.0) + len as u64;
    let fault = Fault::OutOfBounds {
        limit,
        end: u32::try_from(end).unwrap_or(u32::MAX),
    };
    check.ensure(end <= limit.into(), fault)?;
    check.ensure(data.0.is_multiple_of(4), Fault::Alignment(data.0))
}

/// Whether a row of integer weights of channel `channel` cannot overflow its accumulator, which the rest of the record's checks have left
/// open. `bias` is that channel's, `input` is [`input_bound`]'s.
#[cfg(feature = "streamed")]
pub(crate) fn row_holds(weights: &Weights, row: &[u8], taps: usize, bias: i64, input: i64) -> bool {
    let (sum, limit) = match weights {
        Weights::W16 { .. } => (magnitudes(row, taps, true), WideRequant::ACC_LIMIT as u64 - 1),
        Weights::W8 { .. } => (magnitudes(row, taps, false), i32::MAX as u64),
        Weights::W4 { .. } => (magnitudes4(row, taps), i32::MAX as u64),
        Weights::F16 { .. } => {
            let halves = row.as_chunks().0.iter();
            return halves
                .map(|&half| u16::from_le_bytes(half))
                .all(|half| half & 0x7C00 != 0x7C00);
        }
    };
    sum.is_some_and(|sum| accumulator_bound(sum, bias, input) <= limit)
}
