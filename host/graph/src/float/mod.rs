//! The float network: run forward and in reverse, and sampled from. It is the yardstick that every integer result is measured against.
//!
//! - [`PreparedGraph`]: a graph made ready to be run.
//! - [`Executor`]: runs one in f32 or f64, a batch at a time; gives the gradient by the sample where that is asked for.
//! - [`Passes`]: losses and their gradients by trained tensors. The graph that is trained is the graph that is deployed.
//! - [`ddim`]: the sampler over any model; [`encode`]: the same backwards; [`samplers`]: the others.

pub mod continuous;
pub mod ddim;
pub mod encode;
mod exec;
mod fake;
mod network;
mod passes;
pub mod samplers;
mod tape;

#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod norm_tests;
#[cfg(test)]
mod tests;

pub use crate::ops::{Conditions, TimeFeatures, features};
pub use crate::real::{DType, Real};
pub use exec::{Executor, Observed, Time};
pub use fake::FakeRange;
pub use network::PreparedGraph;
pub use passes::{Call, Loss, Passes, SHARD};

use thiserror::Error;

/// What can go wrong while a graph runs.
#[derive(Debug, Error)]
pub enum FloatError {
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
    /// A gradient is asked for through an operator that has only a pass forward.
    #[error("node `{node}`: gradients do not pass through the operator {operator}; leave it out of what is trained")]
    Irreversible {
        /// Node name.
        node: String,
        /// Operator name.
        operator: &'static str,
    },
    /// The graph itself does not hold together.
    #[error(transparent)]
    Graph(#[from] crate::graph::GraphError),
    /// The schedule does not allow a step.
    #[error(transparent)]
    Schedule(#[from] crate::schedule::ScheduleError),
}

impl FloatError {
    fn input(what: &'static str, expected: String, found: impl ToString) -> Self {
        Self::Input {
            what,
            expected,
            found: found.to_string(),
        }
    }
}
