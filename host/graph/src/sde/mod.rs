//! Diffusion in continuous time (Song, Sohl-Dickstein, Kingma, Kumar, Ermon and Poole 2021), on plain vectors and over any model.
//!
//! A model gives epsilon for samples `x = alpha x_0 + sigma z` scaled so that `alpha^2 + sigma^2 = 1`, at the level
//! `u = ln(sigma / alpha)` (see [`crate::schedule::Levels`]): it is asked the same whatever process is simulated.
//!
//! - [`path`]: the variance-preserving and sub-variance-preserving SDEs.
//! - [`reverse`]: the reverse SDE by Euler-Maruyama, with a Langevin corrector where that is asked for.
//! - [`flow`]: the probability-flow ODE, one for all of these processes; [`rk45`] solves it, [`steps`] in few steps.
//! - [`likelihood`]: exact likelihoods along the flow.
//! - [`gaussian`]: data for which all of it is known; [`convergence`]: errors of solvers by the number of steps.

pub mod convergence;
pub mod flow;
pub mod gaussian;
pub mod likelihood;
pub mod path;
pub mod reverse;
pub mod rk45;
pub mod steps;
