//! Pictures: samples of the host's samplers, and images between two noises.

use super::checkpoint::Subject;
use super::{Sampler, Sde, output};
use crate::failure::Failure;
use crate::print::{self, Held};
use crate::progress;
use mote_host::ddpm::ancestral::Ancestral;
use mote_host::draws::normals;
use mote_host::float::ddim::{Clip, Ddim};
use mote_host::float::encode::slerp;
use mote_host::predictor::PredictorError;
use mote_host::schedule::{PreviousRule, Step};
use mote_host::sde::flow::follow;
use mote_host::sde::path::{Kind, Path};
use mote_host::sde::reverse::Reverse;
use mote_host::sde::rk45::Tolerance;
use mote_tools::files::OutputFile;
use mote_tools::images::{Picture, Shape, encode, grid};
use mote_tools::tensors::{to_chw, to_hwc};
use serde_json::json;
use std::time::Instant;

/// Steps where none are asked for.
const STEPS: usize = 100;
/// Images of a grid, rows of an interpolation, and images a row.
const COUNT: usize = 16;
const ROWS: usize = 4;
const COLUMNS: usize = 11;
/// Side of a pixel.
const ZOOM: usize = 4;
/// Signal-to-noise ratio of a corrector's step, and corrector steps (the default of Song et al. 2021's code).
const RATIO: f64 = 0.16;

/// Draws samples by `sampler`. Image i starts from the noise that `mote sample` gives seed + i.
pub fn samples(subject: &Subject<'_>, sampler: Sampler) -> Result<Held, Failure> {
    let (args, output) = (subject.args, output(subject.args)?);
    let count = args.count.map_or(COUNT, |count| count as usize);
    let run = Run::new(subject, count)?;
    let start = run.noise(0);
    let began = Instant::now();
    let x = match sampler {
        Sampler::Ddim => run.ddim(start, args.eta.unwrap_or(0.0))?,
        Sampler::Ddpm => run.ddpm(start)?,
        Sampler::EulerMaruyama => run.reverse(start, 0)?,
        Sampler::PredictorCorrector => run.reverse(start, 1)?,
        Sampler::Ode => run.flow(start)?,
    };
    let columns = (1..).find(|side| side * side >= count).unwrap_or(1);
    let name = clap::ValueEnum::to_possible_value(&sampler).map_or_else(String::new, |v| v.get_name().to_owned());
    draw(
        subject,
        &output,
        &x,
        columns,
        &name,
        run.calls.get(),
        began.elapsed().as_secs_f64(),
    )
}

/// Draws rows of images by DDIM from noises on the great circle between two.
pub fn between(subject: &Subject<'_>) -> Result<Held, Failure> {
    let output = output(subject.args)?;
    let rows = subject.args.count.map_or(ROWS, |count| count as usize);
    let ends = Run::new(subject, rows + 1)?.noise(0);
    let run = Run::new(subject, rows * COLUMNS)?;
    let dims = subject.predictor.dims();
    let noise = |row: usize| &ends[row * dims..(row + 1) * dims];
    let point = |i: usize| {
        slerp(
            noise(i / COLUMNS),
            noise(i / COLUMNS + 1),
            (i % COLUMNS) as f64 / (COLUMNS - 1) as f64,
        )
    };
    let start: Vec<f64> = (0..rows * COLUMNS).flat_map(point).collect();
    let began = Instant::now();
    let x = run.ddim(start, 0.0)?;
    draw(
        subject,
        &output,
        &x,
        COLUMNS,
        "interpolation",
        run.calls.get(),
        began.elapsed().as_secs_f64(),
    )
}

/// Samples of one run, made together.
struct Run<'a> {
    subject: &'a Subject<'a>,
    count: usize,
    steps: usize,
    labels: Vec<usize>,
    /// Network calls made so far.
    calls: std::cell::Cell<usize>,
}

impl<'a> Run<'a> {
    fn new(subject: &'a Subject<'a>, count: usize) -> Result<Self, Failure> {
        let label = subject.label(None, 0)?;
        Ok(Self {
            subject,
            count,
            steps: subject.args.steps.map_or(STEPS, |steps| steps as usize),
            labels: label.map_or(vec![], |label| vec![label; count]),
            calls: std::cell::Cell::new(0),
        })
    }

    /// Standard normal noise, the device's: its elements run over rows, columns, channels.
    fn noise(&self, stream: u32) -> Vec<f64> {
        let [channels, ..] = self.subject.predictor.shape();
        let seed = |i: usize| self.subject.args.seed.wrapping_add(i as u64);
        let one = |i: usize| to_chw(&normals(seed(i), stream, self.subject.predictor.dims()), channels);
        (0..self.count).flat_map(one).collect()
    }

    fn list(&self) -> Result<Vec<Step>, Failure> {
        Ok(self.subject.config.steps(self.steps, PreviousRule::List)?)
    }

    /// The clipping that the checkpoint asks for.
    fn clip(&self) -> Option<f64> {
        let config = self.subject.config;
        config.clip_sample.then_some(config.clip_sample_range)
    }

    fn ddim(&self, start: Vec<f64>, eta: f64) -> Result<Vec<f64>, Failure> {
        let steps = self.list()?;
        let ddim = Ddim {
            schedule: self.subject.predictor.schedule(),
            steps: &steps,
            prediction: self.subject.predictor.prediction(),
            clip: self.clip().map_or(Clip::Off, |range| Clip::Stock { range }),
            eta,
        };
        let bar = progress::bar("sampling", steps.len() as u64);
        let model = |x: &[f64], t: usize| -> Result<Vec<f64>, Failure> {
            bar.inc(1);
            self.called();
            Ok(self.subject.predictor.output(x, t, &self.labels)?)
        };
        let x = ddim.sample(start, model, |i| Ok(self.noise(i as u32 + 1)), |_| ());
        bar.finish_and_clear();
        x
    }

    fn ddpm(&self, start: Vec<f64>) -> Result<Vec<f64>, Failure> {
        let steps = self.list()?;
        let ancestral = Ancestral {
            schedule: self.subject.predictor.schedule(),
            steps: &steps,
            variance: self.subject.variance()?,
            clip: self.clip(),
        };
        let bar = progress::bar("sampling", steps.len() as u64);
        let model = |x: &[f64], t: usize| -> Result<_, Failure> {
            bar.inc(1);
            self.called();
            Ok(self.subject.predictor.x0(x, &vec![t; self.count], &self.labels)?)
        };
        let x = ancestral.sample(start, model, |i| self.noise(i as u32 + 1));
        bar.finish_and_clear();
        x
    }

    fn reverse(&self, mut start: Vec<f64>, corrections: usize) -> Result<Vec<f64>, Failure> {
        let path = Path::published(match self.subject.args.sde {
            Some(Sde::SubVp) => Kind::SubVp,
            Some(Sde::Vp) | None => Kind::Vp,
        });
        let levels = self.subject.predictor.levels();
        // Not beyond what the network was trained on.
        let reverse = Reverse {
            path,
            steps: self.steps,
            start: path.time(levels.highest()).min(1.0),
            end: path.time(levels.lowest()),
            corrections,
            ratio: RATIO,
        };
        // The process's own variance at the start, for data of variance 1.
        let (alpha, sigma) = (path.alpha(reverse.start), path.sigma(reverse.start));
        let deviation = (alpha * alpha + sigma * sigma).sqrt();
        start.iter_mut().for_each(|x| *x *= deviation);
        let bar = progress::bar("sampling", (self.steps * (1 + corrections) + 1) as u64);
        let mut stream = 0;
        let noise = || {
            stream += 1;
            self.noise(stream)
        };
        let model = |x: &[f64], u: f64| {
            bar.inc(1);
            self.epsilon(x, u)
        };
        let x = reverse.sample(start, self.subject.predictor.dims(), model, noise);
        bar.finish_and_clear();
        Ok(x?)
    }

    fn flow(&self, start: Vec<f64>) -> Result<Vec<f64>, Failure> {
        let levels = self.subject.predictor.levels();
        let ends = [levels.highest(), levels.lowest()];
        let tolerance = Tolerance::of(self.subject.tolerance());
        let dims = self.subject.predictor.dims();
        let solution = follow(start, dims, ends, tolerance, |x: &[f64], u: f64| self.epsilon(x, u));
        Ok(solution?.y)
    }

    fn epsilon(&self, x: &[f64], u: f64) -> Result<Vec<f64>, PredictorError> {
        self.called();
        self.subject.predictor.noise(x, u, &self.labels)
    }

    fn called(&self) {
        self.calls.set(self.calls.get() + 1);
    }
}

fn draw(
    subject: &Subject<'_>,
    output: &OutputFile,
    x: &[f64],
    columns: usize,
    what: &str,
    calls: usize,
    seconds: f64,
) -> Result<Held, Failure> {
    let args = subject.args;
    let [channels, rows, cols] = subject.predictor.shape();
    let shape = Shape { rows, cols, channels };
    let pixel = |v: f64| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
    let picture = |chw: &[f64]| {
        let pixels: Vec<u8> = to_hwc(chw, channels).into_iter().map(pixel).collect();
        Picture::of_sample(&pixels, shape)
    };
    let pictures: Vec<Picture> = x.chunks_exact(shape.len()).map(picture).collect();
    let sheet = grid(&pictures, columns).enlarged(args.zoom.map_or(ZOOM, |zoom| zoom as usize));
    output.write(&encode(&sheet).map_err(Failure::new)?)?;
    let (mean, deviation) = moments(x);
    if args.json {
        print::json(&json!({
            "checkpoint": subject.name, "file": output.shown(), "drawn": what, "count": pictures.len(), "seed": args.seed,
            "condition": subject.condition(None), "network_calls": calls, "seconds": seconds,
            "pixel_mean": mean, "pixel_deviation": deviation,
        }))?;
    } else {
        print::text(&format!(
            "{}: {} images, {what}, {calls} network calls each, in {seconds:.1} s\n",
            output.shown(),
            pictures.len()
        ))?;
    }
    Ok(x.iter().all(|v| v.is_finite()).into())
}

/// Mean and standard deviation of all elements.
fn moments(x: &[f64]) -> (f64, f64) {
    let n = x.len().max(1) as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    (mean, variance.sqrt())
}
