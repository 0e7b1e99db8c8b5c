//! Measures of a checkpoint as JSON and as text: the bound, the likelihood, reconstruction.

use super::Args;
use crate::failure::Failure;
use crate::print::{self, Verdict};
use crate::progress;
use mote_tools::data::Discrete;
use mote_tools::eval::Subject;
use serde_json::json;

/// Timesteps an image where none are asked for.
const TIMESTEPS: usize = 100;

/// DDPM's variational bound.
pub fn bound(args: &Args, subject: &Subject<'_>, images: &Discrete) -> Result<Verdict, Failure> {
    let bar = progress::bar("measuring", images.len() as u64);
    let timesteps = args.timesteps.map_or(TIMESTEPS, |n| n as usize);
    let bound = subject.bound(images, timesteps, &|n| bar.inc(n));
    bar.finish_and_clear();
    let bound = bound?;
    if args.json {
        print::json(&bound)?;
    } else {
        let number = |v: f64| {
            if v != 0.0 && v.abs() < 1e-3 {
                format!("{v:.2e}")
            } else {
                format!("{v:.4}")
            }
        };
        let row = |name: &str, mean: f64, error: f64, what: &str| {
            [name, &number(mean), &format!("+- {}", number(error)), what]
                .map(str::to_owned)
                .to_vec()
        };
        let b = &bound;
        print::text(&format!(
            "{}: bits a dimension of {} images of {} values, {} variance, {} of {} timesteps an image\n{}",
            print::heading(subject.name()),
            b.images,
            b.levels,
            b.variance,
            b.timesteps_measured,
            b.timesteps,
            print::table(&[
                row("L_T", b.l_t, b.l_t_se, "prior: how far x_T is from noise"),
                row("L_1..L_T-1", b.l_steps, b.l_steps_se, "reverse steps"),
                row("L_0", b.l_0, b.l_0_se, "decoder: distortion"),
                row("rate", b.rate, b.rate_se, "L_T + L_1..L_T-1"),
                row("L_simple", b.l_simple, b.l_simple_se, "the training loss, no bits"),
                row(
                    "bound",
                    b.bits_per_dim,
                    b.bits_per_dim_se,
                    "on -log2 p, bits a dimension"
                ),
            ])
        ))?;
    }
    Ok(bound.bits_per_dim.is_finite().into())
}

/// The exact likelihood.
pub fn likelihood(args: &Args, subject: &Subject<'_>, images: &Discrete) -> Result<Verdict, Failure> {
    let bar = progress::bar("measuring", images.len() as u64);
    let found = subject.likelihood(images, &|n| bar.inc(n));
    bar.finish_and_clear();
    let found = found?;
    if args.json {
        print::json(&found)?;
    } else {
        print::text(&format!(
            "{}: {:.4} +- {:.4} bits a dimension, exact likelihood of {} images of {} values, uniformly dequantized\n  \
             probability-flow ODE, tolerance {:e}, {:.0} network calls an image\n",
            print::heading(subject.name()),
            found.bits_per_dim,
            found.bits_per_dim_se,
            found.images,
            found.levels,
            found.tolerance,
            found.network_calls,
        ))?;
    }
    Ok(found.bits_per_dim.is_finite().into())
}

/// Steps where none are asked for: of this checkpoint and of the other.
const STEPS: usize = 20;
/// Images of a set.
const COUNT: usize = 1000;

/// Fréchet distances to another checkpoint's samples, and to data.
pub fn distance(
    args: &Args,
    own: &Subject<'_>,
    other: &Subject<'_>,
    data: Option<&Discrete>,
) -> Result<Verdict, Failure> {
    let steps = [args.steps, args.their_steps].map(|steps| steps.map_or(STEPS, |steps| steps as usize));
    let count = args.count.map_or(COUNT, |count| count as usize);
    let bar = progress::bar("sampling", Subject::calls_of_distances(steps, count));
    let found = own.distances(other, steps, count, data, &|n| bar.inc(n));
    bar.finish_and_clear();
    let found = found?;
    if args.json {
        print::json(&found)?;
    } else {
        let row = |name: String, value: f64| vec![name, format!("{value:.3}")];
        let [own_steps, their_steps] = steps;
        let mut rows = vec![
            row(
                format!("{own_steps} steps to their {their_steps}, other seeds"),
                found.distance,
            ),
            row("noise floor: theirs to theirs".to_owned(), found.floor),
        ];
        if let Some([model, theirs]) = found.data {
            rows.push(row("to the data".to_owned(), model));
            rows.push(row("theirs to the data".to_owned(), theirs));
        }
        print::text(&format!(
            "{}: Fréchet distances of pixels, {count} images a set\n{}",
            print::heading(own.name()),
            print::table(&rows)
        ))?;
    }
    Ok((found.distance.is_finite() && found.floor.is_finite()).into())
}

/// DDIM there and back. It holds where the error falls with each larger number of steps.
pub fn reconstruction(args: &Args, subject: &Subject<'_>, images: &Discrete) -> Result<Verdict, Failure> {
    let mut counts = args.reconstruct.clone();
    counts.sort_unstable();
    counts.dedup();
    let bar = progress::bar("encoding and decoding", (counts.iter().sum::<usize>() * 2) as u64);
    let runs = subject.reconstruction(images, &counts, &|n| bar.inc(n));
    bar.finish_and_clear();
    let runs = runs?;
    let falls = runs.windows(2).all(|w| w[1].mse < w[0].mse);
    if args.json {
        print::json(&json!({
            "checkpoint": subject.name(), "measure": "reconstruction", "images": images.len(), "scale": "0 to 1",
            "condition": subject.condition(Some(images)), "runs": runs, "falls": falls,
        }))?;
    } else {
        let mut table = vec![["steps", "MSE", "", ""].map(str::to_owned).to_vec()];
        for run in &runs {
            table.push(vec![
                run.steps.to_string(),
                format!("{:.6}", run.mse),
                format!("+- {:.6}", run.mse_se),
                String::new(),
            ]);
        }
        print::text(&format!(
            "{}: {} images encoded and decoded by DDIM, mean squared error of a pixel from 0 to 1\n{}",
            print::heading(subject.name()),
            images.len(),
            print::table(&table)
        ))?;
    }
    Ok(falls.into())
}
