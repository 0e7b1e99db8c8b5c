//! The model file: magic, versions, a table of sections, the sections, a checksum. Read in place, from flash.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `MOTE` |
//! | 4..6, 6..8 | format version, numeric version (u16, little-endian like everything here) |
//! | 8..12 | length of the whole file |
//! | 12..16 | number of sections (7) |
//! | 16.. | one entry of 16 bytes a section: kind, offset, length, CRC-32 |
//! | ... | the sections, each at a multiple of 16 bytes |
//! | last 4 | CRC-32 of everything before |
//!
//! The schedule section holds the cumulative alpha of every timestep, or the steps of one run: [`plan`].
//!
//! The order of sections is fixed: [`SECTIONS`]. A file of another format version is refused; there is no silent
//! reinterpretation.

pub mod crc;
mod decode;
pub mod exec;
pub mod header;
pub mod layout;
mod needs;
pub mod pair;
mod parsed;
pub mod plan;
pub mod sampling;
#[cfg(feature = "streamed")]
pub mod streamed;
mod validate;

pub use layout::{FORMAT_VERSION, MAGIC, SECTIONS};
pub use needs::scratch_bytes;
pub use parsed::{Model, Ops, TENSORS_MAX};
