//! DDIM there and back: reconstruction error by the number of steps.

use super::{Subject, mean_and_error};
use crate::Error;
use crate::data::Discrete;
use mote_graph::float::ddim::{Clip, Ddim};
use mote_graph::schedule::PreviousRule;
use serde::Serialize;

/// Images that are encoded together.
const BATCH: usize = 64;

/// The error of encoding and decoding in a number of steps. Keys of a run in `eval --reconstruct --json`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reconstruction {
    /// Steps there, and as many back.
    pub steps: usize,
    /// Mean squared error of a pixel from 0 to 1, mean over images.
    pub mse: f64,
    /// Its standard error.
    pub mse_se: f64,
}

impl Subject<'_> {
    /// Encodes `images` by DDIM and decodes them again, in each of `counts` numbers of steps (Song, Meng and Ermon 2021, table 2).
    /// `progress` is told network calls of the first batch: two a step and number.
    ///
    /// # Errors
    /// Of kind `Input` for labels that the network does not have, of kind `Usage` or `Refused` for steps that the schedule does not have.
    pub fn reconstruction(
        &self,
        images: &Discrete,
        counts: &[usize],
        progress: &dyn Fn(u64),
    ) -> Result<Vec<Reconstruction>, Error> {
        let measure = |&steps: &usize| {
            let (mse, mse_se) = mean_and_error(&self.errors(images, steps, progress)?);
            Ok(Reconstruction { steps, mse, mse_se })
        };
        counts.iter().map(measure).collect()
    }

    /// Mean squared error of each image, pixels from 0 to 1.
    fn errors(&self, images: &Discrete, count: usize, progress: &dyn Fn(u64)) -> Result<Vec<f64>, Error> {
        let steps = self.config.steps(count, PreviousRule::List)?;
        let ddim = Ddim {
            schedule: self.predictor.schedule(),
            steps: &steps,
            prediction: self.predictor.prediction(),
            clip: Clip::Off,
            eta: 0.0,
        };
        let dims = images.dims();
        let all: Vec<usize> = (0..images.len()).collect();
        let mut errors = Vec::with_capacity(images.len());
        for batch in all.chunks(BATCH) {
            let labels = self.labels(images, batch)?;
            let x: Vec<f64> = batch.iter().flat_map(|i| images.scaled(*i)).collect();
            let mut model = |x: &[f64], t: usize| -> Result<Vec<f64>, Error> {
                if batch[0] == 0 {
                    progress(1);
                }
                Ok(self.predictor.output(x, t, &labels)?)
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
}
