//! The tensor table and the memory plan.

use mote_runtime::internals::tensor::{Dtype, Tensor, TensorId};

use super::{EmitError, within};
use crate::plan::{Arena, MemoryPlan, Windows, plan_arena, slot_buffers};
use crate::program::Program;
use crate::quantize::formats::Format;

/// The tensor table: slots, then scratch.
pub struct Memory {
    /// Slots, then scratch.
    pub tensors: Vec<Tensor>,
    /// By operator; a normalization inside a convolution shares its scratch.
    pub scratch: Vec<Option<TensorId>>,
    /// Which normalizations are made inside convolutions.
    pub windows: Windows,
    /// Offsets of both.
    pub plan: MemoryPlan,
}

/// Makes the table and plans the arena. `formats` are those of the slots.
pub fn memory(
    program: &Program,
    formats: &[Format],
    float: bool,
    arena: Arena,
    windows: Windows,
) -> Result<Memory, EmitError> {
    let ops = program.ops.len();
    within("the number of operators and tensors", 2 * ops as u64, u16::MAX.into())?;
    let dtypes: Vec<Dtype> = formats.iter().map(|f| f.dtype).collect();
    let slots = slot_buffers(program, &dtypes, &windows);
    // The file does not count operators that are inside others.
    let (mut op_of, mut next) = (vec![], 0);
    for i in 0..ops {
        op_of.push(next);
        next += usize::from(windows.of_norm(i).is_none());
    }
    op_of.push(next);
    let mut tensors = Vec::new();
    for (i, op) in program.ops.iter().enumerate() {
        let slot = program.slot(op.out);
        let extent = |v: usize| within(&format!("an extent of '{}'", slot.name), v as u64, u16::MAX.into());
        let format = formats[i];
        let rows = windows.of_norm(i).map_or(slot.shape[1], |window| window.rows);
        tensors.push(Tensor {
            offset: 0,
            channels: extent(slot.shape[0])?,
            rows: extent(rows)?,
            cols: extent(slot.shape[2])?,
            dtype: format.dtype,
            zero_point: format.zero_point,
            def: op_of[slots[i].def] as u16,
            last: op_of[slots[i].last] as u16,
            scale: format.scale as f32,
        });
    }
    let (sizes, plan) = plan_arena(program, &windows, &slots, float, arena);
    let mut scratch = vec![None; ops];
    for (i, &bytes) in sizes.iter().enumerate().filter(|(_, bytes)| **bytes > 0) {
        scratch[i] = Some(TensorId(tensors.len() as u16));
        tensors.push(Tensor::scratch(bytes as u32, op_of[i] as u16));
    }
    for i in 0..ops {
        if let Some(window) = windows.of_norm(i) {
            scratch[i] = scratch[window.conv];
        }
    }
    within("the arena", plan.arena_bytes as u64, 1 << 30)?;
    for (tensor, &offset) in tensors.iter_mut().zip(&plan.offsets) {
        tensor.offset = offset as u32;
    }
    Ok(Memory {
        tensors,
        scratch,
        windows,
        plan,
    })
}
