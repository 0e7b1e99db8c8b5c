//! Training: from images to a checkpoint, on the graph that is deployed.
//!
//! - [`gradient`]: reverse-mode differentiation of a graph; [`layout`]: its parameters as one vector.

pub mod gradient;
pub mod layout;
