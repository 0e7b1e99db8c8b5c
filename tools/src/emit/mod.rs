//! From the fused program and its number formats to the bytes of a model file.

mod file;
mod float;
mod integer;
mod memory;
pub mod planned;
mod weights;

use mote_runtime::Model;
use mote_runtime::blob::header::{Arithmetic, Header, Packing};
use mote_runtime::blob::op::{Conv, NormConv, Op, Readout, Source};
use mote_runtime::blob::sampling::Schedule;
use mote_runtime::blob::tensor::TensorId;
use mote_runtime::numeric::requant::Requant;

use crate::lower::program::{self, Program, SlotId, Step};
use crate::plan::{Arena, Plan, Windows};
use crate::quantize::factor::requant;
use crate::quantize::formats::Format;
use crate::quantize::round::Row;
use crate::quantize::scheme::Assignment;
use file::File;
use memory::{Memory, memory};
use mote_host::calibrate::Stats;
use weights::WeightSection;

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
    pub prediction: mote_runtime::schedule::coefficients::Prediction,
    /// Clipping of x0.
    pub clip: mote_runtime::schedule::coefficients::Clip,
    /// Its bound.
    pub clip_range: f64,
    /// The noise levels, and how timesteps are spread over them.
    pub schedule: Schedule,
    /// Added to leading timesteps.
    pub steps_offset: i32,
    /// Label that stands for no class.
    pub null_class: Option<u16>,
}

/// How the numbers of a model are held.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// f16.
    F16,
    /// Integers, with formats and statistics by slot.
    Integer {
        /// Number formats.
        formats: &'a [Format],
        /// Calibration.
        stats: &'a [Stats],
        /// Widths of weights.
        assignment: &'a Assignment,
        /// Scales of 8-bit weights, by step and output channel.
        scales: &'a [Vec<f64>],
        /// Weights rounded to 4 bits, by step and output channel. Those that are not there are rounded each alone.
        int4: &'a [Vec<Row>],
    },
}

/// A finished model file.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// The file.
    pub bytes: Vec<u8>,
    /// Memory plan: slots first, scratch after them.
    pub plan: Plan,
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
    /// The runtime refuses the file that was just written.
    #[error("the runtime refuses the model: {0}")]
    Refused(mote_runtime::ParseError),
}

/// Writes the model file and has the runtime check it.
pub fn emit(
    program: &Program,
    d: &Diffusion,
    numbers: Numbers<'_>,
    arena: Arena,
    provenance: &str,
) -> Result<Emitted, EmitError> {
    let windows = match numbers {
        Numbers::F16 => Windows::none(program),
        Numbers::Integer { assignment, .. } => Windows::of(program, &assignment.dtypes(), arena),
    };
    emit_with(program, d, numbers, arena, windows, provenance)
}

/// As [`emit`], with these normalizations inside convolutions; none of them in an f16 model.
pub fn emit_with(
    program: &Program,
    d: &Diffusion,
    numbers: Numbers<'_>,
    arena: Arena,
    windows: Windows,
    provenance: &str,
) -> Result<Emitted, EmitError> {
    let float = matches!(numbers, Numbers::F16);
    let Memory {
        tensors,
        scratch,
        windows,
        plan,
    } = memory(program, &slot_formats(program, numbers), float, arena, windows)?;
    let mut emitter = Emitter {
        program,
        numbers,
        weights: WeightSection::default(),
        scratch,
    };
    let own = |i: &usize| windows.of_norm(*i).is_none();
    let ops: Vec<Op> = (0..program.steps.len())
        .filter(own)
        .map(|i| emitter.op_with(windows.inside(i), i))
        .collect();
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
    let aligned = mote_host::memory::AlignedBytes::copy_of(&bytes);
    Model::parse(aligned.bytes()).map_err(EmitError::Refused)?;
    Ok(Emitted {
        bytes,
        plan,
        weight_bytes,
    })
}

struct Emitter<'p> {
    program: &'p Program,
    numbers: Numbers<'p>,
    weights: WeightSection,
    scratch: Vec<Option<TensorId>>,
}

impl Emitter<'_> {
    fn op(&mut self, index: usize, step: &Step) -> Op {
        match self.numbers {
            Numbers::F16 => self.float_op(index, step),
            Numbers::Integer { .. } => self.integer_op(index, step),
        }
    }

    /// The operator of step `index`, with the normalization inside it.
    fn op_with(&mut self, inside: Option<usize>, index: usize) -> Op {
        let program = self.program;
        let norm = inside.map(|i| self.op(i, &program.steps[i]));
        match (norm, self.op(index, &program.steps[index])) {
            (Some(Op::GroupNorm(norm)), Op::Conv(conv)) => Op::NormConv(NormConv { norm, conv }),
            (_, op) => op,
        }
    }

    /// A convolution as the operator that it is: one for every timestep, or one that has weights for each group of them.
    fn grouped(&mut self, c: &program::Conv, conv: Conv) -> Op {
        if c.groups.is_empty() {
            return Op::Conv(conv);
        }
        Op::Readout(Readout {
            conv,
            first: self.weights.put(c.groups.iter().copied()),
            groups: c.groups.len() as u16,
        })
    }

    /// The scratch tensor of a step that has one.
    fn scratch(&self, index: usize) -> TensorId {
        self.scratch[index].unwrap_or(TensorId(u16::MAX))
    }

    fn id(&self, slot: SlotId) -> TensorId {
        TensorId(slot.0 as u16)
    }

    fn phases(&mut self, frequencies: &[f64]) -> mote_runtime::blob::op::At {
        let turn = |f: &f64| libm::round(f / core::f64::consts::TAU * 4_294_967_296.0) as u64 as u32;
        self.weights.put(frequencies.iter().map(turn))
    }
}

/// One or two tensors with the factors to their common int16 scale; also that scale.
fn source(slots: &[SlotId], formats: Option<&[Format]>) -> (Source, f64) {
    let id = |slot: SlotId| TensorId(slot.0 as u16);
    match (slots, formats) {
        ([first, second], None) => (
            Source {
                first: id(*first),
                second: Some((id(*second), [Requant::ONE; 2])),
            },
            1.0,
        ),
        ([first, second], Some(f)) => {
            let common = f[first.0].max_abs().max(f[second.0].max_abs()) / 32768.0;
            let factors = [requant(f[first.0].scale / common), requant(f[second.0].scale / common)];
            (
                Source {
                    first: id(*first),
                    second: Some((id(*second), factors)),
                },
                common,
            )
        }
        _ => (
            Source {
                first: id(slots[0]),
                second: None,
            },
            formats.map_or(1.0, |f| f[slots[0].0].scale),
        ),
    }
}

/// The format of every slot; the output is always Q24.
fn slot_formats(program: &Program, numbers: Numbers<'_>) -> Vec<Format> {
    let mut formats = match numbers {
        Numbers::F16 => vec![Format::F16; program.slots.len()],
        Numbers::Integer { formats, .. } => formats.to_vec(),
    };
    if let Some(output) = formats.last_mut() {
        *output = Format::OUTPUT;
    }
    formats
}

fn header(program: &Program, d: &Diffusion, ops: usize, float: bool, plan: &Plan) -> Result<Header, EmitError> {
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
        output: TensorId(program.steps.len() as u16 - 1),
        arena_bytes: plan.arena_bytes as u32,
        op_count: ops as u16,
        macs: program.steps.iter().map(|step| program.macs(step)).sum(),
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
    let steps = program.steps.iter().enumerate();
    let own = steps.filter(|(i, _)| windows.of_norm(*i).is_none());
    slots.chain(own.map(|(_, s)| clean(&s.name))).collect()
}
