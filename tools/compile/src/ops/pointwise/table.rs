//! Tables of a function in every number format.

use mote_graph::ops::Function;
use mote_runtime::internals::tensor::Dtype;

use crate::quantize::formats::Format;

/// A step of a function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    /// A function with a name.
    Function(Function),
    /// `x * scale + shift`.
    Affine {
        /// Factor.
        scale: f64,
        /// Offset.
        shift: f64,
    },
    /// `x^2`.
    Square,
}

/// Segments of f16 tables have 2^this numbers: 64 segments a power of two.
const F16_BITS: u8 = 4;
/// The fewest and the most inputs of an int16 segment, as powers of two: tables of 8 KiB to 34 bytes.
const I16_BITS: [u8; 2] = [4, 12];

impl Scalar {
    fn value(self, x: f64) -> f64 {
        match self {
            Self::Function(function) => function.value(x),
            Self::Affine { scale, shift } => x * scale + shift,
            Self::Square => x * x,
        }
    }
}

/// All of them, one after the other.
pub fn value(function: &[Scalar], x: f64) -> f64 {
    function.iter().fold(x, |x, scalar| scalar.value(x))
}

/// The largest magnitude of a function over an input's whole range.
pub fn max_abs(function: &[Scalar], input: Format) -> f64 {
    let largest = |m: f64, q: i32| m.max(value(function, f64::from(q) * input.scale).abs());
    inputs(input).fold(0.0, largest)
}

/// Every integer that an input may be, zero point removed.
fn inputs(input: Format) -> std::ops::RangeInclusive<i32> {
    match input.dtype {
        Dtype::I8 => {
            let zero = i32::from(input.zero_point);
            -128 - zero..=127 - zero
        }
        _ => -32768..=32767,
    }
}

fn int16(v: f64) -> i16 {
    libm::round(v).clamp(-32768.0, 32767.0) as i16
}

/// int8 to int8: the stored bytes, by the stored byte.
pub fn bytes(function: &[Scalar], input: Format, out: Format) -> Vec<i8> {
    let zero = f64::from(out.zero_point);
    let stored = |x: f64| (libm::round(value(function, x) / out.scale) + zero).clamp(-128.0, 127.0) as i8;
    by_byte(input).map(stored).collect()
}

/// int8 to int16 in so large a unit, by the stored byte.
pub fn words(function: &[Scalar], input: Format, unit: f64) -> Vec<i16> {
    by_byte(input).map(|x| int16(value(function, x) / unit)).collect()
}

/// What each byte stands for, in the order of the table.
fn by_byte(input: Format) -> impl Iterator<Item = f64> {
    let zero = i32::from(input.zero_point);
    (0..256u32).map(move |byte| f64::from(i32::from(byte as u8 as i8) - zero) * input.scale)
}

/// int16 to int16 in so large a unit. The segments are the longest whose straight lines are within `tolerance` of the function; their
/// length is the second result.
pub fn segments(function: &[Scalar], input: Format, unit: f64, tolerance: f64) -> (Vec<i16>, u8) {
    let at = |i: usize| value(function, (i as f64 - 32768.0) * input.scale);
    let values: Vec<f64> = (0..=1 << 16).map(at).collect();
    let [fewest, most] = I16_BITS;
    let holds = |bits: &u8| deviation(&values, 1 << bits) <= tolerance;
    let bits = (fewest..=most).rev().find(holds).unwrap_or(fewest);
    let ends = values.iter().step_by(1 << bits).map(|v| int16(v / unit));
    (ends.collect(), bits)
}

/// Largest distance of the straight lines between every `step`-th value from the values between them.
fn deviation(values: &[f64], step: usize) -> f64 {
    let ends = values.iter().step_by(step).zip(values.iter().skip(step).step_by(step));
    let lines = ends.zip(values.chunks_exact(step));
    lines.fold(0.0, |largest, ((left, right), values)| {
        let slope = (right - left) / step as f64;
        let line = |i: usize| left + slope * i as f64;
        let far = |(i, v): (usize, &f64)| (line(i) - v).abs();
        values.iter().enumerate().map(far).fold(largest, f64::max)
    })
}

/// f16: ends of segments in f32, of positive, then of negative numbers.
pub fn float(function: &[Scalar]) -> (Vec<f32>, u8) {
    let ends = |sign: f64| {
        (0..=1u32 << (15 - F16_BITS)).map(move |i| {
            let v = value(function, sign * magnitude(i << F16_BITS));
            v.clamp(-f64::from(f32::MAX), f64::from(f32::MAX)) as f32
        })
    };
    (ends(1.0).chain(ends(-1.0)).collect(), F16_BITS)
}

/// What the lower 15 bits of an f16 stand for; the largest exponent counts as one more power of two.
fn magnitude(bits: u32) -> f64 {
    let (exponent, fraction) = ((bits >> 10) as i32, f64::from(bits & 1023));
    match exponent {
        0 => libm::ldexp(fraction, -24),
        _ => libm::ldexp(1024.0 + fraction, exponent - 25),
    }
}
