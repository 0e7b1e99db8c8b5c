//! From the fused program and its number formats to the bytes of a model file.

mod file;
mod float;
mod integer;
mod weights;

use mote_runtime::Model;
use mote_runtime::blob::header::{Arithmetic, Header, Packing};
use mote_runtime::blob::op::{Op, Source};
use mote_runtime::blob::tensor::{Tensor, TensorId};
use mote_runtime::kernels::{attention_scratch_bytes, conv_scratch_bytes, group_norm_scratch_bytes};
use mote_runtime::numeric::requant::Requant;

use crate::lower::program::{Kind, Program, SlotId, Step};
use crate::plan::{Buffer, Plan, plan};
use crate::quantize::factor::requant;
use crate::quantize::formats::Format;
use crate::quantize::scheme::Assignment;
use file::File;
use mote_host::calibrate::Stats;
use weights::WeightSection;

/// What the sampler must know of the checkpoint: everything in the header that the program does not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    /// alpha_bar by training timestep.
    pub alpha_bars: Vec<f64>,
    /// alpha_bar before the first timestep.
    pub final_alpha_bar: f64,
    /// What the network predicts.
    pub prediction: mote_runtime::schedule::coefficients::Prediction,
    /// Clipping of x0.
    pub clip: mote_runtime::schedule::coefficients::Clip,
    /// Its bound.
    pub clip_range: f64,
    /// Spacing of timesteps.
    pub spacing: mote_runtime::schedule::spacing::Spacing,
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
pub fn emit(program: &Program, d: &Diffusion, numbers: Numbers<'_>, provenance: &str) -> Result<Emitted, EmitError> {
    let float = matches!(numbers, Numbers::F16);
    let Memory { tensors, scratch, plan } = memory(program, numbers)?;
    let mut emitter = Emitter { program, numbers, weights: WeightSection::default(), scratch };
    let ops: Vec<Op> = program.steps.iter().enumerate().map(|(i, step)| emitter.op(i, step)).collect();
    let weights = emitter.weights.finish();
    let header = header(program, d, float, &plan)?;
    let weight_bytes = weights.len();
    let file = File { header, tensors, ops, weights, schedule: schedule(d), names: names(program), provenance };
    let bytes = file.to_bytes();
    let aligned = mote_host::memory::AlignedBytes::copy_of(&bytes);
    Model::parse(aligned.bytes()).map_err(EmitError::Refused)?;
    Ok(Emitted { bytes, plan, weight_bytes })
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
        ([first, second], None) => {
            (Source { first: id(*first), second: Some((id(*second), [Requant::ONE; 2])) }, 1.0)
        }
        ([first, second], Some(f)) => {
            let common = f[first.0].max_abs().max(f[second.0].max_abs()) / 32768.0;
            let factors = [requant(f[first.0].scale / common), requant(f[second.0].scale / common)];
            (Source { first: id(*first), second: Some((id(*second), factors)) }, common)
        }
        _ => (Source { first: id(slots[0]), second: None }, formats.map_or(1.0, |f| f[slots[0].0].scale)),
    }
}

/// The tensor table: slots, then scratch.
struct Memory {
    tensors: Vec<Tensor>,
    /// By step.
    scratch: Vec<Option<TensorId>>,
    plan: Plan,
}

fn memory(program: &Program, numbers: Numbers<'_>) -> Result<Memory, EmitError> {
    let ops = program.steps.len();
    within("the number of operators and tensors", 2 * ops as u64, u16::MAX.into())?;
    let mut last: Vec<usize> = (0..ops).collect();
    for (i, step) in program.steps.iter().enumerate() {
        step.inputs().iter().for_each(|id| last[id.0] = i);
    }
    if let Some(output) = last.last_mut() {
        *output = ops;
    }
    let mut tensors = Vec::new();
    for (i, step) in program.steps.iter().enumerate() {
        let slot = program.slot(step.out);
        let extent = |v: usize| within(&format!("an extent of '{}'", slot.name), v as u64, u16::MAX.into());
        let format = match numbers {
            _ if i + 1 == ops => Format::OUTPUT,
            Numbers::F16 => Format::F16,
            Numbers::Integer { formats, .. } => formats[i],
        };
        tensors.push(Tensor {
            offset: 0,
            channels: extent(slot.shape[0])?,
            rows: extent(slot.shape[1])?,
            cols: extent(slot.shape[2])?,
            dtype: format.dtype,
            zero_point: format.zero_point,
            def: i as u16,
            last: last[i] as u16,
            scale: format.scale as f32,
        });
    }
    let mut buffers = buffers(program, &tensors, &last);
    let mut scratch = vec![None; ops];
    for (i, step) in program.steps.iter().enumerate() {
        let bytes = scratch_bytes(program, step, matches!(numbers, Numbers::F16));
        if bytes == 0 {
            continue;
        }
        scratch[i] = Some(TensorId(tensors.len() as u16));
        tensors.push(Tensor::scratch(bytes as u32, i as u16));
        buffers.push(Buffer { bytes, def: i, last: i, takes_over: None });
    }
    let plan = plan(&buffers);
    within("the arena", plan.arena_bytes as u64, 1 << 30)?;
    for (tensor, &offset) in tensors.iter_mut().zip(&plan.offsets) {
        tensor.offset = offset as u32;
    }
    Ok(Memory { tensors, scratch, plan })
}

fn buffers(program: &Program, tensors: &[Tensor], last: &[usize]) -> Vec<Buffer> {
    let buffer = |(i, step): (usize, &Step)| {
        let fits = |id: &SlotId| {
            let (own, other) = (&tensors[i], &tensors[id.0]);
            last[id.0] == i && own.dtype == other.dtype && own.same_shape(other)
        };
        let takes_over = step.in_place().filter(fits).map(|id| id.0);
        Buffer { bytes: tensors[i].bytes(), def: i, last: last[i], takes_over }
    };
    program.steps.iter().enumerate().map(buffer).collect()
}

fn scratch_bytes(program: &Program, step: &Step, float: bool) -> usize {
    let joined = |slots: &[SlotId]| slots.iter().map(|id| program.slot(*id).shape[0]).sum();
    let out = program.slot(step.out);
    match &step.kind {
        Kind::Conv(c) => conv_scratch_bytes(float, c.kernel, joined(&c.source), out.shape[0]),
        Kind::Norm(n) => group_norm_scratch_bytes(float, joined(&n.source), n.groups),
        Kind::Attention { .. } => attention_scratch_bytes(out.shape[1] * out.shape[2]),
        _ => 0,
    }
}

fn header(program: &Program, d: &Diffusion, float: bool, plan: &Plan) -> Result<Header, EmitError> {
    let extent = |v: usize| within("an extent of the sample", v as u64, u16::MAX.into());
    Ok(Header {
        arithmetic: if float { Arithmetic::F16 } else { Arithmetic::Integer },
        packing: Packing::Portable,
        channels: extent(program.sample[0])?,
        rows: extent(program.sample[1])?,
        cols: extent(program.sample[2])?,
        classes: within("the number of classes", program.classes as u64, u16::MAX.into())?,
        null_class: d.null_class,
        train_steps: d.alpha_bars.len() as u32,
        prediction: d.prediction,
        clip: d.clip,
        clip_range_q24: libm::round(d.clip_range * 16_777_216.0).clamp(1.0, f64::from(1 << 30)) as i32,
        spacing: d.spacing,
        steps_offset: d.steps_offset,
        final_alpha_bar_q62: q62(d.final_alpha_bar),
        output: TensorId(program.steps.len() as u16 - 1),
        arena_bytes: plan.arena_bytes as u32,
        op_count: program.steps.len() as u16,
        macs: program.steps.iter().map(|step| program.macs(step)).sum(),
    })
}

fn within(what: &str, value: u64, max: u64) -> Result<u16, EmitError> {
    let too_large = || EmitError::TooLarge { what: what.to_owned(), value, max };
    if value > max { Err(too_large()) } else { Ok(value.min(u16::MAX.into()) as u16) }
}

fn q62(alpha_bar: f64) -> u64 {
    libm::round(alpha_bar.clamp(0.0, 1.0) * (1u64 << 62) as f64) as u64
}

fn schedule(d: &Diffusion) -> Vec<u8> {
    d.alpha_bars.iter().flat_map(|a| q62(*a).to_le_bytes()).collect()
}

/// Names of the slots, then of the steps, a line each.
fn names(program: &Program) -> String {
    let clean = |s: &str| s.replace('\n', " ") + "\n";
    let slots = program.slots.iter().map(|s| clean(&s.name));
    slots.chain(program.steps.iter().map(|s| clean(&s.name))).collect()
}
