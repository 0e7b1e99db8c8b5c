//! `auto`: a width for every tensor, from measured sensitivity within the memory there is.
//!
//! Everything starts at 16-bit activations and 8-bit weights. Each tensor's change is tried alone and its effect on x0
//! predicted by the [`Probe`]. Then memory is spent: weights are widened where that buys most error a byte, and where the arena is too
//! large the activations that lie at its peak are narrowed, the least harmful byte first.

use mote_engine::calibrate::Run;
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model};
use std::sync::Arc;

use super::probe::{Probe, psnr_db};
use super::trial::{Progress, QuantizeError, Trials};
use crate::emit::Emitted;
use crate::ops::{Conv, OutputFormat};
use crate::plan::{Arena, lower_bound_bytes};
use crate::program::Program;
use crate::quantize::formats::formats;
use crate::quantize::scheme::{Assignment, Bits, is_fixed};

/// Memory that the model must stay within, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For the model file.
    pub model_bytes: usize,
    /// For the activation arena.
    pub arena_bytes: usize,
}

/// What a sensitivity is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// An operator's output.
    Activation,
    /// A convolution's weights.
    Weight,
}

/// What the width of one tensor does to the image.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivity {
    /// Name of the tensor.
    pub name: String,
    /// Activation or weight.
    pub subject: Subject,
    /// Predicted x0 PSNR, dB, with this tensor at `tried` and the error of all others taken away.
    pub psnr_db: f64,
    /// Width that was tried.
    pub tried: Bits,
    /// Width that was chosen.
    pub chosen: Bits,
    /// Index of the operator.
    pub op: usize,
    /// Expected squared error in x0 that this width adds.
    pub error: f64,
}

/// No assignment of widths fits; of 8 and 16 bits, which are what `auto` chooses from.
#[derive(Debug, thiserror::Error)]
#[error(
    "the model does not fit: at its smallest it needs {model_needed} bytes for the file and {arena_needed} bytes of arena; \
     {model_has} and {arena_has} are there. Choose a larger board, or train a smaller network"
)]
pub struct AutoError {
    /// Smallest file.
    pub model_needed: usize,
    /// Room for it.
    pub model_has: usize,
    /// Smallest arena.
    pub arena_needed: usize,
    /// Room for it.
    pub arena_has: usize,
}

/// Share of the weights that may be added for widening them.
const WIDEN_SHARE: f64 = 0.10;
/// Steps of a probing trajectory, at least and at most.
const PROBE_STEPS: [u32; 2] = [3, 10];
/// Multiply-accumulates that one trial may take, about: sets the steps and the number of trajectories.
const TRIAL_MACS: u64 = 150_000_000;
/// Trajectories of the probe, at most.
const MAX_RUNS: u64 = 4;

/// Chooses the widths; gives the sensitivities it measured. The budget holds for the plan of `arena`.
pub fn assign(
    trials: &Trials<'_>,
    budget: Option<Budget>,
    arena: Arena,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Assignment, Vec<Sensitivity>), QuantizeError> {
    let search = Search::new(trials, arena)?;
    let sensitivities = search.measure(&subjects(trials.program), Bits::Eight, progress)?;
    let mut assignment = Assignment::uniform(trials.program, Bits::Sixteen);
    if let Some(budget) = budget {
        search.narrow(&mut assignment, &sensitivities, budget)?;
    }
    search.widen(&mut assignment, &sensitivities, budget)?;
    let chosen = |mut s: Sensitivity| {
        s.chosen = match s.subject {
            Subject::Activation => assignment.activations[s.op],
            Subject::Weight => assignment.weights[s.op],
        };
        s
    };
    let sensitivities = sensitivities.into_iter().map(chosen).collect();
    Ok((assignment, sensitivities))
}

/// Every activation that may have 8 bits, and every convolution's weights.
pub(super) fn subjects(program: &Program) -> Vec<(usize, Subject)> {
    let outputs = program.outputs();
    let mut subjects = Vec::new();
    for (i, op) in program.ops.iter().enumerate() {
        let follows = matches!(op.kind.operator().output_format(), OutputFormat::SameAs(_));
        if !is_fixed(program, op) && !outputs.contains(&i) && !follows {
            subjects.push((i, Subject::Activation));
        }
        if op.kind.conv().is_some() {
            subjects.push((i, Subject::Weight));
        }
    }
    subjects
}

/// Trials of assignments.
pub(super) struct Search<'a, 't> {
    trials: &'a Trials<'t>,
    arena: Arena,
    probe: Probe,
}

impl<'a, 't> Search<'a, 't> {
    pub(super) fn new(trials: &'a Trials<'t>, arena: Arena) -> Result<Self, QuantizeError> {
        let header = trials.reference.header();
        let affordable = (TRIAL_MACS / header.macs.max(1)).min(1 << 16) as u32;
        let steps = affordable.clamp(PROBE_STEPS[0], PROBE_STEPS[1]).min(header.train_steps);
        let runs = (TRIAL_MACS / (header.macs * u64::from(steps)).max(1)).clamp(1, MAX_RUNS);
        let config = |seed: u64| Config {
            class: (header.classes > 0).then(|| (seed % u64::from(header.classes)) as u16),
            seed,
            ..Config::of(header, steps)
        };
        // Seeds that neither calibration nor people use.
        let conditions = trials.conditions.map(|given| given(runs as usize));
        let run = |i: u64| Run {
            config: config(0x5052_4F42_0000_0000 + i),
            condition: conditions
                .as_ref()
                .map_or(Arc::from([]), |rows| rows[i as usize % rows.len()].clone()),
        };
        let runs: Vec<Run> = (0..runs).map(run).collect();
        Ok(Self {
            trials,
            arena,
            probe: Probe::record(&trials.reference, &runs)?,
        })
    }

    fn emit(&self, assignment: &Assignment) -> Result<Emitted, QuantizeError> {
        let formats = formats(self.trials.program, self.trials.stats, assignment);
        Ok(self.trials.emit(assignment, &formats, self.arena)?)
    }

    fn error(&self, assignment: &Assignment) -> Result<f64, QuantizeError> {
        let emitted = self.emit(assignment)?;
        let memory = AlignedBytes::copy_of(&emitted.bytes);
        Ok(self.probe.error(&Model::parse(memory.bytes())?)?)
    }

    /// Each subject alone at a width while all else has 16 bits.
    pub(super) fn measure(
        &self,
        subjects: &[(usize, Subject)],
        tried: Bits,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Vec<Sensitivity>, QuantizeError> {
        let program = self.trials.program;
        let mut best = Assignment::uniform(program, Bits::Sixteen);
        best.weights.fill(Bits::Sixteen);
        let floor = self.error(&best)?;
        let mut sensitivities = Vec::with_capacity(subjects.len());
        for (done, &(op, subject)) in subjects.iter().enumerate() {
            progress(Progress::Measuring(done, subjects.len()));
            let mut trial = best.clone();
            match subject {
                Subject::Activation => trial.activations[op] = tried,
                Subject::Weight => trial.weights[op] = tried,
            }
            let error = (self.error(&trial)? - floor).max(0.0);
            let name = match subject {
                Subject::Activation => program.slots[op].name.clone(),
                Subject::Weight => format!("{}.weight", program.ops[op].name),
            };
            let psnr_db = psnr_db(error);
            sensitivities.push(Sensitivity {
                name,
                subject,
                psnr_db,
                tried,
                chosen: tried,
                op,
                error,
            });
        }
        progress(Progress::Measuring(subjects.len(), subjects.len()));
        Ok(sensitivities)
    }

    /// Narrows activations until the arena fits: each time the one at the peak that costs least a byte.
    fn narrow(
        &self,
        assignment: &mut Assignment,
        sensitivities: &[Sensitivity],
        budget: Budget,
    ) -> Result<(), QuantizeError> {
        let smallest = self.emit(&Assignment::uniform(self.trials.program, Bits::Eight))?;
        let needs_less = smallest.bytes.len() > budget.model_bytes;
        let program = self.trials.program;
        loop {
            // The lower bound decides while it is too large; the plan itself, which may lie a little above it, at the end.
            let bound = lower_bound_bytes(program, &assignment.dtypes(), self.arena);
            let fits = bound <= budget.arena_bytes && self.emit(assignment)?.plan.arena_bytes <= budget.arena_bytes;
            if fits && !needs_less {
                return Ok(());
            }
            let Some(op) = self
                .next_to_narrow(assignment, sensitivities, bound)
                .filter(|_| !needs_less)
            else {
                return Err(AutoError {
                    model_needed: smallest.bytes.len(),
                    model_has: budget.model_bytes,
                    arena_needed: smallest.plan.arena_bytes,
                    arena_has: budget.arena_bytes,
                }
                .into());
            };
            assignment.activations[op] = Bits::Eight;
        }
    }

    /// The activation whose narrowing adds least error a byte of the peak. Where no single change lowers the peak (two operators
    /// share it), the least harmful one.
    fn next_to_narrow(&self, assignment: &Assignment, sensitivities: &[Sensitivity], bound: usize) -> Option<usize> {
        let wide = |s: &&Sensitivity| s.subject == Subject::Activation && assignment.activations[s.op] == Bits::Sixteen;
        let cost = |s: &Sensitivity| {
            let mut trial = assignment.clone();
            trial.activations[s.op] = Bits::Eight;
            let least = lower_bound_bytes(self.trials.program, &trial.dtypes(), self.arena);
            let gain = bound.saturating_sub(least);
            if gain > 0 {
                (false, s.error / gain as f64)
            } else {
                (true, s.error)
            }
        };
        let costs = sensitivities.iter().filter(wide).map(|s| (cost(s), s.op));
        costs
            .min_by(|a, b| a.0.0.cmp(&b.0.0).then(a.0.1.total_cmp(&b.0.1)))
            .map(|(_, op)| op)
    }

    /// Widens weights where that takes away most error a byte, up to [`WIDEN_SHARE`] more bytes or the budget.
    fn widen(
        &self,
        a: &mut Assignment,
        sensitivities: &[Sensitivity],
        budget: Option<Budget>,
    ) -> Result<(), QuantizeError> {
        let conv = |op: usize| self.trials.program.ops[op].kind.conv();
        let bytes = |op: usize| conv(op).map_or(1, |conv: &Conv| conv.weight.len());
        let emitted = self.emit(a)?;
        let room = budget.map_or(usize::MAX, |b| b.model_bytes.saturating_sub(emitted.bytes.len() + 1024));
        let mut room = room.min((emitted.weight_bytes as f64 * WIDEN_SHARE) as usize);
        let mut weights: Vec<&Sensitivity> = sensitivities.iter().filter(|s| s.subject == Subject::Weight).collect();
        let worth = |s: &Sensitivity| s.error / bytes(s.op) as f64;
        weights.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        for s in weights {
            let more = bytes(s.op);
            if a.weights[s.op] == Bits::Eight && more <= room {
                a.weights[s.op] = Bits::Sixteen;
                room -= more;
            }
        }
        Ok(())
    }
}
