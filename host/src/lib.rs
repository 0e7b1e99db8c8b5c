//! Mote on the desktop: the float graph and its executor.
//!
//! - [`graph`]: the float intermediate representation, its shapes and its cost.
//! - [`schedule`]: the noise schedule, the timesteps that are visited and the coefficients of a step.
//! - [`float`]: the executor (candle, f32 and f64) and the DDIM sampler: what every integer result is measured against.
//! - [`calibrate`]: what activations look like along sampling trajectories; [`record`]: some of them in full; [`memory`]: aligned bytes for models and arenas.
//! - [`engine`]: the runtime's operators with kernels for this processor, bit for bit the same.
//! - [`cuda`]: the same on an NVIDIA GPU, many samples at once, to the same bits.
//! - [`config`]: typed reading of configuration JSON, with errors that name file, field and value.

pub mod calibrate;
pub mod config;
pub mod cuda;
pub mod engine;
pub mod float;
pub mod graph;
pub mod memory;
pub mod oracle;
pub mod record;
pub mod schedule;
