//! The ancestral step.

use crate::file::header::Prediction;
use crate::request::{Clip, Variance};

use super::coefficients::{Coefficients, Level, ZERO, plus};
use crate::scalar::soft::Soft;

/// Of the step between two cumulative alphas (Q62).
pub fn coefficients(ab: u64, ab_prev: u64, variance: Variance, prediction: Prediction, clip: Clip) -> Coefficients {
    let (now, next) = (Level::asked(ab, prediction), Level::of(ab_prev));
    let step = if next.ab <= now.ab {
        let (a, c) = now.towards(next);
        [c, ZERO, plus(a), ZERO]
    } else {
        let n2 = Soft::from_q((1 << 62) - now.ab, 62);
        let n2_prev = Soft::from_q((1 << 62) - next.ab, 62);
        let gap = Soft::from_q(next.ab - now.ab, 62);
        let d = next.s.times(n2);
        let beta = gap.over(Soft::from_q(next.ab, 62));
        let sigma2 = match (variance, n2_prev.is_zero()) {
            (Variance::Large, false) => beta,
            _ => n2_prev.times(beta.over(n2)),
        };
        let x = now.s.times(n2_prev).over(d);
        [plus(gap.over(d)), ZERO, plus(x), plus(sigma2.sqrt())]
    };
    Coefficients::by_sample(now, prediction, clip, &step)
}
