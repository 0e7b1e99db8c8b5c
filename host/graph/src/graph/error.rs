//! What can be wrong with a graph.

use thiserror::Error;

/// A graph that does not hold together. Every variant names the node and says what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GraphError {
    /// An operator was given the wrong number of inputs.
    #[error("node `{node}`: takes {expected} input(s), was given {found}")]
    InputCount {
        /// Node name.
        node: String,
        /// What the operator takes.
        expected: String,
        /// How many it was given.
        found: usize,
    },
    /// Two shapes that must agree do not.
    #[error("node `{node}`: {what} must be {expected}, found {found}")]
    Mismatch {
        /// Node name.
        node: String,
        /// Which quantity.
        what: &'static str,
        /// The value it must have.
        expected: String,
        /// The value it has.
        found: String,
    },
    /// A parameter named by an operator is not in [`super::Graph::params`].
    #[error("node `{node}`: parameter `{key}` is not in the graph")]
    MissingParam {
        /// Node name.
        node: String,
        /// The key that was looked up.
        key: String,
    },
    /// An activation or an attention matrix would be larger than any machine that this tool targets could hold.
    #[error("node `{node}`: {what} would have more than {limit} elements; the configuration is not a real model's")]
    TooLarge {
        /// Node name.
        node: String,
        /// Which tensor.
        what: &'static str,
        /// The limit that was passed.
        limit: usize,
    },
    /// A node reads a value that no earlier node has written, or writes one that is already written.
    #[error("node `{node}`: value {value} is {problem}")]
    Order {
        /// Node name.
        node: String,
        /// Index of the value.
        value: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Two values, nodes or taps share a name.
    #[error("the name `{0}` is used twice")]
    DuplicateName(String),
    /// The graph has no output, or it names a value that is never written.
    #[error("the graph has no output, or its output is never written")]
    NoOutput,
}
