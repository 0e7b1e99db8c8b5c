//! Deliberate errors: a comparison that is asked to find one must find it.

use super::Outcome;
use crate::backend::Backend;
use mote_runtime::Model;
use std::collections::BTreeSet;

/// What stands for the rule between two network calls, beside the kinds of operators.
const SAMPLER: &str = "sampler";

/// Kinds that the oracle can be made to round wrongly.
pub const FAULTS: [&str; 8] = [
    "conv",
    "group_norm",
    "attention",
    "silu",
    "input",
    "readout",
    "softmax",
    SAMPLER,
];

/// Why an injected fault shows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The model has no such operator.
    #[error("the model has no operator of kind '{kind}' to break; it has {}", .found.join(", "))]
    Absent {
        /// The kind that was asked for.
        kind: &'static str,
        /// The kinds that the model has and the oracle can break.
        found: Vec<&'static str>,
    },
    /// Every comparison agreed.
    #[error(
        "the fault in '{kind}' was not found: {images} images of {steps} steps agree in every state and every operator"
    )]
    Missed {
        /// The kind that was broken.
        kind: &'static str,
        /// Images compared.
        images: usize,
        /// Steps of each.
        steps: usize,
    },
}

/// The fault of that name, or the names that there are.
pub fn fault(name: &str) -> Result<&'static str, String> {
    let found = FAULTS.into_iter().find(|kind| *kind == name);
    found.ok_or_else(|| format!("choose one of {}", FAULTS.join(", ")))
}

/// Whether `model` has something of `kind` that can be broken.
pub fn can_break(model: &Model<'_>, kind: &'static str) -> Result<(), FaultError> {
    let found: BTreeSet<&'static str> = model.ops().map(|op| op.kind()).collect();
    let found: Vec<&'static str> = FAULTS
        .into_iter()
        .filter(|fault| *fault == SAMPLER || found.contains(fault))
        .collect();
    if found.contains(&kind) {
        return Ok(());
    }
    Err(FaultError::Absent { kind, found })
}

/// Whether the backend with the fault in `kind` was found out, if it ran.
pub fn is_found(outcomes: &[Outcome], kind: &'static str) -> Result<(), FaultError> {
    let name = Backend::Oracle(Some(kind)).to_string();
    let missed = |outcome: &&Outcome| outcome.name == name && outcome.why.is_none() && outcome.mismatches == 0;
    match outcomes.iter().find(missed) {
        None => Ok(()),
        Some(outcome) => Err(FaultError::Missed {
            kind,
            images: outcome.images,
            steps: outcome.steps,
        }),
    }
}
