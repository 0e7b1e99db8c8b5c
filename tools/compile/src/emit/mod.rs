//! From the fused program and its number formats to the bytes of a model file.

mod emitter;
mod file;
mod memory;
pub mod pair;
pub mod planned;
pub mod split;
pub mod stripped;
mod weights;

use mote_runtime::Model;
use mote_runtime::internals::model::header::{Arithmetic, Header, Packing};
use mote_runtime::internals::model::sampling::Schedule;
use mote_runtime::internals::tensor::TensorId;

use crate::plan::{Arena, MemoryPlan, Windows};
use crate::program::Program;
use crate::quantize::Quantization;
use crate::quantize::formats::Format;
pub use emitter::{Emitter, f16_bits};
use file::File;
use memory::{Memory, memory};

/// What the sampler must know of the checkpoint: everything in the header that the program does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    /// Training timesteps.
    pub train_steps: u32,
    /// alpha_bar by training timestep; empty where noise levels are continuous.
    pub alpha_bars: Vec<f64>,
    /// alpha_bar before the first timestep.
    pub final_alpha_bar: f64,
    /// What the network predicts.
    pub prediction: mote_runtime::internals::schedule::coefficients::Prediction,
    /// Clipping of x0.
    pub clip: mote_runtime::internals::schedule::coefficients::Clip,
    /// Its bound.
    pub clip_range: f64,
    /// The noise levels, and how timesteps are spread over them.
    pub schedule: Schedule,
    /// Added to leading timesteps.
    pub steps_offset: i32,
    /// Label that stands for no class.
    pub null_class: Option<u16>,
}

/// A finished model file.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// The file.
    pub bytes: Vec<u8>,
    /// Memory plan: slots first, scratch after them.
    pub plan: MemoryPlan,
    /// Bytes of weights, biases, multipliers and tables.
    pub weight_bytes: usize,
}

/// A model that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// Something larger than the file format's fields.
    #[error("{what} is {value}, but the model file holds at most {max}")]
    TooLarge {
        /// What.
        what: String,
        /// How large.
        value: u64,
        /// Limit.
        max: u64,
    },
    /// Windows that are those of another program.
    #[error("operator '{inner}' cannot be made inside '{outer}': only a group normalization inside a convolution can")]
    Inside {
        /// Name of the operator with the window.
        inner: String,
        /// Name of the operator that reads the window.
        outer: String,
    },
    /// The runtime refuses the file that was just written.
    #[error("the runtime refuses the model: {0}")]
    Refused(mote_runtime::ParseError),
}

/// Writes the model file and has the runtime check it. Without a `quantization` it is an f16 model.
pub fn emit(
    program: &Program,
    d: &Diffusion,
    quantization: Option<&Quantization<'_>>,
    arena: Arena,
    provenance: &str,
) -> Result<Emitted, EmitError> {
    let windows = match quantization {
        None => Windows::none(program),
        Some(q) => Windows::of(program, &q.assignment.dtypes(), arena),
    };
    emit_with(program, d, quantization, arena, windows, provenance)
}

/// As [`emit`], with these normalizations inside convolutions; none of them in an f16 model.
pub fn emit_with(
    program: &Program,
    d: &Diffusion,
    quantization: Option<&Quantization<'_>>,
    arena: Arena,
    windows: Windows,
    provenance: &str,
) -> Result<Emitted, EmitError> {
    let float = quantization.is_none();
    let formats = slot_formats(program, quantization);
    let Memory {
        tensors,
        scratch,
        windows,
        plan,
    } = memory(program, &formats, float, arena, windows)?;
    let mut emitter = Emitter::new(program, quantization, &formats, &scratch);
    if !program.bands.is_empty() {
        // Every band has the same weights.
        emitter.weights.share();
    }
    let ops = emitter.records(&windows)?;
    let weights = emitter.weights.finish();
    let header = header(program, d, ops.len(), float, &plan)?;
    let weight_bytes = weights.len();
    let file = File {
        header,
        tensors,
        ops,
        weights,
        schedule: schedule(d),
        names: names(program, &windows),
        provenance,
    };
    let bytes = file.to_bytes();
    let aligned = mote_engine::memory::AlignedBytes::copy_of(&bytes);
    Model::parse(aligned.bytes()).map_err(EmitError::Refused)?;
    Ok(Emitted {
        bytes,
        plan,
        weight_bytes,
    })
}

/// The format of every slot; the output is always Q24.
fn slot_formats(program: &Program, quantization: Option<&Quantization<'_>>) -> Vec<Format> {
    let mut formats = match quantization {
        None => vec![Format::F16; program.slots.len()],
        Some(q) => q.formats.to_vec(),
    };
    for output in program.outputs() {
        formats[output] = Format::OUTPUT;
    }
    program.bands.iter().for_each(|band| formats[band.0] = Format::OUTPUT);
    formats
}

fn header(program: &Program, d: &Diffusion, ops: usize, float: bool, plan: &MemoryPlan) -> Result<Header, EmitError> {
    let extent = |v: usize| within("an extent of the sample", v as u64, u16::MAX.into());
    Ok(Header {
        arithmetic: if float { Arithmetic::F16 } else { Arithmetic::Integer },
        packing: Packing::Portable,
        channels: extent(program.sample[0])?,
        rows: extent(program.sample[1])?,
        cols: extent(program.sample[2])?,
        classes: within("the number of classes", program.classes as u64, u16::MAX.into())?,
        null_class: d.null_class,
        train_steps: d.train_steps,
        prediction: d.prediction,
        clip: d.clip,
        clip_range_q24: libm::round(d.clip_range * 16_777_216.0).clamp(1.0, f64::from(1 << 30)) as i32,
        schedule: d.schedule,
        steps_offset: d.steps_offset,
        final_alpha_bar_q62: q62(d.final_alpha_bar),
        output: TensorId(program.ops.len() as u16 - 1),
        arena_bytes: plan.arena_bytes as u32,
        op_count: ops as u16,
        macs: program.total_macs(),
    })
}

fn within(what: &str, value: u64, max: u64) -> Result<u16, EmitError> {
    let too_large = || EmitError::TooLarge {
        what: what.to_owned(),
        value,
        max,
    };
    if value > max {
        Err(too_large())
    } else {
        Ok(value.min(u16::MAX.into()) as u16)
    }
}

fn q62(alpha_bar: f64) -> u64 {
    libm::round(alpha_bar.clamp(0.0, 1.0) * (1u64 << 62) as f64) as u64
}

fn schedule(d: &Diffusion) -> Vec<u8> {
    d.alpha_bars.iter().flat_map(|a| q62(*a).to_le_bytes()).collect()
}

/// Names of the slots, then of the operators, a line each.
fn names(program: &Program, windows: &Windows) -> String {
    let clean = |s: &str| s.replace('\n', " ") + "\n";
    let slots = program.slots.iter().map(|s| clean(&s.name));
    let ops = program.ops.iter().enumerate();
    let own = ops.filter(|(i, _)| windows.of_norm(*i).is_none());
    slots.chain(own.map(|(_, s)| clean(&s.name))).collect()
}
