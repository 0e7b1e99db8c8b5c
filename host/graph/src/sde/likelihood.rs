//! Exact likelihoods along the probability flow (Song et al. 2021, section 4.3 and appendix D.2).
//!
//! Density is carried from the noise to the data by the flow's divergence, `ln p(x_0) = ln N(x_T; 0, I) + integral of div dx/du du`, and the divergence is
//! estimated without bias as `v^T J v` with one fixed direction of random signs a sample (Skilling 1989, Hutchinson 1990).

use super::flow::velocity;
use super::rk45::{SolveError, Tolerance, solve};
use crate::predictor::Divergence;
use crate::schedule::alpha_sigma;
use std::f64::consts::PI;

/// What a likelihood took.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// Log density of each sample at the lowest level, nats.
    pub ln_density: Vec<f64>,
    /// Where the flow took the samples.
    pub noise: Vec<f64>,
    /// Calls of the model.
    pub calls: usize,
}

/// Log densities of the samples `x`, of `dims` elements each, at level `low`; the noise is at level `high`. `directions`, of the size of `x`,
/// are the samples' random signs. `model(x, v, u)` gives epsilon and its derivative along `v`.
pub fn likelihood<E>(
    x: &[f64],
    directions: &[f64],
    dims: usize,
    [low, high]: [f64; 2],
    tolerance: Tolerance,
    mut model: impl FnMut(&[f64], &[f64], f64) -> Result<Divergence, E>,
) -> Result<Likelihood, SolveError<E>> {
    // A sample's state: its elements, then the divergence gathered so far.
    let state: Vec<f64> = x
        .chunks_exact(dims)
        .flat_map(|x| x.iter().copied().chain([0.0]))
        .collect();
    let slope = |u: f64, state: &[f64]| {
        let x: Vec<f64> = state.chunks_exact(dims + 1).flat_map(|s| &s[..dims]).copied().collect();
        let found = model(&x, directions, u)?;
        let (_, sigma) = alpha_sigma(u);
        let velocity = velocity(&x, &found.noise, u);
        let divergence = found.along.iter().map(|along| sigma * (along - sigma * dims as f64));
        let both = velocity.chunks_exact(dims).zip(divergence);
        Ok(both.flat_map(|(v, d)| v.iter().copied().chain([d])).collect())
    };
    let solution = solve(state, dims + 1, [low, high], tolerance, slope)?;
    let samples = || solution.y.chunks_exact(dims + 1);
    let ln_normal = |x: &[f64]| -0.5 * x.iter().map(|x| x * x + libm::log(2.0 * PI)).sum::<f64>();
    Ok(Likelihood {
        ln_density: samples().map(|s| ln_normal(&s[..dims]) + s[dims]).collect(),
        noise: samples().flat_map(|s| &s[..dims]).copied().collect(),
        calls: solution.calls,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::{normals, signs};
    use crate::sde::gaussian::Gaussian;
    use std::convert::Infallible;

    const ENDS: [f64; 2] = [-9.0, 10.0];

    fn measured(data: &Gaussian, x: &[f64], directions: &[f64]) -> Vec<f64> {
        let dims = data.dims();
        let model = |x: &[f64], v: &[f64], u: f64| {
            let noise = data.noise(x, u);
            let along = v.chunks_exact(dims).map(|v| data.derivative_along(v, u)).collect();
            Ok::<_, Infallible>(Divergence { noise, along })
        };
        likelihood(x, directions, dims, ENDS, Tolerance::of(1e-7), model)
            .unwrap()
            .ln_density
    }

    /// Independent elements: random signs give the divergence itself, and the likelihood is the density of the data, within 0.1 %.
    #[test]
    fn independent_normal_data_have_their_exact_likelihood() {
        let plain = Gaussian::new(vec![0.3, -0.5, 0.0], vec![0.1, 0.5, 2.0], &[0.0; 3]);
        let x = plain.samples(&normals(2, 0, 30));
        let found = measured(&plain, &x, &signs(2, 1, 30));
        // The data's own density: what the noise of the lowest level adds is part of the error.
        let exact: Vec<f64> = x.chunks(3).map(|x| plain.ln_density(x, f64::NEG_INFINITY)).collect();
        let (sum, exact_sum) = (found.iter().sum::<f64>(), exact.iter().sum::<f64>());
        assert!((sum / exact_sum - 1.0).abs() < 1e-3, "{sum} {exact_sum}");
        assert!(
            found.iter().zip(&exact).all(|(a, b)| (a - b).abs() < 1e-3),
            "{found:?} {exact:?}"
        );
    }

    /// Dependent elements: the estimator varies with its signs, and its mean over all of them is exact, within 0.1 %.
    #[test]
    fn the_estimator_is_unbiased_for_dependent_data() {
        let data = Gaussian::example();
        let x = data.samples(&normals(2, 0, 4));
        let all: Vec<f64> = (0..16)
            .flat_map(|i| (0..4).map(move |b| f64::from(i >> b & 1) * 2.0 - 1.0))
            .collect();
        let found = measured(&data, &x.repeat(16), &all);
        let mean = found.iter().sum::<f64>() / 16.0;
        let exact = data.ln_density(&x, f64::NEG_INFINITY);
        assert!((mean - exact).abs() < 1e-3 * exact.abs(), "{mean} {exact}");
        let spread = found.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 16.0;
        assert!(spread > 0.01, "the signs must matter: {spread}");
    }
}
