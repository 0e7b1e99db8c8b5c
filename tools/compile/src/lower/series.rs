//! Any function of the timestep as a series of plain sines and cosines, which a device has.
//!
//! A smooth function is a few slow waves over twice the run of timesteps: their factors are the least squares over all timesteps, held small
//! by a ridge (Huybrechs 2010 of such extensions; Hoerl and Kennard 1970). Any other one, such as a table by step, is its discrete Fourier
//! transform, which meets it at every whole timestep.

use std::f64::consts::TAU;

use mote_graph::DType;
use mote_graph::float::TimeFeatures;
use mote_graph::graph::ops;

use super::times::Mixed;
use crate::cholesky;

/// Numbers of slow waves that are tried.
const SLOW: [usize; 5] = [4, 8, 16, 32, 64];
/// What a series may be off, of the largest feature: half a dozen units of 16 bits.
const CLOSE: f64 = 2e-4;
/// The ridge, a timestep.
const RIDGE: f64 = 1e-10;
/// A unit of a feature in Q15, and of a weight of 16 bits, as deviations.
const UNIT: f64 = 1.0 / (32_768.0 * 3.5);
/// Most timesteps of a transform.
const MOST: usize = 4096;

/// A series and how far it is off.
struct Series {
    rates: Vec<f64>,
    /// `(feature, sines then cosines)`.
    factors: Vec<Vec<f64>>,
    off: f64,
}

/// `curves` in a network of so many timesteps as plain sines and cosines and a matrix; `None` where no series comes near.
pub fn of(curves: &ops::Curves, timesteps: usize) -> Option<Mixed> {
    let stride = timesteps.div_ceil(MOST).max(1);
    let times: Vec<f64> = (0..=timesteps).step_by(stride).map(|t| t as f64).collect();
    let rows: Vec<Vec<f64>> = times
        .iter()
        .map(|t| curves.at(*t, TimeFeatures::F64Throughout, DType::F64))
        .collect();
    let rows = finite(rows)?;
    let largest = rows.iter().flatten().fold(0f64, |most, v| most.max(v.abs())).max(1e-30);
    let mut best: Option<Series> = None;
    for count in SLOW.into_iter().filter(|count| 4 * count <= times.len()) {
        let rates = (0..count)
            .map(|k| TAU * k as f64 / (2 * timesteps.max(1)) as f64)
            .collect();
        let Some(found) = least_squares(rates, &times, &rows) else {
            continue;
        };
        if best.as_ref().is_none_or(|best| found.off < best.off) {
            best = Some(found);
        }
        if best.as_ref().is_some_and(|best| best.off <= CLOSE * largest) {
            break;
        }
    }
    if stride == 1 && best.as_ref().is_none_or(|best| best.off > CLOSE * largest) {
        let exact = transform(&rows);
        if best.as_ref().is_none_or(|best| exact.off < best.off) {
            best = Some(exact);
        }
    }
    let best = best.filter(|best| best.off < 0.02 * largest)?;
    let matrix = best.factors.iter().flatten().map(|v| *v as f32).collect();
    Some(Mixed {
        rates: best.rates,
        matrix,
    })
}

/// Rows with the nearest known number in place of what is none, as a logarithm of 0 is; `None` where a feature has no number at all.
fn finite(mut rows: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    for feature in 0..rows.first()?.len() {
        let first = rows.iter().find(|row| row[feature].is_finite())?[feature];
        let mut before = first;
        for row in &mut rows {
            if !row[feature].is_finite() {
                row[feature] = before;
            }
            before = row[feature];
        }
    }
    Some(rows)
}

/// Sines, then cosines, of these rates at `t`.
fn waves(rates: &[f64], t: f64) -> Vec<f64> {
    let sines = rates.iter().map(|rate| libm::sin(rate * t));
    sines.chain(rates.iter().map(|rate| libm::cos(rate * t))).collect()
}

fn least_squares(rates: Vec<f64>, times: &[f64], rows: &[Vec<f64>]) -> Option<Series> {
    let all: Vec<Vec<f64>> = times.iter().map(|t| waves(&rates, *t)).collect();
    let count = 2 * rates.len();
    let mut root = vec![0.0; count * count];
    for row in &all {
        for (own, a) in root.chunks_exact_mut(count).zip(row) {
            own.iter_mut().zip(row).for_each(|(sum, b)| *sum += a * b);
        }
    }
    for i in 0..count {
        root[i * count + i] += RIDGE * times.len() as f64;
    }
    cholesky::factor(&mut root, count, |square| {
        (square > 0.0 && square.is_finite()).then_some(square)
    })?;
    let features = rows.first()?.len();
    let mut factors = vec![];
    for feature in 0..features {
        let mut right = vec![0.0; count];
        for (row, values) in all.iter().zip(rows) {
            right
                .iter_mut()
                .zip(row)
                .for_each(|(sum, v)| *sum += v * values[feature]);
        }
        factors.push(solved(&root, right));
    }
    let fit = |row: &Vec<f64>, own: &Vec<f64>| -> f64 { row.iter().zip(own).map(|(a, b)| a * b).sum() };
    let misses = all.iter().zip(rows).flat_map(|(row, values)| {
        let each = factors.iter().zip(values);
        each.map(move |(own, value)| (fit(row, own) - value).abs())
    });
    let off = misses.fold(0f64, f64::max) + rounding(&factors);
    off.is_finite().then_some(Series { rates, factors, off })
}

/// What rounding the features and the matrix to 16 bits leaves, about.
fn rounding(factors: &[Vec<f64>]) -> f64 {
    let of = |own: &Vec<f64>| {
        let length = libm::sqrt(own.iter().map(|v| v * v).sum());
        let largest = own.iter().fold(0f64, |most, v| most.max(v.abs()));
        UNIT * (length + largest * libm::sqrt(own.len() as f64 / 2.0))
    };
    factors.iter().map(of).fold(0f64, f64::max)
}

/// `x` of `L L^T x`.
fn solved(root: &[f64], mut x: Vec<f64>) -> Vec<f64> {
    let n = x.len();
    for i in 0..n {
        let sum: f64 = (0..i).map(|k| root[i * n + k] * x[k]).sum();
        x[i] = (x[i] - sum) / root[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| root[k * n + i] * x[k]).sum();
        x[i] = (x[i] - sum) / root[i * n + i];
    }
    x
}

/// The discrete Fourier transform of rows a timestep apart.
fn transform(rows: &[Vec<f64>]) -> Series {
    let (n, features) = (rows.len(), rows[0].len());
    let half = n / 2 + 1;
    let table: Vec<[f64; 2]> = (0..n)
        .map(|i| TAU * i as f64 / n as f64)
        .map(|angle| [libm::sin(angle), libm::cos(angle)])
        .collect();
    let mut factors = vec![vec![0.0; 2 * half]; features];
    for k in 0..half {
        let whole = k == 0 || 2 * k == n;
        let share = if whole { 1.0 } else { 2.0 } / n as f64;
        for (t, row) in rows.iter().enumerate() {
            let [sine, cosine] = table[k * t % n];
            for (own, value) in factors.iter_mut().zip(row) {
                own[k] += share * value * sine;
                own[half + k] += share * value * cosine;
            }
        }
        if whole {
            factors.iter_mut().for_each(|own| own[k] = 0.0);
        }
    }
    let off = rounding(&factors);
    Series {
        rates: (0..half).map(|k| TAU * k as f64 / n as f64).collect(),
        factors,
        off,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_graph::graph::ops::{CurveMap, CurveStep, Curves, Numbers, Pairing, Setting};

    fn most_off(curves: &Curves, timesteps: usize) -> (usize, f64) {
        let mixed = of(curves, timesteps).unwrap();
        let count = 2 * mixed.rates.len();
        let mut most = 0f64;
        for t in 0..=timesteps {
            let plain = waves(&mixed.rates, t as f64);
            let expected = curves.at(t as f64, TimeFeatures::F64, DType::F64);
            for (row, value) in mixed.matrix.chunks_exact(count).zip(expected) {
                let own: f64 = row.iter().zip(&plain).map(|(m, v)| f64::from(*m) * v).sum();
                most = most.max((own - value).abs());
            }
        }
        (count, most)
    }

    fn numbers(list: Vec<f64>) -> CurveStep {
        CurveStep::Numbers(Numbers {
            single: list.clone(),
            library: list.clone(),
            exact: list,
        })
    }

    /// A root of a smooth function is a few waves; a table of whole steps is as many as it has rows. Both are met at every timestep.
    #[test]
    fn a_series_meets_smooth_functions_and_tables() {
        let smooth = Curves {
            steps: vec![
                CurveStep::Time,
                numbers(vec![0.5]),
                CurveStep::Pair {
                    a: 0,
                    b: 1,
                    pair: Pairing::Sum,
                },
                CurveStep::Map {
                    x: 2,
                    map: CurveMap::Power(Setting::new(0.5)),
                },
            ],
            time: [0.001, 0.0],
        };
        let (count, off) = most_off(&smooth, 1000);
        assert!(count <= 32 && off < 2e-4, "{count} waves, off by {off}");
        let table = Curves {
            steps: vec![
                CurveStep::Time,
                numbers((0..150).map(|i| f64::from(i * 37 % 101) / 50.0 - 1.0).collect()),
                CurveStep::Row {
                    table: 1,
                    at: 0,
                    width: 3,
                },
            ],
            time: [1.0, 0.0],
        };
        let (count, off) = most_off(&table, 50);
        assert!(count == 52 && off < 1e-5, "{count} waves, off by {off}");
    }
}
