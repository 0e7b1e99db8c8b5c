//! Convolution as one matrix product over the whole batch.
//!
//! With the zero padding in place and rows laid end to end, the inputs that one kernel tap sees at every output are one
//! contiguous run of the plane, shifted. So the columns of the product are as many shifted copies of the planes as there
//! are taps, each a plain memory copy. Outputs are computed at `k - 1` more columns than there are, and dropped:
//!
//! ```text
//! (out, k * k * in) x (k * k * in, n * rows * padded_cols)
//! ```
//!
//! The tensor library's own convolution is kept for stride 2.

use candle_core::{Result, Tensor};

/// Largest matrix of shifted copies, in elements, so that it stays in a cache; larger batches are cut in two.
const MAX_COLUMNS: usize = 1 << 20;

/// Convolves `x`, `(n, in, row, col)`, with `weight`, `(out, in, k, k)`. `pad` is top, left, bottom, right.
pub(super) fn conv(x: &Tensor, weight: &Tensor, stride: usize, pad: [usize; 4]) -> Result<Tensor> {
    let (n, channels, rows, cols) = x.dims4()?;
    let (out, _, kernel, _) = weight.dims4()?;
    if rows * cols == 1 && kernel == 1 && pad == [0; 4] {
        // A linear layer over the batch.
        let y = x
            .reshape((n, channels))?
            .matmul(&weight.reshape((out, channels))?.t()?)?;
        return y.reshape((n, out, 1, 1));
    }
    if stride != 1 {
        return strided(x, weight, stride, pad);
    }
    let [top, left, bottom, right] = pad;
    let (padded_rows, padded_cols) = (rows + top + bottom, cols + left + right);
    let length = (padded_rows + 1 - kernel) * padded_cols;
    if n > 1 && n * length * channels * kernel * kernel > MAX_COLUMNS {
        let halves = [x.narrow(0, 0, n / 2)?, x.narrow(0, n / 2, n - n / 2)?];
        return Tensor::cat(
            &[
                conv(&halves[0], weight, stride, pad)?,
                conv(&halves[1], weight, stride, pad)?,
            ],
            0,
        );
    }
    let mut planes = x.transpose(0, 1)?;
    if left + right > 0 {
        planes = planes.pad_with_zeros(3, left, right)?;
    }
    // One more row, where the last taps run past the end.
    let spare = usize::from(kernel > 1);
    if top + bottom + spare > 0 {
        planes = planes.pad_with_zeros(2, top, bottom + spare)?;
    }
    let planes = planes
        .contiguous()?
        .reshape((channels, n, (padded_rows + spare) * padded_cols))?;
    let columns = if kernel == 1 {
        planes
    } else {
        let taps = (0..kernel * kernel).map(|tap| tap / kernel * padded_cols + tap % kernel);
        let shifted = taps
            .map(|start| planes.narrow(2, start, length))
            .collect::<Result<Vec<_>>>()?;
        Tensor::cat(&shifted, 0)?
    };
    let taps = kernel * kernel * channels;
    let weight = weight.permute((0, 2, 3, 1))?.contiguous()?.reshape((out, taps))?;
    let y = weight.matmul(&columns.reshape((taps, n * length))?)?;
    let y = y.reshape((out, n, padded_rows + 1 - kernel, padded_cols))?;
    y.narrow(3, 0, padded_cols + 1 - kernel)?.transpose(0, 1)?.contiguous()
}

fn strided(x: &Tensor, weight: &Tensor, stride: usize, [top, left, bottom, right]: [usize; 4]) -> Result<Tensor> {
    if top == left && top == bottom && top == right {
        return x.conv2d(weight, top, stride, 1, 1);
    }
    x.pad_with_zeros(2, top, bottom)?
        .pad_with_zeros(3, left, right)?
        .conv2d(weight, 0, stride, 1, 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn ramp(shape: (usize, usize, usize, usize)) -> Tensor {
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        let data: Vec<f64> = (0..count).map(|i| (i as f64 * 0.37).sin()).collect();
        Tensor::from_vec(data, shape, &Device::Cpu).unwrap()
    }

    #[test]
    fn agrees_with_the_tensor_library_s_own() {
        for (x, w, pad) in [
            ((3, 2, 5, 7), (4, 2, 3, 3), 1),
            ((1, 5, 4, 4), (2, 5, 1, 1), 0),
            ((2, 3, 1, 1), (4, 3, 1, 1), 0),
            ((2, 1, 3, 3), (1, 1, 3, 3), 0),
            // Cut into single samples.
            ((3, 64, 32, 32), (2, 64, 3, 3), 1),
        ] {
            let (x, w) = (ramp(x), ramp(w));
            let ours = conv(&x, &w, 1, [pad; 4]).unwrap();
            let theirs = x.conv2d(&w, pad, 1, 1, 1).unwrap();
            assert_eq!(ours.dims(), theirs.dims());
            let error = (ours - theirs)
                .unwrap()
                .abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f64>()
                .unwrap();
            assert!(error < 1e-13, "{error:e}");
        }
    }
}
