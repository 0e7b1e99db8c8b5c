//! One step in `Scaled` arithmetic, in the document's order of operations: DDIM's, and what the other samplers share.

use crate::file::header::Prediction;
use crate::request::Clip;

use crate::scalar::rounding::Rounding;
use crate::scalar::soft::Soft;

/// The two linear forms of a step.
#[derive(Debug)]
pub struct Coefficients {
    /// x0 from (x, out).
    sample: Form,
    /// The next state from (x0, x, out, z) for DDIM, from (x0, held, x, z) for the others.
    step: Form,
    clip: Clip,
}

/// A cumulative alpha with its square roots.
#[derive(Clone, Copy)]
pub struct Level {
    /// Q62, at most 1.
    pub ab: u64,
    /// `sqrt(ab)`.
    pub s: Soft,
    /// `sqrt(1 - ab)`.
    pub n: Soft,
}

impl Level {
    /// Of a cumulative alpha, Q62.
    pub fn of(ab: u64) -> Self {
        let ab = ab.min(ONE_Q62);
        let (s, n) = (Soft::from_q(ab, 62).sqrt(), Soft::from_q(ONE_Q62 - ab, 62).sqrt());
        Self { ab, s, n }
    }

    /// Of one that a network is asked about: under Epsilon 2^-32 at least.
    pub fn asked(ab: u64, prediction: Prediction) -> Self {
        let least = if prediction == Prediction::Epsilon { 1 << 30 } else { 0 };
        Self::of(ab.max(least))
    }

    /// `(a, c)` of `a x + c x0`.
    pub fn towards(self, next: Self) -> (Soft, Signed) {
        if self.n.is_zero() {
            return (Soft::ZERO, plus(next.s));
        }
        let sum = next.s.times(self.n).plus(self.s.times(next.n));
        let c = Soft::from_q(next.ab.abs_diff(self.ab), 62).over(self.n.times(sum));
        (next.n.over(self.n), (next.ab < self.ab, c))
    }
}

const ONE_Q62: u64 = 1 << 62;

impl Coefficients {
    /// Of the step between two cumulative alphas (Q62).
    pub fn ddim(alpha_bar: u64, alpha_bar_prev: u64, eta_q16: u32, prediction: Prediction, clip: Clip) -> Self {
        let floor = if prediction == Prediction::Epsilon { 1 << 30 } else { 0 };
        let (ab, ab_prev) = (alpha_bar.clamp(floor, ONE_Q62), alpha_bar_prev.min(ONE_Q62));
        let (s, n) = (Soft::from_q(ab, 62).sqrt(), Soft::from_q(ONE_Q62 - ab, 62).sqrt());
        let s_prev = Soft::from_q(ab_prev, 62).sqrt();
        let (direction, sigma) = direction_and_sigma(ab, ab_prev, eta_q16);
        let [p, q, r, t] = prediction_row(s, n, prediction);
        let z = plus(sigma);
        let step = match clip {
            Clip::Off => {
                let [x, out] = unclipped(s, n, s_prev, direction, prediction);
                [ZERO, x, out, z]
            }
            Clip::Stock => [plus(s_prev), times(r, direction), times(t, direction), z],
            Clip::Rederived => {
                let d = if n.is_zero() { Soft::ZERO } else { direction.over(n) };
                [difference(s_prev, d.times(s)), plus(d), ZERO, z]
            }
        };
        Self {
            sample: Form::new(&[p, q]),
            step: Form::new(&step),
            clip,
        }
    }

    /// Of forms that are there.
    pub(super) fn of(sample: Form, step: Form, clip: Clip) -> Self {
        Self { sample, step, clip }
    }

    /// Of a step over (x0, held, x, z) by a network that is asked at `level`.
    pub fn by_sample(level: Level, prediction: Prediction, clip: Clip, step: &[Signed]) -> Self {
        let [p, q, ..] = prediction_row(level.s, level.n, prediction);
        Self {
            sample: Form::new(&[p, q]),
            step: Form::new(step),
            clip,
        }
    }

    /// x0 and the next state of one element, Q24, of a step over (x0, held, x, z).
    pub fn advance(&self, [x, out, held, z]: [i64; 4], clip_range_q24: i32, r: Rounding) -> (i64, i64) {
        let x0 = self.sample.apply(&[x, out], r);
        let range = i64::from(clip_range_q24.max(0));
        let x0 = if self.clip == Clip::Off {
            x0
        } else {
            x0.clamp(-range, range)
        };
        (x0, self.step.apply(&[x0, held, x, z], r))
    }

    /// The next state of one element, Q24, of a DDIM step.
    pub fn apply(&self, x: i64, out: i64, z: i64, clip_range_q24: i32, r: Rounding) -> i64 {
        let range = i64::from(clip_range_q24.max(0));
        let x0 = match self.clip {
            Clip::Off => 0,
            Clip::Stock | Clip::Rederived => self.sample.apply(&[x, out], r).clamp(-range, range),
        };
        self.step.apply(&[x0, x, out, z], r)
    }
}

/// A signed `Scaled`.
pub type Signed = (bool, Soft);

/// 0.
pub const ZERO: Signed = (false, Soft::ZERO);

/// A positive one.
pub fn plus(v: Soft) -> Signed {
    (false, v)
}

/// `v * factor`.
pub fn times((negative, v): Signed, factor: Soft) -> Signed {
    (negative, v.times(factor))
}

fn difference(a: Soft, b: Soft) -> Signed {
    if a.less(b) {
        (true, b.minus(a))
    } else {
        (false, a.minus(b))
    }
}

fn direction_and_sigma(ab: u64, ab_prev: u64, eta_q16: u32) -> (Soft, Soft) {
    let n2_prev = Soft::from_q(ONE_Q62 - ab_prev, 62);
    let v = Soft::from_q(ab_prev, 62).times(Soft::from_q(ONE_Q62 - ab, 62));
    if ab_prev <= ab || v.is_zero() {
        return (n2_prev.sqrt(), Soft::ZERO);
    }
    let u = Soft::from_q(ab, 62).times(n2_prev);
    let h_q32 = u64::from(eta_q16) * u64::from(eta_q16);
    let h = Soft::from_q(h_q32, 32);
    let g = Soft::from_q(ab_prev - ab, 62);
    let kept = if h_q32 <= 1 << 32 {
        Soft::from_q((1 << 32) - h_q32, 32).times(v).plus(h.times(u))
    } else {
        h.times(u).minus(Soft::from_q(h_q32 - (1 << 32), 32).times(v))
    };
    (
        n2_prev.times(kept.over(v)).sqrt(),
        n2_prev.times(h.times(g).over(v)).sqrt(),
    )
}

/// `x0 = p x + q out`, `eps = r x + t out`.
fn prediction_row(s: Soft, n: Soft, prediction: Prediction) -> [Signed; 4] {
    let one = plus(Soft::ONE);
    match prediction {
        Prediction::Epsilon => [plus(Soft::ONE.over(s)), (true, n.over(s)), ZERO, one],
        Prediction::V => [plus(s), (true, n), plus(n), plus(s)],
        Prediction::Sample if n.is_zero() => [ZERO, one, ZERO, ZERO],
        Prediction::Sample => [ZERO, one, plus(Soft::ONE.over(n)), (true, s.over(n))],
        // Of networks that no step of cumulative alphas asks.
        _ => [ZERO; 4],
    }
}

fn unclipped(s: Soft, n: Soft, s_prev: Soft, direction: Soft, prediction: Prediction) -> [Signed; 2] {
    match prediction {
        Prediction::Epsilon => {
            let x = s_prev.over(s);
            [plus(x), difference(direction, x.times(n))]
        }
        Prediction::V => [
            plus(s_prev.times(s).plus(direction.times(n))),
            difference(direction.times(s), s_prev.times(n)),
        ],
        Prediction::Sample if n.is_zero() => [ZERO, plus(s_prev)],
        Prediction::Sample => {
            let x = direction.over(n);
            [plus(x), difference(s_prev, x.times(s))]
        }
        _ => [ZERO; 2],
    }
}

/// Coefficients under a common fraction.
#[derive(Debug)]
pub(super) struct Form {
    mant: Vec<i128>,
    frac: i64,
}

impl Form {
    pub(super) fn new(coefficients: &[Signed]) -> Self {
        let mut sum = Soft::ZERO;
        let mut max = Soft::ZERO;
        for (_, v) in coefficients {
            sum = sum.plus(*v);
            max = if max.less(*v) { *v } else { max };
        }
        let fits = (-sum.exp).min(-1 - max.exp);
        let frac = if max.is_zero() { 30 } else { fits.clamp(1, 40) };
        let most = if fits < 1 { 1 << 30 } else { (1 << 31) - 1 };
        let mant = coefficients.iter().map(|(negative, v)| {
            let magnitude = i128::from(v.to_q(frac).min(most));
            if *negative { -magnitude } else { magnitude }
        });
        Self {
            mant: mant.collect(),
            frac,
        }
    }

    pub(super) fn of(mant: Vec<i128>, frac: i64) -> Self {
        Self { mant, frac }
    }

    pub(super) fn apply(&self, values: &[i64], r: Rounding) -> i64 {
        let clamped = values.iter().map(|v| i128::from((*v).clamp(-(1 << 30), 1 << 30)));
        let sum = self.mant.iter().zip(clamped).map(|(mant, v)| mant * v).sum();
        r.shift(sum, self.frac as u32).clamp(-(1 << 30), 1 << 30) as i64
    }
}

/// `-v`.
pub fn minus((negative, v): Signed) -> Signed {
    (!negative, v)
}

/// The shares of a clean element and of a normal one at noise level `alpha_bar`, Q30.
pub fn noising(alpha_bar: u64) -> [i128; 2] {
    let alpha_bar = alpha_bar.min(ONE_Q62);
    [alpha_bar, ONE_Q62 - alpha_bar].map(|v| Soft::from_q(v, 62).sqrt().to_q(30).min(1 << 30).into())
}

/// `(p x + q z) / 2^30`.
pub fn mixed(p_q30: i128, x: i64, q_q30: i128, z: i64) -> i64 {
    let clamp = |v: i64| i128::from(v.clamp(-(1 << 30), 1 << 30));
    let sum = p_q30 * clamp(x) + q_q30 * clamp(z);
    Rounding::default().shift(sum, 30).clamp(-(1 << 30), 1 << 30) as i64
}
