//! DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), with its logarithms and exponentials.

use super::Weights;

/// Half the log-SNR.
fn lambda(ab: f64) -> f64 {
    0.5 * (libm::log(ab) - libm::log1p(-ab))
}

/// Of the step between two cumulative alphas, after one that began at `before`; of first order without it and to the end.
#[must_use]
pub fn weights(before: Option<f64>, ab: f64, next: f64) -> Weights {
    let h = lambda(next) - lambda(ab);
    let r = before.map_or(f64::INFINITY, |before| (lambda(ab) - lambda(before)) / h);
    // At the end h is infinite: of first order, and exactly x0.
    let half = if next < 1.0 && r > 0.0 { 0.5 / r } else { 0.0 };
    let towards = -libm::sqrt(next) * libm::expm1(-h);
    Weights {
        sample: towards * (1.0 + half),
        held: -towards * half,
        state: libm::sqrt(1.0 - next) / libm::sqrt(1.0 - ab),
        sigma: 0.0,
    }
}
