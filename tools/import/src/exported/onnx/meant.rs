//! Numbers that the network's code has exactly, and the file as the nearest f32.
//!
//! An exporter writes 1e-5 as 9.99999975e-6, a root of 8 as 2.82842708, and frequencies that are powers of a base as a table.
//! Where such a number is the nearest f32 of what was meant, that is taken: a reference in f64 has it so. All others stay.

use crate::exported::tensor::{Kind, Tensor};
use std::f64::consts::PI;

/// Digits of a decimal that someone wrote.
const DIGITS: usize = 7;
/// Largest number whose root is looked for.
const MOST_ROOT: f64 = 4096.0;
/// How far a frequency in f32 lies from what was meant, relative to it: two roundings of an exponent of up to 9.3, and one more.
const FREQUENCY: f64 = 2e-6;

/// The number that `single` stands for.
pub(super) fn float(single: f32) -> f64 {
    let decimal = format!("{single:e}");
    let digits = decimal.split('e').next().unwrap_or_default();
    if digits.chars().filter(char::is_ascii_digit).count() < DIGITS {
        return decimal.parse().unwrap_or(f64::from(single));
    }
    root(single).unwrap_or(f64::from(single))
}

/// A root or fourth root of a whole number, one over it, or a multiple of pi, where `single` is that to its last digit but one.
fn root(single: f32) -> Option<f64> {
    let (value, sign) = (f64::from(single.abs()), f64::from(single.signum()));
    let close = |found: f64| ((found - value) / value).abs() < 1.2e-7;
    let whole = |n: f64| (n.round() >= 1.0 && n.round() <= MOST_ROOT).then(|| n.round());
    let square = value * value;
    let candidates = [
        whole(square).map(libm::sqrt),
        whole(1.0 / square).map(|n| 1.0 / libm::sqrt(n)),
        whole(square * square).map(|n| libm::sqrt(libm::sqrt(n))),
        whole(1.0 / (square * square)).map(|n| 1.0 / libm::sqrt(libm::sqrt(n))),
        whole(1.0 / value).map(|n| 1.0 / n),
        whole(value / PI).map(|n| n * PI),
    ];
    candidates
        .into_iter()
        .flatten()
        .find(|found| close(*found))
        .map(|v| v * sign)
}

/// A constant of one number as what it stands for. It takes the type of what it meets, as a number in the network's code does.
pub(super) fn number(tensor: Tensor) -> Tensor {
    match (tensor.kind, &tensor.sizes[..], &tensor.data[..]) {
        (Kind::F32, [], [value]) if value.is_finite() => Tensor::number(Kind::F64, float(*value as f32)),
        _ => tensor,
    }
}

/// Frequencies `base^(-i / n)` or `base^(-i / (n - 1))` of a whole base as they were meant, where `tensor` holds such. `anew` computes
/// them in f32 as diffusers does in PyTorch: the newer exporter's own differ from those in a last digit.
pub(super) fn frequencies(tensor: &Tensor, anew: bool) -> Tensor {
    let data = &tensor.data;
    let Some(last) = data
        .last()
        .filter(|last| data.len() > 1 && **last > 0.0 && data[0] == 1.0)
    else {
        return tensor.clone();
    };
    let count = data.len() as f64;
    for divisor in [count, count - 1.0] {
        let base = libm::pow(*last, -divisor / (count - 1.0));
        // To three digits: a base is a number such as 10000.
        let unit = libm::pow(10.0, (libm::log10(base).floor() - 2.0).max(0.0));
        let base = (base / unit).round() * unit;
        let exact: Vec<f64> = (0..data.len())
            .map(|i| libm::exp(-libm::log(base) * i as f64 / divisor))
            .collect();
        let near = |(found, exact): (&f64, &f64)| ((found - exact) / exact).abs() < FREQUENCY;
        if base > 1.0 && data.iter().zip(&exact).all(near) {
            let single = |i: usize| {
                let exponent = Kind::F32.round(Kind::F32.round(-libm::log(base)) * i as f64);
                Kind::F32.round(libm::exp(Kind::F32.round(exponent / divisor)))
            };
            let data: Vec<f64> = match anew {
                true => (0..data.len()).map(single).collect(),
                false => data.to_vec(),
            };
            return Tensor::new(tensor.kind, tensor.sizes.clone(), data).exactly(exact);
        }
    }
    tensor.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_was_meant() {
        assert_eq!(float(1e-5), 1e-5);
        assert_eq!(float(0.044715), 0.044715);
        assert_eq!(float(-1000.0), -1000.0);
        assert_eq!(float(8f32.sqrt()), 8f64.sqrt());
        assert_eq!(float(1.0 / 32f32.sqrt()), 1.0 / 32f64.sqrt());
        assert_eq!(float(2.0 * std::f32::consts::PI), 2.0 * PI);
        assert_eq!(float(0.123_456_79), f64::from(0.123_456_79_f32));
        let rates: Vec<f64> = (0..8).map(|i| f64::from(10000f32.powf(-(i as f32) / 7.0))).collect();
        let meant = frequencies(&Tensor::new(Kind::F32, vec![1, 8], rates), false);
        assert!((meant.exact[3] - 10000f64.powf(-3.0 / 7.0)).abs() < 1e-16);
        let other = frequencies(&Tensor::new(Kind::F32, vec![2], vec![1.0, 0.123_456_79]), true);
        assert_eq!(other.exact, other.data);
    }
}
