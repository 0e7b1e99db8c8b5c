//! The tensor table and the memory plan.

use mote_runtime::blob::tensor::{Dtype, Tensor, TensorId};

use super::{EmitError, within};
use crate::lower::program::Program;
use crate::plan::{Arena, Plan, last_reads, plan_arena, slot_buffers};
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

/// Makes the table and plans the arena. `formats` are those of the slots.
pub fn memory(program: &Program, formats: &[Format], float: bool, arena: Arena) -> Result<Memory, EmitError> {
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
    let (sizes, plan) = plan_arena(program, &slot_buffers(program, &dtypes, &last), float, arena);
    let mut scratch = vec![None; ops];
    for (i, &bytes) in sizes.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
        scratch[i] = Some(TensorId(tensors.len() as u16));
        tensors.push(Tensor::scratch(bytes as u32, i as u16));
    }
    within("the arena", plan.arena_bytes as u64, 1 << 30)?;
    for (tensor, &offset) in tensors.iter_mut().zip(&plan.offsets) {
        tensor.offset = offset as u32;
    }
    Ok(Memory { tensors, scratch, plan })
}
