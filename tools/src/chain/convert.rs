//! From a trained chain to a model file.

use mote_host::calibrate::calibrate;
use mote_host::memory::AlignedBytes;
use mote_runtime::{Config, Model};
use serde_json::json;

use super::files::Chain;
use super::program::{diffusion, program};
use crate::convert::ConvertError;
use crate::emit::{Emitted, Numbers, emit};
use crate::plan::Arena;
use crate::quantize::formats::formats;
use crate::quantize::scheme::{Assignment, Bits};
use crate::quantize::weights::scales;

/// Seed of the first calibration trajectory; far from the small seeds that people sample with.
const CALIBRATION_SEED: u64 = 0x4D4F_5445_0000_0000;
/// Whole runs of the chain that calibration observes.
const TRAJECTORIES: u64 = 8;

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
}

/// Converts a chain. The same files and scheme give the same bytes on every machine. `sha256` is that of the chain's tensors.
pub fn convert(chain: &Chain, scheme: ChainScheme, sha256: &str) -> Result<Emitted, ConvertError> {
    let (program, diffusion) = (program(chain), diffusion(chain));
    let trajectories = if scheme == ChainScheme::F16 { 0 } else { TRAJECTORIES };
    let provenance = json!({
        "model": chain.preset(),
        "checkpoint_sha256": sha256,
        "converter": concat!("mote ", env!("CARGO_PKG_VERSION")),
        "scheme": scheme.name(),
        "calibration": { "trajectories": trajectories, "steps": chain.steps(), "first_seed": CALIBRATION_SEED },
    })
    .to_string();
    let reference = emit(&program, &diffusion, Numbers::F16, Arena::Fast, &provenance)?;
    if scheme == ChainScheme::F16 {
        return Ok(reference);
    }
    let memory = AlignedBytes::copy_of(&reference.bytes);
    let model = Model::parse(memory.bytes())?;
    let run = |i| Config {
        seed: CALIBRATION_SEED + i,
        ..Config::of(model.header(), chain.steps() as u32)
    };
    let stats = calibrate(&model, &(0..TRAJECTORIES).map(run).collect::<Vec<_>>(), &|| {})?;
    let width = if scheme == ChainScheme::W8A16 {
        Bits::Eight
    } else {
        Bits::Sixteen
    };
    let assignment = Assignment {
        weights: vec![width; program.steps.len()],
        ..Assignment::uniform(&program, Bits::Sixteen)
    };
    let formats = formats(&program, &stats, &assignment);
    let numbers = Numbers::Integer {
        formats: &formats,
        stats: &stats,
        assignment: &assignment,
        scales: &scales(&program, &stats),
        int4: &[],
    };
    Ok(emit(&program, &diffusion, numbers, Arena::Fast, &provenance)?)
}
