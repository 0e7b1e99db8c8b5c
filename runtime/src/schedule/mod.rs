//! Which timesteps a run visits, and the coefficients of each step, from nothing but integers.
//!
//! [`spacing`] makes the list of timesteps without storing it; [`coefficients`] turns two cumulative alphas into the
//! fixed-point forms that move a state one step of DDIM, [`ddpm`], [`dpm_solver`] and [`heun`] into those of the other samplers;
//! [`chain`] has the steps of the chains of 2015.

pub mod chain;
pub mod coefficients;
pub mod ddpm;
pub mod dpm_solver;
pub mod form;
pub mod heun;
mod program;
pub mod spacing;

#[cfg(test)]
mod tests;
