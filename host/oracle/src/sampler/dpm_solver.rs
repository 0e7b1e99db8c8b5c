//! The step of DPM-Solver++(2M).

use crate::file::header::Prediction;
use crate::request::Clip;

use super::coefficients::{Coefficients, Level, ZERO, minus, plus, times};
use crate::scalar::noise::lambda_q57;
use crate::scalar::soft::Soft;

/// Of the step between two cumulative alphas (Q62), after one that began at `before`.
pub fn coefficients(before: Option<u64>, ab: u64, ab_prev: u64, prediction: Prediction, clip: Clip) -> Coefficients {
    let (now, next) = (Level::asked(ab, prediction), Level::of(ab_prev));
    let (a, c) = now.towards(next);
    let q = match before.map(|before| Level::asked(before, prediction)) {
        Some(before) if next.ab != 1 << 62 => {
            let h = lambda_q57(next.ab) - lambda_q57(now.ab);
            let h_before = lambda_q57(now.ab) - lambda_q57(before.ab);
            if h > 0 && h_before > 0 {
                Soft::from_q(h as u64, 57).over(Soft::from_q(h_before as u64, 56))
            } else {
                Soft::ZERO
            }
        }
        _ => Soft::ZERO,
    };
    let step = [times(c, Soft::ONE.plus(q)), minus(times(c, q)), plus(a), ZERO];
    Coefficients::by_sample(now, prediction, clip, &step)
}
