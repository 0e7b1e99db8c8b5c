//! The rows of a run, from nothing but integers: which timesteps it visits, and the coefficients of each call of the network.
//!
//! [`rows`] gives a run's rows, whichever sampler makes them or the file holds them. A sampler is a file that cites its equations:
//! [`coefficients`] (DDIM), [`ddpm`], [`dpm_solver`], [`heun`] turn two cumulative alphas into the fixed-point forms that move a state.
//! [`spacing`] makes the list of timesteps without storing it. [`chain`] has the steps of the chains of 2015, which are no rows.

pub mod chain;
pub mod coefficients;
pub mod config;
pub mod ddpm;
pub mod dpm_solver;
pub mod form;
pub mod heun;
mod program;
pub mod rows;
pub mod spacing;

#[cfg(test)]
mod tests;
