//! The loop: steps, and what is written beside the weights while they are trained.
//!
//! ```text
//! DIR/model_index.json, unet/, scheduler/      the checkpoint, with the average of the weights
//! DIR/training/state.safetensors               what the run needs to be taken up again
//! DIR/training/loss.csv, loss.png, samples.png what it looks like
//! ```

use super::checkpoint::write;
use super::curve::Curve;
use super::folder::{Claim, TRAINING};
use super::qat::Qat;
use super::samples::samples;
use super::state::Saved;
use crate::files::replace;
use crate::images::{ImageError, encode};
use crate::import::{Checkpoint, TRAINED_FILE};
use mote_graph::float::FloatError;
use mote_graph::schedule::{Precision, Schedule, ScheduleError};
use mote_runtime::internals::model::sampling::Levels;
use mote_train::dataset::Dataset;
use mote_train::gradient::PreparedGraph;
use mote_train::objective::{Objective, Times};
use mote_train::trainer::{Settings, State, Teacher, Trainer};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Why a run ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The network could not be run.
    #[error(transparent)]
    Float(#[from] FloatError),
    /// The schedule cannot be made.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A picture could not be made.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder holds a run with other settings.
    #[error("{} holds a run with other settings: {differences}", path.display())]
    Other {
        /// The run's state.
        path: PathBuf,
        /// What differs.
        differences: String,
    },
    /// Another run writes into the folder.
    #[error("another `mote train` is writing into {}", .0.display())]
    Busy(PathBuf),
    /// A network that takes a condition vector.
    #[error("the network takes a condition vector, and training has images alone: train it where it comes from")]
    Conditioned,
    /// The loss is no number any more.
    #[error("the loss at step {step} is {loss}: the run has diverged")]
    Diverged {
        /// The step.
        step: u64,
        /// The loss.
        loss: f64,
    },
}

/// What is trained, and how.
#[derive(Debug)]
pub struct Training<'a> {
    /// Network and schedule, with first weights.
    pub checkpoint: &'a Checkpoint,
    /// `unet/config.json`.
    pub unet: &'a Value,
    /// `scheduler/scheduler_config.json`.
    pub scheduler: &'a Value,
    /// The images.
    pub data: &'a Dataset,
    /// Batch, rate, seed and so on.
    pub settings: Settings,
    /// All that the run depends on, for people and to know it again.
    pub described: Value,
    /// Targets from a teacher.
    pub teacher: Option<Teacher>,
    /// The network as its integer model computes, and the formats that the checkpoint then carries.
    pub qat: Option<Qat>,
    /// Whether the variance is learned.
    pub learned_variance: bool,
    /// How timesteps of flow matching are drawn.
    pub times: Times,
    /// Labels to show samples of.
    pub classes: usize,
    /// Where everything goes.
    pub folder: &'a Path,
    /// Time between two states on disk.
    pub every: Duration,
}

/// How a run stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Mean of the latest batches' losses.
    pub loss: f64,
    /// Latest held-out loss.
    pub held_out: Option<f64>,
    /// Images a second since the run was started or taken up.
    pub images_per_second: f64,
    /// At that pace.
    pub left: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Steps done.
    pub steps: u64,
    /// Steps that were done before it was taken up.
    pub resumed_at: u64,
    /// L_simple on the held-out images, of the averaged weights; `None` without such images.
    pub held_out: Option<f64>,
    /// Mean of the latest batches' losses.
    pub loss: f64,
    /// Seconds since it was started or taken up.
    pub seconds: f64,
    /// Images a second, all included.
    pub images_per_second: f64,
}

/// Points of the curve.
const POINTS: u64 = 300;
/// Held-out losses and sample grids over a run, and the steps between two of them at least.
const LOOKS: u64 = 12;
const LOOK_AFTER: u64 = 50;
/// Timesteps for each held-out image while the run goes on, and at its end.
const TIMES: usize = 8;
const TIMES_AT_END: usize = 64;
/// Held-out images times timesteps at the end, at most.
const MOST_AT_END: usize = 20_000;

/// Trains to the end, from where the folder's run stands if it holds one.
pub fn run(training: &Training<'_>, progress: &mut dyn FnMut(Standing)) -> Result<Finished, RunError> {
    let mut running = Running::start(training)?;
    let resumed_at = running.trainer.state().step;
    let began = Instant::now();
    let mut saved = Instant::now();
    let steps = training.settings.rate.steps;
    while running.trainer.state().step < steps {
        running.step()?;
        let step = running.trainer.state().step;
        let looked = step.is_multiple_of((steps / LOOKS).max(LOOK_AFTER)) && step < steps;
        if looked {
            running.look()?;
        }
        if saved.elapsed() >= training.every || looked {
            running.save()?;
            saved = Instant::now();
        }
        progress(running.standing(step - resumed_at, began.elapsed()));
    }
    let held_out = running.end()?;
    let seconds = began.elapsed().as_secs_f64();
    Ok(Finished {
        steps,
        resumed_at,
        held_out,
        loss: running.curve.latest().unwrap_or(0.0),
        seconds,
        images_per_second: (steps - resumed_at) as f64 * training.settings.batch as f64 / seconds.max(1e-9),
    })
}

/// Seconds a step takes here, from a few that are thrown away.
pub fn seconds_a_step(training: &Training<'_>) -> Result<f64, RunError> {
    let mut trainer = trainer(training, None)?;
    (0..3).try_for_each(|_| trainer.step().map(drop))?;
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(2) {
        trainer.step()?;
        count += 1;
    }
    Ok(began.elapsed().as_secs_f64() / f64::from(count))
}

/// The run that `folder` holds, if it holds one of `len` parameters.
pub fn saved(folder: &Path, len: usize) -> Result<Option<Saved>, RunError> {
    let path = state_file(folder);
    Saved::read(&path, len).map_err(|source| RunError::File { path, source })
}

fn state_file(folder: &Path) -> PathBuf {
    folder.join(TRAINING).join("state.safetensors")
}

fn trainer<'d>(training: &Training<'d>, state: Option<State>) -> Result<Trainer<'d>, RunError> {
    let checkpoint = training.checkpoint;
    if checkpoint.graph.condition.is_some() {
        return Err(RunError::Conditioned);
    }
    let scheduler = &checkpoint.scheduler;
    let objective = if scheduler.levels == Levels::Flow {
        Objective::flow(scheduler.num_train_timesteps, training.times)
    } else {
        let schedule = Schedule::new(scheduler, Precision::F64)?;
        Objective::new(&schedule, scheduler.prediction_type, training.learned_variance)
    };
    let network = match &training.qat {
        Some(qat) => qat.network.clone(),
        None => PreparedGraph::new(&checkpoint.graph)?,
    };
    let state = state.unwrap_or_else(|| State::new(network.layout().values_of(&checkpoint.graph)));
    let mut trainer = Trainer::new(network, objective, training.settings, training.data, state);
    if let Some(teacher) = &training.teacher {
        trainer = trainer.with_teacher(teacher.clone());
    }
    if let Some(qat) = &training.qat {
        trainer = trainer.with_rounding(qat.rounding.clone());
    }
    Ok(trainer)
}

struct Running<'a> {
    training: &'a Training<'a>,
    trainer: Trainer<'a>,
    curve: Curve,
    _claim: Claim,
}

impl<'a> Running<'a> {
    fn start(training: &'a Training<'a>) -> Result<Self, RunError> {
        let claim = Claim::of(training.folder)?;
        let (state, curve) = match saved(training.folder, training.checkpoint.graph.param_count())? {
            Some(saved) if saved.settings != training.described => {
                return Err(RunError::Other {
                    path: state_file(training.folder),
                    differences: differences(&saved.settings, &training.described),
                });
            }
            Some(saved) => (Some(saved.state), saved.curve),
            None => (None, Curve::default()),
        };
        Ok(Self {
            training,
            trainer: trainer(training, state)?,
            curve,
            _claim: claim,
        })
    }

    fn step(&mut self) -> Result<(), RunError> {
        let steps = self.training.settings.rate.steps;
        let progress = self.trainer.step()?;
        let step = self.trainer.state().step;
        if !progress.loss.is_finite() {
            let loss = progress.loss;
            return Err(RunError::Diverged { step, loss });
        }
        self.curve.note(step, progress.loss, progress.rate, steps / POINTS);
        Ok(())
    }

    /// Measures the held-out loss and draws.
    fn look(&mut self) -> Result<(), RunError> {
        if let Some(loss) = self.held_out(TIMES)? {
            self.curve.held_out.push((self.trainer.state().step, loss));
        }
        self.draw()
    }

    fn held_out(&mut self, times: usize) -> Result<Option<f64>, RunError> {
        if self.training.data.held_out.pixels.is_empty() {
            return Ok(None);
        }
        let params = self.trainer.deployed();
        Ok(Some(self.trainer.held_out(&params, times)?))
    }

    fn draw(&mut self) -> Result<(), RunError> {
        let training = self.training;
        let config = &training.checkpoint.scheduler;
        let ladder = training.teacher.as_ref().and_then(|teacher| teacher.ladder.as_ref());
        let steps = ladder.map(|ladder| ladder.rungs.len());
        let grid = samples(&mut self.trainer, training.data.shape, training.classes, config, steps)?;
        let curve = self.curve.picture(training.settings.rate.steps);
        self.file("samples.png", &encode(&grid)?)?;
        self.file("loss.png", &encode(&curve)?)?;
        self.file("loss.csv", self.curve.csv().as_bytes())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let path = self.training.folder.join(TRAINING).join(name);
        replace(&path, bytes).map_err(|source| RunError::File { path, source })
    }

    fn save(&self) -> Result<(), RunError> {
        let saved = Saved {
            state: self.trainer.state().clone(),
            curve: self.curve.clone(),
            settings: self.training.described.clone(),
        };
        let path = state_file(self.training.folder);
        saved.write(&path).map_err(|source| RunError::File { path, source })
    }

    /// Writes the checkpoint and a last state, measures the held-out loss with more noise.
    fn end(&mut self) -> Result<Option<f64>, RunError> {
        let images = self.training.data.count(&self.training.data.held_out).max(1);
        let times = TIMES_AT_END.min(MOST_AT_END / images).max(TIMES);
        let held_out = self.held_out(times)?;
        let steps = self.training.settings.rate.steps;
        if let (Some(loss), false) = (held_out, self.curve.held_out.last().is_some_and(|p| p.0 == steps)) {
            self.curve.held_out.push((steps, loss));
        }
        let mut graph = self.training.checkpoint.graph.clone();
        let network = PreparedGraph::new(&graph)?;
        network.layout().store(&self.trainer.deployed(), &mut graph);
        let folder = self.training.folder;
        let failed = |source| RunError::File {
            path: folder.to_owned(),
            source,
        };
        write(folder, &graph, self.training.unet, self.training.scheduler).map_err(failed)?;
        if let Some(qat) = &self.training.qat {
            let text = serde_json::to_vec_pretty(&qat.trained).map_err(|e| failed(e.into()))?;
            replace(&folder.join(TRAINED_FILE), &text).map_err(failed)?;
        }
        self.draw()?;
        self.save()?;
        Ok(held_out)
    }

    fn standing(&self, done: u64, elapsed: Duration) -> Standing {
        let (step, steps) = (self.trainer.state().step, self.training.settings.rate.steps);
        let a_step = elapsed.as_secs_f64() / done.max(1) as f64;
        Standing {
            step,
            steps,
            loss: self.curve.latest().unwrap_or(0.0),
            held_out: self.curve.held_out.last().map(|p| p.1),
            images_per_second: self.training.settings.batch as f64 / a_step.max(1e-9),
            left: Duration::from_secs_f64(a_step * (steps - step) as f64),
        }
    }
}

/// Keys whose values differ, with both values.
fn differences(was: &Value, is: &Value) -> String {
    let keys = |v: &Value| {
        v.as_object()
            .map(|m| m.keys().cloned().collect::<Vec<_>>())
            .unwrap_or_default()
    };
    let mut all = [keys(was), keys(is)].concat();
    all.sort();
    all.dedup();
    let differ = all.iter().filter(|key| was[key.as_str()] != is[key.as_str()]);
    let shown: Vec<String> = differ
        .map(|key| format!("{key} was {}, is {}", was[key], is[key]))
        .collect();
    shown.join("; ")
}
