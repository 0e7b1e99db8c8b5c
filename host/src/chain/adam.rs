//! Adam (Kingma and Ba 2015, algorithm 1) over a flat vector of parameters, and the rate of a run.

use super::network::Real;

/// First and second moments of the gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Adam<F> {
    first: Vec<F>,
    second: Vec<F>,
    step: i32,
}

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

impl<F: Real> Adam<F> {
    /// Of `len` parameters, at step 0.
    pub fn new(len: usize) -> Self {
        Self {
            first: vec![F::default(); len],
            second: vec![F::default(); len],
            step: 0,
        }
    }

    /// One step of size `rate` down the gradient.
    pub fn step(&mut self, params: &mut [F], gradient: &[F], rate: f64) {
        self.step += 1;
        let unbiased = |beta: f64| 1.0 - libm::pow(beta, f64::from(self.step));
        let (c1, c2) = (unbiased(BETA_1), unbiased(BETA_2));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((p, g), (first, second)) in params.iter_mut().zip(gradient).zip(moments) {
            let g = g.f64();
            let (m, s) = (
                BETA_1 * first.f64() + (1.0 - BETA_1) * g,
                BETA_2 * second.f64() + (1.0 - BETA_2) * g * g,
            );
            (*first, *second) = (F::of(m), F::of(s));
            *p = F::of(p.f64() - rate * (m / c1) / (libm::sqrt(s / c2) + EPSILON));
        }
    }
}

/// The rate at a share `at` of a run: up over the first 2 %, then down along half a cosine to 0.
pub fn rate(peak: f64, at: f64) -> f64 {
    let warm = 0.02;
    if at < warm {
        peak * at / warm
    } else {
        let done = ((at - warm) / (1.0 - warm)).min(1.0);
        peak * 0.5 * (1.0 + libm::cos(core::f64::consts::PI * done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step moves by the rate, whatever the gradient's size; a gradient of 0 stays.
    #[test]
    fn it_moves_as_published() {
        let mut adam = Adam::new(3);
        let mut params = [1.0f64, -1.0, 3.0];
        adam.step(&mut params, &[0.5, -20.0, 0.0], 0.1);
        for (found, expected) in params.iter().zip([0.9, -0.9, 3.0]) {
            assert!((found - expected).abs() < 1e-8, "{params:?}");
        }
        adam.step(&mut params, &[0.0, -20.0, 0.0], 0.1);
        let (m, s): (f64, f64) = (0.9 * 0.05 / 0.19, 0.999 * 0.001 * 0.25 / 0.001_999);
        assert!((params[0] - (0.9 - 0.1 * m / s.sqrt())).abs() < 1e-6, "{params:?}");
    }
}
