//! The condition vector of a run: held by whoever runs it, and the same for every call.

use super::Sampler;
use crate::error::RunError;
#[cfg(not(feature = "condition"))]
use crate::features::Feature;
use crate::model::Model;
#[cfg(feature = "condition")]
use crate::model::crc::crc32;
use crate::ops::Given;

/// What a sampler knows of its condition. Nothing at all in a build without the part.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConditionState<'a> {
    pub(super) given: Given<'a>,
    /// Numbers that the model takes; 0 without a condition.
    #[cfg(feature = "condition")]
    expected: u32,
    /// Tells the vector that a run was saved with apart from others; 0 where it was not saved.
    #[cfg(feature = "condition")]
    saved: u32,
}

impl ConditionState<'_> {
    /// Before a vector is given.
    pub(super) fn of(model: &Model<'_>) -> Self {
        let _ = model;
        Self {
            given: Given::NONE,
            #[cfg(feature = "condition")]
            expected: model.condition_len() as u32,
            #[cfg(feature = "condition")]
            saved: 0,
        }
    }
}

impl ConditionState<'_> {
    /// Before a vector is given again.
    pub(super) fn not_given<'k>(self) -> ConditionState<'k> {
        ConditionState {
            given: Given::NONE,
            #[cfg(feature = "condition")]
            expected: self.expected,
            #[cfg(feature = "condition")]
            saved: self.saved,
        }
    }
}

impl<'a> ConditionState<'a> {
    /// With `vector`, as [`Sampler::condition`] gives it.
    #[cfg(feature = "condition")]
    #[inline(always)]
    pub(super) fn give(&mut self, vector: &'a [i32]) -> Result<(), RunError> {
        let (expected, found) = (self.expected, vector.len() as u32);
        if expected != found || expected == 0 {
            return Err(RunError::Condition { expected, found });
        }
        if self.saved != 0 && self.saved != tag(vector) {
            return Err(RunError::ConditionChanged);
        }
        self.given = Given::of(vector);
        Ok(())
    }

    /// Refuses: no model of this build takes a condition.
    #[cfg(not(feature = "condition"))]
    #[inline(always)]
    pub(super) fn give(&mut self, _: &'a [i32]) -> Result<(), RunError> {
        Err(RunError::NotBuilt(Feature::Condition))
    }
}

#[cfg(feature = "condition")]
impl<'a> Sampler<'_, 'a> {
    /// Conditions the run on `vector`, in the model's fixed point
    /// ([`Condition`](crate::ops::Condition)). Call it before the first step, and again after a resume.
    ///
    /// # Errors
    /// `Condition` for a vector of another length; `ConditionChanged` where the run was saved with another vector.
    pub fn condition(&mut self, vector: &'a [i32]) -> Result<(), RunError> {
        self.held.give(vector)
    }

    /// Numbers of the condition vector that are outside the model's range, and are clamped to it.
    pub fn clamped(&self) -> u32 {
        let Some(condition) = self.model.condition() else {
            return 0;
        };
        let numbers = self.held.given.vector().unwrap_or_default();
        numbers.iter().filter(|&&n| condition.clamped(n) != n).count() as u32
    }

    /// Refuses a step of a model that has not been given its condition.
    pub(super) fn is_conditioned(&self) -> Result<(), RunError> {
        let expected = self.held.expected;
        if expected != 0 && self.held.given.vector().is_none() {
            return Err(match self.held.saved {
                0 => RunError::Condition { expected, found: 0 },
                _ => RunError::ConditionChanged,
            });
        }
        Ok(())
    }

    /// What a snapshot holds of it: nothing for a model without a condition.
    pub(super) fn condition_tag(&self) -> Option<u32> {
        let tag = self.held.given.vector().map_or(self.held.saved, tag);
        (self.held.expected != 0).then_some(tag)
    }

    /// What a snapshot has held.
    pub(super) fn set_condition_tag(&mut self, tag: u32) {
        self.held.saved = tag;
    }
}

#[cfg(not(feature = "condition"))]
impl<'a> Sampler<'_, 'a> {
    /// Refuses: no model of this build takes a condition.
    ///
    /// # Errors
    /// `NotBuilt`.
    pub fn condition(&mut self, vector: &'a [i32]) -> Result<(), RunError> {
        self.held.give(vector)
    }

    /// None.
    pub fn clamped(&self) -> u32 {
        0
    }

    #[inline(always)]
    pub(super) fn is_conditioned(&self) -> Result<(), RunError> {
        Ok(())
    }

    #[inline(always)]
    pub(super) fn condition_tag(&self) -> Option<u32> {
        None
    }

    #[inline(always)]
    pub(super) fn set_condition_tag(&mut self, _: u32) {}
}

/// Tells vectors apart in a snapshot; not 0.
#[cfg(feature = "condition")]
fn tag(vector: &[i32]) -> u32 {
    crc32(bytemuck::cast_slice(vector)).max(1)
}
