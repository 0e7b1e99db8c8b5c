//! The oracle: a second implementation of a model file's meaning, written from `NUMERICS.md` and from nothing else.
//!
//! Desktop, boards and the reference path of a GPU share the runtime's code, so comparing them with each other cannot find
//! a rounding that this code has wrong. The oracle shares none of it: of the runtime it uses the parsed file (header,
//! operators, tensor records, raw bytes of the sections) and the types of a run's configuration. Its integers are 64 and
//! 128 bits wide, every activation has its own memory, planes are `(channel, row, col)`, its tables come from their formulas
//! at start-up. Where it and the runtime differ, one of the two, or the document, is wrong: see [`trace`].
//!
//! - [`scalar`]: the document's functions; [`planes`]: activations.
//! - [`network`]: one network call, by `integer` or `float` operators; `sampler`: the steps around it.

pub mod network;
pub mod planes;
pub mod scalar;
pub mod trace;

mod float;
mod integer;
mod pixels;
mod sampler;
mod tables;
#[cfg(test)]
mod tests;

use mote_runtime::{Config, Model};

pub use pixels::q24_to_pixel;

/// Where a run starts: the runtime's own description, which carries no arithmetic.
pub use mote_runtime::Start as OracleStart;

/// Why the oracle cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OracleError {
    /// A configuration that the model cannot run.
    #[error("the run's '{field}' is not one that this model can run")]
    Config {
        /// Field of the configuration, or of the start.
        field: &'static str,
    },
    /// An image or noise of another length.
    #[error("{found} elements given; the model's sample has {expected}")]
    Length {
        /// Elements of a sample.
        expected: usize,
        /// Elements given.
        found: usize,
    },
    /// Epsilon prediction where alpha_bar is 0.
    #[error("alpha_bar is 0 at timestep {timestep}, where epsilon prediction is undefined")]
    ZeroSnr {
        /// Training timestep.
        timestep: u32,
    },
    /// An operator without its parameters or inputs, which a parsed model never has.
    #[error("operator {op} ({kind}) lacks a parameter or an input: the model file was not checked")]
    Operator {
        /// Index in the operator list.
        op: usize,
        /// Kind.
        kind: &'static str,
    },
}

/// What is asked of the oracle itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OracleOptions {
    /// Digests of every operator's output, each step.
    pub op_digests: bool,
    /// Makes operators of this kind (`Op::kind`, or `sampler`) drop fractions instead of rounding them: the deliberate
    /// error with which tests show that a comparison finds one. An operator whose outputs need no rounding gets the last bit
    /// of one element wrong, so that every fault shows. A binomial chain's broken sampler keeps three binary digits of a
    /// probability: its last digit alone would hardly ever show in a bit.
    pub broken_rounding: Option<&'static str>,
}

/// One finished step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleStep {
    /// Number of the step, 0 first.
    pub index: u32,
    /// Training timestep that the network was called with.
    pub timestep: u32,
    /// Digest of the state after the step.
    pub digest: u64,
    /// Digest of every operator's output in the order of execution, where asked for. An output counts as the stored
    /// integers less the zero point (f16: the bits), in the order `(row, col, channel)`. Under guidance the conditional
    /// call's operators come first, then the unconditional call's; under Heun's method those of its second half follow.
    pub op_digests: Option<Vec<u64>>,
}

/// A model, read and ready to run.
#[derive(Debug)]
pub struct Oracle<'m> {
    model: Model<'m>,
    network: network::Network,
    options: OracleOptions,
}

impl<'m> Oracle<'m> {
    /// Reads a parsed model.
    pub fn new(model: &Model<'m>) -> Result<Self, OracleError> {
        Self::with_options(model, OracleOptions::default())
    }

    /// Reads a parsed model.
    pub fn with_options(model: &Model<'m>, options: OracleOptions) -> Result<Self, OracleError> {
        Ok(Self {
            model: *model,
            network: network::Network::read(model)?,
            options,
        })
    }

    /// Kinds of the operators, in order.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.network.kinds().collect()
    }

    /// Runs every step of `config` from `start`, shows each to `on_step`, and gives the last state: Q24,
    /// `(row, col, channel)`.
    pub fn run(
        &self,
        config: &Config,
        start: &OracleStart<'_>,
        on_step: &mut dyn FnMut(&OracleStep),
    ) -> Result<Vec<i32>, OracleError> {
        self.run_known(config, start, None, on_step)
    }

    /// As [`Oracle::run`], with the elements of `known` (Q24) known that are not [`UNKNOWN`](mote_runtime::sampler::UNKNOWN).
    pub fn run_known(
        &self,
        config: &Config,
        start: &OracleStart<'_>,
        known: Option<&[i32]>,
        on_step: &mut dyn FnMut(&OracleStep),
    ) -> Result<Vec<i32>, OracleError> {
        let run = sampler::Run {
            model: &self.model,
            network: &self.network,
            config,
            options: self.options,
            known,
        };
        run.run(start, on_step)
    }
}
