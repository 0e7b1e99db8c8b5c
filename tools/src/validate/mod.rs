//! Holds backends to the same bits, and a model to the float network it came from.
//!
//! [`exactness`] runs the same seeds on every backend and compares the digest of the state after every step with a reference:
//! the [oracle](mote_oracle) where it ran, the runtime on this machine otherwise. Where a backend differs, the seed is run
//! again with a digest an operator, and the first operator whose output differs is named. [`against`] measures what the number
//! formats cost an image, [`layers`] operator by operator, [`distribution`] what they cost many; [`Survey`] gathers what that is computed of, on many machines.

mod backends;
mod compare;
mod device;
mod distribution;
mod float;
mod layers;
pub(crate) mod statistics;

pub use backends::{affordable_seeds, backends_to_check};
pub use compare::{Divergence, mismatches};
pub use device::FloatDevice;
pub use distribution::{Distribution, DistributionError, Space, ToData, distribution};
pub use float::{FloatComparison, FloatError, against, belongs, psnr_db};
pub use layers::{Layer, Layers, layers};
pub use statistics::{Statistics, Survey};

use crate::Error;
use crate::backend::{Backend, BackendError, OpenModel, Sampling, Trace};
use crate::condition::Images;
use crate::names::Names;
use crate::request::Request;
use mote_runtime::internals::digest::Digest;
use mote_runtime::{Config, Model};
use serde::Serialize;
use std::sync::Arc;

/// A backend to hold to the reference.
#[derive(Debug, Clone, Copy)]
pub struct CheckedBackend {
    /// The backend.
    pub backend: Backend,
    /// Whether the user named it: then it must be able to run.
    pub asked: bool,
    /// It runs the first so many seeds.
    pub seeds: usize,
}

/// What is asked of a validation: which backends make which images.
///
/// ```
/// use mote_tools::{Backend, Checkpoint, Conversion, Request, RunOptions, Scheme, Validation};
///
/// let file = Conversion::new(Scheme::F16).convert(&Checkpoint::bundled()?)?.file()?;
/// let run = RunOptions { steps: Some(1), ..RunOptions::default() };
/// let validation = Validation {
///     request: Request { run, ..Request::default() },
///     seeds: 1,
///     backends: vec![Backend::Cpu, Backend::Portable],
///     ..Validation::default()
/// };
/// // The oracle, which is the reference, and the two that were named.
/// let outcomes = file.validate(&validation)?;
/// assert_eq!(outcomes.len(), 3);
/// assert!(outcomes.iter().all(|outcome| outcome.held && outcome.mismatches == 0));
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Validation {
    /// How images are made: its run, class, guidance, first seed and what is known of a chain count; its number of images and their start do not.
    pub request: Request,
    /// Seeds, one image each.
    pub seeds: usize,
    /// The backends; where none are named, whatever is here.
    pub backends: Vec<Backend>,
    /// Seeds that the oracle runs; by default all, or as many as take it about ten seconds.
    pub oracle_seeds: Option<usize>,
    /// Adds a backend that rounds wrongly in operators of this kind, or in the `sampler`, to see that it is found out. The kind is one
    /// that the model has.
    pub fault: Option<String>,
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            request: Request::default(),
            seeds: 4,
            backends: vec![],
            oracle_seeds: None,
            fault: None,
        }
    }
}

/// The kind of fault that is in no operator but in the sampler.
const SAMPLER: &str = "sampler";

impl Validation {
    /// The runs to be made of `opened`, the request validated.
    ///
    /// # Errors
    /// As [`Request::config`]; of kind `Usage` for a fault in a kind of operator that the model does not have.
    pub fn runs(&self, opened: OpenModel<'_>) -> Result<CheckedRuns, Error> {
        let config = self.request.config(opened.model)?;
        let mut backends = backends_to_check(&self.backends, opened, &config);
        let fault = self
            .fault
            .as_deref()
            .map(|fault| kind_of(opened.model, fault))
            .transpose()?;
        backends.extend(fault.map(|kind| CheckedBackend {
            backend: Backend::Oracle(Some(kind)),
            asked: true,
            seeds: 1,
        }));
        let oracle_seeds = self
            .oracle_seeds
            .unwrap_or_else(|| affordable_seeds(opened.model, &config));
        for checked in &mut backends {
            if matches!(checked.backend, Backend::Oracle(_)) {
                checked.seeds = oracle_seeds;
            }
        }
        Ok(CheckedRuns {
            config,
            seeds: self.request.seeds(self.seeds),
            conditions: self.request.conditions(opened.model, self.seeds)?,
            factor: self
                .request
                .factor
                .as_ref()
                .map(|factor| factor.fixed(opened.model.header()))
                .transpose()?,
            backends,
            // The bits of a chain hide most of what its network says.
            operators: opened.model.header().prediction.is_chain(),
        })
    }
}

/// The kind of operator that `fault` names.
fn kind_of(model: &Model<'_>, fault: &str) -> Result<&'static str, Error> {
    let drawn = model.decoder();
    let drawn = drawn.iter().flat_map(|decoder| decoder.ops());
    let mut kinds: Vec<&'static str> = model.ops().chain(drawn).map(|op| op.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.push(SAMPLER);
    kinds.iter().copied().find(|kind| *kind == fault).ok_or_else(|| {
        Error::usage(format_args!(
            "this model has no operator of kind '{fault}' to put a fault in"
        ))
        .help(format_args!("choose one of {}", kinds.join(", ")))
    })
}

/// The runs of a validation.
#[derive(Debug, Clone)]
pub struct CheckedRuns {
    /// Everything but the seed.
    pub config: Config,
    /// One image each.
    pub seeds: Vec<u64>,
    /// Their condition vectors, in the model's fixed point, as many; none for a model that takes none.
    pub conditions: Vec<Arc<[i32]>>,
    /// What is known of every sample of a chain, Q24, and how well.
    pub factor: Option<(Vec<i32>, u32)>,
    /// The backends, the reference included or not.
    pub backends: Vec<CheckedBackend>,
    /// Whether every operator's output is compared too, and not only where states differ. Where a fault was put in, those of the backend
    /// that has it always are.
    pub operators: bool,
}

impl CheckedRuns {
    /// The images.
    #[must_use]
    pub fn images(&self) -> Images<'_> {
        Images {
            seeds: &self.seeds,
            conditions: &self.conditions,
        }
    }

    /// The first of the images.
    fn first(&self, count: usize) -> Images<'_> {
        Images {
            seeds: &self.seeds[..count],
            conditions: self.conditions.get(..count).unwrap_or_default(),
        }
    }

    /// The image of that seed alone.
    fn image_of(&self, seed: u64) -> Images<'_> {
        let place = self.seeds.iter().position(|found| *found == seed).unwrap_or(0);
        Images {
            seeds: self.seeds.get(place..=place).unwrap_or_default(),
            conditions: self.conditions.get(place..=place).unwrap_or_default(),
        }
    }

    /// What makes these of the images.
    fn sampling(&self, images: Images<'_>, operators: bool) -> Sampling {
        let (known, known_noise) = self.factor.clone().unzip();
        Sampling {
            operators,
            known,
            known_noise: known_noise.unwrap_or(0),
            ..Sampling::of_images(self.config, images)
        }
    }

    /// Steps of all backends together, those of the reference included.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let named = |backend| self.backends.iter().any(|checked| checked.backend == backend);
        let reference = if named(Backend::Cpu) { 0 } else { self.seeds.len() };
        let images = self.backends.iter().map(|checked| checked.seeds.min(self.seeds.len()));
        (images.sum::<usize>() + reference) as u64 * u64::from(self.config.steps)
    }
}

/// What one backend gave. Keys of `validate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The backend.
    pub name: String,
    /// Whether it can run here.
    pub available: bool,
    /// Why it cannot, or why it failed.
    pub why: Option<String>,
    /// How to make it available.
    pub help: Option<String>,
    /// Whether every step of every image agreed, and nothing that was asked for is missing.
    pub held: bool,
    /// Images made.
    pub images: usize,
    /// Steps an image.
    pub steps: usize,
    /// Pairs of seed and step whose digest differs from the reference.
    pub mismatches: usize,
    /// Where the first difference is.
    pub first_divergence: Option<Divergence>,
    /// Digest of all digests in order, hexadecimal.
    pub digest: Option<String>,
    /// Seconds on this machine.
    pub seconds: f64,
}

/// Steps that are finished, by backend; for a progress bar.
pub type OnStep<'a> = &'a (dyn Fn(&str) + Sync);

/// Makes every run of `runs` and compares.
pub fn exactness(opened: OpenModel<'_>, runs: &CheckedRuns, on_step: OnStep<'_>) -> Result<Vec<Outcome>, BackendError> {
    let named = |wanted: fn(&Backend) -> bool| runs.backends.iter().find(|checked| wanted(&checked.backend));
    // The runtime on this machine is always run: it is the reference where the oracle is not.
    let cpu = CheckedBackend {
        backend: Backend::Cpu,
        asked: true,
        seeds: runs.seeds.len(),
    };
    let cpu_run = Run::of(opened, runs, cpu, on_step);
    let cpu_traces = match &cpu_run.result {
        Ok(traces) => traces.clone(),
        Err(_) => return cpu_run.result.map(|_| vec![]),
    };
    // A broken oracle is there to be found out: it is no reference.
    let oracle =
        named(|backend| *backend == Backend::Oracle(None)).map(|checked| Run::of(opened, runs, *checked, on_step));
    let oracle_traces: &[Trace] = oracle
        .as_ref()
        .and_then(|run| run.result.as_deref().ok())
        .unwrap_or(&[]);
    let reference: Vec<Reference<'_>> = (0..runs.seeds.len())
        .map(|i| match oracle_traces.get(i) {
            Some(trace) => Reference {
                backend: Backend::Oracle(None),
                trace,
            },
            None => Reference {
                backend: Backend::Cpu,
                trace: &cpu_traces[i],
            },
        })
        .collect();
    let judge = Judge {
        opened,
        runs,
        reference: &reference,
        names: Names::of(opened.model),
    };
    let mut outcomes: Vec<Outcome> = oracle.iter().map(|run| judge.outcome(run)).collect();
    outcomes.push(judge.outcome(&cpu_run));
    for checked in &runs.backends {
        if !matches!(checked.backend, Backend::Cpu | Backend::Oracle(None)) {
            outcomes.push(judge.outcome(&Run::of(opened, runs, *checked, on_step)));
        }
    }
    Ok(outcomes)
}

/// The trace that a seed is held to, and who made it.
struct Reference<'a> {
    backend: Backend,
    trace: &'a Trace,
}

/// A backend's run.
struct Run {
    checked: CheckedBackend,
    result: Result<Vec<Trace>, BackendError>,
    seconds: f64,
}

impl Run {
    fn of(opened: OpenModel<'_>, runs: &CheckedRuns, checked: CheckedBackend, on_step: OnStep<'_>) -> Self {
        let began = std::time::Instant::now();
        let images = checked.seeds.min(runs.seeds.len());
        let name = checked.backend.to_string();
        let with_fault = runs
            .backends
            .iter()
            .any(|other| matches!(other.backend, Backend::Oracle(Some(_))));
        let compared_with_it = matches!(checked.backend, Backend::Oracle(_) | Backend::Cpu);
        let operators = runs.operators || with_fault && compared_with_it;
        let traces_of = |images: Images<'_>| {
            let sampling = runs.sampling(images, operators);
            checked.backend.run(opened, &sampling, &|| on_step(&name))
        };
        let images = runs.first(images);
        let result = if operators {
            // Some at a time: memory holds a digest a step, not one an operator.
            let parts = images.groups(WATCHED).map(|images| Ok(folded(traces_of(images)?)));
            parts.collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
        } else {
            traces_of(images)
        };
        Self {
            checked,
            result,
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

/// Images whose operators are watched at once.
const WATCHED: usize = 256;

/// The traces with one digest for all operators of a step.
fn folded(mut traces: Vec<Trace>) -> Vec<Trace> {
    for step in traces
        .iter_mut()
        .flat_map(|trace| trace.steps.iter_mut().chain(&mut trace.picture))
    {
        if !step.operators.is_empty() {
            step.operators = vec![Digest::of(step.operators.iter().copied().flat_map(halves)).0];
        }
    }
    traces
}

struct Judge<'a> {
    opened: OpenModel<'a>,
    runs: &'a CheckedRuns,
    reference: &'a [Reference<'a>],
    names: Names,
}

impl Judge<'_> {
    fn outcome(&self, run: &Run) -> Outcome {
        let outcome = Outcome {
            name: run.checked.backend.to_string(),
            available: true,
            why: None,
            help: None,
            held: true,
            images: 0,
            steps: 0,
            mismatches: 0,
            first_divergence: None,
            digest: None,
            seconds: run.seconds,
        };
        match &run.result {
            Ok(traces) => self.compared(traces, run.checked.backend, outcome),
            Err(BackendError::Unavailable { what, how, .. }) => {
                let (why, help) = (Some(what.clone()), Some(how.clone()));
                Outcome {
                    available: false,
                    held: !run.checked.asked,
                    why,
                    help,
                    ..outcome
                }
            }
            Err(error) => Outcome {
                held: false,
                why: Some(error.to_string()),
                ..outcome
            },
        }
    }

    fn compared(&self, traces: &[Trace], backend: Backend, outcome: Outcome) -> Outcome {
        let pairs = || self.reference.iter().map(|reference| reference.trace).zip(traces);
        let mismatches = pairs().map(|(expected, found)| mismatches(expected, found)).sum();
        let unfound = matches!(backend, Backend::Oracle(Some(_))) && mismatches == 0;
        let first = self
            .reference
            .iter()
            .zip(traces)
            .find(|(r, found)| compare::mismatches(r.trace, found) > 0);
        let first_divergence = first.map(|(reference, found)| {
            let rough = Divergence::between(reference.trace, found, self.opened.model, &self.names);
            self.rerun(reference, backend, found.seed)
                .or(rough)
                .unwrap_or_else(|| Divergence::unknown(found.seed))
        });
        let words = traces
            .iter()
            .flat_map(|trace| trace.steps.iter().chain(&trace.picture))
            .flat_map(|step| halves(step.digest));
        Outcome {
            held: mismatches == 0 && !unfound,
            why: unfound.then(|| "the fault that was put in was not found".to_owned()),
            images: traces.len(),
            steps: traces.first().map_or(0, |trace| trace.steps.len()),
            mismatches,
            first_divergence,
            digest: Some(format!("{:016x}", Digest::of(words).0)),
            ..outcome
        }
    }

    /// Both once more with a digest an operator.
    fn rerun(&self, reference: &Reference<'_>, backend: Backend, seed: u64) -> Option<Divergence> {
        let sampling = self.runs.sampling(self.runs.image_of(seed), true);
        let trace = |backend: Backend| backend.run(self.opened, &sampling, &|| ()).ok()?.into_iter().next();
        let (expected, found) = (trace(reference.backend)?, trace(backend)?);
        Divergence::between(&expected, &found, self.opened.model, &self.names)
    }
}

fn halves(digest: u64) -> [i32; 2] {
    [digest as u32 as i32, (digest >> 32) as u32 as i32]
}
