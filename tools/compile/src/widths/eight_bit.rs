//! `w8a8` and `w4a8`: which activations have 8 bits.

use crate::ops::OutputFormat;
use crate::plan::bands::Banded;
use crate::plan::{Arena, lower_bound_bytes};
use crate::program::{FusedOp, Program, SlotId};
use crate::quantize::scheme::{Assignment, Bits};

/// int8 for what convolutions multiply by weights, but for the sample and the vectors of timestep and class.
///
/// What only normalizations, attention and additions read has 16 bits wherever that leaves the arena as small as with 8. The fast arena
/// holds the same model as the small one, so the small one decides for both. In the large one, what convolutions of two inputs read has
/// 16 bits too: they bring their inputs to 16 bits anyway.
pub fn eight_bit(program: &Program, arena: Arena) -> Assignment {
    let (arena, two_inputs_count) = match arena {
        Arena::Fast | Arena::Small => (Arena::Small, true),
        Arena::Large => (Arena::Large, false),
    };
    let mut chosen = Assignment::uniform(program, Bits::Eight);
    let peak = lower_bound_bytes(program, &chosen.dtypes(), arena);
    let free = |slot: &usize| !follows(program, *slot) && !feeds_products(program, *slot, two_inputs_count);
    let mut candidates: Vec<usize> = (0..program.slots.len()).filter(free).collect();
    candidates.sort_by_key(|&i| (program.slots[i].len(), i));
    for i in candidates {
        chosen.activations[i] = Bits::Sixteen;
        if lower_bound_bytes(program, &chosen.dtypes(), arena) > peak {
            chosen.activations[i] = Bits::Eight;
        }
    }
    chosen
}

/// The same of a decoder, whose memory is that of its picture in bands: 16 bits where that leaves the arena of `banded` as small.
pub fn eight_bit_in_bands(program: &Program, banded: &Banded) -> Assignment {
    let mut chosen = Assignment::uniform(program, Bits::Eight);
    let peak = banded.bound(&chosen.dtypes(), Arena::Small);
    let free = |slot: &usize| !follows(program, *slot) && !feeds_products(program, *slot, true);
    for slot in (0..program.slots.len()).filter(free) {
        chosen.activations[slot] = Bits::Sixteen;
        if banded.bound(&chosen.dtypes(), Arena::Small) > peak {
            chosen.activations[slot] = Bits::Eight;
        }
    }
    chosen
}

/// Whether a slot has the format of another.
fn follows(program: &Program, slot: usize) -> bool {
    followed(&program.ops[slot]).is_some()
}

/// The input whose format the output has.
fn followed(op: &FusedOp) -> Option<SlotId> {
    match op.kind.operator().output_format() {
        OutputFormat::SameAs(input) => Some(input),
        OutputFormat::Calibrated | OutputFormat::Fixed(_) => None,
    }
}

/// Whether products with weights read a slot, or one of its format. A slot that is recomputed has one format with its copy.
fn feeds_products(program: &Program, slot: usize, two_inputs_count: bool) -> bool {
    let copies = program.recomputed.iter().filter(|pair| pair.contains(&SlotId(slot)));
    let same: Vec<SlotId> = copies.flatten().copied().chain([SlotId(slot)]).collect();
    let feeds = |op: &FusedOp| {
        let multiplied = op.kind.operator().multiplied_inputs();
        let counts = two_inputs_count || multiplied.len() < 2;
        counts && multiplied.iter().any(|id| same.contains(id)) || followed(op).is_some_and(|id| same.contains(&id))
    };
    program.ops.iter().any(feeds)
}
