//! The accumulator proof: from the real weights, no output channel of a convolution can overflow.

use super::int4;
use super::model::Model;
use super::op::{At, Conv, Weights};
use super::tensor::{Dtype, Tensor};
use super::validate::{built, ensure, table};
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

/// Largest magnitude that an accumulator can reach with these weights: `|bias| + bound * sum |w|`.
pub fn accumulator_bound(weights: impl Iterator<Item = i32>, bias: i64, input: i64) -> i64 {
    let sum: i64 = weights.map(|w| i64::from(w.unsigned_abs())).sum();
    bias.saturating_abs().saturating_add(sum.saturating_mul(input))
}

/// Checks weights, biases and multipliers of a convolution whose shapes are valid. `source` is the joined input.
pub fn conv(model: &Model<'_>, c: &Conv, source: &Tensor, out: &Tensor) -> Result<(), Fault> {
    let taps = usize::from(c.kernel) * usize::from(c.kernel) * usize::from(source.channels);
    let outs = usize::from(out.channels);
    let row = match c.weights {
        Weights::F16 { .. } => taps,
        Weights::W4 { .. } | Weights::W8 { .. } | Weights::W16 { .. } => padded(taps),
    };
    let count = row.checked_mul(outs).ok_or(Fault::Parameter)?;
    let input = input_bound(source.dtype, source.zero_point);
    match c.weights {
        Weights::W8 { data, bias, requant } => {
            aligned(data)?;
            let weights = table::<i8>(model, data, count)?;
            let bias = table::<i32>(model, bias, outs)?;
            let requant = channel_requants(model, requant, outs)?;
            for (o, row) in weights.chunks_exact(row).enumerate() {
                ensure(row[taps..].iter().all(|&w| w == 0), Fault::Padding(o as u32))?;
                let bound = accumulator_bound(row.iter().map(|&w| w.into()), bias[o].into(), input);
                ensure(bound <= i32::MAX.into(), Fault::Accumulator(o as u32))?;
            }
            ensure(
                requant.all(|(mult, shift)| Requant { mult, shift }.is_valid()),
                Fault::Requant,
            )
        }
        Weights::W4 { data, bias, requant } => {
            built(Feature::W4)?;
            let words = int4::row_words(taps);
            let data = table::<u32>(model, data, words.checked_mul(outs).ok_or(Fault::Parameter)?)?;
            let bias = table::<i32>(model, bias, outs)?;
            let requant = channel_requants(model, requant, outs)?;
            for (o, row) in data.chunks_exact(words).enumerate() {
                let weights = || row.iter().flat_map(|&word| int4::unpack(word));
                ensure(weights().skip(taps).all(|w| w == 0), Fault::Padding(o as u32))?;
                let bound = accumulator_bound(weights().map(i32::from), bias[o].into(), input);
                ensure(bound <= i32::MAX.into(), Fault::Accumulator(o as u32))?;
            }
            ensure(
                requant.all(|(mult, shift)| Requant { mult, shift }.is_valid()),
                Fault::Requant,
            )
        }
        Weights::W16 { data, bias, requant } => {
            built(Feature::W16)?;
            aligned(data)?;
            let weights = table::<i16>(model, data, count)?;
            let bias = table::<[i32; 2]>(model, bias, outs)?;
            let requant = channel_requants(model, requant, outs)?;
            for (o, row) in weights.chunks_exact(row).enumerate() {
                ensure(row[taps..].iter().all(|&w| w == 0), Fault::Padding(o as u32))?;
                let bound = accumulator_bound(row.iter().map(|&w| w.into()), wide_bias(bias[o]), input);
                ensure(bound < WideRequant::ACC_LIMIT, Fault::Accumulator(o as u32))?;
            }
            ensure(
                requant.all(|(mult, shift)| WideRequant { mult, shift }.is_valid()),
                Fault::Requant,
            )
        }
        Weights::F16 { data, bias } => {
            built(Feature::F16)?;
            finite_f16(table::<u16>(model, data, count)?)?;
            finite_f32(table::<u32>(model, bias, outs)?)
        }
    }
}

/// Kernels load weights a word at a time.
fn aligned(at: At) -> Result<(), Fault> {
    ensure(at.0.is_multiple_of(4), Fault::Alignment(at.0))
}

/// An int64 bias stored as two little-endian words, so that 4-byte alignment is enough.
pub fn wide_bias(words: [i32; 2]) -> i64 {
    i64::from(words[1]) << 32 | i64::from(words[0] as u32)
}

fn channel_requants<'a>(model: &Model<'a>, at: At, outs: usize) -> Result<ChannelRequants<'a>, Fault> {
    let mult = table::<i32>(model, at, outs)?;
    let shift = table::<u8>(model, At(at.0.saturating_add(outs as u32 * 4)), outs)?;
    Ok(ChannelRequants { mult, shift })
}

struct ChannelRequants<'a> {
    mult: &'a [i32],
    shift: &'a [u8],
}

impl ChannelRequants<'_> {
    fn all(&self, f: impl Fn((i32, u8)) -> bool) -> bool {
        self.mult.iter().zip(self.shift).all(|(&m, &s)| f((m, s)))
    }
}

/// Fails at the first f16 that is infinite or not a number.
pub fn finite_f16(bits: &[u16]) -> Result<(), Fault> {
    let bad = bits.iter().position(|b| b & 0x7C00 == 0x7C00);
    bad.map_or(Ok(()), |i| Err(Fault::NotFinite(i as u32)))
}

/// Fails at the first f32 that is infinite or not a number.
pub fn finite_f32(bits: &[u32]) -> Result<(), Fault> {
    let bad = bits.iter().position(|b| b & 0x7F80_0000 == 0x7F80_0000);
    bad.map_or(Ok(()), |i| Err(Fault::NotFinite(i as u32)))
}
