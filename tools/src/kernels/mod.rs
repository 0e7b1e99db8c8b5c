//! What single operators cost on a board's core, measured with the real firmware.
//!
//! [`cases()`] are the operators and shapes, with what CMSIS-NN takes for the same; `network` puts them into a model file by way of
//! the converter, so that weights, memory plan and scratch are what conversion gives; [`measure`] runs that file on a simulated
//! board and takes each operator's own count.
//!
//! Counts are of instructions as QEMU retires them, the same on every run. They are not cycles.

mod calibration;
pub mod cases;
mod network;

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Board, Image, ImageOptions, Observe, Parts, RunRequest, SimError};
use mote_runtime::{Config, Model};
use serde::Serialize;
use std::time::Duration;

pub use calibration::calibration;
pub use cases::{Activations, Case, Work, cases};
use network::{MeasuredNetwork, network};

use crate::convert::ConvertError;

/// The boards that are measured where none are named: a core of each class.
pub const DEFAULT_BOARDS: [&str; 5] = ["mps2-m0", "mps2-an385", "mps2-an386", "mps3-an547", "virt"];

/// One operator's cost on one board. Keys of `bench --kernels --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelCount {
    /// The board's name.
    pub board: &'static str,
    /// Its core.
    pub core: &'static str,
    /// The operator and its shape, [`Case::name`].
    pub shape: String,
    /// Number formats of input and output.
    pub activations: &'static str,
    /// Number format of the weights; empty where there are none.
    pub weights: &'static str,
    /// Multiply-accumulates; 0 of an operator that is counted by the element.
    pub macs: u64,
    /// Elements of the output.
    pub elements: u64,
    /// Instructions, to within [`mote_firmware_sim::boards::Clock::granularity`]; `None` where the case does not fit the board.
    pub instructions: Option<u64>,
    /// The same by multiply-accumulate.
    pub instructions_per_mac: Option<f64>,
    /// The same by element of the output.
    pub instructions_per_element: Option<f64>,
    /// What CMSIS-NN takes a multiply-accumulate for this shape with int8 activations on a core of this class.
    pub cmsis_nn: Option<f64>,
    /// Why there is no count.
    pub why: Option<String>,
}

/// A board or a network that gave no counts.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The network could not be converted.
    #[error("a kernel's network cannot be converted: {0}")]
    Convert(#[from] ConvertError),
    /// The board failed.
    #[error(transparent)]
    Board(#[from] SimError),
}

impl crate::code::Coded for MeasureError {
    fn code(&self) -> crate::Code {
        match self {
            Self::Convert(error) => error.code(),
            Self::Board(error) => error.code(),
        }
    }
}

/// Longest that one board may take on the host's clock.
const LIMIT: Duration = Duration::from_secs(300);

/// Measures `cases` on `board`: all in one model file where that fits the board's memory, each in its own where it does not.
///
/// # Errors
/// What keeps the firmware from being built or run. A case that does not fit the board is no error: its count is `None`.
pub fn measure(board: &'static Board, cases: &[Case]) -> Result<Vec<KernelCount>, MeasureError> {
    match counts(board, cases) {
        Ok(counts) => Ok(rows(board, cases, &counts)),
        Err(MeasureError::Board(SimError::DoesNotFit { .. })) if cases.len() > 1 => {
            let alone = |case: &Case| measure(board, std::slice::from_ref(case));
            Ok(cases.iter().map(alone).collect::<Result<Vec<_>, _>>()?.concat())
        }
        Err(MeasureError::Board(error @ SimError::DoesNotFit { .. })) => {
            let row = |case| KernelCount {
                why: Some(error.to_string()),
                ..row(board, case, None)
            };
            Ok(cases.iter().map(row).collect())
        }
        Err(error) => Err(error),
    }
}

/// Instructions of each case, of one run.
fn counts(board: &'static Board, cases: &[Case]) -> Result<Vec<u64>, MeasureError> {
    let MeasuredNetwork { bytes, measured, .. } = network(cases)?;
    let memory = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).map_err(ConvertError::from)?;
    let config = Config::of(model.header(), 1);
    // Every part, so that one image serves every case, and a case does not depend on what else is measured.
    let options = ImageOptions {
        parts: Some(Parts::addressed()),
        ..ImageOptions::default()
    };
    let image = Image::link(board, &bytes, &options)?;
    let report = image.run(&RunRequest {
        observe: Observe::OpInstructions,
        limit: LIMIT,
        ..RunRequest::new(config, [1])
    })?;
    let ops = report.images.first().map_or(&[][..], |image| &image.ops);
    let count = |&index: &usize| ops.get(index).and_then(|op| op.instructions).unwrap_or(0);
    Ok(measured.iter().map(count).collect())
}

fn rows(board: &'static Board, cases: &[Case], counts: &[u64]) -> Vec<KernelCount> {
    let pairs = cases.iter().zip(counts);
    pairs.map(|(case, &count)| row(board, case, Some(count))).collect()
}

fn row(board: &'static Board, case: &Case, instructions: Option<u64>) -> KernelCount {
    let (macs, elements) = (case.macs(), case.elements());
    let by = |n: u64| {
        instructions
            .filter(|_| n > 0)
            .map(|count| round(count as f64 / n as f64))
    };
    KernelCount {
        board: board.name,
        core: board.core.name,
        shape: case.name(),
        activations: case.activations.name(),
        weights: case.weights(),
        macs,
        elements,
        instructions,
        instructions_per_mac: by(macs),
        instructions_per_element: by(elements),
        cmsis_nn: case.cmsis_nn(board.core.name),
        why: None,
    }
}

/// To a thousandth: counts are right to a tick of the board's clock.
fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
