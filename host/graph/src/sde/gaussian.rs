//! Normal data, for which noise, flow and likelihood are known in closed form: what solvers are checked against.
//!
//! The covariance is `H diag(s^2) H` with a Householder reflection `H = I - 2 n n^T`, so that elements depend on one another.

use crate::schedule::alpha_sigma;
use std::f64::consts::PI;

/// A normal distribution over vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// Mean.
    pub mean: Vec<f64>,
    /// Standard deviations along the axes of the covariance.
    pub deviations: Vec<f64>,
    /// The reflection's unit normal.
    normal: Vec<f64>,
}

impl Gaussian {
    /// With `mean` and `deviations` of one length; the axes are reflected along `direction`.
    #[must_use]
    pub fn new(mean: Vec<f64>, deviations: Vec<f64>, direction: &[f64]) -> Self {
        let length = libm::sqrt(direction.iter().map(|v| v * v).sum());
        let normal = direction.iter().map(|v| v / length.max(f64::MIN_POSITIVE)).collect();
        Self {
            mean,
            deviations,
            normal,
        }
    }

    /// Four elements, deviations from 0.1 to 1.5, all dependent.
    #[must_use]
    pub fn example() -> Self {
        Self::new(
            vec![0.3, -0.5, 0.0, 0.8],
            vec![0.1, 0.4, 0.8, 1.5],
            &[1.0, -0.7, 0.4, 0.9],
        )
    }

    /// Elements of a sample.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.mean.len()
    }

    /// Samples from standard normal ones.
    #[must_use]
    pub fn samples(&self, z: &[f64]) -> Vec<f64> {
        let one = |z: &[f64]| {
            let scaled: Vec<f64> = z.iter().zip(&self.deviations).map(|(z, s)| z * s).collect();
            self.reflect(&scaled)
                .into_iter()
                .zip(&self.mean)
                .map(|(v, m)| v + m)
                .collect::<Vec<_>>()
        };
        z.chunks_exact(self.dims()).flat_map(one).collect()
    }

    /// The best epsilon for samples `x` at level `u`: `-sigma` times the score of `N(alpha m, alpha^2 C + sigma^2 I)`.
    #[must_use]
    pub fn noise(&self, x: &[f64], u: f64) -> Vec<f64> {
        let (alpha, sigma) = alpha_sigma(u);
        let one = |x: &[f64]| {
            let along = self.along(x, alpha);
            let scaled: Vec<f64> = along
                .iter()
                .zip(&self.deviations)
                .map(|(v, s)| sigma * v / spread(*s, u))
                .collect();
            self.reflect(&scaled)
        };
        x.chunks_exact(self.dims()).flat_map(one).collect()
    }

    /// `v^T (d epsilon / d x) v` at level `u`, the same for every x.
    #[must_use]
    pub fn derivative_along(&self, v: &[f64], u: f64) -> f64 {
        let (_, sigma) = alpha_sigma(u);
        let along = self.reflect(v);
        along
            .iter()
            .zip(&self.deviations)
            .map(|(v, s)| sigma * v * v / spread(*s, u))
            .sum()
    }

    /// Where the probability flow takes one sample from level `from` to level `to`: quantiles stay quantiles.
    #[must_use]
    pub fn flow(&self, x: &[f64], from: f64, to: f64) -> Vec<f64> {
        let (alpha, _) = alpha_sigma(from);
        let (beyond, _) = alpha_sigma(to);
        let along = self.along(x, alpha);
        let moved: Vec<f64> = along
            .iter()
            .zip(&self.deviations)
            .map(|(v, s)| v * libm::sqrt(spread(*s, to) / spread(*s, from)))
            .collect();
        self.reflect(&moved)
            .into_iter()
            .zip(&self.mean)
            .map(|(v, m)| v + beyond * m)
            .collect()
    }

    /// Log density of one sample at level `u`, nats.
    #[must_use]
    pub fn ln_density(&self, x: &[f64], u: f64) -> f64 {
        let (alpha, _) = alpha_sigma(u);
        let one = |(v, s): (&f64, &f64)| -0.5 * (v * v / spread(*s, u) + libm::log(2.0 * PI * spread(*s, u)));
        self.along(x, alpha).iter().zip(&self.deviations).map(one).sum()
    }

    /// `x - alpha m` along the covariance's axes.
    fn along(&self, x: &[f64], alpha: f64) -> Vec<f64> {
        let centred: Vec<f64> = x.iter().zip(&self.mean).map(|(x, m)| x - alpha * m).collect();
        self.reflect(&centred)
    }

    fn reflect(&self, v: &[f64]) -> Vec<f64> {
        let inner: f64 = v.iter().zip(&self.normal).map(|(a, b)| a * b).sum();
        v.iter().zip(&self.normal).map(|(v, n)| v - 2.0 * inner * n).collect()
    }
}

/// Variance at level `u` along an axis of deviation `s`.
fn spread(s: f64, u: f64) -> f64 {
    let (alpha, sigma) = alpha_sigma(u);
    alpha * alpha * s * s + sigma * sigma
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epsilon is -sigma times the gradient of the log density, and its derivative is the slope of epsilon.
    #[test]
    fn noise_is_the_density_s_gradient() {
        let data = Gaussian::example();
        let (x, u, h) = ([0.4, -0.9, 1.3, 0.2], -0.7, 1e-5);
        let (_, sigma) = alpha_sigma(u);
        let noise = data.noise(&x, u);
        for i in 0..4 {
            let moved = |by: f64| {
                let mut x = x;
                x[i] += by;
                data.ln_density(&x, u)
            };
            let score = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((noise[i] + sigma * score).abs() < 1e-8);
        }
        let v = [0.5, 1.0, -2.0, 0.3];
        let moved = |by: f64| {
            let x: Vec<f64> = x.iter().zip(v).map(|(x, v)| x + by * v).collect();
            data.noise(&x, u).iter().zip(v).map(|(e, v)| e * v).sum::<f64>()
        };
        let slope = (moved(h) - moved(-h)) / (2.0 * h);
        assert!((slope - data.derivative_along(&v, u)).abs() < 1e-8);
    }
}
