//! The tensors of an operator: [`crate::ops::slots`].

pub use crate::ops::slots::{Slots as Io, slot};
