//! Scratch memory of the operators, and how much of it the convolutions get.
//!
//! A convolution gathers its input in columns. With a block of [`COLUMNS`] of them it reads its weights once for four positions, with
//! a single one once for each: the same bits, in more instructions.

use mote_runtime::internals::family::COLUMNS;

use super::windows::Windows;
use super::{Buffer, MemoryPlan, live_bytes, plan, plan_within};
use crate::ops::Room;
use crate::program::{FusedOp, Program};

/// Exchanges tried for a program in bands.
const BANDED_EXCHANGES: usize = 64;

/// What the arena is planned for. Fast and small give the same model at another speed; in the large one more activations can have 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Arena {
    /// Every convolution with enough positions has a block of columns.
    #[default]
    Fast,
    /// A convolution has a block where that does not enlarge the arena, and a single column elsewhere.
    Small,
    /// As fast, with every activation kept whole and computed once.
    Large,
}

impl Arena {
    /// As it is written on the command line and in a model file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Small => "small",
            Self::Large => "large",
        }
    }
}

impl std::str::FromStr for Arena {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = [Self::Fast, Self::Small, Self::Large]
            .into_iter()
            .find(|arena| arena.name() == text);
        found.ok_or_else(|| format!("unknown arena '{text}'; choose fast, small or large"))
    }
}

/// Plans `slots` with the scratch memory that `arena` gives. Also its bytes, by operator; the plan has the slots first, then the scratch of
/// every operator that has any.
pub fn plan_arena(
    program: &Program,
    windows: &Windows,
    slots: &[Buffer],
    float: bool,
    arena: Arena,
) -> (Vec<usize>, MemoryPlan) {
    let sizes = scratch_bytes(program, windows, slots, float, arena);
    let plan = |buffers: &[Buffer]| match program.bands.is_empty() {
        true => plan(buffers),
        // There are many buffers, and a try takes the square of their number.
        false => plan_within(buffers, BANDED_EXCHANGES),
    };
    let planned = plan(&with_scratch(slots, &sizes));
    if arena != Arena::Small || planned.arena_bytes == planned.lower_bound_bytes {
        return (sizes, planned);
    }
    // Blocks leave the bound where it is, but may make it harder to reach.
    let single = least_scratch_bytes(program, windows, float);
    let without = plan(&with_scratch(slots, &single));
    if without.arena_bytes < planned.arena_bytes {
        (single, without)
    } else {
        (sizes, planned)
    }
}

/// Scratch bytes of every operator.
pub(super) fn scratch_bytes(
    program: &Program,
    windows: &Windows,
    slots: &[Buffer],
    float: bool,
    arena: Arena,
) -> Vec<usize> {
    let mut sizes = of_ops(program, windows, float, COLUMNS);
    if arena == Arena::Small {
        let single = least_scratch_bytes(program, windows, float);
        let live = live_bytes(&with_scratch(slots, &single));
        let peak = live.iter().copied().max().unwrap_or(0);
        for (i, bytes) in sizes.iter_mut().enumerate() {
            let beside = live.get(i).copied().unwrap_or(0) - single[i].next_multiple_of(super::ALIGN);
            if beside + bytes.next_multiple_of(super::ALIGN) > peak {
                *bytes = single[i];
            }
        }
    }
    sizes
}

/// Scratch bytes of every operator without which it cannot run.
pub(super) fn least_scratch_bytes(program: &Program, windows: &Windows, float: bool) -> Vec<usize> {
    of_ops(program, windows, float, 1)
}

/// Scratch bytes of every operator; one inside another has it there.
fn of_ops(program: &Program, windows: &Windows, float: bool, columns: usize) -> Vec<usize> {
    let room = Room { float, columns };
    let of_op = |op: &FusedOp| op.kind.operator().scratch_bytes(program, program.slot(op.out), room);
    let mut sizes: Vec<usize> = program.ops.iter().map(of_op).collect();
    for i in 0..sizes.len() {
        if let Some(window) = windows.of_norm(i) {
            sizes[window.conv] += std::mem::take(&mut sizes[i]);
        }
    }
    sizes
}

/// The slots, then the scratch of every operator that has any.
pub(super) fn with_scratch(slots: &[Buffer], sizes: &[usize]) -> Vec<Buffer> {
    let scratch = |(i, &bytes): (usize, &usize)| Buffer {
        bytes,
        def: i,
        last: i,
        takes_over: None,
    };
    let some = sizes.iter().enumerate().filter(|(_, bytes)| **bytes > 0);
    slots.iter().copied().chain(some.map(scratch)).collect()
}
