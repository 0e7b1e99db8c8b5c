//! Matrix products on slices: a checked face of the `gemm` crates. This and what lies below is the only unsafe code of this crate.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod direct;
mod wide;

#[cfg(target_arch = "x86_64")]
pub use direct::Direct;
use gemm_common::Parallelism;
pub use wide::wide;

/// A matrix in a slice: element `(row, col)` is at `row * rows + col * cols`.
#[derive(Debug, Clone, Copy)]
pub struct Strides {
    /// Distance of rows.
    pub rows: usize,
    /// Distance of columns.
    pub cols: usize,
}

impl Strides {
    fn transposed(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
        }
    }

    /// The last element of a matrix of this size.
    fn last(self, rows: usize, cols: usize) -> usize {
        (rows - 1) * self.rows + (cols - 1) * self.cols
    }
}

/// A matrix of `rows` rows, a column after the other.
pub fn by_column(rows: usize) -> Strides {
    Strides { rows: 1, cols: rows }
}

/// A matrix of `cols` columns, a row after the other.
pub fn by_row(cols: usize) -> Strides {
    Strides { rows: cols, cols: 1 }
}

/// A type that matrices can be multiplied in.
pub trait Product: Sized + Copy {
    /// `out = keep * out + factor * a b` on this thread, with `a` of `m` by `k` and `b` of `k` by `n`. Nothing is done where a size is 0.
    ///
    /// The bits depend on the processor's vector width, never on the number of threads.
    fn product(
        size: [usize; 3],
        out: (&mut [Self], Strides),
        keep: bool,
        factor: Self,
        a: (&[Self], Strides),
        b: (&[Self], Strides),
    );

    /// A convolution without a column matrix: [`Direct::run`]. `false` where this type or processor has none.
    #[cfg(target_arch = "x86_64")]
    fn convolve(
        shape: &Direct,
        x: &[Self],
        weights: &[Self],
        scratch: &mut [Self],
        keep: bool,
        out: &mut [Self],
    ) -> bool {
        let _ = (shape, x, weights, scratch, keep, out);
        false
    }
}

macro_rules! product {
    ($type:ident, $function:path $(, $direct:path)?) => {
        impl Product for $type {
            fn product(
                [m, n, k]: [usize; 3],
                (out, out_strides): (&mut [Self], Strides),
                keep: bool,
                factor: Self,
                (a, a_strides): (&[Self], Strides),
                (b, b_strides): (&[Self], Strides),
            ) {
                // The library writes columns: a product by rows is the transposed one.
                if out_strides.cols < out_strides.rows {
                    return Self::product(
                        [n, m, k],
                        (out, out_strides.transposed()),
                        keep,
                        factor,
                        (b, b_strides.transposed()),
                        (a, a_strides.transposed()),
                    );
                }
                if m == 0 || n == 0 || k == 0 {
                    return;
                }
                assert!(out_strides.last(m, n) < out.len(), "the product does not fit");
                assert!(a_strides.last(m, k) < a.len(), "the first factor is cut short");
                assert!(b_strides.last(k, n) < b.len(), "the second factor is cut short");
                let step = |distance: usize| distance as isize;
                let multiply = $function();
                // SAFETY: the largest index of each matrix was just held to its slice, every index is a sum of non-negative
                // products, `out` is borrowed alone, and distances of `out` are distinct for distinct elements in every call
                // (rows or columns are contiguous).
                unsafe {
                    multiply(
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
                        1.0,
                        factor,
                        false,
                        false,
                        false,
                        Parallelism::None,
                    );
                }
            }

            $(
                #[cfg(target_arch = "x86_64")]
                fn convolve(
                    shape: &Direct,
                    x: &[Self],
                    weights: &[Self],
                    scratch: &mut [Self],
                    keep: bool,
                    out: &mut [Self],
                ) -> bool {
                    $direct(shape, x, weights, scratch, keep, out)
                }
            )?
        }
    };
}

product!(f32, gemm_f32::gemm::f32::get_gemm_fn);
product!(f64, gemm_f64::gemm::f64::get_gemm_fn, Direct::run);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Real;

    fn every_order_of_memory<T: Real>() {
        let (m, n, k) = (5, 7, 3);
        let a: Vec<T> = (0..m * k).map(|i| T::of(i as f64 - 4.0)).collect();
        let b: Vec<T> = (0..k * n).map(|i| T::of((i * i % 11) as f64)).collect();
        for (a_strides, b_strides) in [(by_column(m), by_row(n)), (by_row(k), by_column(k))] {
            for out_strides in [by_row(n), by_column(m)] {
                let mut out = vec![T::ONE; m * n];
                T::product(
                    [m, n, k],
                    (&mut out, out_strides),
                    true,
                    T::of(2.0),
                    (&a, a_strides),
                    (&b, b_strides),
                );
                for row in 0..m {
                    for col in 0..n {
                        let term = |i: usize| {
                            a[row * a_strides.rows + i * a_strides.cols] * b[i * b_strides.rows + col * b_strides.cols]
                        };
                        let sum: T = (0..k).map(term).sum();
                        let found = out[row * out_strides.rows + col * out_strides.cols];
                        assert_eq!(found, T::ONE + T::of(2.0) * sum);
                    }
                }
            }
        }
    }

    #[test]
    fn products_in_every_order_of_memory() {
        every_order_of_memory::<f32>();
        every_order_of_memory::<f64>();
    }
}
