//! Tables against their functions.

use mote_graph::ops::Function;
use mote_runtime::internals::tensor::Dtype;

use super::table::{Scalar, bytes, float, segments, value, words};
use crate::quantize::formats::Format;

/// Largest inputs of calibrated layers, from narrow to wide.
const RANGES: [f64; 4] = [1.0, 4.0, 12.0, 40.0];

fn format(dtype: Dtype, low: f64, high: f64) -> Format {
    let units = if dtype == Dtype::I8 { 255.0 } else { 65535.0 };
    let scale = (high - low) / units;
    let zero_point = if dtype == Dtype::I8 {
        libm::round(-128.0 - low / scale) as i8
    } else {
        0
    };
    Format {
        dtype,
        scale,
        zero_point,
    }
}

/// Every function over every range, with the smallest and the largest value that it has there.
fn cases() -> impl Iterator<Item = (Function, f64, [f64; 2])> {
    let ranges = Function::ALL.into_iter().flat_map(|f| RANGES.map(|range| (f, range)));
    ranges.map(|(function, range)| {
        let values = (-1000..=1000).map(|i| function.value(f64::from(i) * range / 1000.0));
        let ends = values.fold([0.0f64, 0.0], |[low, high], v| [low.min(v), high.max(v)]);
        (function, range, ends)
    })
}

/// Largest value to noise in dB, of pairs of found and expected.
fn decibels(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    let add = |[peak, noise, count]: [f64; 3], (found, expected): (f64, f64)| {
        [
            peak.max(expected.abs()),
            noise + (found - expected).powi(2),
            count + 1.0,
        ]
    };
    let [peak, noise, count] = pairs.fold([0.0, 1e-300, 0.0], add);
    10.0 * (peak * peak * count / noise).log10()
}

/// The rule of NUMERICS.md for an int16 input, written again.
fn interpolated(ends: &[i16], bits: u8, q: i32) -> i32 {
    let (i, w) = ((q + 32768) >> bits, (q + 32768) & ((1 << bits) - 1));
    let [left, right] = [i, i + 1].map(|i| i32::from(ends[i as usize]));
    ((left << bits) + (right - left) * w + (1 << (bits - 1))) >> bits
}

/// 40 dB more than a network with int16 activations is asked for, which is 50 dB.
#[test]
fn int16_to_int16_is_90_db_above_its_noise() {
    for (function, range, [low, high]) in cases() {
        let input = format(Dtype::I16, -range, range);
        let unit = high.max(-low) / 32767.0;
        let steps = [Scalar::Function(function)];
        let (ends, bits) = segments(&steps, input, unit, unit);
        let all = (-32768..=32767).map(|q| {
            let found = f64::from(interpolated(&ends, bits, q)) * unit;
            (found, function.value(f64::from(q) * input.scale))
        });
        let found = decibels(all.clone());
        assert!(
            found > 90.0,
            "{function:?} to {range}: {found} dB of {} ends",
            ends.len()
        );
        // A unit of the segments, half a one each of their ends and of the result's rounding.
        let worst = all.map(|(f, e)| (f - e).abs()).fold(0.0, f64::max);
        assert!(worst <= 2.1 * unit, "{function:?} to {range}: {} units", worst / unit);
    }
}

/// Of int8 inputs every value is the nearest that there is.
#[test]
fn int8_inputs_are_rounded_once() {
    for (function, range, [low, high]) in cases() {
        let (input, out) = (format(Dtype::I8, -range, range / 3.0), format(Dtype::I8, low, high));
        let unit = high.max(-low) / 32767.0;
        let steps = [Scalar::Affine { scale: 0.5, shift: 0.1 }, Scalar::Function(function)];
        let (stored, wide) = (bytes(&steps, input, out), words(&steps, input, unit));
        for byte in 0..256 {
            let q = i32::from(byte as u8 as i8) - i32::from(input.zero_point);
            let expected = function.value(f64::from(q) * input.scale * 0.5 + 0.1);
            let found = f64::from(i32::from(stored[byte]) - i32::from(out.zero_point)) * out.scale;
            let inside = expected.clamp(low.min(0.0), high);
            assert!(
                (found - inside).abs() < 1.01 * out.scale,
                "{function:?} of {q}: {found}, {expected}"
            );
            assert!((f64::from(wide[byte]) * unit - expected).abs() < 0.51 * unit || expected > high);
        }
    }
}

/// As NUMERICS.md says.
#[test]
fn f16_tables_are_within_their_bounds() {
    for function in Function::ALL {
        let (ends, bits) = float(&[Scalar::Function(function)]);
        let (positive, negative) = ends.split_at(ends.len() / 2);
        let bound = if function == Function::Relu2 { 6.2e-5 } else { 2e-5 };
        for x in 0..0x7C00u16 {
            for (ends, sign) in [(positive, 1.0f32), (negative, -1.0)] {
                let (i, w) = (usize::from(x >> bits), x & ((1 << bits) - 1));
                let part = f32::from(w) / f32::from(1u16 << bits);
                let found = ends[i] + (ends[i + 1] - ends[i]) * part;
                let expected = function.value(f64::from(sign * half::f16::from_bits(x).to_f32()));
                let error = (f64::from(found) - expected).abs() / expected.abs().max(1.0);
                assert!(
                    error < bound,
                    "{function:?} of {sign} {x:#x}: {found}, {expected} expected"
                );
            }
        }
    }
}

/// Short tables where the function is straight, long ones where it bends.
#[test]
fn segments_are_as_long_as_the_function_allows() {
    let input = format(Dtype::I16, -8.0, 8.0);
    let ends = |function, tolerance| {
        let steps = [Scalar::Function(function)];
        segments(&steps, input, 8.0 / 32767.0, tolerance).0.len()
    };
    assert_eq!(ends(Function::Relu, 1e-9), 17);
    let (fine, coarse) = (ends(Function::Mish, 8.0 / 32767.0), ends(Function::Mish, 8.0 / 1000.0));
    assert!(coarse <= 65 && (257..=1025).contains(&fine), "{coarse} {fine}");
    assert_eq!(
        value(&[Scalar::Square, Scalar::Affine { scale: 2.0, shift: 1.0 }], 3.0),
        19.0
    );
}

/// A corner lies inside of a segment of 16 inputs, which cuts it off by a quarter of that at most, times the change of the slope.
#[test]
fn corners_are_cut_off_by_a_quarter_of_a_segment() {
    for function in Function::CORNERED {
        for range in RANGES {
            let values = (-1000..=1000).map(|i| function.value(f64::from(i) * range / 1000.0).abs());
            let unit = values.fold(0.0, f64::max) / 32767.0;
            let input = format(Dtype::I16, -range, range);
            let (ends, bits) = segments(&[Scalar::Function(function)], input, unit, unit);
            let all = (-32768..=32767).map(|q| {
                let found = f64::from(interpolated(&ends, bits, q)) * unit;
                (found - function.value(f64::from(q) * input.scale)).abs()
            });
            let worst = all.fold(0.0, f64::max);
            assert!(
                worst <= 2.1 * unit + 4.1 * input.scale,
                "{function:?} to {range}: {worst}"
            );
        }
    }
}
