//! Fake quantization of weights: the numbers that an integer model multiplies by.

use std::ops::Range;

/// A tensor whose output channels have a scale each.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundedWeight {
    /// Where it lies in the flat parameters, `(out, ...)`.
    pub range: Range<usize>,
    /// Real value of one unit, by output channel.
    pub scales: Vec<f32>,
    /// Smallest integer.
    pub low: f32,
    /// Largest integer.
    pub high: f32,
}

/// Every tensor that is rounded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rounding(pub Vec<RoundedWeight>);

impl Rounding {
    /// `params` with weights rounded to nearest, ties away from zero, as the converter does.
    pub fn apply(&self, params: &[f32], to: &mut Vec<f32>) {
        to.clear();
        to.extend_from_slice(params);
        self.each(|weight, scale, range| {
            for v in &mut to[range] {
                *v = (*v / scale).round().clamp(weight.low, weight.high) * scale;
            }
        });
    }

    /// Stops the gradient of weights beyond the largest integer, unless it leads them back.
    pub fn stop(&self, params: &[f32], gradient: &mut [f32]) {
        self.each(|weight, scale, range| {
            for (v, g) in params[range.clone()].iter().zip(&mut gradient[range]) {
                let beyond = |q: f32| q > weight.high + 0.5 && *g < 0.0 || q < weight.low - 0.5 && *g > 0.0;
                if beyond(*v / scale) {
                    *g = 0.0;
                }
            }
        });
    }

    fn each(&self, mut visit: impl FnMut(&RoundedWeight, f32, Range<usize>)) {
        for weight in &self.0 {
            let len = weight.range.len() / weight.scales.len().max(1);
            for (i, scale) in weight.scales.iter().enumerate() {
                let first = weight.range.start + i * len;
                visit(weight, *scale, first..first + len);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_rounded_and_held() {
        let weight = RoundedWeight {
            range: 1..5,
            scales: vec![0.5, 2.0],
            low: -2.0,
            high: 1.0,
        };
        let (rounding, mut to) = (Rounding(vec![weight]), vec![]);
        let params = [9.3, 0.3, 2.0, -1.1, -9.0];
        rounding.apply(&params, &mut to);
        assert_eq!(to, [9.3, 0.5, 0.5, -2.0, -4.0]);
        let mut gradient = [1.0, -1.0, -1.0, 1.0, 1.0];
        rounding.stop(&params, &mut gradient);
        assert_eq!(gradient, [1.0, -1.0, 0.0, 1.0, 0.0]);
    }
}
