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
    let pictures = expected.picture.as_ref().zip(found.picture.as_ref());
    let drawn = pictures.map_or(expected.picture != found.picture, |(e, f)| differ(e, f));
    differing + expected.steps.len().abs_diff(found.steps.len()) + usize::from(drawn)
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
            let picture = || Self::of_pictures(expected, found, model);
            return match unequal {
                true => Some(at(short as u32, "one side has fewer steps".into(), None)),
                false => picture(),
            };
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

    /// The first difference of the pictures that end two runs with the same steps.
    fn of_pictures(expected: &Trace, found: &Trace, model: &Model<'_>) -> Option<Self> {
        let pictures = expected.picture.as_ref().zip(found.picture.as_ref());
        let at = |operator: String, operator_index| Self {
            seed: found.seed,
            step: found.steps.len() as u32,
            operator,
            operator_index,
        };
        let Some((e, f)) = pictures else {
            let unequal = expected.picture.is_some() != found.picture.is_some();
            return unequal.then(|| at("one side has no picture".into(), None));
        };
        if !differ(e, f) {
            return None;
        }
        let place = e.operators.iter().zip(&f.operators).position(|(e, f)| e != f);
        let decoder = model.decoder();
        let (Some(index), Some(decoder)) = (place, decoder.filter(|_| e.operators.len() == f.operators.len())) else {
            return Some(at("the picture".into(), None));
        };
        let kind = decoder.ops().nth(index).map_or("", |op| op.kind());
        let name = Names::of(&decoder).op(index).to_owned();
        Some(at(format!("{name} of the decoder ({kind})"), Some(index)))
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
