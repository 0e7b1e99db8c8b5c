//! The lower factor of a symmetric matrix.

/// `L` with `L L^T = a`, in place of the lower half of `a`, `n` by `n`, row by row. `pivot` gives the square of a diagonal element from what
/// is left of it; where it gives none, neither does this.
pub fn factor(a: &mut [f64], n: usize, pivot: impl Fn(f64) -> Option<f64>) -> Option<()> {
    for i in 0..n {
        let (above, rest) = a.split_at_mut(i * n);
        let row = &mut rest[..i + 1];
        for j in 0..i {
            let other = &above[j * n..][..j + 1];
            let sum: f64 = row[..j].iter().zip(other).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - sum) / other[j];
        }
        let sum: f64 = row[..i].iter().map(|v| v * v).sum();
        row[i] = libm::sqrt(pivot(row[i] - sum)?);
    }
    Some(())
}
