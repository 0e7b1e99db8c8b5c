//! Mote on the desktop: the float graph and its executor.
//!
//! - [`graph`]: the float intermediate representation, its shapes and its cost.
//! - [`schedule`]: the noise schedule, the timesteps that are visited and the coefficients of a step.
//! - [`float`]: the executor (candle, f32 and f64) and the DDIM sampler: what every integer result is measured against.
//! - [`predictor`]: a network as what it says about x0, noise and their derivative, at any noise level.
//! - [`ddpm`]: the forward process in closed form, ancestral sampling and the variational bound in bits.
//! - [`sde`]: the continuous view: reverse SDEs, the probability-flow ODE, exact likelihoods.
//! - [`draws`]: random numbers of an evaluation.
//! - [`calibrate`]: what activations look like along sampling trajectories; [`record`]: some of them in full; [`memory`]: aligned bytes for models and arenas.
//! - [`engine`]: the runtime's operators with kernels for this processor, bit for bit the same.
//! - [`train`]: training of a graph, from images to weights.
//! - [`cuda`]: the same on an NVIDIA GPU, many samples at once, to the same bits; and the float network there, within a tolerance.
//! - [`config`]: typed reading of configuration JSON, with errors that name file, field and value.

pub mod calibrate;
pub mod chain;
pub mod config;
pub mod cuda;
pub mod ddpm;
pub mod draws;
pub use mote_engine as engine;
pub mod float;
pub mod graph;
pub use mote_engine::memory;
pub use mote_oracle as oracle;
pub mod predictor;
pub mod record;
pub mod schedule;
pub mod sde;
pub mod train;
