//! What a trained checkpoint is worth: bits a dimension, reconstruction, the host's samplers, orders of solvers. All numbers are of
//! the float network.
//!
//! ```no_run
//! use mote_tools::Checkpoint;
//! use mote_tools::data::{Split, measured};
//! use mote_tools::eval::{EvalOptions, Subject, executor};
//!
//! let checkpoint = Checkpoint::open("my-checkpoint")?;
//! let network = executor(&checkpoint, false)?;
//! let subject = Subject::new(&checkpoint, &network, EvalOptions::default())?;
//! let images = measured("digits.npz".as_ref(), Split::Test, 64, subject.shape())?;
//! let bound = subject.bound(&images, 100, &|_| ())?;
//! println!("{:.3} bits a dimension", bound.bits_per_dim);
//! # Ok::<(), mote_tools::Error>(())
//! ```
//!
//! - [`Subject::bound`]: DDPM's variational bound, term by term; [`Subject::likelihood`]: the exact likelihood of the probability flow.
//! - [`Subject::reconstruction`]: DDIM there and back.
//! - [`Subject::distances`]: how far samples are from another checkpoint's.
//! - [`Subject::samples`], [`Subject::interpolation`]: images by the host's samplers.
//! - [`Subject::convergence`], [`convergence_on_normal_data`]: errors of solvers by their steps.

mod bound;
mod convergence;
mod distance;
mod likelihood;
mod pictures;
mod reconstruction;

pub use bound::BoundReport;
pub use convergence::{Convergence, convergence_on_normal_data};
pub use distance::Distances;
pub use likelihood::LikelihoodReport;
pub use pictures::{Drawn, HostSampler, Process};
pub use reconstruction::Reconstruction;

use crate::Error;
use crate::data::Discrete;
use crate::import::Checkpoint;
use mote_graph::float::{DType, Executor};
use mote_graph::predictor::Predictor;
use mote_graph::schedule::{Precision, Schedule, SchedulerConfig, Variance};

/// Error allowed a step of an adaptive solver where none is asked for.
const TOLERANCE: f64 = 1e-5;

/// What all measures share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvalOptions {
    /// Class label of a conditional network; by default the data's labels, or the null class.
    pub class: Option<usize>,
    /// Variance of the reverse process; the checkpoint's by default.
    pub variance: Option<Variance>,
    /// Absolute and relative error allowed a step of an adaptive solver.
    pub tolerance: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self {
            class: None,
            variance: None,
            tolerance: TOLERANCE,
            seed: 0,
        }
    }
}

/// The float network of a checkpoint, in f32, or in f64 where `double`: small errors of many steps are below what f32 resolves.
///
/// # Errors
/// Of kind `Failed` where it cannot be laid out.
pub fn executor(checkpoint: &Checkpoint, double: bool) -> Result<Executor<'_>, Error> {
    Executor::new(&checkpoint.graph, if double { DType::F64 } else { DType::F32 })
        .map_err(|error| Error::coded(crate::ErrorKind::Failed, error))
}

/// A checkpoint ready to be asked.
#[derive(Debug)]
pub struct Subject<'a> {
    name: &'a str,
    predictor: Predictor<'a>,
    config: &'a SchedulerConfig,
    /// Rows of its class embedding.
    classes: Option<usize>,
    /// The label that stands for none, where one does.
    null_class: Option<usize>,
    options: EvalOptions,
}

impl<'a> Subject<'a> {
    /// `checkpoint`, run by `network`.
    ///
    /// # Errors
    /// Of kind `Usage` where the network does not have the class.
    pub fn new(checkpoint: &'a Checkpoint, network: &'a Executor<'a>, options: EvalOptions) -> Result<Self, Error> {
        let config = &checkpoint.scheduler;
        let schedule = Schedule::new(config, Precision::F64)?;
        if checkpoint.graph.condition.is_some() {
            let what = "the network takes a condition vector, and data for measuring has none";
            return Err(Error::refused(what).help("`mote validate --against` compares a model with such a network"));
        }
        let classes = checkpoint.graph.classes;
        let count = classes.unwrap_or(0);
        if let Some(class) = options.class.filter(|class| *class >= count) {
            let help = match count.checked_sub(1) {
                Some(last) => format!("give --class from 0 to {last}"),
                None => "leave --class out".into(),
            };
            return Err(Error::usage(format_args!("class {class}, but the network has {count} classes")).help(help));
        }
        Ok(Self {
            name: &checkpoint.name,
            predictor: Predictor::new(network, config, schedule)?,
            config,
            classes,
            null_class: checkpoint.null_class,
            options,
        })
    }

    /// The checkpoint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// `(channel, row, col)` of its images.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.predictor.shape()
    }

    /// The variance asked for, or the checkpoint's.
    fn variance(&self) -> Result<Variance, Error> {
        let variance = self.options.variance.unwrap_or(self.predictor.variance());
        let learned = Variance::LearnedRange;
        if variance == learned && self.predictor.variance() != learned {
            return Err(Error::usage("this network has learned no variance").help("give --variance fixed-large"));
        }
        Ok(variance)
    }

    /// The label of image `index`; empty for an unconditional network.
    fn label(&self, images: Option<&Discrete>, index: usize) -> Result<Option<usize>, Error> {
        let Some(classes) = self.classes else { return Ok(None) };
        let of_data = images.and_then(|images| images.labels.get(index)).copied();
        let label = self.options.class.or(of_data).or(self.null_class).ok_or_else(|| {
            let problem = "the network has labels, and none that stands for no class";
            Error::usage(problem).help(format_args!("give --class from 0 to {}", classes - 1))
        })?;
        if label >= classes {
            return Err(Error::input(format_args!(
                "image {index} has label {label}, but the network has {classes} classes"
            ))
            .help("give --class"));
        }
        Ok(Some(label))
    }

    /// The labels of images.
    fn labels(&self, images: &Discrete, indices: &[usize]) -> Result<Vec<usize>, Error> {
        let labels = indices.iter().filter_map(|i| self.label(Some(images), *i).transpose());
        labels.collect()
    }

    /// How the network is conditioned, in a few words.
    #[must_use]
    pub fn condition(&self, images: Option<&Discrete>) -> &'static str {
        match self.classes {
            None => "none",
            Some(_) if self.options.class.is_some() => "--class",
            Some(_) if images.is_some_and(|images| !images.labels.is_empty()) => "labels of the data",
            Some(_) => "null class",
        }
    }
}

/// The seed of image `index`: apart in the upper half, where no stream reaches.
fn image_seed(seed: u64, index: usize) -> u64 {
    seed.wrapping_add((index as u64) << 32)
}

/// Mean and standard error of the mean.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    (mean, (squares / (n - 1.0).max(1.0) / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_errors_by_hand() {
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-15 && (error - (1.0f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(mean_and_error(&[4.0]), (4.0, 0.0));
    }
}
