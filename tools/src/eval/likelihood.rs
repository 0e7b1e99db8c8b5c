//! The exact likelihood of uniformly dequantized images along the probability flow.

use super::{Subject, image_seed, mean_and_error};
use crate::Error;
use crate::data::Discrete;
use mote_graph::draws::{signs, uniforms};
use mote_graph::sde::likelihood::likelihood;
use mote_graph::sde::rk45::Tolerance;
use serde::Serialize;
use std::f64::consts::LN_2;

/// Images that are solved together.
const BATCH: usize = 16;

/// The likelihood in bits a dimension. Keys of `eval --likelihood ode --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LikelihoodReport {
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// What is measured.
    pub measure: &'static str,
    /// How.
    pub method: &'static str,
    /// How whole-number pixels become real ones.
    pub dequantization: &'static str,
    /// Images measured.
    pub images: usize,
    /// Seed of dequantization and directions.
    pub seed: u64,
    /// Values that a pixel can have.
    pub levels: usize,
    /// How the network is conditioned.
    pub condition: &'static str,
    /// Error allowed a step of the solver.
    pub tolerance: f64,
    /// Network calls an image.
    pub network_calls: f64,
    /// The mean over images.
    pub bits_per_dim: f64,
    /// Its standard error.
    pub bits_per_dim_se: f64,
}

impl Subject<'_> {
    /// The exact likelihood of `images` along the probability-flow ODE (Song et al. 2021); `progress` is told how many images are done.
    ///
    /// # Errors
    /// Of kind `Input` for labels that the network does not have, of kind `Failed` where the solver cannot keep its tolerance.
    pub fn likelihood(&self, images: &Discrete, progress: &dyn Fn(u64)) -> Result<LikelihoodReport, Error> {
        let (dims, levels, seed) = (images.dims(), self.predictor.levels(), self.options.seed);
        let ends = [levels.lowest(), levels.highest()];
        let tolerance = self.options.tolerance;
        let (mut bits, mut calls) = (Vec::with_capacity(images.len()), 0);
        let all: Vec<usize> = (0..images.len()).collect();
        for batch in all.chunks(BATCH) {
            let labels = self.labels(images, batch)?;
            let x: Vec<f64> = batch.iter().flat_map(|i| dequantized(images, *i, seed)).collect();
            let directions = batch.iter().flat_map(|i| signs(image_seed(seed, *i), 1, dims));
            let directions: Vec<f64> = directions.collect();
            let model = |x: &[f64], v: &[f64], u: f64| self.predictor.divergence(x, v, u, &labels);
            let found = likelihood(&x, &directions, dims, ends, Tolerance::of(tolerance), model)?;
            bits.extend(found.ln_density.iter().map(|ln| in_bits(*ln, dims, images.bin())));
            calls += found.calls * batch.len();
            progress(batch.len() as u64);
        }
        let (mean, error) = mean_and_error(&bits);
        Ok(LikelihoodReport {
            checkpoint: self.name.to_owned(),
            measure: "likelihood",
            method: "probability-flow ODE, RK45, Hutchinson estimator",
            dequantization: "uniform",
            images: images.len(),
            seed,
            levels: images.levels,
            condition: self.condition(Some(images)),
            tolerance,
            network_calls: calls as f64 / images.len() as f64,
            bits_per_dim: mean,
            bits_per_dim_se: error,
        })
    }
}

/// Image `index` with noise uniform over each pixel's bin (Theis et al. 2016, section 3.1).
fn dequantized(images: &Discrete, index: usize, seed: u64) -> Vec<f64> {
    let noise = uniforms(image_seed(seed, index), 0, images.dims());
    let scaled = images.scaled(index).into_iter();
    scaled.zip(noise).map(|(x, u)| x + (u - 0.5) * images.bin()).collect()
}

/// Bits a dimension of whole-number pixels `bin` apart: a density times the bin is a probability.
fn in_bits(ln_density: f64, dims: usize, bin: f64) -> f64 {
    -(ln_density / dims as f64 + libm::log(bin)) / LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A density that is even over -1 to 1 costs 8 bits for 256 values, up to the half bins at the ends.
    #[test]
    fn an_even_density_costs_the_bits_of_a_pixel() {
        let (dims, bin) = (3, 2.0_f64 / 255.0);
        let ln_density = -(2.0 + bin).ln() * dims as f64;
        assert!((in_bits(ln_density, dims, bin) - 8.0).abs() < 1e-12);
    }
}
