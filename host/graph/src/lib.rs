//! The float side of Mote: networks as graphs, and what the papers do with them.
//!
//! - [`graph`]: the float intermediate representation; [`ops`]: its operators, a file each.
//! - [`float`]: its executor in f32 and f64, and the samplers on plain vectors: what every integer result is measured against.
//! - [`schedule`]: the noise schedule, the timesteps that are visited and the coefficients of a step.
//! - [`predictor`]: a network as what it says about x0, noise and their derivative, at any noise level.
//! - [`ddpm`]: the forward process in closed form, ancestral sampling and the variational bound in bits.
//! - [`sde`]: the continuous view: reverse SDEs, the probability-flow ODE, exact likelihoods.
//! - [`draws`]: random numbers of an evaluation.
//! - [`config`]: typed reading of configuration JSON, with errors that name file, field and value.

pub mod config;
pub mod ddpm;
pub mod draws;
pub mod float;
pub mod graph;
pub mod ops;
pub mod predictor;
pub mod schedule;
pub mod sde;
