//! Statistics of the noise. The seeds are fixed, so a bound of five standard errors is met or not once and for all.

use super::std::{println, vec, vec::Vec};
use crate::numeric::normal::fill_normal_q24;

const COUNT: usize = 1 << 20;

fn normals(seed: u64, stream: u32, count: usize) -> Vec<f64> {
    let mut out = vec![0; count];
    fill_normal_q24(seed, stream, &mut out);
    out.into_iter().map(|v| f64::from(v) / 2f64.powi(24)).collect()
}

/// Standard normal distribution function.
fn phi(x: f64) -> f64 {
    0.5 * libm::erfc(-x / core::f64::consts::SQRT_2)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[test]
fn moments() {
    let x = normals(1, 0, COUNT);
    // (power, moment, variance of the power).
    for (power, moment, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let measured = mean(x.iter().map(|v| v.powi(power)));
        let standard_error = (variance / COUNT as f64).sqrt();
        println!(
            "moment {power}: {measured} ({:.2} standard errors)",
            (measured - moment) / standard_error
        );
        assert!((measured - moment).abs() < 5.0 * standard_error);
    }
}

#[test]
fn kolmogorov_smirnov() {
    let mut x = normals(2, 0, COUNT);
    x.sort_by(f64::total_cmp);
    let n = COUNT as f64;
    let distance = x.iter().enumerate().fold(0f64, |worst, (i, &v)| {
        let expected = phi(v);
        worst
            .max((expected - i as f64 / n).abs())
            .max(((i + 1) as f64 / n - expected).abs())
    });
    println!("Kolmogorov-Smirnov {}", distance * n.sqrt());
    // The limit of sqrt(n) D passes 1.95 with probability 0.001.
    assert!(distance * n.sqrt() < 1.95);
}

#[test]
fn tail_counts() {
    const TOTAL: usize = 4 * COUNT;
    let x = normals(3, 7, TOTAL);
    for sigmas in [2.0, 3.0, 4.0, 5.0] {
        let expected = 2.0 * phi(-sigmas) * TOTAL as f64;
        let counted = x.iter().filter(|v| v.abs() > sigmas).count() as f64;
        println!("beyond {sigmas} sigma: {counted}, expected {expected:.1}");
        // Poisson, with a term for small counts.
        assert!((counted - expected).abs() < 5.0 * expected.sqrt() + 3.0);
    }
}

#[test]
fn neighbours_and_streams_are_uncorrelated() {
    let bound = 5.0 / (COUNT as f64).sqrt();
    let x = normals(4, 0, COUNT + 16);
    for lag in 1..=16 {
        let correlation = mean((0..COUNT).map(|i| x[i] * x[i + lag]));
        let of_squares = mean((0..COUNT).map(|i| (x[i] * x[i] - 1.0) * (x[i + lag] * x[i + lag] - 1.0))) / 2.0;
        assert!(
            correlation.abs() < bound && of_squares.abs() < bound,
            "lag {lag}: {correlation}, {of_squares}"
        );
    }
    for (seed, stream) in [(4, 1), (4, 2), (4, 0x8000_0000), (5, 0), (4 + (1 << 32), 0)] {
        let y = normals(seed, stream, COUNT);
        let correlation = mean((0..COUNT).map(|i| x[i] * y[i]));
        let of_squares = mean((0..COUNT).map(|i| (x[i] * x[i] - 1.0) * (y[i] * y[i] - 1.0))) / 2.0;
        assert!(
            correlation.abs() < bound && of_squares.abs() < bound,
            "{seed}/{stream}: {correlation}, {of_squares}"
        );
    }
}

/// Pairs that come from one radius and one angle fill a 16 by 16 grid of equal probability evenly.
#[test]
fn pairs_are_independent() {
    let x = normals(6, 3, 2 * COUNT);
    for distance in [1, 2, 3] {
        let mut cells = [0u32; 256];
        for chunk in x.chunks_exact(4) {
            let bin = |v: f64| ((phi(v) * 16.0) as usize).min(15);
            cells[bin(chunk[0]) * 16 + bin(chunk[distance])] += 1;
        }
        let expected = (x.len() / 4) as f64 / 256.0;
        let chi_squared: f64 = cells
            .iter()
            .map(|&c| (f64::from(c) - expected).powi(2) / expected)
            .sum();
        println!("pairs {distance} apart: chi^2 {chi_squared:.1} of 255");
        // Mean 255, variance 510.
        assert!((chi_squared - 255.0).abs() < 5.0 * 510f64.sqrt());
    }
}
