//! Factors of activations, in a build without quicker ways: those of any value.

use super::requant::Requant;

/// A [`Requant`] of values of 16 bits, such as activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmallRequant(Requant);

impl SmallRequant {
    /// Prepares a factor.
    pub fn new(exact: Requant) -> Self {
        Self(exact)
    }

    /// What a quicker way would need.
    pub fn parts(&self) -> Option<(u32, i32, i32, u32)> {
        None
    }

    /// [`Requant::apply`].
    #[inline(always)]
    pub fn apply(&self, v: i32) -> i32 {
        self.0.times(v)
    }
}
