//! The exact likelihood of uniformly dequantized images along the probability flow.

use super::checkpoint::{Subject, image_seed, mean_and_error};
use crate::failure::Failure;
use crate::print::{self, Held};
use crate::progress;
use mote_host::draws::{signs, uniforms};
use mote_host::sde::likelihood::likelihood;
use mote_host::sde::rk45::Tolerance;
use mote_tools::data::Discrete;
use serde_json::json;
use std::f64::consts::LN_2;

/// Images that are solved together.
const BATCH: usize = 16;

/// Measures and prints it.
pub fn run(subject: &Subject<'_>, images: &Discrete) -> Result<Held, Failure> {
    let args = subject.args;
    let (dims, levels) = (images.dims(), subject.predictor.levels());
    let ends = [levels.lowest(), levels.highest()];
    let bar = progress::bar("measuring", images.len() as u64);
    let (mut bits, mut calls) = (Vec::with_capacity(images.len()), 0);
    let all: Vec<usize> = (0..images.len()).collect();
    for batch in all.chunks(BATCH) {
        let labels = batch.iter().filter_map(|i| subject.label(Some(images), *i).transpose());
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        let x: Vec<f64> = batch.iter().flat_map(|i| dequantized(images, *i, args.seed)).collect();
        let directions: Vec<f64> = batch
            .iter()
            .flat_map(|i| signs(image_seed(args.seed, *i), 1, dims))
            .collect();
        let model = |x: &[f64], v: &[f64], u: f64| subject.predictor.divergence(x, v, u, &labels);
        let found = likelihood(&x, &directions, dims, ends, Tolerance::of(subject.tolerance()), model)?;
        bits.extend(found.ln_density.iter().map(|ln| in_bits(*ln, dims, images.bin())));
        calls += found.calls * batch.len();
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    let (mean, error) = mean_and_error(&bits);
    let each = calls as f64 / images.len() as f64;
    if args.json {
        print::json(&json!({
            "checkpoint": subject.name, "measure": "likelihood", "method": "probability-flow ODE, RK45, Hutchinson estimator",
            "dequantization": "uniform", "images": images.len(), "seed": args.seed, "levels": images.levels,
            "condition": subject.condition(Some(images)), "tolerance": subject.tolerance(), "network_calls": each,
            "bits_per_dim": mean, "bits_per_dim_se": error,
        }))?;
    } else {
        print::text(&format!(
            "{}: {mean:.4} +- {error:.4} bits a dimension, exact likelihood of {} images of {} values, uniformly dequantized\n  \
             probability-flow ODE, tolerance {:e}, {each:.0} network calls an image\n",
            print::heading(subject.name),
            images.len(),
            images.levels,
            subject.tolerance(),
        ))?;
    }
    Ok(mean.is_finite().into())
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
