//! Training: from images to the weights of a graph, the graph that is deployed.
//!
//! - [`gradient`]: reverse-mode differentiation of a graph.
//! - [`dataset`], [`augment`]: images; [`random`]: every random number, by seed and step.
//! - [`objective`], [`variance`]: what is minimized; [`distill`]: what a student of fewer steps is taught; [`adam`], [`rate`], [`average`]: how.
//! - [`rounding`]: weights as an integer model holds them, for training that knows of it.
//! - [`trainer`]: a step of all this.
//!
//! The same data, settings and seed give the same weights on one kind of processor, bit for bit, with any number of threads, and
//! however often a run was stopped and taken up again.

pub mod adam;
pub mod augment;
pub mod average;
pub mod dataset;
pub mod distill;
pub mod objective;
pub mod random;
pub mod rate;
pub mod rounding;
pub mod trainer;
pub mod variance;

/// Reverse-mode differentiation of a graph.
pub mod gradient {
    pub use mote_graph::float::{Call, FakeRange, Loss, Passes, PreparedGraph, SHARD};
}

#[cfg(test)]
mod tests;
