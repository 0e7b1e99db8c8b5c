//! The float executor and sampler: the yardstick that every integer result is measured against.
//!
//! [`Executor`] runs a [`crate::graph::Graph`] on candle in f32 or f64, a batch at a time; every operation is
//! differentiable, so the graph that is trained is the graph that is deployed. [`ddim`] is the sampler over any model, [`encode`] the
//! same backwards, [`samplers`] has the others.

mod conv;
pub mod ddim;
pub mod encode;
mod exec;
mod ops;
mod real;
pub mod samplers;
mod time;

#[cfg(test)]
mod tests;

pub use exec::{Batch, Executor};
pub use real::Real;
pub use time::{TimeFeatures, features};

use thiserror::Error;

/// What can go wrong while a graph runs.
#[derive(Debug, Error)]
pub enum FloatError {
    /// The tensor library refused an operation.
    #[error("node `{node}`: {source}")]
    Node {
        /// Node name.
        node: String,
        /// The library's own words.
        source: candle_core::Error,
    },
    /// The batch does not fit the graph.
    #[error("{what} must be {expected}, found {found}")]
    Input {
        /// Which input.
        what: &'static str,
        /// What the graph takes.
        expected: String,
        /// What was given.
        found: String,
    },
    /// A tensor could not be made or read back.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The graph itself does not hold together.
    #[error(transparent)]
    Graph(#[from] crate::graph::GraphError),
    /// The schedule does not allow a step.
    #[error(transparent)]
    Schedule(#[from] crate::schedule::ScheduleError),
}
