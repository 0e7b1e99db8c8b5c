//! The probability-flow ODE (Song et al. 2021, eq. 13 and appendix D.1).
//!
//! In `x / alpha` over `sigma / alpha` it is `d(x / alpha) = epsilon d(sigma / alpha)` for every process with Gaussian kernels (DDIM, Song, Meng and Ermon
//! 2021, eq. 14), so schedules and SDEs differ only in how fast they run along it. Here it is written over the level
//! `u = ln(sigma / alpha)` for x scaled as variance preserving, where both stay of the order of 1:
//!
//! ```text
//! dx / du = sigma (epsilon(x, u) - sigma x)
//! ```

use super::rk45::{Solution, SolveError, Tolerance, solve};
use crate::schedule::alpha_sigma;

/// The right-hand side, from epsilon at `(x, u)`.
#[must_use]
pub fn velocity(x: &[f64], noise: &[f64], u: f64) -> Vec<f64> {
    let (_, sigma) = alpha_sigma(u);
    x.iter().zip(noise).map(|(x, e)| sigma * (e - sigma * x)).collect()
}

/// Takes `x`, samples of `dims` elements, from level `from` to level `to`, either way. `model(x, u)` gives epsilon.
pub fn follow<E>(
    x: Vec<f64>,
    dims: usize,
    [from, to]: [f64; 2],
    tolerance: Tolerance,
    mut model: impl FnMut(&[f64], f64) -> Result<Vec<f64>, E>,
) -> Result<Solution, SolveError<E>> {
    let slope = |u: f64, x: &[f64]| Ok(velocity(x, &model(x, u)?, u));
    solve(x, dims, [from, to], tolerance, slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sde::gaussian::Gaussian;
    use std::convert::Infallible;

    /// Normal data: the flow is known, to the noise and back.
    #[test]
    fn normal_data_flow_as_the_closed_form_says() {
        let data = Gaussian::example();
        let model = |x: &[f64], u: f64| Ok::<_, Infallible>(data.noise(x, u));
        let start = [0.4, -0.9, 1.3, 0.2].to_vec();
        let (low, high) = (-6.0, 5.0);
        let up = follow(start.clone(), 4, [low, high], Tolerance::of(1e-9), model).unwrap();
        let exact = data.flow(&start, low, high);
        assert!(
            up.y.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-7),
            "{:?} {exact:?}",
            up.y
        );
        let down = follow(up.y, 4, [high, low], Tolerance::of(1e-9), model).unwrap();
        assert!(
            down.y.iter().zip(&start).all(|(a, b)| (a - b).abs() < 1e-6),
            "{:?}",
            down.y
        );
    }
}
