//! DDIM there and back: reconstruction error by the number of steps.

use super::checkpoint::{Subject, mean_and_error};
use crate::failure::Failure;
use crate::print::{self, Held};
use crate::progress;
use mote_host::float::ddim::{Clip, Ddim};
use mote_host::schedule::PreviousRule;
use mote_tools::data::Discrete;
use serde_json::json;

/// Images that are encoded together.
const BATCH: usize = 64;

/// Measures and prints it. It holds where the error falls with each larger number of steps.
pub fn run(subject: &Subject<'_>, images: &Discrete) -> Result<Held, Failure> {
    let args = subject.args;
    let mut counts = args.reconstruct.clone();
    counts.sort_unstable();
    counts.dedup();
    let bar = progress::bar("encoding and decoding", (counts.iter().sum::<usize>() * 2) as u64);
    let mut rows = Vec::with_capacity(counts.len());
    for &count in &counts {
        let errors = errors(subject, images, count, &|n| bar.inc(n))?;
        rows.push((count, mean_and_error(&errors)));
    }
    bar.finish_and_clear();
    let falls = rows.windows(2).all(|w| w[1].1.0 < w[0].1.0);
    if args.json {
        let runs: Vec<_> = rows
            .iter()
            .map(|(steps, (mean, error))| json!({ "steps": steps, "mse": mean, "mse_se": error }))
            .collect();
        print::json(&json!({
            "checkpoint": subject.name, "measure": "reconstruction", "images": images.len(), "scale": "0 to 1",
            "condition": subject.condition(Some(images)), "runs": runs, "falls": falls,
        }))?;
    } else {
        let mut table = vec![["steps", "MSE", "", ""].map(str::to_owned).to_vec()];
        for (steps, (mean, error)) in &rows {
            table.push(vec![
                steps.to_string(),
                format!("{mean:.6}"),
                format!("+- {error:.6}"),
                String::new(),
            ]);
        }
        print::text(&format!(
            "{}: {} images encoded and decoded by DDIM, mean squared error of a pixel from 0 to 1\n{}",
            print::heading(subject.name),
            images.len(),
            print::table(&table)
        ))?;
    }
    Ok(falls.into())
}

/// Mean squared error of each image, pixels from 0 to 1 (Song, Meng and Ermon 2021, table 2).
fn errors(subject: &Subject<'_>, images: &Discrete, count: usize, progress: &dyn Fn(u64)) -> Result<Vec<f64>, Failure> {
    let steps = subject.config.steps(count, PreviousRule::List)?;
    let ddim = Ddim {
        schedule: subject.predictor.schedule(),
        steps: &steps,
        prediction: subject.predictor.prediction(),
        clip: Clip::Off,
        eta: 0.0,
    };
    let dims = images.dims();
    let all: Vec<usize> = (0..images.len()).collect();
    let mut errors = Vec::with_capacity(images.len());
    for batch in all.chunks(BATCH) {
        let labels = batch.iter().filter_map(|i| subject.label(Some(images), *i).transpose());
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        let x: Vec<f64> = batch.iter().flat_map(|i| images.scaled(*i)).collect();
        let mut model = |x: &[f64], t: usize| -> Result<Vec<f64>, Failure> {
            if batch[0] == 0 {
                progress(1);
            }
            Ok(subject.predictor.output(x, t, &labels)?)
        };
        let code = ddim.encode(x.clone(), &mut model)?;
        let back = ddim.sample(code, &mut model, |_| Ok(vec![]), |_| ())?;
        let squared = |(a, b): (&[f64], &[f64])| {
            let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
            squares.sum::<f64>() / dims as f64 / 4.0
        };
        errors.extend(x.chunks_exact(dims).zip(back.chunks_exact(dims)).map(squared));
    }
    Ok(errors)
}
