//! AdamW (Loshchilov and Hutter 2019, algorithm 2) with the gradient's length bounded, over flat vectors.

use mote_graph::Real;
use rayon::prelude::*;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// Elements that one thread takes at a time.
const PART: usize = 4096;

/// First and second moments of the gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam<T = f32> {
    /// Running mean.
    pub mean: Vec<T>,
    /// Running mean of squares.
    pub square: Vec<T>,
}

impl<T: Real> Adam<T> {
    /// For `len` parameters.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            mean: vec![T::ZERO; len],
            square: vec![T::ZERO; len],
        }
    }

    /// Moves `params` against `gradient`; `step` counts from 0.
    pub fn update(&mut self, params: &mut [T], gradient: &[T], step: u64, rate: f64, decay: f64) {
        let power = |beta: f64| 1.0 - libm::pow(beta, step as f64 + 1.0);
        let pace = T::of(rate / power(BETA_1));
        let root = T::of(1.0 / libm::sqrt(power(BETA_2)));
        let (b1, b2, keep) = (T::of(BETA_1), T::of(BETA_2), T::of(1.0 - rate * decay));
        let (one, epsilon) = (T::ONE, T::of(EPSILON));
        let moments = self.mean.par_chunks_mut(PART).zip(self.square.par_chunks_mut(PART));
        let parts = params.par_chunks_mut(PART).zip(gradient.par_chunks(PART)).zip(moments);
        parts.for_each(|((params, gradient), (mean, square))| {
            for (((p, g), m), s) in params.iter_mut().zip(gradient).zip(mean).zip(square) {
                *m = b1 * *m + (one - b1) * *g;
                *s = b2 * *s + (one - b2) * *g * *g;
                *p = keep * *p - pace * *m / (s.sqrt() * root + epsilon);
            }
        });
    }
}

/// Shortens `gradient` to `longest`; gives the length that it had.
pub fn clip(gradient: &mut [f32], longest: f64) -> f64 {
    let length = libm::sqrt(gradient.iter().map(|g| f64::from(*g) * f64::from(*g)).sum());
    if length > longest {
        let factor = (longest / length) as f32;
        gradient.iter_mut().for_each(|g| *g *= factor);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps by hand: the first moves by the rate whatever the gradient's size.
    #[test]
    fn it_moves_as_published() {
        let mut adam = Adam::new(2);
        let mut params = vec![1.0f32, -1.0];
        adam.update(&mut params, &[0.5, -20.0], 0, 0.1, 0.0);
        assert!(
            (params[0] - 0.9).abs() < 1e-6 && (params[1] + 0.9).abs() < 1e-6,
            "{params:?}"
        );
        adam.update(&mut params, &[0.0, -20.0], 1, 0.1, 0.5);
        let (m, s): (f64, f64) = (0.09 * 0.5 / 0.19, 0.000_999 * 0.25 / 0.001_999);
        let expected = 0.9 * 0.95 - 0.1 * m / s.sqrt();
        assert!((f64::from(params[0]) - expected).abs() < 1e-5, "{params:?}, {expected}");
    }

    #[test]
    fn long_gradients_are_shortened() {
        let mut gradient = vec![3.0, 4.0];
        assert_eq!(clip(&mut gradient, 1.0), 5.0);
        assert_eq!(gradient, [0.6, 0.8]);
        assert!((clip(&mut gradient, 2.0) - 1.0).abs() < 1e-6);
        assert_eq!(gradient, [0.6, 0.8]);
    }
}
