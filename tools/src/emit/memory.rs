//! The tensor table and the memory plan.

use mote_runtime::blob::tensor::{Dtype, Tensor, TensorId};
use mote_runtime::kernels::{attention_scratch_bytes, conv_scratch_bytes, group_norm_scratch_bytes};

use super::{EmitError, within};
use crate::lower::program::{Kind, Program, SlotId, Step};
use crate::plan::{Buffer, Plan, lower_bound, plan};
use crate::quantize::formats::Format;

/// The tensor table: slots, then scratch.
pub struct Memory {
    /// Slots, then scratch.
    pub tensors: Vec<Tensor>,
    /// By step.
    pub scratch: Vec<Option<TensorId>>,
    /// Offsets of both.
    pub plan: Plan,
}

pub fn memory(program: &Program, formats: &[Format], float: bool) -> Result<Memory, EmitError> {
    let ops = program.steps.len();
    within("the number of operators and tensors", 2 * ops as u64, u16::MAX.into())?;
    let last = last_reads(program);
    let mut tensors = Vec::new();
    for (i, step) in program.steps.iter().enumerate() {
        let slot = program.slot(step.out);
        let extent = |v: usize| within(&format!("an extent of '{}'", slot.name), v as u64, u16::MAX.into());
        let format = formats[i];
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
    let dtypes: Vec<Dtype> = formats.iter().map(|f| f.dtype).collect();
    let mut buffers = buffers(program, &dtypes, &last);
    let mut scratch = vec![None; ops];
    for (i, step) in program.steps.iter().enumerate() {
        let bytes = scratch_bytes(program, step, float);
        if bytes == 0 {
            continue;
        }
        scratch[i] = Some(TensorId(tensors.len() as u16));
        tensors.push(Tensor::scratch(bytes as u32, i as u16));
        buffers.push(Buffer {
            bytes,
            def: i,
            last: i,
            takes_over: None,
        });
    }
    let plan = plan(&buffers);
    within("the arena", plan.arena_bytes as u64, 1 << 30)?;
    for (tensor, &offset) in tensors.iter_mut().zip(&plan.offsets) {
        tensor.offset = offset as u32;
    }
    Ok(Memory { tensors, scratch, plan })
}

/// Last operator that reads each slot; the output is read after all.
fn last_reads(program: &Program) -> Vec<usize> {
    let mut last: Vec<usize> = (0..program.steps.len()).collect();
    for (i, step) in program.steps.iter().enumerate() {
        step.inputs().iter().for_each(|id| last[id.0] = i);
    }
    if let Some(output) = last.last_mut() {
        *output = program.steps.len();
    }
    last
}

/// Buffers of the slots: an output takes over an input that ends there and has its size and format.
fn buffers(program: &Program, dtypes: &[Dtype], last: &[usize]) -> Vec<Buffer> {
    let buffer = |(i, step): (usize, &Step)| {
        let slot = program.slot(step.out);
        let fits = |id: &SlotId| last[id.0] == i && dtypes[i] == dtypes[id.0] && slot.shape == program.slot(*id).shape;
        let takes_over = step.in_place().filter(fits).map(|id| id.0);
        Buffer {
            bytes: slot.len() * dtypes[i].bytes(),
            def: i,
            last: last[i],
            takes_over,
        }
    };
    program.steps.iter().enumerate().map(buffer).collect()
}

/// What the arena of an integer model needs at least, with these formats of the slots.
pub fn lower_bound_bytes(program: &Program, dtypes: &[Dtype]) -> usize {
    let mut buffers = buffers(program, dtypes, &last_reads(program));
    for (i, step) in program.steps.iter().enumerate() {
        let bytes = scratch_bytes(program, step, false);
        buffers.push(Buffer {
            bytes,
            def: i,
            last: i,
            takes_over: None,
        });
    }
    lower_bound(&buffers)
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
