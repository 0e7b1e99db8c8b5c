//! Heun's method on the probability-flow ODE `dy / drho = x0` in `y = x / n`, `rho = s / n` (Song et al. 2021, equation 13;
//! Karras et al. 2022, algorithm 1).

use super::Weights;

/// `(s, n)` of a cumulative alpha.
fn level(ab: f64) -> (f64, f64) {
    (libm::sqrt(ab), libm::sqrt(1.0 - ab))
}

/// Euler's step between two cumulative alphas.
#[must_use]
pub fn euler(ab: f64, next: f64) -> Weights {
    let ((s, n), (s_next, n_next)) = (level(ab), level(next));
    Weights {
        sample: s_next - s * n_next / n,
        held: 0.0,
        state: n_next / n,
        sigma: 0.0,
    }
}

/// The step with the mean of both slopes, over (x0 at the end, x0 at the beginning, x).
#[must_use]
pub fn trapezoid(ab: f64, next: f64) -> Weights {
    let w = euler(ab, next);
    Weights {
        sample: w.sample / 2.0,
        held: w.sample / 2.0,
        ..w
    }
}
