//! Solvers of second order over continuous noise levels: Heun's method, the midpoint method, DPM-Solver++(2M).
//!
//! The flow is `dx / dtau = v`, `v = (x - x0) / tau` ([`super::continuous`]); along Euler's step v stays what it is, so that `x0 + tau' v` is
//! where it leads. With `D = tau - tau'`, x0~ what the second call says, and m the level in the middle:
//!
//! ```text
//! Heun (Karras et al. 2022, algorithm 1; diffusers' FlowMatchHeunDiscreteScheduler), the last step is Euler's:
//!     x' = x~ + D / (2 tau') (x0~ - x0)
//! midpoint, Euler's step to m first:
//!     x' = (tau' / tau_m) x_m + (D / tau_m) x0~ - (D / (2 tau_m)) x0
//! DPM-Solver++(2M) (Lu et al. 2022, algorithm 2), lambda = ln(w / u), q = h / (2 h_before):
//!     x' of Euler's step with (1 + q) x0 - q x0_before in place of x0
//! ```

use super::continuous::{Level, ln_q57};
use super::flow_euler::{gap, step};
use super::form::Signed;
use super::rows::Rows;
use crate::numeric::scaled::Scaled;

const HALF: u32 = 1;

/// What Heun's second call adds, over (x0 of x~, x0 of x, y~, -).
pub(super) fn heun(rows: &Rows<'_>, now: &Level, next: &Level) -> [Signed; 4] {
    // D / (2 tau' r') = gap sum' / (2 sum u' norm').
    let over = now.sum.mul(next.noise).mul(next.norm);
    let half = gap(rows, now, next)
        .mul(next.sum)
        .mul(Scaled::from_q(1, HALF))
        .div(over);
    [
        Signed::plus(half),
        Signed::minus(half),
        Signed::plus(Scaled::ONE),
        Signed::ZERO,
    ]
}

/// The level in the middle of a step.
pub(super) fn between(now: &Level, next: &Level) -> Level {
    let half = Scaled::from_q(1, HALF);
    let mean = |a: Scaled, b: Scaled| a.div(now.sum).add(b.div(next.sum)).mul(half);
    let (noise, signal) = (mean(now.noise, next.noise), mean(now.signal, next.signal));
    Level {
        sum: Scaled::ONE,
        ..Level::of_shares(1, 1, noise, signal)
    }
}

/// The midpoint method's calls: to the middle, over (x0, -, y, -), and on from there, over (x0 of y_m, x0 of y, y_m, -).
pub(super) fn midpoint(rows: &Rows<'_>, now: &Level, next: &Level, call: u32) -> [Signed; 4] {
    let middle = between(now, next);
    let length = gap(rows, now, next).div(now.sum.mul(next.sum));
    let half = length.mul(Scaled::from_q(1, HALF));
    if call == 0 {
        let scale = now.tau().mul(middle.scale());
        let x = middle.tau().mul(now.scale()).div(scale);
        return [
            Signed::plus(half.div(scale)),
            Signed::ZERO,
            Signed::plus(x),
            Signed::ZERO,
        ];
    }
    let scale = middle.tau().mul(next.scale());
    let x = next.tau().mul(middle.scale()).div(scale);
    [
        Signed::plus(length.div(scale)),
        Signed::minus(half.div(scale)),
        Signed::plus(x),
        Signed::ZERO,
    ]
}

/// A step of DPM-Solver++(2M), over (x0, x0 of the step before, y, -): of first order where there was no step before, where that began
/// without signal (lambda is infinite there), and where the step ends without noise.
pub(super) fn dpm_solver(rows: &Rows<'_>, before: Option<Level>, now: &Level, next: &Level) -> [Signed; 4] {
    let [c, _, x, _] = step(rows, now, next);
    let q = match before {
        Some(before) if next.n > 0 && !before.signal.is_zero() => {
            let (h_before, h) = (rise_q57(&before, now), rise_q57(now, next));
            if h_before == 0 {
                Scaled::ZERO
            } else {
                Scaled::from_q(h, 57).div(Scaled::from_q(h_before, 56))
            }
        }
        _ => Scaled::ZERO,
    };
    [c.times(Scaled::ONE.add(q)), c.times(q).negated(), x, Signed::ZERO]
}

/// How far lambda rises from one level to the next, Q57: `ln((u / w) (w' / u'))`; 0 where it does not.
fn rise_q57(now: &Level, next: &Level) -> u64 {
    let ratio = now.noise.mul(next.signal).div(now.signal.mul(next.noise));
    ln_q57(ratio).max(0) as u64
}
