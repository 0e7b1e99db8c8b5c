//! Pictures: samples of the host's samplers, and images between two noises.

use super::Subject;
use crate::Error;
use crate::images::{Picture, Shape, grid};
use crate::tensors::{to_chw, to_hwc};
use mote_graph::ddpm::ancestral::Ancestral;
use mote_graph::draws::normals;
use mote_graph::float::ddim::{Clip, Ddim};
use mote_graph::float::encode::slerp;
use mote_graph::predictor::PredictorError;
use mote_graph::schedule::{PreviousRule, Transition};
use mote_graph::sde::flow::follow;
use mote_graph::sde::path::{Kind, Path};
use mote_graph::sde::reverse::Reverse;
use mote_graph::sde::rk45::Tolerance;

/// Images a row of an interpolation.
const COLUMNS: usize = 11;
/// Signal-to-noise ratio of a corrector's step, and corrector steps (the default of Song et al. 2021's code).
const RATIO: f64 = 0.16;

/// Samplers of the host, in floating point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HostSampler {
    /// Song, Meng and Ermon 2021.
    Ddim {
        /// Noise added at each step, 0 to 1.
        eta: f64,
    },
    /// Ho et al. 2020, ancestral.
    Ddpm,
    /// Song et al. 2021, the reverse SDE.
    EulerMaruyama(Process),
    /// The same, with a Langevin step after each.
    PredictorCorrector(Process),
    /// Song et al. 2021, the probability-flow ODE, adaptive.
    Ode,
}

/// Processes that are simulated backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Variance preserving.
    Vp,
    /// Sub-variance preserving.
    SubVp,
}

impl HostSampler {
    /// Network calls of a run of `steps` steps; `None` where the solver decides.
    #[must_use]
    pub fn calls(self, steps: usize) -> Option<usize> {
        match self {
            Self::Ddim { .. } | Self::Ddpm => Some(steps),
            Self::EulerMaruyama(_) => Some(steps + 1),
            Self::PredictorCorrector(_) => Some(2 * steps + 1),
            Self::Ode => None,
        }
    }
}

/// Images that were drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Elements, `(image, channel, row, col)`, -1 to 1 where they are in range.
    pub x: Vec<f64>,
    /// Extents of an image.
    pub shape: Shape,
    /// Images in a row of the picture.
    pub columns: usize,
    /// Network calls an image.
    pub calls: usize,
}

impl Drawn {
    /// Number of images.
    #[must_use]
    pub fn count(&self) -> usize {
        self.x.len() / self.shape.len().max(1)
    }

    /// The images as one picture, without gaps.
    #[must_use]
    pub fn picture(&self) -> Picture {
        let pixel = |v: f64| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8;
        let picture = |chw: &[f64]| {
            let pixels: Vec<u8> = to_hwc(chw, self.shape.channels).into_iter().map(pixel).collect();
            Picture::of_sample(&pixels, self.shape)
        };
        let pictures: Vec<Picture> = self.x.chunks_exact(self.shape.len()).map(picture).collect();
        grid(&pictures, self.columns)
    }

    /// Whether every element is a number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.x.iter().all(|v| v.is_finite())
    }

    /// Mean and standard deviation of all elements.
    #[must_use]
    pub fn moments(&self) -> (f64, f64) {
        let n = self.x.len().max(1) as f64;
        let mean = self.x.iter().sum::<f64>() / n;
        let variance = self.x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
        (mean, variance.sqrt())
    }
}

impl Subject<'_> {
    /// Draws `count` samples by `sampler` in `steps` steps. Image i starts from the noise that a model file gives seed + i. `progress` is
    /// told of each network call.
    ///
    /// # Errors
    /// Of kind `Usage` or `Refused` for steps that the schedule does not have or a variance that was not learned, of kind `Failed` where a
    /// solver cannot keep its tolerance.
    pub fn samples(
        &self,
        sampler: HostSampler,
        count: usize,
        steps: usize,
        progress: &dyn Fn(u64),
    ) -> Result<Drawn, Error> {
        let run = Run::new(self, count, steps, progress)?;
        let start = run.noise(0);
        let x = match sampler {
            HostSampler::Ddim { eta } => run.ddim(start, eta)?,
            HostSampler::Ddpm => run.ddpm(start)?,
            HostSampler::EulerMaruyama(process) => run.reverse(start, process, 0)?,
            HostSampler::PredictorCorrector(process) => run.reverse(start, process, 1)?,
            HostSampler::Ode => run.flow(start)?,
        };
        let columns = (1..).find(|side| side * side >= count).unwrap_or(1);
        Ok(self.drawn(x, columns, run.calls.get()))
    }

    /// Draws `rows` rows of images by DDIM in `steps` steps, from noises on the great circle between two.
    ///
    /// # Errors
    /// As [`Subject::samples`].
    pub fn interpolation(&self, rows: usize, steps: usize, progress: &dyn Fn(u64)) -> Result<Drawn, Error> {
        let ends = Run::new(self, rows + 1, steps, progress)?.noise(0);
        let run = Run::new(self, rows * COLUMNS, steps, progress)?;
        let dims = self.predictor.dims();
        let noise = |row: usize| &ends[row * dims..(row + 1) * dims];
        let point = |i: usize| {
            slerp(
                noise(i / COLUMNS),
                noise(i / COLUMNS + 1),
                (i % COLUMNS) as f64 / (COLUMNS - 1) as f64,
            )
        };
        let start: Vec<f64> = (0..rows * COLUMNS).flat_map(point).collect();
        let x = run.ddim(start, 0.0)?;
        Ok(self.drawn(x, COLUMNS, run.calls.get()))
    }

    fn drawn(&self, x: Vec<f64>, columns: usize, calls: usize) -> Drawn {
        let [channels, rows, cols] = self.shape();
        Drawn {
            x,
            shape: Shape { rows, cols, channels },
            columns,
            calls,
        }
    }
}

/// Samples of one run, made together.
pub(super) struct Run<'a> {
    subject: &'a Subject<'a>,
    /// Seed of the first sample, from the subject's on.
    first: u64,
    count: usize,
    steps: usize,
    labels: Vec<usize>,
    /// Network calls made so far.
    calls: std::cell::Cell<usize>,
    /// Is told of each.
    progress: &'a dyn Fn(u64),
}

impl<'a> Run<'a> {
    fn new(subject: &'a Subject<'a>, count: usize, steps: usize, progress: &'a dyn Fn(u64)) -> Result<Self, Error> {
        Self::of_seeds(subject, 0, count, steps, progress)
    }

    /// Of the seeds from `first` on, counted from the subject's.
    pub(super) fn of_seeds(
        subject: &'a Subject<'a>,
        first: u64,
        count: usize,
        steps: usize,
        progress: &'a dyn Fn(u64),
    ) -> Result<Self, Error> {
        let label = subject.label(None, 0)?;
        Ok(Self {
            subject,
            first,
            count,
            steps,
            labels: label.map_or(vec![], |label| vec![label; count]),
            calls: std::cell::Cell::new(0),
            progress,
        })
    }

    /// Standard normal noise, the device's: its elements run over rows, columns, channels.
    pub(super) fn noise(&self, stream: u32) -> Vec<f64> {
        let [channels, ..] = self.subject.predictor.shape();
        let seed = |i: usize| {
            self.subject
                .options
                .seed
                .wrapping_add(self.first)
                .wrapping_add(i as u64)
        };
        let one = |i: usize| to_chw(&normals(seed(i), stream, self.subject.predictor.dims()), channels);
        (0..self.count).flat_map(one).collect()
    }

    fn list(&self) -> Result<Vec<Transition>, Error> {
        Ok(self.subject.config.steps(self.steps, PreviousRule::List)?)
    }

    /// The clipping that the checkpoint asks for.
    fn clip(&self) -> Option<f64> {
        let config = self.subject.config;
        config.clip_sample.then_some(config.clip_sample_range)
    }

    pub(super) fn ddim(&self, start: Vec<f64>, eta: f64) -> Result<Vec<f64>, Error> {
        let steps = self.list()?;
        let ddim = Ddim {
            schedule: self.subject.predictor.schedule(),
            steps: &steps,
            prediction: self.subject.predictor.prediction(),
            clip: self.clip().map_or(Clip::Off, |range| Clip::Stock { range }),
            eta,
        };
        let model = |x: &[f64], t: usize| -> Result<Vec<f64>, Error> {
            self.called();
            Ok(self.subject.predictor.output(x, t, &self.labels)?)
        };
        ddim.sample(start, model, |i| Ok(self.noise(i as u32 + 1)), |_| ())
    }

    fn ddpm(&self, start: Vec<f64>) -> Result<Vec<f64>, Error> {
        let steps = self.list()?;
        let ancestral = Ancestral {
            schedule: self.subject.predictor.schedule(),
            steps: &steps,
            variance: self.subject.variance()?,
            clip: self.clip(),
        };
        let model = |x: &[f64], t: usize| -> Result<_, Error> {
            self.called();
            Ok(self.subject.predictor.x0(x, &vec![t; self.count], &self.labels)?)
        };
        ancestral.sample(start, model, |i| self.noise(i as u32 + 1))
    }

    fn reverse(&self, mut start: Vec<f64>, process: Process, corrections: usize) -> Result<Vec<f64>, Error> {
        let path = Path::published(match process {
            Process::SubVp => Kind::SubVp,
            Process::Vp => Kind::Vp,
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
        let mut stream = 0;
        let noise = || {
            stream += 1;
            self.noise(stream)
        };
        let model = |x: &[f64], u: f64| self.epsilon(x, u);
        let x = reverse.sample(start, self.subject.predictor.dims(), model, noise);
        Ok(x?)
    }

    fn flow(&self, start: Vec<f64>) -> Result<Vec<f64>, Error> {
        let levels = self.subject.predictor.levels();
        let ends = [levels.highest(), levels.lowest()];
        let tolerance = Tolerance::of(self.subject.options.tolerance);
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
        (self.progress)(1);
    }
}
