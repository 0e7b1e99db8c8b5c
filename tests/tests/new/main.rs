//! Firmware projects that `mote new` writes, and what `mote-build` writes into them.
//!
//! | file | promise |
//! |---|---|
//! | `runs.rs` | projects in Rust and C, built as their author would, draw the image of this machine under QEMU |
//! | `small.rs` | a board that is too small is told what would help |
//! | `text.rs` | every kind is complete; those whose tools are not here compile against stand-ins |
//! | `emit.rs` | a build refuses what its firmware could not open |

mod emit;
mod project;
mod runs;
mod small;
mod text;
