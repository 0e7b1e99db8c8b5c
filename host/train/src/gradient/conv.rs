//! Convolution and its gradients, as matrix products over columns.
//!
//! Activations are `(channel, sample, row, col)`, so a row of the column matrix (one input channel seen through one tap) is,
//! where the output has the input's extents, the whole plane of that channel shifted, with zeros where it leaves an image.
//!
//! ```text
//! columns  (in * k * k, n * rows * cols)
//! forward  y = W columns + b
//! backward dW = dy columns^T,  dcolumns = W^T dy, shifted back and added
//! ```

use super::gemm::{gemm, tall, wide};
use std::ops::Range;

/// A convolution with its places in the flat parameters.
#[derive(Debug, Clone)]
pub struct Conv {
    /// `(out, in, k, k)`.
    pub weight: Range<usize>,
    /// `(out)`.
    pub bias: Option<Range<usize>>,
    /// `(channel, row, col)` of the input.
    pub input: [usize; 3],
    /// `(channel, row, col)` of the output.
    pub output: [usize; 3],
    /// Side of the kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zeros at the top and at the left; those at the bottom and right follow from the extents.
    pub pad: [usize; 2],
}

impl Conv {
    /// Rows of the column matrix.
    fn taps(&self) -> usize {
        self.input[0] * self.kernel * self.kernel
    }

    /// Columns of the column matrix.
    fn positions(&self, n: usize) -> usize {
        n * self.output[1] * self.output[2]
    }

    /// Elements of the column matrix; 0 where the input itself is it.
    pub fn columns_len(&self, n: usize) -> usize {
        if self.is_pointwise() {
            return 0;
        }
        self.taps() * self.positions(n)
    }

    fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.input[1..] == self.output[1..]
    }

    /// `y` of `n` samples.
    pub fn forward(&self, n: usize, params: &[f32], x: &[f32], y: &mut [f32], columns: &mut [f32]) {
        let (p, taps, outs) = (self.positions(n), self.taps(), self.output[0]);
        let columns = if self.is_pointwise() {
            x
        } else {
            self.gather(n, x, columns);
            &*columns
        };
        if let Some(bias) = &self.bias {
            for (plane, b) in y.chunks_exact_mut(p).zip(&params[bias.clone()]) {
                plane.fill(*b);
            }
        }
        let weight = (&params[self.weight.clone()], tall(taps));
        gemm(
            [p, outs, taps],
            (y, tall(p)),
            self.bias.is_some(),
            1.0,
            (columns, tall(p)),
            weight,
        );
    }

    /// Adds the gradients of the weights and, where it is asked for, of the input.
    #[allow(
        clippy::too_many_arguments,
        reason = "a pass has what goes in, what comes out, and their gradients"
    )]
    pub fn backward(
        &self,
        n: usize,
        params: &[f32],
        x: &[f32],
        dy: &[f32],
        dx: Option<&mut [f32]>,
        dparams: &mut [f32],
        columns: &mut [f32],
    ) {
        let (p, taps, outs) = (self.positions(n), self.taps(), self.output[0]);
        if let Some(bias) = &self.bias {
            for (d, plane) in dparams[bias.clone()].iter_mut().zip(dy.chunks_exact(p)) {
                *d += super::pointwise::sum(plane);
            }
        }
        let dweight = (&mut dparams[self.weight.clone()], tall(taps));
        let size = [taps, outs, p];
        if self.is_pointwise() {
            gemm(size, dweight, true, 1.0, (x, wide(p)), (dy, tall(p)));
        } else {
            self.gather(n, x, columns);
            gemm(size, dweight, true, 1.0, (columns, wide(p)), (dy, tall(p)));
        }
        let Some(dx) = dx else { return };
        let weight = (&params[self.weight.clone()], wide(taps));
        let size = [p, taps, outs];
        if self.is_pointwise() {
            gemm(size, (dx, tall(p)), true, 1.0, (dy, tall(p)), weight);
        } else {
            gemm(size, (columns, tall(p)), false, 1.0, (dy, tall(p)), weight);
            self.scatter(n, columns, dx);
        }
    }

    /// Fills the column matrix.
    fn gather(&self, n: usize, x: &[f32], columns: &mut [f32]) {
        let plane = n * self.input[1] * self.input[2];
        let rows = columns.chunks_exact_mut(self.positions(n)).take(self.taps());
        for (i, row) in rows.enumerate() {
            let (channel, tap) = (i / (self.kernel * self.kernel), i % (self.kernel * self.kernel));
            let x = &x[channel * plane..][..plane];
            if self.keeps_extents() {
                let (to, from, len) = self.overlap(tap, plane);
                row[..to].fill(0.0);
                row[to..to + len].copy_from_slice(&x[from..from + len]);
                row[to + len..].fill(0.0);
                self.clear_outside(tap, row);
            } else {
                self.each(n, tap, |at, from| row[at] = from.map_or(0.0, |from| x[from]));
            }
        }
    }

    /// Adds the columns' gradient to the input's; what lies outside the input is lost.
    fn scatter(&self, n: usize, columns: &mut [f32], dx: &mut [f32]) {
        let plane = n * self.input[1] * self.input[2];
        let rows = columns.chunks_exact_mut(self.positions(n)).take(self.taps());
        for (i, row) in rows.enumerate() {
            let (channel, tap) = (i / (self.kernel * self.kernel), i % (self.kernel * self.kernel));
            let dx = &mut dx[channel * plane..][..plane];
            if self.keeps_extents() {
                self.clear_outside(tap, row);
                let (to, from, len) = self.overlap(tap, plane);
                let pairs = dx[from..from + len].iter_mut().zip(&row[to..to + len]);
                pairs.for_each(|(d, r)| *d += r);
            } else {
                self.each(n, tap, |at, from| {
                    if let Some(from) = from {
                        dx[from] += row[at];
                    }
                });
            }
        }
    }

    fn keeps_extents(&self) -> bool {
        self.stride == 1 && self.input[1..] == self.output[1..]
    }

    /// Rows and columns from an output to what the tap reads.
    fn offset(&self, tap: usize) -> [isize; 2] {
        let at = |i: usize, pad: usize| i as isize - pad as isize;
        [at(tap / self.kernel, self.pad[0]), at(tap % self.kernel, self.pad[1])]
    }

    /// Of a shifted plane: first element written, first element read, how many.
    fn overlap(&self, tap: usize, plane: usize) -> (usize, usize, usize) {
        let [dy, dx] = self.offset(tap);
        let shift = dy * self.input[2] as isize + dx;
        let lost = shift.unsigned_abs().min(plane);
        let (to, from) = if shift < 0 { (lost, 0) } else { (0, lost) };
        (to, from, plane - lost)
    }

    /// Zeros where the tap reads outside the image, in a plane of outputs.
    fn clear_outside(&self, tap: usize, row: &mut [f32]) {
        let [dy, dx] = self.offset(tap);
        let (rows, cols) = (self.input[1], self.input[2]);
        let outside = |at: usize, by: isize, extent: usize| at.checked_add_signed(by).is_none_or(|at| at >= extent);
        if dy != 0 {
            for image in row.chunks_exact_mut(rows * cols) {
                for (y, line) in image.chunks_exact_mut(cols).enumerate() {
                    if outside(y, dy, rows) {
                        line.fill(0.0);
                    }
                }
            }
        }
        for x in (0..cols).filter(|x| outside(*x, dx, cols)) {
            row.iter_mut().skip(x).step_by(cols).for_each(|v| *v = 0.0);
        }
    }

    /// Every output of a plane with the input that the tap reads there, if it is inside.
    fn each(&self, n: usize, tap: usize, mut visit: impl FnMut(usize, Option<usize>)) {
        let [dy, dx] = self.offset(tap);
        let ([_, rows, cols], [_, out_rows, out_cols]) = (self.input, self.output);
        let inside =
            |at: usize, by: isize, extent: usize| (at * self.stride).checked_add_signed(by).filter(|at| *at < extent);
        for line in 0..n * out_rows {
            let (image, y) = (line / out_rows, inside(line % out_rows, dy, rows));
            for x in 0..out_cols {
                let from = y.zip(inside(x, dx, cols)).map(|(y, x)| (image * rows + y) * cols + x);
                visit(line * out_cols + x, from);
            }
        }
    }
}
