//! Element by element: SiLU, sums, resampling; and loops that the compiler can make wide.

/// Lanes of a sum, so that it is wide and its order does not depend on the processor.
const LANES: usize = 16;

/// Sum, in a fixed order.
pub fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for chunk in whole {
        lanes.iter_mut().zip(chunk).for_each(|(s, v)| *s += v);
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// Sum of products, in a fixed order.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        let pairs = a.iter().zip(b);
        lanes.iter_mut().zip(pairs).for_each(|(s, (a, b))| *s += a * b);
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// `to += from`.
pub fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(t, f)| *t += f);
}

/// `1 / (1 + e^-x)` without a branch; relative error below 4e-7.
pub fn sigmoid(x: f32) -> f32 {
    /// 1.5 * 2^23: adding and subtracting it rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let x = (-x).clamp(-80.0, 80.0);
    let n = (x * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * (355.0 / 512.0)) - n * -2.121_944_4e-4;
    let mut p = 1.0 / 720.0;
    for c in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        p = p * r + c;
    }
    1.0 / (1.0 + p * f32::from_bits(((n as i32 + 127) as u32) << 23))
}

/// `y = x s` with `s = sigmoid(x)`, which is kept.
pub fn silu(x: &[f32], s: &mut [f32], y: &mut [f32]) {
    for ((x, s), y) in x.iter().zip(s).zip(y) {
        *s = sigmoid(*x);
        *y = x * *s;
    }
}

/// Adds SiLU's gradient.
pub fn silu_backward(x: &[f32], s: &[f32], dy: &[f32], dx: &mut [f32]) {
    for (((x, s), dy), dx) in x.iter().zip(s).zip(dy).zip(dx) {
        *dx += dy * s * (1.0 + x * (1.0 - s));
    }
}

/// Nearest-neighbour x2 of lines of `cols`.
pub fn upsample(cols: usize, rows: usize, x: &[f32], y: &mut [f32]) {
    for (image, to) in x.chunks_exact(rows * cols).zip(y.chunks_exact_mut(4 * rows * cols)) {
        for (i, v) in image.iter().enumerate() {
            let at = (i / cols) * 4 * cols + 2 * (i % cols);
            for at in [at, at + 1, at + 2 * cols, at + 2 * cols + 1] {
                to[at] = *v;
            }
        }
    }
}

/// Sums of 2x2 windows times `factor`, added: the mean, and the gradient of [`upsample`]. `rows` and `cols` are those of `y`.
pub fn gather_windows(cols: usize, rows: usize, factor: f32, x: &[f32], y: &mut [f32]) {
    for (from, image) in x.chunks_exact(4 * rows * cols).zip(y.chunks_exact_mut(rows * cols)) {
        for (i, v) in image.iter_mut().enumerate() {
            let at = (i / cols) * 4 * cols + 2 * (i % cols);
            *v += factor * (from[at] + from[at + 1] + from[at + 2 * cols] + from[at + 2 * cols + 1]);
        }
    }
}

/// Spreads `x` over 2x2 windows times `factor`, added: the gradient of the mean. `rows` and `cols` are those of `x`.
pub fn spread_windows(cols: usize, rows: usize, factor: f32, x: &[f32], y: &mut [f32]) {
    for (image, to) in x.chunks_exact(rows * cols).zip(y.chunks_exact_mut(4 * rows * cols)) {
        for (i, v) in image.iter().enumerate() {
            let at = (i / cols) * 4 * cols + 2 * (i % cols);
            for at in [at, at + 1, at + 2 * cols, at + 2 * cols + 1] {
                to[at] += factor * v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sigmoid_is_close() {
        for i in -4000..4000 {
            let x = i as f32 * 0.01;
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) / exact - 1.0).abs() < 4e-7, "{x}");
        }
        assert_eq!((sigmoid(1e30), sigmoid(f32::NEG_INFINITY) < 1e-30), (1.0, true));
    }

    #[test]
    fn sums_of_every_length() {
        for n in 0..50 {
            let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
            assert_eq!(sum(&values), (0..n).sum::<usize>() as f32);
            assert_eq!(dot(&values, &values), (0..n).map(|i| i * i).sum::<usize>() as f32);
        }
    }
}
