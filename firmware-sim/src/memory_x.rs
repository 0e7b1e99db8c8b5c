//! The linker's map of a board: `memory.x`, as cortex-m-rt and riscv-rt want it.
//!
//! ```text
//! FLASH | vectors, code, constants | model (16-byte aligned) | initial values of .data |
//! RAM   | stack (grows down)       | .data | .bss | arena (16-byte aligned) |
//! ```
//!
//! The stack lies at the bottom of RAM, so that a stack that overflows leaves RAM and faults (on a board with nothing
//! below its RAM) instead of writing into the arena.

use crate::boards::{Board, Region};

/// The sizes that the map fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes for the stack: a multiple of 16.
    pub stack_bytes: u32,
    /// Bytes for the arena.
    pub arena_bytes: u32,
    /// Whether the regions are as long as the board's memories, or long enough to measure what would be needed.
    pub true_sizes: bool,
}

/// Long enough for anything, short enough that flash and RAM stay apart on every board.
const MEASURING_BYTES: u32 = 0x0400_0000;

/// The file's text.
pub fn memory_x(board: &Board, layout: Layout) -> String {
    let [flash, ram] = [board.flash, board.ram].map(|region| Region {
        length: if layout.true_sizes {
            region.length
        } else {
            MEASURING_BYTES
        },
        ..region
    });
    let Layout {
        stack_bytes,
        arena_bytes,
        ..
    } = layout;
    format!(
        "/* {name}: {description}, {core}. Written by mote-firmware-sim. */
MEMORY
{{
  FLASH (rx) : ORIGIN = {flash_origin:#x}, LENGTH = {flash_length:#x}
  STACK (rw) : ORIGIN = {ram_origin:#x}, LENGTH = {stack_bytes:#x}
  RAM   (rw) : ORIGIN = {statics_origin:#x}, LENGTH = {statics_length:#x}
}}
{rest}
__mote_arena_bytes = {arena_bytes:#x};
",
        name = board.name,
        description = board.description,
        core = board.core.name,
        flash_origin = flash.origin,
        flash_length = flash.length,
        ram_origin = ram.origin,
        statics_origin = ram.origin + stack_bytes,
        statics_length = ram.length - stack_bytes,
        rest = include_str!("memory_rest.x"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_have_the_boards_sizes() {
        let board = Board::named("microbit").unwrap();
        let text = memory_x(
            board,
            Layout {
                stack_bytes: 0x800,
                arena_bytes: 0x1230,
                true_sizes: true,
            },
        );
        assert!(text.contains("FLASH (rx) : ORIGIN = 0x0, LENGTH = 0x40000\n"), "{text}");
        assert!(
            text.contains("STACK (rw) : ORIGIN = 0x20000000, LENGTH = 0x800\n"),
            "{text}"
        );
        assert!(
            text.contains("RAM   (rw) : ORIGIN = 0x20000800, LENGTH = 0x3800\n"),
            "{text}"
        );
        assert!(text.contains("__mote_arena_bytes = 0x1230;"), "{text}");
    }

    #[test]
    fn measuring_regions_stay_apart() {
        for board in crate::boards() {
            let distance = board.flash.origin.abs_diff(board.ram.origin);
            assert!(distance >= MEASURING_BYTES, "{}", board.name);
            assert!(
                board.flash.length.max(board.ram.length) <= MEASURING_BYTES,
                "{}",
                board.name
            );
        }
    }
}
