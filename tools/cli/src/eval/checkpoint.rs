//! A diffusers checkpoint ready to be asked: its network in the float executor, its data at the network's size.

use super::{Args, Split, Variance, bound, convergence, likelihood, pictures, reconstruct};
use crate::failure::Failure;
use crate::print::Held;
use mote_host::float::{DType, Executor};
use mote_host::predictor::Predictor;
use mote_host::schedule::{self, Precision, Schedule, SchedulerConfig};
use mote_tools::Checkpoint;
use mote_tools::data::{self, Discrete};
use std::path::Path;

/// Images measured where no number is asked for.
const IMAGES: usize = 64;
/// Error allowed a step of an adaptive solver where none is asked for.
const TOLERANCE: f64 = 1e-5;

/// What every task of a checkpoint is given.
pub struct Subject<'a> {
    /// What was asked for.
    pub args: &'a Args,
    /// The folder's name.
    pub name: &'a str,
    /// The network.
    pub predictor: &'a Predictor<'a>,
    /// How it was trained.
    pub config: &'a SchedulerConfig,
    /// Rows of its class embedding.
    pub classes: Option<usize>,
}

/// Imports the checkpoint and does the task.
pub fn run(args: &Args, folder: &Path) -> Result<Held, Failure> {
    let checkpoint = Checkpoint::open(folder)?;
    let config = &checkpoint.scheduler;
    // Small errors of many steps are below what f32 resolves.
    let dtype = if args.convergence { DType::F64 } else { DType::F32 };
    let executor = Executor::new(&checkpoint.graph, dtype).map_err(Failure::new)?;
    let schedule = Schedule::new(config, Precision::F64).map_err(Failure::new)?;
    let predictor = Predictor::new(&executor, config, schedule)?;
    let subject = Subject {
        args,
        name: &checkpoint.name,
        predictor: &predictor,
        config,
        classes: checkpoint.graph.classes,
    };
    let classes = subject.classes.unwrap_or(0);
    if let Some(class) = args.class.filter(|class| *class >= classes) {
        let help = match classes.checked_sub(1) {
            Some(last) => format!("give --class from 0 to {last}"),
            None => "leave --class out".into(),
        };
        return Err(Failure::usage(format_args!("class {class}, but the network has {classes} classes")).help(help));
    }
    if args.convergence {
        convergence::on_network(&subject)
    } else if args.interpolate {
        pictures::between(&subject)
    } else if let Some(sampler) = args.sampler {
        pictures::samples(&subject, sampler)
    } else if args.likelihood.is_some() {
        likelihood::run(&subject, &subject.images()?)
    } else if !args.reconstruct.is_empty() {
        reconstruct::run(&subject, &subject.images()?)
    } else {
        bound::run(&subject, &subject.images()?)
    }
}

impl Subject<'_> {
    /// The images that are measured.
    fn images(&self) -> Result<Discrete, Failure> {
        let missing = || Failure::usage("no data to measure on").help("give --data");
        let path = self.args.data.as_deref().ok_or_else(missing)?;
        let split = match self.args.split {
            Some(Split::Train) => data::Split::Train,
            Some(Split::Test) | None => data::Split::Test,
        };
        let count = self.args.images.map_or(IMAGES, |count| count as usize);
        Ok(data::measured(path, split, count, self.predictor.shape())?)
    }

    /// The error allowed a step of an adaptive solver.
    pub fn tolerance(&self) -> f64 {
        self.args.tolerance.unwrap_or(TOLERANCE)
    }

    /// The variance asked for, or the checkpoint's.
    pub fn variance(&self) -> Result<schedule::Variance, Failure> {
        let asked = self.args.variance.map(|variance| match variance {
            Variance::FixedSmall => schedule::Variance::FixedSmall,
            Variance::FixedLarge => schedule::Variance::FixedLarge,
            Variance::LearnedRange => schedule::Variance::LearnedRange,
        });
        let variance = asked.unwrap_or(self.predictor.variance());
        let learned = schedule::Variance::LearnedRange;
        if variance == learned && self.predictor.variance() != learned {
            return Err(Failure::usage("this network has learned no variance").help("give --variance fixed-large"));
        }
        Ok(variance)
    }

    /// The label of image `index`; empty for an unconditional network.
    pub fn label(&self, images: Option<&Discrete>, index: usize) -> Result<Option<usize>, Failure> {
        let Some(classes) = self.classes else { return Ok(None) };
        let of_data = images.and_then(|images| images.labels.get(index)).copied();
        let label = self.args.class.or(of_data).unwrap_or(classes - 1);
        if label >= classes {
            return Err(Failure::new(format_args!(
                "image {index} has label {label}, but the network has {classes} classes"
            ))
            .help("give --class"));
        }
        Ok(Some(label))
    }

    /// How the network is conditioned, for JSON.
    pub fn condition(&self, images: Option<&Discrete>) -> &'static str {
        match self.classes {
            None => "none",
            Some(_) if self.args.class.is_some() => "--class",
            Some(_) if images.is_some_and(|images| !images.labels.is_empty()) => "labels of the data",
            Some(_) => "null class",
        }
    }
}

/// The seed of image `index`: apart in the upper half, where no stream reaches.
pub fn image_seed(seed: u64, index: usize) -> u64 {
    seed.wrapping_add((index as u64) << 32)
}

/// Mean and standard error of the mean.
pub fn mean_and_error(values: &[f64]) -> (f64, f64) {
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
