//! Holds backends to the same bits, and a model to the float network it came from.
//!
//! [`exactness`] runs the same seeds on every backend and compares the digest of the state after every step with a reference:
//! the [oracle](mote_host::oracle) where it ran, the runtime on this machine otherwise. A state of bits hides most errors of the
//! network, so there the outputs of all operators are compared as well. Where a backend differs, the seed is run again with a digest
//! an operator, and the first operator whose output differs is named. [`can_break`] and [`is_found`] hold the comparison itself to
//! deliberate errors. [`against`] measures what the number formats cost an image, [`layers`] operator by operator, [`distribution`]
//! what they cost many.

mod compare;
mod distribution;
mod fault;
mod float;
mod frechet;
mod layers;
mod side;

pub use compare::{Divergence, mismatches};
pub use distribution::{Distribution, DistributionError, Space, ToData, distribution};
pub use fault::{FAULTS, FaultError, can_break, fault, is_found};
pub use float::{FloatComparison, FloatError, against, psnr_db};
pub use layers::{Layer, Layers, layers};
pub use side::FloatDevice;

use crate::backend::{Backend, BackendError, Job, Target, Trace};
use crate::names::Names;
use mote_runtime::Config;
use mote_runtime::digest::Digest;
use mote_runtime::schedule::coefficients::Prediction;
use serde::Serialize;

/// A backend to hold to the reference.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The backend.
    pub backend: Backend,
    /// Whether the user named it: then it must be able to run.
    pub asked: bool,
    /// It runs the first so many seeds.
    pub seeds: usize,
}

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Everything but the seed.
    pub config: Config,
    /// One image each.
    pub seeds: Vec<u64>,
    /// The backends, the reference included or not.
    pub choices: Vec<Choice>,
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
    /// Pairs of seed and step that differ from the reference.
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

/// Runs every backend of `plan` and compares.
pub fn exactness(target: Target<'_>, plan: &Plan, on_step: OnStep<'_>) -> Result<Vec<Outcome>, BackendError> {
    let named = |wanted: fn(&Backend) -> bool| plan.choices.iter().find(|choice| wanted(&choice.backend));
    // The runtime on this machine is always run: it is the reference where the oracle is not.
    let cpu = Choice {
        backend: Backend::Cpu,
        asked: true,
        seeds: plan.seeds.len(),
    };
    let cpu_run = Run::of(target, plan, cpu, on_step);
    let cpu_traces = match &cpu_run.result {
        Ok(traces) => traces.clone(),
        Err(_) => return cpu_run.result.map(|_| vec![]),
    };
    // A broken oracle is there to be found out: it is no reference.
    let oracle =
        named(|backend| *backend == Backend::Oracle(None)).map(|choice| Run::of(target, plan, *choice, on_step));
    let oracle_traces: &[Trace] = oracle
        .as_ref()
        .and_then(|run| run.result.as_deref().ok())
        .unwrap_or(&[]);
    let reference: Vec<Reference<'_>> = (0..plan.seeds.len())
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
        target,
        plan,
        reference: &reference,
        names: Names::of(target.model),
    };
    let mut outcomes: Vec<Outcome> = oracle.iter().map(|run| judge.outcome(run)).collect();
    outcomes.push(judge.outcome(&cpu_run));
    for choice in &plan.choices {
        if !matches!(choice.backend, Backend::Cpu | Backend::Oracle(None)) {
            outcomes.push(judge.outcome(&Run::of(target, plan, *choice, on_step)));
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
    choice: Choice,
    result: Result<Vec<Trace>, BackendError>,
    seconds: f64,
}

impl Run {
    fn of(target: Target<'_>, plan: &Plan, choice: Choice, on_step: OnStep<'_>) -> Self {
        let began = std::time::Instant::now();
        let images = choice.seeds.min(plan.seeds.len());
        let name = choice.backend.to_string();
        let operators = plan.watches(target, choice.backend);
        let traces_of = |seeds: &[u64]| {
            let job = Job {
                operators,
                ..Job::of_seeds(plan.config, seeds.iter().copied())
            };
            choice.backend.run(target, &job, &|| on_step(&name))
        };
        let seeds = &plan.seeds[..images];
        let result = if operators {
            // Some at a time: memory holds a digest a step, not one an operator.
            let parts = seeds.chunks(WATCHED).map(|seeds| Ok(folded(traces_of(seeds)?)));
            parts.collect::<Result<Vec<_>, _>>().map(|parts| parts.concat())
        } else {
            traces_of(seeds)
        };
        Self {
            choice,
            result,
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

/// Images whose operators are watched at once.
const WATCHED: usize = 256;

impl Plan {
    /// Whether operators are compared too: where states are bits, which hide them, and where a fault is to be found.
    fn watches(&self, target: Target<'_>, backend: Backend) -> bool {
        let hides = matches!(target.model.header().prediction, Prediction::Bits { .. });
        let broken = |choice: &Choice| matches!(choice.backend, Backend::Oracle(Some(_)));
        hides || matches!(backend, Backend::Oracle(_)) && self.choices.iter().any(broken)
    }
}

/// The traces with one digest for all operators of a step.
fn folded(mut traces: Vec<Trace>) -> Vec<Trace> {
    for step in traces.iter_mut().flat_map(|trace| &mut trace.steps) {
        if !step.operators.is_empty() {
            step.operators = vec![Digest::of(step.operators.iter().copied().flat_map(halves)).0];
        }
    }
    traces
}

struct Judge<'a> {
    target: Target<'a>,
    plan: &'a Plan,
    reference: &'a [Reference<'a>],
    names: Names,
}

impl Judge<'_> {
    fn outcome(&self, run: &Run) -> Outcome {
        let outcome = Outcome {
            name: run.choice.backend.to_string(),
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
            Ok(traces) => self.compared(traces, run.choice.backend, outcome),
            Err(BackendError::Unavailable { what, how, .. }) => {
                let (why, help) = (Some(what.clone()), Some(how.clone()));
                Outcome {
                    available: false,
                    held: !run.choice.asked,
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
        let differing = pairs().map(|(expected, found)| mismatches(expected, found)).sum();
        let first = self
            .reference
            .iter()
            .zip(traces)
            .find(|(r, found)| mismatches(r.trace, found) > 0);
        let first_divergence = first.map(|(reference, found)| {
            let rough = Divergence::between(reference.trace, found, self.target.model, &self.names);
            self.rerun(reference, backend, found.seed)
                .or(rough)
                .unwrap_or_else(|| Divergence::unknown(found.seed))
        });
        let words = traces
            .iter()
            .flat_map(|trace| &trace.steps)
            .flat_map(|step| halves(step.digest));
        Outcome {
            held: differing == 0,
            images: traces.len(),
            steps: traces.first().map_or(0, |trace| trace.steps.len()),
            mismatches: differing,
            first_divergence,
            digest: Some(format!("{:016x}", Digest::of(words).0)),
            ..outcome
        }
    }

    /// Both once more with a digest an operator.
    fn rerun(&self, reference: &Reference<'_>, backend: Backend, seed: u64) -> Option<Divergence> {
        let job = Job {
            operators: true,
            ..Job::of_seeds(self.plan.config, [seed])
        };
        let trace = |backend: Backend| backend.run(self.target, &job, &|| ()).ok()?.into_iter().next();
        let (expected, found) = (trace(reference.backend)?, trace(backend)?);
        Divergence::between(&expected, &found, self.target.model, &self.names)
    }
}

fn halves(digest: u64) -> [i32; 2] {
    [digest as u32 as i32, (digest >> 32) as u32 as i32]
}
