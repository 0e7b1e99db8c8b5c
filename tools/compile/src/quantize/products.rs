//! Sums of products in f32 whose bits do not depend on the machine: each is one sum in the order of positions.

/// Rows and columns of the block of sums that is held at once.
const TILE: [usize; 2] = [4, 8];

/// `x^T x` of columns x `(position, tap)`: `(tap, tap)`.
pub fn products(columns: &[f32], taps: usize) -> Vec<f32> {
    let mut result = vec![0.0; taps * taps];
    let whole = |n: usize, side: usize| n / side * side;
    for i in (0..whole(taps, TILE[0])).step_by(TILE[0]) {
        for j in (0..whole(taps, TILE[1])).step_by(TILE[1]) {
            tile([i, j], columns, taps, &mut result);
        }
    }
    let plain = |i: usize, j: usize| columns.chunks_exact(taps).map(|c| c[i] * c[j]).sum();
    for i in 0..taps {
        let first = if i < whole(taps, TILE[0]) {
            whole(taps, TILE[1])
        } else {
            0
        };
        for j in first..taps {
            result[i * taps + j] = plain(i, j);
        }
    }
    result
}

#[inline(always)]
fn tile([i, j]: [usize; 2], columns: &[f32], taps: usize, to: &mut [f32]) {
    let mut sums = [[0.0f32; TILE[1]]; TILE[0]];
    for column in columns.chunks_exact(taps) {
        let (left, right) = (&column[i..i + TILE[0]], &column[j..j + TILE[1]]);
        // Counted loops: no call is left in them, whatever the compiler joins.
        for r in 0..TILE[0] {
            for c in 0..TILE[1] {
                sums[r][c] += left[r] * right[c];
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        to[(i + r) * taps + j..][..TILE[1]].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_every_width_are_those_of_the_definition() {
        for taps in 1..=21 {
            let columns: Vec<f32> = (0..5 * taps).map(|i| (i * i % 13) as f32 - 6.0).collect();
            let found = products(&columns, taps);
            for i in 0..taps {
                for j in 0..taps {
                    let sum: f32 = (0..5).map(|p| columns[p * taps + i] * columns[p * taps + j]).sum();
                    assert_eq!(found[i * taps + j], sum, "{i}, {j} of {taps}");
                }
            }
        }
    }
}
