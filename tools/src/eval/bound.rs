//! The variational bound of a checkpoint, term by term, with rate and distortion.

use super::{Subject, image_seed, mean_and_error};
use crate::Error;
use crate::data::Discrete;
use mote_graph::ddpm::bound::{Bound, Terms, strata};
use mote_graph::predictor::Predicted;
use serde::Serialize;
use serde_json::{Value, json};

/// Samples that one call of the network is given.
const BATCH: usize = 64;

/// Terms of the bound in bits a dimension, means over images with their standard errors (`_se`). Keys of `eval --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BoundReport {
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// What is measured.
    pub measure: &'static str,
    /// Images measured.
    pub images: usize,
    /// Seed of timesteps and noise.
    pub seed: u64,
    /// Values that a pixel can have.
    pub levels: usize,
    /// How the network is conditioned.
    pub condition: &'static str,
    /// Variance of the reverse process.
    pub variance: &'static str,
    /// Bound of the clipped predicted image.
    pub clip: Option<f64>,
    /// Timesteps of the schedule.
    pub timesteps: usize,
    /// Timesteps measured an image.
    pub timesteps_measured: usize,
    /// Cumulative alpha of the last timestep.
    pub alpha_bar_t: Option<f64>,
    /// The bound on -log2 p.
    pub bits_per_dim: f64,
    /// Its standard error.
    pub bits_per_dim_se: f64,
    /// The prior: how far x_T is from noise.
    pub l_t: f64,
    /// Its standard error.
    pub l_t_se: f64,
    /// The reverse steps.
    pub l_steps: f64,
    /// Its standard error.
    pub l_steps_se: f64,
    /// The decoder.
    pub l_0: f64,
    /// Its standard error.
    pub l_0_se: f64,
    /// Prior and reverse steps.
    pub rate: f64,
    /// Its standard error.
    pub rate_se: f64,
    /// The decoder, once more.
    pub distortion: f64,
    /// Its standard error.
    pub distortion_se: f64,
    /// The training loss; no bits.
    pub l_simple: f64,
    /// Its standard error.
    pub l_simple_se: f64,
    /// Rate so far and root mean square error, from the noise on.
    pub rate_distortion: Vec<Value>,
}

impl Subject<'_> {
    /// DDPM's variational bound of `images` (Ho et al. 2020), at `timesteps` timesteps an image, one at random from each of as many strata;
    /// `progress` is told how many images are done.
    ///
    /// # Errors
    /// Of kind `Input` for labels that the network does not have, of kind `Usage` for a variance that it has not learned.
    pub fn bound(&self, images: &Discrete, timesteps: usize, progress: &dyn Fn(u64)) -> Result<BoundReport, Error> {
        let schedule = self.predictor.schedule();
        let total = schedule.alphas_cumprod.len();
        let bound = Bound {
            schedule,
            variance: self.variance()?,
            clip: Some(1.0),
            bin: images.bin(),
            strata: strata(total, timesteps),
        };
        let mut measured = Vec::with_capacity(images.len());
        for index in 0..images.len() {
            let label = self.label(Some(images), index)?;
            let model = |x: &[f64], timesteps: &[usize]| self.predicted(x, timesteps, label);
            measured.push(bound.image(&images.scaled(index), image_seed(self.options.seed, index), model)?);
            progress(1);
        }
        let of = |value: fn(&Terms) -> f64| mean_and_error(&measured.iter().map(value).collect::<Vec<_>>());
        let (whole, prior, steps) = (of(Terms::total), of(|t| t.prior), of(|t| t.steps));
        let (decoder, rate, simple) = (of(|t| t.decoder), of(Terms::rate), of(|t| t.simple));
        Ok(BoundReport {
            checkpoint: self.name.to_owned(),
            measure: "variational bound",
            images: images.len(),
            seed: self.options.seed,
            levels: images.levels,
            condition: self.condition(Some(images)),
            variance: bound.variance.name(),
            clip: bound.clip,
            timesteps: total,
            timesteps_measured: bound.strata.len() + 1,
            alpha_bar_t: schedule.alphas_cumprod.last().copied(),
            bits_per_dim: whole.0,
            bits_per_dim_se: whole.1,
            l_t: prior.0,
            l_t_se: prior.1,
            l_steps: steps.0,
            l_steps_se: steps.1,
            l_0: decoder.0,
            l_0_se: decoder.1,
            rate: rate.0,
            rate_se: rate.1,
            distortion: decoder.0,
            distortion_se: decoder.1,
            l_simple: simple.0,
            l_simple_se: simple.1,
            rate_distortion: curve(&bound, &measured),
        })
    }

    fn predicted(&self, x: &[f64], timesteps: &[usize], label: Option<usize>) -> Result<Predicted, Error> {
        let mut whole = Predicted {
            x0: Vec::with_capacity(x.len()),
            fraction: vec![],
        };
        for (x, timesteps) in x.chunks(BATCH * self.predictor.dims()).zip(timesteps.chunks(BATCH)) {
            let labels: Vec<usize> = label.map_or(vec![], |label| vec![label; timesteps.len()]);
            let part = self.predictor.x0(x, timesteps, &labels)?;
            whole.x0.extend(part.x0);
            whole.fraction.extend(part.fraction);
        }
        Ok(whole)
    }
}

/// Rate so far and root mean square error of the predicted image in 255ths of the range, from the noise on (Ho et al. 2020, figure 5).
fn curve(bound: &Bound<'_>, measured: &[Terms]) -> Vec<Value> {
    let n = measured.len().max(1) as f64;
    let mut rate = measured.iter().map(|terms| terms.prior).sum::<f64>() / n;
    let strata = bound.strata.iter().rev().enumerate();
    strata
        .map(|(k, stratum)| {
            let points = || measured.iter().map(|terms| terms.curve[k]);
            let error = (points().map(|p| p.squared_error).sum::<f64>() / n).sqrt() * 127.5;
            let point = json!({ "timesteps": [stratum.start, stratum.end - 1], "rate": rate, "rmse_255": error });
            rate += points().map(|p| p.bits).sum::<f64>() / n;
            point
        })
        .collect()
}
