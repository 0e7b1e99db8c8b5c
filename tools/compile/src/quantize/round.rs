//! Rounding of a convolution's weights to 4 bits so that its output, not each weight, stays closest.
//!
//! With inputs x, mean removed (the bias takes care of it), the squared error of an output is `e^T H e` for the errors e of its
//! row and `H = E[x x^T]`. With `H = L L^T` that is `|L^T e|^2`, a triangular system: from the last weight to the first, each
//! is rounded where the errors already made want it (Babai 1986; Frantar et al. 2023, GPTQ). The scale of a row is the one of
//! several with the least error.

use mote_engine::record::Recording;
use rayon::prelude::*;

use super::moments::Moments;
use super::weights::{INT4, INT8, widest_scale};
use crate::cholesky;
use crate::ops::Conv;
use crate::program::{FusedOp, Program};

/// One output channel's weights, rounded to 4 or 8 bits.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Real value of one unit.
    pub scale: f64,
    /// `(row, col, in)`, in the range of the width.
    pub units: Vec<i8>,
    /// What the rounding takes from the output's mean.
    pub shift: f64,
}

/// Added to the diagonal of H, as a share of its mean: inputs that were not seen count a little.
const DAMPING: f64 = 0.01;
/// Scales that are tried, as shares of the one at which the largest weight just fits.
const SHARES: [f64; 15] = [
    1.1, 1.05, 1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45, 0.4,
];

/// Rounds the weights of every convolution, by operator and output channel; empty for all other operators.
pub fn round(program: &Program, calls: &[Recording]) -> Vec<Vec<Row>> {
    let rows = |op: &FusedOp| {
        let of_conv = |conv: &Conv| {
            let solver = Solver::new(Moments::of(program, op, conv, calls));
            conv.rows().map(|row| solver.row(row)).collect()
        };
        op.kind.conv().map(of_conv).unwrap_or_default()
    };
    program.ops.par_iter().map(rows).collect()
}

/// The same in 4 or 8 bits. Each row is then improved by the one step of one weight that helps most, until none does.
pub fn round_closely(program: &Program, calls: &[Recording], bits: u32) -> Vec<Vec<Row>> {
    let rows = |op: &FusedOp| {
        let of_conv = |conv: &Conv| {
            let moments = Moments::of(program, op, conv, calls);
            let solver = Solver::new(moments.clone());
            let near = Near::new(moments);
            conv.rows().map(|row| near.row(&solver, row, bits)).collect()
        };
        op.kind.conv().map(of_conv).unwrap_or_default()
    };
    program.ops.par_iter().map(rows).collect()
}

/// What improves a row that is rounded.
struct Near {
    /// H, damped, `(tap, tap)`.
    moments: Moments,
}

impl Near {
    fn new(mut moments: Moments) -> Self {
        let n = moments.means.len();
        let damping = damping(&moments);
        (0..n).for_each(|i| moments.covariance[i * n + i] += damping);
        Self { moments }
    }

    /// The row at the best scale.
    fn row(&self, solver: &Solver, row: &[f32], bits: u32) -> Row {
        let (range, shares) = match bits {
            4 => (INT4, &SHARES[..]),
            _ => (INT8, &SHARES[2..9]),
        };
        let widest = widest_scale(row, bits).max(1e-12);
        let trial = |share: &f64| {
            let (_, rounded) = solver.at_scale_within(row, widest * share, range);
            self.improved(row, rounded, range)
        };
        let mut best: Option<(f64, Row)> = None;
        for found in shares.iter().map(trial) {
            if best.as_ref().is_none_or(|best| found.0 < best.0) {
                best = Some(found);
            }
        }
        best.map_or_else(|| solver.row(row), |best| best.1)
    }

    /// Squared error of the output, and the row.
    fn improved(&self, row: &[f32], mut rounded: Row, [low, high]: [f64; 2]) -> (f64, Row) {
        let (n, h, unit) = (row.len(), &self.moments.covariance, rounded.scale);
        let error = |(w, q): (&f32, &i8)| f64::from(*w) - f64::from(*q) * unit;
        let mut errors: Vec<f64> = row.iter().zip(&rounded.units).map(error).collect();
        let line = |i: usize| &h[i * n..][..n];
        let dot = |line: &[f64], errors: &[f64]| line.iter().zip(errors).map(|(a, b)| a * b).sum::<f64>();
        let mut slopes: Vec<f64> = (0..n).map(|i| dot(line(i), &errors)).collect();
        for _ in 0..4 * n {
            // One unit up or down changes the error by so much.
            let mut best = (0.0, 0, 0.0);
            for i in 0..n {
                let step = if slopes[i] > 0.0 { 1.0 } else { -1.0 };
                let held = (low..=high).contains(&(f64::from(rounded.units[i]) + step));
                let change = unit * (unit * h[i * n + i] - 2.0 * step * slopes[i]);
                if held && change < best.0 {
                    best = (change, i, step);
                }
            }
            let (change, i, step) = best;
            if change >= -1e-9 * dot(&errors, &slopes).abs() {
                break;
            }
            rounded.units[i] += step as i8;
            errors[i] -= step * unit;
            slopes
                .iter_mut()
                .zip(line(i))
                .for_each(|(slope, h)| *slope -= step * unit * h);
        }
        rounded.shift = dot(&errors, &self.moments.means);
        (dot(&errors, &slopes), rounded)
    }
}

/// What is added to the diagonal of H.
fn damping(m: &Moments) -> f64 {
    let n = m.means.len();
    let mean = (0..n).map(|i| m.covariance[i * n + i].max(0.0)).sum::<f64>() / n as f64;
    (DAMPING * mean).max(1e-12)
}

/// The triangular system.
struct Solver {
    /// Taps by growing power: those that count most are rounded first.
    order: Vec<usize>,
    /// L in that order, `(row, col)`.
    factor: Vec<f64>,
    means: Vec<f64>,
}

impl Solver {
    fn new(m: Moments) -> Self {
        let n = m.means.len();
        let power = |i: usize| m.covariance[i * n + i];
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| power(a).total_cmp(&power(b)).then(a.cmp(&b)));
        let damping = damping(&m);
        let mut factor = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let damping = if i == j { damping } else { 0.0 };
                factor[i * n + j] = m.covariance[order[i] * n + order[j]] + damping;
            }
        }
        // No pivot is below what was added.
        let _ = cholesky::factor(&mut factor, n, |square| Some(square.max(damping)));
        Self {
            order,
            factor,
            means: m.means,
        }
    }

    /// The row at the best scale.
    fn row(&self, row: &[f32]) -> Row {
        let widest = widest_scale(row, 4).max(1e-12);
        let trials = SHARES.map(|share| self.at_scale(row, widest * share));
        let [first, rest @ ..] = trials;
        rest.into_iter()
            .fold(first, |best, t| if t.0 < best.0 { t } else { best })
            .1
    }

    /// Squared error of the output, and the row.
    fn at_scale(&self, row: &[f32], scale: f64) -> (f64, Row) {
        self.at_scale_within(row, scale, INT4)
    }

    /// The same in other integers.
    fn at_scale_within(&self, row: &[f32], scale: f64, [low, high]: [f64; 2]) -> (f64, Row) {
        let n = row.len();
        let (mut units, mut carried) = (vec![0; n], vec![0.0; n]);
        let (mut squared, mut shift) = (0.0, 0.0);
        for i in (0..n).rev() {
            let tap = self.order[i];
            let (weight, line) = (f64::from(row[tap]), &self.factor[i * n..][..i + 1]);
            let wanted = weight + carried[i] / line[i];
            let unit = libm::round(wanted / scale).clamp(low, high);
            let error = weight - unit * scale;
            units[tap] = unit as i8;
            shift += error * self.means[tap];
            // What the error adds to the lines above, and its own line, which is now complete.
            carried.iter_mut().zip(line).for_each(|(c, l)| *c += l * error);
            squared += carried[i] * carried[i];
        }
        (squared, Row { scale, units, shift })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two taps that always meet the same input: what one rounding adds the other takes away.
    #[test]
    fn errors_of_taps_that_go_together_cancel() {
        let moments = Moments {
            means: vec![0.5, 0.0, 0.0],
            covariance: vec![1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1e-3],
        };
        let solver = Solver::new(moments);
        let row = solver.at_scale(&[1.4, 2.4, 0.3], 1.0).1;
        let sum: i8 = row.units[..2].iter().sum();
        assert_eq!(sum, 4, "{row:?}");
        let shift = 0.5 * (1.4 - f64::from(row.units[0]));
        assert!((row.shift - shift).abs() < 1e-6, "{row:?}, {shift}");
    }

    /// Three taps that meet nearly the same: no single step is left that would help.
    #[test]
    fn no_step_of_a_weight_improves_a_close_row() {
        let h = [1.0, 0.9, 0.8, 0.9, 1.0, 0.9, 0.8, 0.9, 1.0];
        let moments = Moments {
            means: vec![0.3, 0.1, 0.0],
            covariance: h.to_vec(),
        };
        let (row, solver) = ([0.77f32, -0.31, 0.42], Solver::new(moments.clone()));
        let near = Near::new(moments);
        for bits in [4, 8] {
            let found = near.row(&solver, &row, bits);
            let error = |nibbles: &[i8]| {
                let e: Vec<f64> = row
                    .iter()
                    .zip(nibbles)
                    .map(|(w, n)| f64::from(*w) - f64::from(*n) * found.scale)
                    .collect();
                let pairs = (0..3).flat_map(|i| (0..3).map(move |j| (i, j)));
                pairs
                    .map(|(i, j)| e[i] * e[j] * near.moments.covariance[i * 3 + j])
                    .sum::<f64>()
            };
            let least = error(&found.units);
            for i in 0..3 {
                for step in [-1, 1] {
                    let mut other = found.units.clone();
                    other[i] += step;
                    assert!(error(&other) >= least * 0.999, "{bits} bits, {found:?}");
                }
            }
        }
    }

    #[test]
    fn the_error_is_that_of_the_output() {
        let h = [2.0, 0.3, -0.4, 0.3, 1.0, 0.2, -0.4, 0.2, 0.5];
        let moments = Moments {
            means: vec![0.0; 3],
            covariance: h.to_vec(),
        };
        let weights = [0.37f32, -1.21, 2.83];
        let (squared, row) = Solver::new(moments).at_scale(&weights, 0.5);
        let e: Vec<f64> = (0..3)
            .map(|i| f64::from(weights[i]) - 0.5 * f64::from(row.units[i]))
            .collect();
        let damping = DAMPING * 3.5 / 3.0;
        let expected: f64 = (0..3)
            .flat_map(|i| (0..3).map(move |j| (i, j)))
            .map(|(i, j)| e[i] * e[j] * (h[i * 3 + j] + if i == j { damping } else { 0.0 }))
            .sum();
        assert!((squared - expected).abs() < 1e-12, "{squared}, {expected} expected");
    }
}
