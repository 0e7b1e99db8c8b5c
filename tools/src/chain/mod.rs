//! Diffusion chains of 2015 as checkpoints, and from there to model files.
//!
//! - [`files`]: a trained chain's folder: `chain.json` and `chain.safetensors`.
//! - [`convert`]: what a conversion takes of a chain: its graph, its schedule, its runs.
//! - [`model`]: what a model file's own chain is worth, measured like the float one.

pub mod convert;
pub mod files;
pub mod model;
