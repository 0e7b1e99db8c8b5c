//! The bound on the log likelihood (2015, equations 13 and 14), and what equilibrium alone gives.
//!
//! `K = -sum over t >= 2 of E_q KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) + H_q(X_T | X_0) - H_q(X_1 | X_0) - H_p(X_T)`, where the
//! last step of the reverse process is fixed to `q(x_1 | x_0) pi(x_0) / pi(x_1)`.

use crate::LN_2;

/// K and its terms, in bits a sample.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Bound {
    /// K.
    pub k_bits: f64,
    /// Standard error of K, from the draws that it was computed on; 0 where it is exact.
    pub standard_error_bits: f64,
    /// The log likelihood under the prior alone.
    pub l_null_bits: f64,
    /// The sum of the divergences.
    pub divergence_bits: f64,
    /// `H_q(X_T | X_0)`.
    pub entropy_last_bits: f64,
    /// `H_q(X_1 | X_0)`.
    pub entropy_first_bits: f64,
    /// `H_p(X_T)`.
    pub entropy_prior_bits: f64,
    /// The divergence of every step from t = 2 on.
    #[serde(skip)]
    pub divergences: Vec<f64>,
}

/// Entropies of a chain in nats a sample.
#[derive(Debug, Clone, Copy)]
pub struct Entropies {
    /// `H_q(X_T | X_0)`.
    pub last: f64,
    /// `H_q(X_1 | X_0)`.
    pub first: f64,
    /// `H_p(X_T)`.
    pub prior: f64,
    /// The log likelihood of the data under the prior.
    pub null: f64,
}

/// Mean and variance of the mean of one step's divergence.
#[derive(Debug, Clone, Copy, Default)]
pub struct Estimate {
    /// Mean, nats.
    pub mean: f64,
    /// Variance of the mean.
    pub variance: f64,
}

impl Estimate {
    /// Of independent draws.
    pub fn of(draws: &[f64]) -> Self {
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let squares: f64 = draws.iter().map(|v| (v - mean) * (v - mean)).sum();
        Self {
            mean,
            variance: if draws.len() > 1 { squares / (n - 1.0) / n } else { 0.0 },
        }
    }
}

impl Bound {
    /// From the divergences of t = 2, 3, ..., T and the chain's entropies.
    pub fn new(steps: &[Estimate], entropies: Entropies) -> Self {
        let divergence: f64 = steps.iter().map(|s| s.mean).sum();
        let Entropies {
            last,
            first,
            prior,
            null,
        } = entropies;
        Self {
            k_bits: (-divergence + last - first - prior) / LN_2,
            standard_error_bits: libm::sqrt(steps.iter().map(|s| s.variance).sum()) / LN_2,
            l_null_bits: null / LN_2,
            divergence_bits: divergence / LN_2,
            entropy_last_bits: last / LN_2,
            entropy_first_bits: first / LN_2,
            entropy_prior_bits: prior / LN_2,
            divergences: steps.iter().map(|s| s.mean / LN_2).collect(),
        }
    }
}
