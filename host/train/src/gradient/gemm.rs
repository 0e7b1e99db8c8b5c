//! Matrix products in f32: a checked face of the `gemm` crate, and the only unsafe code of training.

#![allow(unsafe_code)]

/// A matrix in a slice: element `(row, col)` is at `row * rows + col * cols`.
#[derive(Debug, Clone, Copy)]
pub struct Strides {
    /// Distance of rows.
    pub rows: usize,
    /// Distance of columns.
    pub cols: usize,
}

/// `(rows, cols)` with rows next to each other.
pub fn tall(rows: usize) -> Strides {
    Strides { rows: 1, cols: rows }
}

/// Columns next to each other.
pub fn wide(cols: usize) -> Strides {
    Strides { rows: cols, cols: 1 }
}

/// `out = keep * out + factor * a b`, with `a` of `m` by `k` and `b` of `k` by `n`, on this thread.
///
/// The bits depend on the processor's vector width, never on the number of threads.
pub fn gemm(
    [m, n, k]: [usize; 3],
    (out, out_strides): (&mut [f32], Strides),
    keep: bool,
    factor: f32,
    (a, a_strides): (&[f32], Strides),
    (b, b_strides): (&[f32], Strides),
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    let last = |s: Strides, rows: usize, cols: usize| (rows - 1) * s.rows + (cols - 1) * s.cols;
    assert!(last(out_strides, m, n) < out.len(), "the product does not fit");
    assert!(last(a_strides, m, k) < a.len(), "the first factor is cut short");
    assert!(last(b_strides, k, n) < b.len(), "the second factor is cut short");
    let step = |distance: usize| distance as isize;
    // SAFETY: the largest index of each matrix was just held to its slice, every index is a sum of non-negative products, `out` is
    // borrowed alone, and distances of `out` are distinct for distinct elements in every call (rows or columns are contiguous).
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            step(out_strides.cols),
            step(out_strides.rows),
            keep,
            a.as_ptr(),
            step(a_strides.cols),
            step(a_strides.rows),
            b.as_ptr(),
            step(b_strides.cols),
            step(b_strides.rows),
            1.0f32,
            factor,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_in_every_order_of_memory() {
        let (m, n, k) = (5, 7, 3);
        let a: Vec<f32> = (0..m * k).map(|i| i as f32 - 4.0).collect();
        let b: Vec<f32> = (0..k * n).map(|i| (i * i % 11) as f32).collect();
        for (a_strides, b_strides) in [(tall(m), wide(n)), (wide(k), tall(k))] {
            let mut out = vec![1.0; m * n];
            gemm(
                [m, n, k],
                (&mut out, wide(n)),
                true,
                2.0,
                (&a, a_strides),
                (&b, b_strides),
            );
            for row in 0..m {
                for col in 0..n {
                    let term = |i: usize| {
                        a[row * a_strides.rows + i * a_strides.cols] * b[i * b_strides.rows + col * b_strides.cols]
                    };
                    let sum: f32 = (0..k).map(term).sum();
                    assert_eq!(out[row * n + col], 1.0 + 2.0 * sum);
                }
            }
        }
    }
}
