//! Mean and covariance as exact sums: in whatever order and in whatever parts vectors are added, the sums are the same to the bit.

use super::Moments;
use rayon::prelude::*;

/// Bits after the point of a number that is summed. Its rounding, 3e-8, is far below a distance that means anything.
const FRACTION: u32 = 24;
/// Numbers are below this: their products have at most 78 bits, and so many of them as an `i128` can multiply by their number.
const BOUND: f64 = 32768.0;
/// Most vectors.
pub const MOST_VECTORS: u64 = 1 << 24;

/// Sums over vectors of fixed-point numbers, Q24.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Vectors summed.
    count: u64,
    /// Vectors that are not: some number of theirs is not finite or not below [`BOUND`].
    beyond: u64,
    /// Q24.
    sum: Vec<i128>,
    /// Products of pairs, Q48: the upper triangle, row by row.
    products: Vec<i128>,
}

impl Sums {
    /// Of no vector yet.
    pub fn new(dimensions: usize) -> Self {
        Self {
            count: 0,
            beyond: 0,
            sum: vec![0; dimensions],
            products: vec![0; dimensions * (dimensions + 1) / 2],
        }
    }

    /// Vectors, those that could not be summed included.
    pub fn vectors(&self) -> u64 {
        self.count + self.beyond
    }

    /// Adds vectors, one after the other.
    pub fn add(&mut self, vectors: &[f64]) {
        let d = self.sum.len().max(1);
        let within = |vector: &&[f64]| vector.iter().all(|v| v.abs() < BOUND);
        let taken: Vec<&[f64]> = vectors.chunks_exact(d).filter(within).collect();
        self.beyond += (vectors.len() / d - taken.len()) as u64;
        self.count += taken.len() as u64;
        let fixed = |v: &f64| (v * f64::from(1 << FRACTION) + 0.5).floor() as i64;
        let fixed: Vec<i64> = taken.into_iter().flatten().map(fixed).collect();
        for vector in fixed.chunks_exact(d) {
            self.sum
                .iter_mut()
                .zip(vector)
                .for_each(|(sum, v)| *sum += i128::from(*v));
        }
        let mut rows = Vec::with_capacity(d);
        let mut rest = &mut self.products[..];
        for i in 0..self.sum.len() {
            let (row, after) = rest.split_at_mut(d - i);
            rows.push(row);
            rest = after;
        }
        // So many products of these numbers fit 64 bits together.
        let largest = fixed.iter().map(|v| i128::from(v.abs())).max().unwrap_or(0).max(1);
        let together = (i128::from(i64::MAX) / (largest * largest)) as usize;
        rows.into_par_iter().enumerate().for_each(|(i, row)| match together {
            0 => wide(row, &fixed, d, i),
            _ => narrow(row, &fixed, (d, together), i),
        });
    }

    /// Adds what others summed.
    pub fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.beyond += other.beyond;
        let pairs = self.sum.iter_mut().zip(&other.sum);
        pairs
            .chain(self.products.iter_mut().zip(&other.products))
            .for_each(|(to, v)| *to += v);
    }

    /// Mean, and covariance divided by the number of vectors less one; each number is rounded once. Not a number where a vector is beyond.
    pub fn moments(&self) -> Moments {
        let d = self.sum.len();
        let (n, one) = (i128::from(self.count.max(1)), f64::from(1 << FRACTION));
        let lost = if self.beyond > 0 { f64::NAN } else { 0.0 };
        let pairs = (n * (n - 1)).max(1) as f64 * one * one;
        let mut covariance = vec![0.0; d * d];
        let mut products = self.products.iter();
        for i in 0..d {
            for (j, product) in (i..d).zip(&mut products) {
                let value = (n * product - self.sum[i] * self.sum[j]) as f64 / pairs;
                covariance[i * d + j] = value;
                covariance[j * d + i] = value;
            }
        }
        let mean = self.sum.iter().map(|sum| *sum as f64 / (n as f64 * one) + lost);
        Moments::new(mean.collect(), covariance)
    }

    /// Pairs of words that [`Sums::words`] gives.
    pub fn len_of(dimensions: usize) -> usize {
        1 + dimensions + dimensions * (dimensions + 1) / 2
    }

    /// As it is written: both counts, then sums and products as two's complement of 128 bits, the low word first.
    pub fn words(&self) -> impl Iterator<Item = [u64; 2]> {
        let split = |v: &i128| [*v as u64, (*v >> 64) as u64];
        let numbers = self.sum.iter().chain(&self.products).map(split);
        std::iter::once([self.count, self.beyond]).chain(numbers)
    }

    /// From what [`Sums::words`] gave; `None` where no vectors have such sums.
    pub fn of_words(words: &[u64], dimensions: usize) -> Option<Self> {
        let (pairs, rest) = words.as_chunks::<2>();
        let [[count, beyond], numbers @ ..] = pairs else {
            return None;
        };
        if !rest.is_empty() || pairs.len() != Self::len_of(dimensions) || count.checked_add(*beyond)? > MOST_VECTORS {
            return None;
        }
        let number = |[low, high]: &[u64; 2]| (i128::from(*high as i64) << 64) | i128::from(*low);
        let mut sum: Vec<i128> = numbers.iter().map(number).collect();
        let products = sum.split_off(dimensions);
        let bound = BOUND as i128 * (1 << FRACTION);
        let within = |values: &[i128], each: i128| {
            let most = (each * i128::from(*count)) as u128;
            values.iter().all(|v| v.unsigned_abs() <= most)
        };
        (within(&sum, bound) && within(&products, bound * bound)).then_some(Self {
            count: *count,
            beyond: *beyond,
            sum,
            products,
        })
    }
}

/// Adds products with element `i` whose sums over `together` vectors fit 64 bits.
fn narrow(row: &mut [i128], fixed: &[i64], (d, together): (usize, usize), i: usize) {
    let mut some = vec![0i64; row.len()];
    for vectors in fixed.chunks(together.saturating_mul(d)) {
        some.fill(0);
        for vector in vectors.chunks_exact(d) {
            let a = vector[i];
            some.iter_mut().zip(&vector[i..]).for_each(|(sum, b)| *sum += a * b);
        }
        row.iter_mut().zip(&some).for_each(|(sum, v)| *sum += i128::from(*v));
    }
}

/// The same of numbers of which one product does not.
fn wide(row: &mut [i128], fixed: &[i64], d: usize, i: usize) {
    for vector in fixed.chunks_exact(d) {
        let a = i128::from(vector[i]);
        row.iter_mut()
            .zip(&vector[i..])
            .for_each(|(sum, b)| *sum += a * i128::from(*b));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(count: usize, scale: f64) -> Vec<f64> {
        let value = |i: usize| scale * ((i as f64 * 12.9898).sin() * 43758.5453).fract();
        (0..count * 3).map(value).collect()
    }

    #[test]
    fn any_order_and_any_parts_give_the_same_sums() {
        // Values near 0 that are summed in 64 bits, and values of which one product takes more.
        for scale in [1.0, 50.0, 30000.0] {
            let all = vectors(40, scale);
            let mut whole = Sums::new(3);
            whole.add(&all);
            for size in [1, 7, 40] {
                let mut parts: Vec<Sums> = all
                    .chunks(3 * size)
                    .map(|some| {
                        let mut sums = Sums::new(3);
                        sums.add(some);
                        sums
                    })
                    .collect();
                parts.reverse();
                let mut joined = Sums::new(3);
                parts.iter().for_each(|part| joined.join(part));
                assert!(joined == whole, "{scale}, parts of {size}");
            }
            let words: Vec<u64> = whole.words().flatten().collect();
            assert_eq!(Sums::of_words(&words, 3), Some(whole));
        }
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        let mut sums = Sums::new(2);
        sums.add(&[1.0, -2.0, 0.5, 100.0, -30000.0, 1e-7]);
        let one = 1i128 << 24;
        assert_eq!(sums.sum, [-29999 * one + one / 2, 98 * one + 2]);
        // (1 + 0.25 + 9e8), (-2 + 50 - 30000 * 2 ulp), (4 + 10000 + 4 ulp^2).
        let products = [
            900_000_001 * one * one + one * one / 4,
            48 * one * one - 60000 * one,
            10004 * one * one + 4,
        ];
        assert_eq!(sums.products, products);
    }

    #[test]
    fn what_is_not_a_number_is_lost_and_said() {
        let mut sums = Sums::new(1);
        sums.add(&[1.0, f64::NAN, f64::INFINITY, 32768.0, 3.0]);
        assert_eq!((sums.count, sums.beyond), (2, 3));
        let mut whole = Sums::new(1);
        whole.add(&[1.0, 3.0]);
        assert!(sums.moments().distance(&whole.moments()).is_nan());
        assert!(whole.moments().distance(&sums.moments()).is_nan());
        assert_eq!(whole.moments().distance(&whole.moments()), 0.0);
    }

    #[test]
    fn sums_that_no_vectors_have_are_refused() {
        let mut sums = Sums::new(1);
        sums.add(&[1.0, 3.0]);
        let words: Vec<u64> = sums.words().flatten().collect();
        for (at, value) in [(0, 1 << 60), (1, u64::MAX), (3, 1 << 40), (5, 1 << 62)] {
            let mut damaged = words.clone();
            damaged[at] = value;
            assert_eq!(Sums::of_words(&damaged, 1), None, "{at}");
        }
        assert_eq!(Sums::of_words(&words[..4], 1), None);
        assert_eq!(Sums::of_words(&words, 2), None);
    }
}
