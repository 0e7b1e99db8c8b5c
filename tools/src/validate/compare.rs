//! Two traces of one image, step by step and operator by operator.

use crate::backend::{StepTrace, Trace};
use crate::names::Names;
use mote_runtime::Model;
use serde::Serialize;

/// Where two traces first differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// Seed of the image.
    pub seed: u64,
    /// Number of the step, 0 first.
    pub step: u32,
    /// Name and kind of the operator; `sampler` where every operator agrees but the state after the step does not.
    pub operator: String,
    /// Index in the operator list.
    pub operator_index: Option<usize>,
}

/// Steps that differ, a step that one side lacks included.
pub fn mismatches(expected: &Trace, found: &Trace) -> usize {
    let steps = expected.steps.iter().zip(&found.steps);
    let differing = steps.filter(|(e, f)| differ(e, f)).count();
    differing + expected.steps.len().abs_diff(found.steps.len())
}

/// Whether timestep, state or, where both sides have them, operators' outputs differ.
fn differ(e: &StepTrace, f: &StepTrace) -> bool {
    let operators = !e.operators.is_empty() && !f.operators.is_empty();
    (e.timestep, e.digest) != (f.timestep, f.digest) || operators && e.operators != f.operators
}

impl Divergence {
    /// The first difference of two traces of one image; `None` where they agree.
    pub fn between(expected: &Trace, found: &Trace, model: &Model<'_>, names: &Names) -> Option<Self> {
        let at = |step: u32, operator: String, operator_index| Self {
            seed: found.seed,
            step,
            operator,
            operator_index,
        };
        let Some((e, f)) = expected.steps.iter().zip(&found.steps).find(|(e, f)| differ(e, f)) else {
            let short = expected.steps.len().min(found.steps.len());
            let unequal = expected.steps.len() != found.steps.len();
            return unequal.then(|| at(short as u32, "one side has fewer steps".into(), None));
        };
        if e.timestep != f.timestep {
            return Some(at(e.index, format!("timestep {} for {}", f.timestep, e.timestep), None));
        }
        let ops = usize::from(model.header().op_count);
        // Digests that were folded into one place nothing.
        if e.operators.len() < ops || f.operators.len() < ops {
            return Some(at(e.index, "unknown".into(), None));
        }
        let Some(place) = e.operators.iter().zip(&f.operators).position(|(e, f)| e != f) else {
            return Some(at(e.index, "sampler".into(), None));
        };
        let (index, call) = match (place % ops, place / ops) {
            (index, 0) => (index, String::new()),
            (index, call) => (index, format!(", call {}", call + 1)),
        };
        let kind = model.ops().nth(index).map_or("", |op| op.kind());
        Some(at(e.index, format!("{} ({kind}{call})", names.op(index)), Some(index)))
    }

    /// A difference that could not be placed.
    pub fn unknown(seed: u64) -> Self {
        Self {
            seed,
            step: 0,
            operator: "unknown".into(),
            operator_index: None,
        }
    }
}
