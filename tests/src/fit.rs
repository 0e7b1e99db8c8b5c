//! Least squares with coefficients that are not negative, by coordinate descent.

use std::collections::BTreeMap;

/// Amounts by name, and the count that they are to explain.
#[derive(Debug, Clone)]
pub struct Point {
    /// Amounts.
    pub amounts: BTreeMap<String, f64>,
    /// What was counted.
    pub count: f64,
}

/// Counts of this size weigh as much as larger ones relative to their size; smaller ones less.
const FLOOR: f64 = 1_000.0;
/// Rounds over all coefficients.
const ROUNDS: usize = 20_000;

/// The coefficients that make the sum of squared relative errors small; an amount that no point has is not there.
#[must_use]
pub fn fit(points: &[Point]) -> BTreeMap<String, f64> {
    let mut columns: BTreeMap<&str, Vec<(usize, f64)>> = BTreeMap::new();
    for (row, point) in points.iter().enumerate() {
        for (name, amount) in &point.amounts {
            let weighted = amount / (point.count + FLOOR);
            columns.entry(name).or_default().push((row, weighted));
        }
    }
    let mut residual: Vec<f64> = points.iter().map(|point| point.count / (point.count + FLOOR)).collect();
    let mut found: BTreeMap<&str, f64> = columns.keys().map(|name| (*name, 0.0)).collect();
    for _ in 0..ROUNDS {
        for (name, column) in &columns {
            let square: f64 = column.iter().map(|(_, a)| a * a).sum();
            let along: f64 = column.iter().map(|(row, a)| a * residual[*row]).sum();
            let Some(old) = found.get_mut(name) else { continue };
            let new = (*old + along / square).max(0.0);
            for (row, a) in column {
                residual[*row] -= a * (new - *old);
            }
            *old = new;
        }
    }
    // Six digits: what is finer than that is noise of the last round.
    let rounded = |value: f64| format!("{value:.5e}").parse().unwrap_or(value);
    found
        .into_iter()
        .map(|(name, value)| (name.to_owned(), rounded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_coefficients_are_found() {
        let point = |a: f64, b: f64| Point {
            amounts: [("a".to_owned(), a), ("b".to_owned(), b)].into(),
            count: 3.0 * a + 0.5 * b,
        };
        let found = fit(&[point(1e4, 10.0), point(1e4, 8e4), point(5e3, 2e5)]);
        assert!(
            (found["a"] - 3.0).abs() < 1e-3 && (found["b"] - 0.5).abs() < 1e-3,
            "{found:?}"
        );
    }

    #[test]
    fn no_coefficient_is_negative() {
        let point = |a: f64, b: f64, count| Point {
            amounts: [("a".to_owned(), a), ("b".to_owned(), b)].into(),
            count,
        };
        let found = fit(&[point(1e4, 1e4, 1e4), point(1e4, 2e4, 5e3)]);
        assert!(
            found.values().all(|value| *value >= 0.0) && found["b"] == 0.0,
            "{found:?}"
        );
    }
}
