//! The variational bound of a checkpoint, term by term, with rate and distortion.

use super::checkpoint::{Subject, image_seed, mean_and_error};
use crate::failure::Failure;
use crate::print::{self, Held};
use crate::progress;
use mote_host::ddpm::bound::{Bound, Terms, strata};
use mote_host::predictor::Predicted;
use mote_tools::data::Discrete;
use serde_json::json;

/// Timesteps an image where none are asked for.
const TIMESTEPS: usize = 100;
/// Samples that one call of the network is given.
const BATCH: usize = 64;

/// Measures and prints it.
pub fn run(subject: &Subject<'_>, images: &Discrete) -> Result<Held, Failure> {
    let args = subject.args;
    let schedule = subject.predictor.schedule();
    let total = schedule.alphas_cumprod.len();
    let bound = Bound {
        schedule,
        variance: subject.variance()?,
        clip: Some(1.0),
        bin: images.bin(),
        strata: strata(total, args.timesteps.map_or(TIMESTEPS, |n| n as usize)),
    };
    let bar = progress::bar("measuring", images.len() as u64);
    let mut measured = Vec::with_capacity(images.len());
    for index in 0..images.len() {
        let label = subject.label(Some(images), index)?;
        let model = |x: &[f64], timesteps: &[usize]| predicted(subject, x, timesteps, label);
        measured.push(bound.image(&images.scaled(index), image_seed(args.seed, index), model)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let of = |value: fn(&Terms) -> f64| mean_and_error(&measured.iter().map(value).collect::<Vec<_>>());
    let (whole, prior, steps) = (of(Terms::total), of(|t| t.prior), of(|t| t.steps));
    let (decoder, rate, simple) = (of(|t| t.decoder), of(Terms::rate), of(|t| t.simple));
    let held = whole.0.is_finite();
    if args.json {
        print::json(&json!({
            "checkpoint": subject.name, "measure": "variational bound", "images": images.len(), "seed": args.seed,
            "levels": images.levels, "condition": subject.condition(Some(images)), "variance": bound.variance.name(),
            "clip": bound.clip, "timesteps": total, "timesteps_measured": bound.strata.len() + 1,
            "alpha_bar_t": schedule.alphas_cumprod.last(),
            "bits_per_dim": whole.0, "bits_per_dim_se": whole.1,
            "l_t": prior.0, "l_t_se": prior.1, "l_steps": steps.0, "l_steps_se": steps.1, "l_0": decoder.0, "l_0_se": decoder.1,
            "rate": rate.0, "rate_se": rate.1, "distortion": decoder.0, "distortion_se": decoder.1,
            "l_simple": simple.0, "l_simple_se": simple.1,
            "rate_distortion": curve(&bound, &measured),
        }))?;
    } else {
        let row = |name: &str, (mean, error): (f64, f64), what: &str| {
            let number = |v: f64| {
                if v != 0.0 && v.abs() < 1e-3 {
                    format!("{v:.2e}")
                } else {
                    format!("{v:.4}")
                }
            };
            [name, &number(mean), &format!("+- {}", number(error)), what]
                .map(str::to_owned)
                .to_vec()
        };
        print::text(&format!(
            "{}: bits a dimension of {} images of {} values, {} variance, {} of {total} timesteps an image\n{}",
            print::heading(subject.name),
            images.len(),
            images.levels,
            bound.variance.name(),
            bound.strata.len() + 1,
            print::table(&[
                row("L_T", prior, "prior: how far x_T is from noise"),
                row("L_1..L_T-1", steps, "reverse steps"),
                row("L_0", decoder, "decoder: distortion"),
                row("rate", rate, "L_T + L_1..L_T-1"),
                row("L_simple", simple, "the training loss, no bits"),
                row("bound", whole, "on -log2 p, bits a dimension"),
            ])
        ))?;
    }
    Ok(held.into())
}

fn predicted(
    subject: &Subject<'_>,
    x: &[f64],
    timesteps: &[usize],
    label: Option<usize>,
) -> Result<Predicted, Failure> {
    let mut whole = Predicted {
        x0: Vec::with_capacity(x.len()),
        fraction: vec![],
    };
    for (x, timesteps) in x.chunks(BATCH * subject.predictor.dims()).zip(timesteps.chunks(BATCH)) {
        let labels: Vec<usize> = label.map_or(vec![], |label| vec![label; timesteps.len()]);
        let part = subject.predictor.x0(x, timesteps, &labels)?;
        whole.x0.extend(part.x0);
        whole.fraction.extend(part.fraction);
    }
    Ok(whole)
}

/// Rate so far and root mean square error of the predicted image in 255ths of the range, from the noise on (Ho et al. 2020, figure 5).
fn curve(bound: &Bound<'_>, measured: &[Terms]) -> Vec<serde_json::Value> {
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
