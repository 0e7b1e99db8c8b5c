//! From a trained chain to a model file: its graph, its schedule and its runs go the way of every network's.

use mote_graph::graph::{Graph, GraphError};
use mote_runtime::Config;
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};
use mote_runtime::internals::schedule::spacing::Spacing;

use super::files::Chain;
use crate::convert::calibration::{CALIBRATION_SEED, Calibration, run_of};
use crate::convert::source::{Memory, NumberFormats, Source, Widths, convert_source};
use crate::convert::{ConvertError, Converted};
use crate::emit::Diffusion;
use crate::lower::lower;
use crate::plan::Arena;
use crate::program::Program;
use crate::quantize::scheme::{Assignment, Bits, Scheme};

/// Whole runs of the chain that calibration observes.
const RUNS: u64 = 8;

/// Number formats that a chain can have.
pub const SCHEMES: [Scheme; 3] = [Scheme::F16, Scheme::W8A16, Scheme::W16A16];

impl Chain {
    /// The network: inputs are what the sampler holds, the output is what its reverse kernel takes.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        match self {
            Self::Heartbeat(h) => Ok(h.graph.clone()),
            Self::SwissRoll(s) => s.graph(),
        }
    }

    /// Schedule and kind of chain.
    pub fn diffusion(&self) -> Diffusion {
        let (alpha_bars, prediction) = match self {
            Self::Heartbeat(h) => {
                let prior_q31 = libm::round(h.chain.prior * 2_147_483_648.0) as u32;
                (h.chain.alpha[1..].to_vec(), Prediction::Bits { prior_q31 })
            }
            Self::SwissRoll(s) => {
                let kernels = s.chain.kernels();
                (kernels.iter().map(|k| k.alpha_bar).collect(), Prediction::Kernel)
            }
        };
        Diffusion {
            train_steps: alpha_bars.len() as u32,
            alpha_bars,
            final_alpha_bar: 1.0,
            prediction,
            clip: Clip::Off,
            clip_range: 1.0,
            schedule: Spacing::Trailing.into(),
            steps_offset: 0,
            null_class: None,
        }
    }

    /// What a scheme means for this chain. `auto` is the least that keeps the bound: the bits' logits take it at int8, the plane's points
    /// are finer.
    pub fn scheme(&self, scheme: Scheme) -> Result<Scheme, ConvertError> {
        match (scheme, self) {
            (Scheme::Auto, Self::Heartbeat(_)) => Ok(Scheme::W8A16),
            (Scheme::Auto, Self::SwissRoll(_)) => Ok(Scheme::W16A16),
            (scheme, _) if SCHEMES.contains(&scheme) => Ok(scheme),
            (scheme, _) => Err(ConvertError::ChainScheme(scheme)),
        }
    }
}

/// Converts a chain. The same files, scheme and arena give the same bytes on every machine. `sha256` is that of the chain's tensors.
pub fn convert(chain: &Chain, scheme: Scheme, arena: Option<Arena>, sha256: &str) -> Result<Converted, ConvertError> {
    let scheme = chain.scheme(scheme)?;
    let (program, diffusion) = (lower(&chain.graph()?)?, chain.diffusion());
    let numbers = NumberFormats {
        refine: false,
        scheme: scheme.name(),
        widths: widths(scheme, &program),
    };
    let source = Source {
        learned_variance: false,
        name: chain.preset(),
        sha256,
        program,
        calibration: calibration(&diffusion, chain.steps() as u32),
        diffusion,
        conditions: None,
        trained: None,
    };
    let memory = Memory {
        arena,
        ..Memory::default()
    };
    convert_source(source, numbers, memory, &|_| ())
}

/// One width for all weights: in networks as small as these the first and the last layer are most of them. int16 for all activations.
fn widths(scheme: Scheme, program: &Program) -> Option<Widths> {
    let weights = match scheme {
        Scheme::F16 => return None,
        Scheme::W16A16 => Bits::Sixteen,
        _ => Bits::Eight,
    };
    Some(Widths::Given(Assignment {
        weights: vec![weights; program.ops.len()],
        ..Assignment::uniform(program, Bits::Sixteen)
    }))
}

/// Whole runs of the chain.
fn calibration(diffusion: &Diffusion, steps: u32) -> Calibration {
    let run = |i| Config {
        seed: CALIBRATION_SEED + i,
        ..run_of(diffusion, steps)
    };
    Calibration {
        runs: (0..RUNS).map(|i| run(i).into()).collect(),
        steps,
        rounding: vec![],
    }
}
