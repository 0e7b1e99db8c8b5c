//! From a trained chain to a model file.

use mote_runtime::Config;

use super::files::Chain;
use super::program::{diffusion, program};
use crate::convert::ConvertError;
use crate::convert::calibration::{CALIBRATION_SEED, Calibration, run_of};
use crate::convert::source::{Memory, NumberFormats, Source, Widths, convert_source};
use crate::emit::{Diffusion, Emitted};
use crate::program::Program;
use crate::quantize::scheme::{Assignment, Bits};

/// Whole runs of the chain that calibration observes.
const RUNS: u64 = 8;

/// Number formats of a chain's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainScheme {
    /// f16.
    F16,
    /// int8 weights, int16 activations.
    W8A16,
    /// int16 weights, int16 activations.
    W16A16,
}

impl ChainScheme {
    /// What `auto` means: the least that keeps the bound. The bits' logits take it at int8; the plane's points are finer.
    pub fn auto(chain: &Chain) -> Self {
        match chain {
            Chain::Heartbeat(_) => Self::W8A16,
            Chain::SwissRoll(_) => Self::W16A16,
        }
    }

    /// As it stands in a model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::W8A16 => "w8a16",
            Self::W16A16 => "w16a16",
        }
    }

    /// One width for all weights, int16 for all activations.
    fn widths(self, program: &Program) -> Option<Widths> {
        let weights = match self {
            Self::F16 => return None,
            Self::W8A16 => Bits::Eight,
            Self::W16A16 => Bits::Sixteen,
        };
        Some(Widths::Given(Assignment {
            weights: vec![weights; program.ops.len()],
            ..Assignment::uniform(program, Bits::Sixteen)
        }))
    }
}

/// Converts a chain. The same files and scheme give the same bytes on every machine. `sha256` is that of the chain's tensors.
pub fn convert(chain: &Chain, scheme: ChainScheme, sha256: &str) -> Result<Emitted, ConvertError> {
    let program = program(chain).map_err(ConvertError::Chain)?;
    let diffusion = diffusion(chain).map_err(ConvertError::Chain)?;
    let numbers = NumberFormats {
        scheme: scheme.name(),
        widths: scheme.widths(&program),
    };
    let source = Source {
        name: chain.preset(),
        sha256,
        program,
        calibration: calibration(&diffusion, chain.steps() as u32),
        diffusion,
        trained: None,
    };
    Ok(convert_source(source, numbers, Memory::default(), &|_| ())?.emitted)
}

/// Whole runs of the chain.
fn calibration(diffusion: &Diffusion, steps: u32) -> Calibration {
    let run = |i| Config {
        seed: CALIBRATION_SEED + i,
        ..run_of(diffusion, steps)
    };
    Calibration {
        runs: (0..RUNS).map(run).collect(),
        steps,
        rounding: vec![],
    }
}
