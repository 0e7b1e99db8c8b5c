//! From images to a checkpoint in the diffusers layout.
//!
//! ```text
//! preset.rs ──▶ unet/config.json, scheduler/ ──▶ import::fresh ──▶ Graph ──▶ mote_train ──▶ checkpoint.rs
//! ```
//!
//! [`fit`] chooses a width for a board, [`qat`] rounds as the integer model does. [`run`] is the loop; [`state`] takes it up again; [`curve`] and [`samples`] show it while it runs.

pub mod checkpoint;
pub mod curve;
pub mod fit;
pub mod folder;
pub mod qat;
pub mod run;
pub mod samples;
pub mod state;

pub use mote_import::preset;
