//! Cycles of instructions that ran: a timing model of each core, held to what is published of it (`tests/data/hazards`).
//!
//! | module | what |
//! |---|---|
//! | `instruction` | what an instruction reads, writes and is, from a line of disassembly |
//! | `arm`, `riscv` | such lines of each kind of core |
//! | `pipeline` | a core's clock, which goes on by one instruction at a time |
//! | `v6m`, `v7m`, `v8m`, `others` | the rules of each core |
//! | `trace` | QEMU's log of what ran, taken apart as it comes |
//!
//! Memory answers at once: waiting for flash is the chip's (`chips`). Where a source leaves a range, or two sources differ, a core has two
//! clocks: [`Bound::Least`] and [`Bound::Most`]. All of it is modelled; nothing here was held to hardware of ours.

mod arm;
mod instruction;
mod others;
mod pipeline;
mod riscv;
mod trace;
mod v6m;
mod v7m;
mod v8m;

pub use instruction::{Class, Instruction};
pub use pipeline::{Bound, Kind, Pipeline};
pub use trace::Traced;
pub(crate) use trace::Tracer;
