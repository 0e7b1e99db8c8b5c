//! The Runge-Kutta pair of orders 5 and 4 of Dormand and Prince (1980), with adaptive steps.

use thiserror::Error;

/// Nodes, weights of the stages, of the solution of order 5 and of its difference to that of order 4.
const NODES: [f64; 7] = [0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];
const STAGES: [&[f64]; 7] = [
    &[],
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];
const ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Steps, refused ones included, after which a solution is given up.
const MAX_STEPS: usize = 100_000;
/// A step is changed by at most these factors, and made a little shorter than the estimate says.
const SHRINK: f64 = 0.2;
const GROW: f64 = 5.0;
const SAFETY: f64 = 0.9;

/// The error allowed in a step: `absolute + relative |y|` an element, in the root mean square over a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Absolute.
    pub absolute: f64,
    /// Relative.
    pub relative: f64,
}

impl Tolerance {
    /// The same for both, as Song et al. 2021 use 1e-5.
    #[must_use]
    pub fn of(both: f64) -> Self {
        Self {
            absolute: both,
            relative: both,
        }
    }
}

/// Where a solution ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The state.
    pub y: Vec<f64>,
    /// Calls of the right-hand side.
    pub calls: usize,
    /// Steps taken.
    pub steps: usize,
}

/// Why there is none.
#[derive(Debug, Error)]
pub enum SolveError<E> {
    /// The right-hand side failed.
    #[error(transparent)]
    Slope(E),
    /// The state is no number any more, or steps became too short.
    #[error(
        "the solver gave up at {at} after {steps} steps: the tolerance is too small, or the network's output has no bounds"
    )]
    GaveUp {
        /// Where.
        at: f64,
        /// Steps taken.
        steps: usize,
    },
}

/// Solves `dy / dt = slope(t, y)` over `[from, to]`, either way. `y` is any number of samples of `dims` elements that are solved
/// together; the worst of them decides the step.
pub fn solve<E>(
    y: Vec<f64>,
    dims: usize,
    [from, to]: [f64; 2],
    tolerance: Tolerance,
    mut slope: impl FnMut(f64, &[f64]) -> Result<Vec<f64>, E>,
) -> Result<Solution, SolveError<E>> {
    let mut solution = Solution { y, calls: 0, steps: 0 };
    let mut t = from;
    let mut h = (to - from) / 100.0;
    let mut first = None;
    for _ in 0..MAX_STEPS {
        if (to - t) * (to - from) <= 0.0 {
            return Ok(solution);
        }
        let last = (t + h - to) * (to - from) >= 0.0;
        let step = if last { to - t } else { h };
        let start = match first.take() {
            Some(start) => start,
            None => slope(t, &solution.y).map_err(SolveError::Slope)?,
        };
        let (next, slopes) = stages(t, step, &solution.y, start, &mut slope).map_err(SolveError::Slope)?;
        solution.calls = solution.calls.max(1) + 6;
        let error = worst(&solution.y, &next, &slopes, step, dims, tolerance);
        if !error.is_finite() || t + step == t && !last {
            break;
        }
        // The seventh slope is the next step's first, the first is kept where the step is refused.
        let mut slopes = slopes.into_iter();
        if error <= 1.0 {
            t = if last { to } else { t + step };
            solution.y = next;
            solution.steps += 1;
            first = slopes.next_back();
        } else {
            first = slopes.next();
        }
        let factor = SAFETY * libm::pow(error.max(1e-10), -0.2);
        h = step * factor.clamp(SHRINK, GROW);
    }
    let steps = solution.steps;
    Err(SolveError::GaveUp { at: t, steps })
}

/// The state after a step, and the seven slopes.
fn stages<E>(
    t: f64,
    h: f64,
    y: &[f64],
    start: Vec<f64>,
    slope: &mut impl FnMut(f64, &[f64]) -> Result<Vec<f64>, E>,
) -> Result<(Vec<f64>, Vec<Vec<f64>>), E> {
    let mut slopes = vec![start];
    let mut at = y.to_vec();
    for (node, weights) in NODES.into_iter().zip(STAGES).skip(1) {
        at.copy_from_slice(y);
        for (weight, slope) in weights.iter().zip(&slopes).filter(|(weight, _)| **weight != 0.0) {
            at.iter_mut()
                .zip(slope)
                .for_each(|(at, slope)| *at += h * weight * slope);
        }
        slopes.push(slope(t + node * h, &at)?);
    }
    Ok((at, slopes))
}

/// The largest error of a sample in units of the tolerance.
fn worst(y: &[f64], next: &[f64], slopes: &[Vec<f64>], h: f64, dims: usize, tolerance: Tolerance) -> f64 {
    let element = |i: usize| {
        let error: f64 = ERROR.iter().zip(slopes).map(|(weight, slope)| weight * slope[i]).sum();
        let allowed = tolerance.absolute + tolerance.relative * y[i].abs().max(next[i].abs());
        let ratio = h * error / allowed;
        ratio * ratio
    };
    let sample = |s: usize| (s * dims..(s + 1) * dims).map(element).sum::<f64>() / dims as f64;
    // f64::max would drop a NaN.
    let larger = |a: f64, b: f64| if b > a || b.is_nan() { b } else { a };
    libm::sqrt((0..y.len() / dims.max(1)).map(sample).fold(0.0, larger))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn oscillator(_: f64, y: &[f64]) -> Result<Vec<f64>, Infallible> {
        Ok(y.chunks(2).flat_map(|y| [y[1], -y[0]]).collect())
    }

    #[test]
    fn the_oscillator_comes_round_both_ways() {
        let turn = 2.0 * std::f64::consts::PI;
        for ends in [[0.0, turn], [turn, 0.0]] {
            let solution = solve(vec![1.0, 0.0, 0.0, 3.0], 2, ends, Tolerance::of(1e-8), oscillator).unwrap();
            let exact = [1.0, 0.0, 0.0, 3.0];
            assert!(
                solution.y.iter().zip(exact).all(|(a, b)| (a - b).abs() < 1e-6),
                "{solution:?}"
            );
            assert!(solution.calls < 600, "{solution:?}");
        }
    }

    /// One step of order 5: halving it divides the error by 2^6.
    #[test]
    fn the_tableau_has_order_five() {
        let error = |h: f64| {
            let mut slope = |t: f64, y: &[f64]| Ok::<_, Infallible>(vec![y[0] * t.cos()]);
            let start = vec![0.3f64.cos()];
            let (next, _) = stages(0.3, h, &[1.0], start, &mut slope).unwrap();
            (next[0] - ((0.3 + h).sin() - 0.3f64.sin()).exp()).abs()
        };
        let order = (error(0.2) / error(0.1)).log2();
        assert!((5.5..6.8).contains(&order), "{order}");
    }

    #[test]
    fn what_has_no_solution_is_an_error() {
        let explodes = |_: f64, y: &[f64]| Ok::<_, Infallible>(vec![y[0] * y[0]]);
        let result = solve(vec![1.0], 1, [0.0, 2.0], Tolerance::of(1e-6), explodes);
        assert!(matches!(result, Err(SolveError::GaveUp { .. })));
        let stays = solve(vec![1.0], 1, [2.0, 2.0], Tolerance::of(1e-6), explodes).unwrap();
        assert_eq!((stays.y, stays.steps), (vec![1.0], 0));
    }
}
