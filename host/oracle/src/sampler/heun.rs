//! The two halves of a step of Heun's method.

use crate::file::header::Prediction;
use crate::request::Clip;

use super::coefficients::{Coefficients, Level, ZERO, minus, plus, times};
use crate::scalar::soft::Soft;

/// Euler's step between two cumulative alphas (Q62).
pub fn euler(ab: u64, ab_prev: u64, prediction: Prediction, clip: Clip) -> Coefficients {
    let now = Level::asked(ab, prediction);
    let (a, c) = now.towards(Level::of(ab_prev));
    Coefficients::by_sample(now, prediction, clip, &[c, ZERO, plus(a), ZERO])
}

/// What the call at its end adds to it.
pub fn correction(ab: u64, ab_prev: u64, prediction: Prediction, clip: Clip) -> Coefficients {
    let (_, c) = Level::asked(ab, prediction).towards(Level::of(ab_prev));
    let half = times(c, Soft::from_q(1, 1));
    let step = [half, minus(half), plus(Soft::ONE), ZERO];
    Coefficients::by_sample(Level::asked(ab_prev, prediction), prediction, clip, &step)
}
