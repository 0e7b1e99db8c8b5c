//! The Fréchet distance of two normal distributions (Dowson and Landau 1982; as a distance of samples Heusel et al. 2017).
//!
//! `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`. With `C1 = L L^T` the last trace is that of `(L^T C2 L)^(1/2)`, a symmetric matrix whose
//! eigenvalues alone are needed.

pub mod sums;

/// Mean and covariance of some vectors.
#[derive(Debug, Clone)]
pub struct Moments {
    mean: Vec<f64>,
    /// Row by row.
    covariance: Vec<f64>,
}

impl Moments {
    /// With this mean, and this covariance row by row.
    pub fn new(mean: Vec<f64>, covariance: Vec<f64>) -> Self {
        Self { mean, covariance }
    }

    /// The distance to another distribution of the same dimensions; at least 0.
    pub fn distance(&self, other: &Self) -> f64 {
        let d = self.mean.len();
        let means: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum();
        let trace = |m: &[f64]| m.iter().step_by(d + 1).sum::<f64>();
        let root = cholesky(&self.covariance, d);
        let mixed = product(&transposed(&root, d), &product(&other.covariance, &root, d), d);
        let roots: f64 = eigenvalues(mixed, d).iter().map(|v| at_least_0(*v).sqrt()).sum();
        at_least_0(means + trace(&self.covariance) + trace(&other.covariance) - 2.0 * roots)
    }
}

/// Part of the largest diagonal element below which a pivot is nothing but rounding.
const PIVOT: f64 = 1e-13;

/// A factor of a positive semidefinite `m = L L^T`. The largest of the remaining diagonal comes next, so that what a set of fewer vectors
/// than dimensions leaves of it is rounding and nothing is divided by that.
fn cholesky(m: &[f64], d: usize) -> Vec<f64> {
    let mut left: Vec<f64> = m.iter().step_by(d + 1).copied().collect();
    let least = PIVOT * left.iter().fold(0.0, |most: f64, v| most.max(*v));
    let mut l = vec![0.0; d * d];
    for k in 0..d {
        let Some((j, pivot)) = left.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)) else {
            break;
        };
        if pivot <= least {
            break;
        }
        let root = pivot.sqrt();
        for i in 0..d {
            if left[i] == f64::NEG_INFINITY {
                continue;
            }
            let dot: f64 = (0..k).map(|c| l[i * d + c] * l[j * d + c]).sum();
            l[i * d + k] = if i == j { root } else { (m[i * d + j] - dot) / root };
            left[i] -= l[i * d + k] * l[i * d + k];
        }
        left[j] = f64::NEG_INFINITY;
    }
    l
}

fn transposed(m: &[f64], d: usize) -> Vec<f64> {
    (0..d * d).map(|i| m[i % d * d + i / d]).collect()
}

fn product(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let mut out = vec![0.0; d * d];
    for (row, a) in out.chunks_exact_mut(d).zip(a.chunks_exact(d)) {
        for (a, b) in a.iter().zip(b.chunks_exact(d)) {
            row.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
        }
    }
    out
}

/// Of a symmetric matrix: Householder's reduction to a tridiagonal one, then implicit QL (Golub and Van Loan, 8.3).
fn eigenvalues(mut m: Vec<f64>, d: usize) -> Vec<f64> {
    let mut below = vec![0.0; d];
    for k in 0..d.saturating_sub(2) {
        // The reflection that leaves one element below the diagonal of column k.
        let mut v: Vec<f64> = (k + 1..d).map(|i| m[i * d + k]).collect();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm == 0.0 {
            continue;
        }
        let alpha = if v[0] > 0.0 { -norm } else { norm };
        v[0] -= alpha;
        let square: f64 = v.iter().map(|x| x * x).sum();
        below[k] = alpha;
        if square == 0.0 {
            continue;
        }
        let from = k + 1;
        let p: Vec<f64> = (from..d)
            .map(|i| {
                2.0 / square
                    * m[i * d + from..(i + 1) * d]
                        .iter()
                        .zip(&v)
                        .map(|(a, b)| a * b)
                        .sum::<f64>()
            })
            .collect();
        let share = p.iter().zip(&v).map(|(a, b)| a * b).sum::<f64>() / square;
        let w: Vec<f64> = p.iter().zip(&v).map(|(p, v)| p - share * v).collect();
        for i in from..d {
            let (vi, wi) = (v[i - from], w[i - from]);
            for (x, (v, w)) in m[i * d + from..(i + 1) * d].iter_mut().zip(v.iter().zip(&w)) {
                *x -= vi * w + wi * v;
            }
        }
    }
    if d > 1 {
        below[d - 2] = m[(d - 1) * d + d - 2];
    }
    let mut diagonal: Vec<f64> = m.iter().step_by(d + 1).copied().collect();
    for l in 0..d {
        for _ in 0..100 {
            let small = |i: usize| below[i].abs() <= f64::EPSILON * (diagonal[i].abs() + diagonal[i + 1].abs());
            let end = (l..d - 1).find(|i| small(*i)).unwrap_or(d - 1);
            if end == l {
                break;
            }
            rotate(&mut diagonal, &mut below, l, end);
        }
    }
    diagonal
}

/// One QL sweep with Wilkinson's shift over elements `l..=end`.
fn rotate(diagonal: &mut [f64], below: &mut [f64], l: usize, end: usize) {
    let half = (diagonal[l + 1] - diagonal[l]) / (2.0 * below[l]);
    let mut g = diagonal[end] - diagonal[l] + below[l] / (half + half.hypot(1.0).copysign(half));
    let (mut sine, mut cosine, mut moved) = (1.0, 1.0, 0.0);
    for i in (l..end).rev() {
        let (f, b) = (sine * below[i], cosine * below[i]);
        let r = f.hypot(g);
        below[i + 1] = r;
        if r == 0.0 {
            diagonal[i + 1] -= moved;
            below[end] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        let shifted = diagonal[i + 1] - moved;
        let turned = (diagonal[i] - shifted) * sine + 2.0 * cosine * b;
        moved = sine * turned;
        diagonal[i + 1] = shifted + moved;
        g = cosine * turned - b;
    }
    diagonal[l] -= moved;
    below[l] = g;
    below[end] = 0.0;
}

/// 0 for what rounding took below it. What is not a number stays so.
fn at_least_0(v: f64) -> f64 {
    if v < 0.0 { 0.0 } else { v }
}

#[cfg(test)]
mod tests {
    use super::sums::Sums;
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-9 * (1.0 + expected.abs()),
            "{found}, not {expected}"
        );
    }

    impl Moments {
        /// Of vectors of `dimensions` numbers each, one after the other.
        fn of(vectors: &[f64], dimensions: usize) -> Self {
            let mut sums = Sums::new(dimensions);
            sums.add(vectors);
            sums.moments()
        }
    }

    #[test]
    fn eigenvalues_of_known_matrices() {
        // The second difference of n points has 2 - 2 cos(pi k / (n + 1)).
        let d = 30;
        let entry = |i: usize| match (i / d).abs_diff(i % d) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        };
        let mut found = eigenvalues((0..d * d).map(entry).collect(), d);
        found.sort_by(f64::total_cmp);
        for (k, found) in found.into_iter().enumerate() {
            near(
                found,
                2.0 - 2.0 * (std::f64::consts::PI * (k + 1) as f64 / (d + 1) as f64).cos(),
            );
        }
        // All ones: d, and 0 otherwise.
        let mut found = eigenvalues(vec![1.0; d * d], d);
        found.sort_by(f64::total_cmp);
        near(found[d - 1], d as f64);
        found[..d - 1].iter().for_each(|v| assert!(v.abs() < 1e-12, "{v}"));
        assert_eq!(eigenvalues(vec![7.0], 1), [7.0]);
    }

    #[test]
    fn the_distance_of_known_distributions() {
        let normal = |mean: &[f64], covariance: &[f64]| Moments {
            mean: mean.to_vec(),
            covariance: covariance.to_vec(),
        };
        // Of independent numbers it is the sum of (m1 - m2)^2 + (s1 - s2)^2.
        let a = normal(&[1.0, 2.0], &[4.0, 0.0, 0.0, 9.0]);
        let b = normal(&[0.0, 4.0], &[1.0, 0.0, 0.0, 25.0]);
        near(a.distance(&b), 1.0 + 4.0 + 1.0 + 4.0);
        near(b.distance(&a), a.distance(&b));
        near(a.distance(&a), 0.0);
        // Matrices that do not commute: tr (C1 C2)^(1/2) of 2x2 is sqrt(tr(C1 C2) + 2 sqrt(det(C1 C2))).
        let c = normal(&[0.0, 0.0], &[2.0, 1.0, 1.0, 3.0]);
        let e = normal(&[0.0, 0.0], &[5.0, -2.0, -2.0, 1.0]);
        let cross = (10.0 - 2.0 - 2.0 + 3.0f64 + 2.0 * (5.0f64 * 1.0).sqrt()).sqrt();
        near(c.distance(&e), 5.0 + 6.0 - 2.0 * cross);
        // No variance in one direction.
        let flat = normal(&[0.0, 0.0], &[4.0, 0.0, 0.0, 0.0]);
        near(flat.distance(&normal(&[0.0, 0.0], &[1.0, 0.0, 0.0, 9.0])), 1.0 + 9.0);
    }

    #[test]
    fn fewer_vectors_than_dimensions_have_a_distance() {
        let (d, count) = (64, 24);
        let set = |by: f64| -> Vec<f64> {
            (0..d * count)
                .map(|i| ((i as f64 * 12.9898).sin() * 43758.5453).fract() + by)
                .collect()
        };
        let (here, there) = (Moments::of(&set(0.0), d), Moments::of(&set(1.0), d));
        assert!(here.distance(&here) < 1e-6, "{}", here.distance(&here));
        assert!(
            (here.distance(&there) - d as f64).abs() < 1e-6,
            "{}",
            here.distance(&there)
        );
    }

    #[test]
    fn moments_are_those_of_the_vectors() {
        let m = Moments::of(&[1.0, 0.0, 3.0, 0.0, 5.0, 6.0], 2);
        assert_eq!(m.mean, [3.0, 2.0]);
        assert_eq!(m.covariance, [4.0, 6.0, 6.0, 12.0]);
    }
}
