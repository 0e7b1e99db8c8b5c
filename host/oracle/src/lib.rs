//! The oracle: a second implementation of a model file's meaning, written from `docs/NUMERICS.md` and `docs/FORMAT.md` and from nothing else.
//!
//! Desktop, boards and the reference path of a GPU share the runtime's code, so comparing them with each other cannot find
//! a rounding that this code has wrong. The oracle shares none of it: this crate does not depend on the runtime, not even for its types,
//! and reads the file itself. Its integers are 64 and 128 bits wide, every activation has its own memory, planes are
//! `(channel, row, col)`, its tables come from their formulas at start-up. Where it and the runtime differ, one of the two, or a document,
//! is wrong: see [`trace`].
//!
//! - [`mod@file`]: the reader of a model file. [`request`]: what a run is asked for.
//! - [`ops`]: the operators, a file each. [`network`]: one network call. [`sampler`]: the steps around it.
//! - [`scalar`]: the document's functions; [`planes`]: activations.
//!
//! Give it files that the runtime accepts. It refuses what it cannot read, but it proves neither memory nor accumulators.

pub mod file;
pub mod network;
pub mod ops;
pub mod planes;
pub mod request;
pub mod sampler;
pub mod scalar;
pub mod trace;

pub use request::{Clip, Extras, Method, Plan, PrevRule, Request, Spacing, Start, UNKNOWN, Variance};
pub use scalar::pixels::q24_to_pixel;

use file::File;

/// Why the oracle cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OracleError {
    /// Bytes that are no model file.
    #[error("the model file's {part} is not what the format says")]
    File {
        /// Part of the file.
        part: &'static str,
    },
    /// A file of another version.
    #[error(
        "the file has format version {} and numeric version {}; the oracle knows {} and {}",
        found[0], found[1], known[0], known[1]
    )]
    Version {
        /// Format and numeric version of the file.
        found: [u16; 2],
        /// Those that the oracle was written for.
        known: [u16; 2],
    },
    /// An operator that the oracle does not have.
    #[error(
        "operator {op} ('{name}') is of kind number {number}, which the oracle does not have: write it in host/oracle/src/ops"
    )]
    UnknownOperator {
        /// Index in the operator list.
        op: usize,
        /// Its name in the file.
        name: String,
        /// Number of its kind.
        number: u32,
    },
    /// A record with fields, parameters or inputs that a model never has which the runtime accepts.
    #[error("operator {op} ({kind}) has a field, a parameter or an input that the format does not allow")]
    Operator {
        /// Index in the operator list.
        op: usize,
        /// Kind.
        kind: &'static str,
    },
    /// A request that the model cannot run.
    #[error("the run's '{field}' is not one that this model can run")]
    Config {
        /// Field of the request, or of the start.
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
}

/// What is asked of the oracle itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OracleOptions {
    /// Digests of every operator's output, each step.
    pub op_digests: bool,
    /// Makes operators of this kind ([`kinds`], or `sampler`) drop fractions instead of rounding them: the deliberate
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

/// The kinds of operators that the oracle has, by their numbers in a file.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    ops::KINDS.iter().map(|kind| kind.name)
}

/// A model, read and ready to run.
#[derive(Debug)]
pub struct Oracle<'b> {
    file: File<'b>,
    network: network::Network,
    decoder: Option<network::Network>,
    options: OracleOptions,
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OraclePicture {
    /// Q24, `(row, col, channel)`.
    pub picture: Vec<i32>,
    /// Digest of it, as of a state.
    pub digest: u64,
    /// As of [`OracleStep::op_digests`].
    pub op_digests: Option<Vec<u64>>,
}

impl<'b> Oracle<'b> {
    /// Reads a model file.
    pub fn new(bytes: &'b [u8]) -> Result<Self, OracleError> {
        Self::with_options(bytes, OracleOptions::default())
    }

    /// Reads a model file.
    pub fn with_options(bytes: &'b [u8], options: OracleOptions) -> Result<Self, OracleError> {
        let file = File::open(bytes)?;
        let network = network::Network::read(&file)?;
        let decoder = file.decoder().map(network::Network::read).transpose()?;
        Ok(Self {
            file,
            network,
            decoder,
            options,
        })
    }

    /// Kinds of the operators, in order.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.network.kinds().collect()
    }

    /// The picture of a latent (Q24, `(row, col, channel)`): by the file's decoder, or by the file where it is one.
    pub fn decode(&self, latent: &[i32]) -> Result<OraclePicture, OracleError> {
        let header = self.file.header();
        let own = matches!(header.prediction, file::header::Prediction::Picture { .. });
        let network = self.decoder.as_ref().or(own.then_some(&self.network));
        let network = network.ok_or(OracleError::Config { field: "decoder" })?;
        let [expected, found] = [
            [header.channels, header.rows, header.cols]
                .map(usize::from)
                .iter()
                .product(),
            latent.len(),
        ];
        if expected != found {
            return Err(OracleError::Length { expected, found });
        }
        let call = ops::Call {
            x_q24: latent,
            time_q16: 0,
            class: 0,
            condition: None,
        };
        let mut digests = Vec::new();
        let picture = network.draw(&call, self.options.broken_rounding, &mut |made| {
            digests.push(scalar::digest::digest(made.channels_last().map(|v| v as i32)));
        })?;
        let picture: Vec<i32> = picture.into_iter().map(|v| v as i32).collect();
        Ok(OraclePicture {
            digest: scalar::digest::digest(picture.iter().copied()),
            picture,
            op_digests: self.options.op_digests.then_some(digests),
        })
    }

    /// Runs every step of `request` from `start`, shows each to `on_step`, and gives the last state: Q24,
    /// `(row, col, channel)`.
    pub fn run(
        &self,
        request: &Request,
        start: &Start<'_>,
        on_step: &mut dyn FnMut(&OracleStep),
    ) -> Result<Vec<i32>, OracleError> {
        self.run_with(request, start, Extras::default(), on_step)
    }

    /// As [`Oracle::run`], with the elements of `known` (Q24) known that are not [`UNKNOWN`].
    pub fn run_known(
        &self,
        request: &Request,
        start: &Start<'_>,
        known: Option<&[i32]>,
        on_step: &mut dyn FnMut(&OracleStep),
    ) -> Result<Vec<i32>, OracleError> {
        let extras = Extras {
            known,
            ..Extras::default()
        };
        self.run_with(request, start, extras, on_step)
    }

    /// As [`Oracle::run`], with what else a run may be given.
    pub fn run_with(
        &self,
        request: &Request,
        start: &Start<'_>,
        extras: Extras<'_>,
        on_step: &mut dyn FnMut(&OracleStep),
    ) -> Result<Vec<i32>, OracleError> {
        let run = sampler::Run {
            model: &self.file,
            network: &self.network,
            config: request,
            options: self.options,
            known: extras.known,
            known_noise: extras.known_noise,
            condition: extras.condition,
        };
        run.run(start, on_step)
    }
}
