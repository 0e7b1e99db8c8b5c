//! The accumulator proof: from the real weights, no output channel of a convolution can overflow.

use super::int4;
use super::op::{At, Conv, Weights};
use super::tensor::{Dtype, Tensor};
use super::validate::{Check, Checker};
use crate::error::Fault;
use crate::features::Feature;
use crate::kernels::family::padded;
use crate::numeric::requant::{Requant, WideRequant};

/// Largest magnitude of an input as the accumulator sees it, zero point removed.
pub fn input_bound(dtype: Dtype, zero_point: i8) -> i64 {
    match dtype {
        Dtype::I8 => 128 + i64::from(zero_point).abs(),
        _ => 1 << 15,
    }
}

/// Largest magnitude that an accumulator can reach, where the weights' magnitudes sum to `sum`, below 2^40, and an input's is at
/// most `input`, at most 2^15.
pub fn accumulator_bound(sum: u64, bias: i64, input: i64) -> u64 {
    bias.unsigned_abs().saturating_add(sum * input.unsigned_abs())
}

/// Checks weights, biases and multipliers of a convolution whose shapes are valid. `source` is the joined input, `outs` the output
/// channels, those of every group of timesteps.
pub(super) fn conv(check: &Checker<'_, '_>, c: &Conv, source: &Tensor, outs: usize) -> Check {
    let taps = usize::from(c.kernel) * usize::from(c.kernel) * usize::from(source.channels);
    let values = |row: usize| row.checked_mul(outs).or_else(|| check.fail(Fault::Parameter));
    let row = padded(taps);
    let wide = matches!(c.weights, Weights::W16 { .. });
    let (data, bias, requant) = match c.weights {
        Weights::W8 { data, bias, requant } | Weights::W16 { data, bias, requant } => {
            // Kernels load weights a word at a time.
            check.ensure(data.0.is_multiple_of(4), Fault::Alignment(data.0))?;
            (data, bias, requant)
        }
        Weights::W4 { data, bias, requant } => (data, bias, requant),
        Weights::F16 { data, bias } => {
            check.built(Feature::F16)?;
            check.finite_f16(check.table(data, values(taps)?)?)?;
            return check.finite_f32(check.table(bias, outs)?);
        }
    };
    let channels = Channels {
        check,
        input: input_bound(source.dtype, source.zero_point),
        limit: if wide {
            WideRequant::ACC_LIMIT as u64 - 1
        } else {
            i32::MAX as u64
        },
        bias: check.table(bias, outs * if wide { 2 } else { 1 })?,
    };
    if let Weights::W4 { .. } = c.weights {
        check.built(Feature::W4)?;
        let words = int4::row_words(taps);
        for (o, row) in check.table(data, values(words)?)?.chunks_exact(words).enumerate() {
            let weights = || row.iter().flat_map(|&word| int4::unpack(word));
            check.ensure(weights().skip(taps).all(|w| w == 0), Fault::Padding(o as u32))?;
            let sum: u32 = weights().map(|w| u32::from(w.unsigned_abs())).sum();
            channels.holds(o, (*channels.bias.get(o)?).into(), sum.into())?;
        }
    } else {
        if wide {
            check.built(Feature::W16)?;
        }
        // One loop for both widths of weights.
        let size = 1 + usize::from(wide);
        let bytes = values(row)?.checked_mul(size);
        let bytes = check.table::<u8>(data, bytes.or_else(|| check.fail(Fault::Parameter))?)?;
        for (o, row) in bytes.chunks_exact(row * size).enumerate() {
            let (mut sum, mut padding) = (0u64, 0);
            for (tap, weight) in row.chunks_exact(size).enumerate() {
                let weight = match *weight {
                    [low, high] => i16::from_le_bytes([low, high]),
                    [byte, ..] => (byte as i8).into(),
                    [] => 0,
                };
                sum += u64::from(weight.unsigned_abs());
                if tap >= taps {
                    padding |= weight;
                }
            }
            check.ensure(padding == 0, Fault::Padding(o as u32))?;
            let bias = match channels.bias.get(o * size..)? {
                [low, high, ..] if wide => wide_bias([*low, *high]),
                [bias, ..] => (*bias).into(),
                [] => return None,
            };
            channels.holds(o, bias, sum)?;
        }
    }
    let mults = check.table(requant, outs)?;
    let shifts = check.table(At(requant.0.saturating_add(outs as u32 * 4)), outs)?;
    for (&mult, &shift) in mults.iter().zip(shifts) {
        let valid = if wide {
            WideRequant { mult, shift }.is_valid()
        } else {
            Requant { mult, shift }.is_valid()
        };
        check.ensure(valid, Fault::Requant)?;
    }
    Some(())
}

/// What the output channels of a convolution have in common.
struct Channels<'c, 'm, 'a> {
    check: &'c Checker<'m, 'a>,
    /// Largest magnitude of an input.
    input: i64,
    /// Largest magnitude of an accumulator.
    limit: u64,
    /// A word a channel, or two.
    bias: &'a [i32],
}

impl Channels<'_, '_, '_> {
    /// Whether no accumulator of channel `o` can be too large, whose weights' magnitudes sum to `sum`, below 2^40.
    #[inline(never)]
    fn holds(&self, o: usize, bias: i64, sum: u64) -> Check {
        let bound = accumulator_bound(sum, bias, self.input);
        self.check.ensure(bound <= self.limit, Fault::Accumulator(o as u32))
    }
}

/// An int64 bias stored as two little-endian words, so that 4-byte alignment is enough.
pub fn wide_bias(words: [i32; 2]) -> i64 {
    i64::from(words[1]) << 32 | i64::from(words[0] as u32)
}
