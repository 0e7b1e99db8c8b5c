//! The float side of Mote: networks as graphs, and what the papers do with them.
//!
//! - [`graph`]: the float intermediate representation; [`ops`]: its operators, a file each.
//! - [`float`]: the network in f32 and f64, forward and in reverse, and the samplers: what every integer result is measured against.
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
pub mod frechet;
pub mod graph;
mod matrix;
pub mod ops;
pub mod predictor;
mod real;
pub mod schedule;
pub mod sde;

pub use real::{DType, Real, Values};
