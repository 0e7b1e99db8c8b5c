//! Loops that several operators share, in a form that the compiler can make wide.

use crate::Real;

/// Lanes of a sum, so that it is wide and its order does not depend on the processor.
const LANES: usize = 16;

/// Sum, in a fixed order.
#[inline(always)]
pub fn sum<T: Real>(values: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        lanes.iter_mut().zip(chunk).for_each(|(s, v)| *s += *v);
    }
    lanes.into_iter().sum::<T>() + rest.iter().copied().sum::<T>()
}

/// Sum of products, in a fixed order.
#[inline(always)]
pub fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        let pairs = a.iter().zip(b);
        lanes.iter_mut().zip(pairs).for_each(|(s, (a, b))| *s += *a * *b);
    }
    lanes.into_iter().sum::<T>() + a_rest.iter().zip(b_rest).map(|(a, b)| *a * *b).sum::<T>()
}

/// `to += from`.
pub fn add<T: Real>(to: &mut [T], from: &[T]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += *f);
}

/// Copies each element of lines of `cols` to its 2x2 window.
pub fn repeat_windows<T: Real>(cols: usize, rows: usize, x: &[T], y: &mut [T]) {
    for (image, to) in x.chunks_exact(rows * cols).zip(y.chunks_exact_mut(4 * rows * cols)) {
        for (i, v) in image.iter().enumerate() {
            let at = (i / cols) * 4 * cols + 2 * (i % cols);
            for at in [at, at + 1, at + 2 * cols, at + 2 * cols + 1] {
                to[at] = *v;
            }
        }
    }
}

/// Adds the sums of 2x2 windows, times `factor`. `rows` and `cols` are those of `y`.
pub fn gather_windows<T: Real>(cols: usize, rows: usize, factor: T, x: &[T], y: &mut [T]) {
    for (from, image) in x.chunks_exact(4 * rows * cols).zip(y.chunks_exact_mut(rows * cols)) {
        for (i, v) in image.iter_mut().enumerate() {
            let at = (i / cols) * 4 * cols + 2 * (i % cols);
            *v += factor * (from[at] + from[at + 1] + from[at + 2 * cols] + from[at + 2 * cols + 1]);
        }
    }
}

/// Adds `x`, times `factor`, to every element of its 2x2 window. `rows` and `cols` are those of `x`.
pub fn spread_windows<T: Real>(cols: usize, rows: usize, factor: T, x: &[T], y: &mut [T]) {
    for (image, to) in x.chunks_exact(rows * cols).zip(y.chunks_exact_mut(4 * rows * cols)) {
        for (i, v) in image.iter().enumerate() {
            let at = (i / cols) * 4 * cols + 2 * (i % cols);
            for at in [at, at + 1, at + 2 * cols, at + 2 * cols + 1] {
                to[at] += factor * *v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_every_length() {
        for n in 0..50 {
            let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
            assert_eq!(sum(&values), (0..n).sum::<usize>() as f32);
            assert_eq!(dot(&values, &values), (0..n).map(|i| i * i).sum::<usize>() as f32);
        }
    }
}
