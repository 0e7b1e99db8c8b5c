//! The rows of a run, from nothing but integers: which timesteps it visits, and the coefficients of each call of the network.
//!
//! [`rows`] gives a run's rows, whichever sampler makes them or the file holds them. A sampler is a file that cites its equations:
//! [`coefficients`] (DDIM), [`ddpm`], [`dpm_solver`], [`heun`], [`consistency`] turn two cumulative alphas into the fixed-point forms that
//! move a state. [`continuous`] has the levels of flow matching ([`flow_euler`], with Euler's step) and of EDM ([`edm`]), and [`second`] the
//! solvers of second order on them.
//! [`spacing`] makes the list of timesteps without storing it. [`chain`] has the steps of the chains of 2015, which are no rows,
//! and [`posterior`] their second factor.

pub mod chain;
pub mod coefficients;
pub mod config;
pub mod consistency;
pub mod continuous;
pub mod ddpm;
pub mod dpm_solver;
pub mod edm;
pub mod flow_euler;
pub mod form;
pub mod heun;
#[cfg(feature = "posterior")]
pub mod posterior;
mod program;
pub mod rows;
pub mod second;
pub mod spacing;

use crate::error::RunError;
use crate::features::Feature;
use crate::model::sampling::{Levels, Method};
use rows::{Row, Rows};

#[cfg(test)]
mod tests;

/// The row of a call from the sampler's equations; `None` past the last step, and where the step has no second call.
#[inline(always)]
fn computed(rows: &Rows<'_>, step: u32, call: u32, follows: bool) -> Result<Option<Row>, RunError> {
    match rows.levels() {
        Levels::Alphas => on_alphas(rows, step, call, follows),
        Levels::Flow | Levels::Edm => Ok(continuous::row(rows, step, call, follows)),
    }
}

/// The training timestep of a call, Q16; `None` as of [`computed`].
#[inline(always)]
fn time_q16(rows: &Rows<'_>, step: u32, call: u32) -> Option<u32> {
    match rows.levels() {
        Levels::Alphas => Some(rows.call_timestep(step, call)? << 16),
        Levels::Flow | Levels::Edm => continuous::time_q16(rows, step, call),
    }
}

/// The shares of an image and of its noise at the level of a call, Q30; `None` as of [`computed`].
#[inline(always)]
fn level_noising(rows: &Rows<'_>, step: u32, call: u32) -> Option<(i32, i32)> {
    match rows.levels() {
        Levels::Alphas => {
            let alpha_bar = rows.model.alpha_bar_q62(rows.call_timestep(step, call)?);
            Some(coefficients::noising(alpha_bar))
        }
        Levels::Flow | Levels::Edm => continuous::noising(rows, step, call),
    }
}

/// The row of a sampler on cumulative alphas. A sampler that is not built was refused, and its code is not linked.
#[inline(always)]
fn on_alphas(rows: &Rows<'_>, step: u32, call: u32, follows: bool) -> Result<Option<Row>, RunError> {
    let Some(t) = rows.step_timestep(step) else {
        return Ok(None);
    };
    let Some(asked) = rows.asked_timestep(step, call, t) else {
        return Ok(None);
    };
    let (now, next) = rows.alphas(step, t)?;
    let (prediction, clip) = (rows.model.header().prediction, rows.config.clip);
    let coefficients = match rows.config.method {
        Method::Ddpm(variance) if Feature::Ddpm.is_built() => ddpm::ddpm(now, next, variance, prediction, clip),
        Method::DpmSolver2M if Feature::DpmSolver.is_built() => {
            let before = step.checked_sub(1).filter(|_| follows);
            let before = before.and_then(|step| rows.step_timestep(step));
            let before = before.map(|t| rows.model.alpha_bar_q62(t));
            dpm_solver::dpm_solver_2m(before, now, next, prediction, clip)
        }
        Method::Consistency if Feature::Consistency.is_built() => consistency::consistency(now, next, prediction, clip),
        Method::Heun if Feature::Heun.is_built() && call > 0 => heun::heun_corrector(now, next, prediction, clip),
        Method::Heun if Feature::Heun.is_built() => heun::heun_predictor(now, next, prediction, clip),
        _ => coefficients::ddim(now, next, rows.config.eta_q16, prediction, clip),
    };
    Ok(Some(Row::at(asked, coefficients)))
}
