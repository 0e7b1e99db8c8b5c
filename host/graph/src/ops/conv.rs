//! 2-D convolution and its gradients, as matrix products over columns.
//!
//! Activations are `(channel, sample, row, col)`, so a row of the column matrix (one input channel seen through one tap) is,
//! where the output has the input's extents, the whole plane of that channel shifted, with zeros where it leaves an image.
//!
//! ```text
//! columns  (in * k * k, n * rows * cols)
//! forward  y = W columns + b
//! backward dW = dy columns^T,  dcolumns = W^T dy, shifted back and added
//! ```

use super::loops::sum;
use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::{by_column, by_row};

/// 2-D convolution with zero padding; a linear layer over channels is `kernel = 1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv {
    /// Key of `(out, in, kernel, kernel)`; `(out, in)` is accepted for `kernel = 1`.
    pub weight: String,
    /// Key of `(out)`.
    pub bias: Option<String>,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step between outputs, 1 or 2.
    pub stride: usize,
    /// Zeros added at top, left, bottom, right.
    pub pad: [usize; 4],
}

impl Operator for Conv {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let x = inputs.one()?;
        let Self {
            kernel, stride, pad, ..
        } = *self;
        let w = &inputs.param(&self.weight)?.shape;
        let fits = match w.len() {
            4 => w[1..] == [x[0], kernel, kernel],
            2 => kernel == 1 && w[1] == x[0],
            _ => false,
        };
        let expected = format!("[out, {}, {kernel}, {kernel}]", x[0]);
        inputs.require(fits, "the weight's shape", &expected, format!("{w:?}"))?;
        inputs.require(kernel > 0 && (1..=2).contains(&stride), "the stride", "1 or 2", stride)?;
        inputs.require(
            pad.iter().all(|p| *p < 16),
            "the padding",
            "below 16",
            format!("{pad:?}"),
        )?;
        if let Some(bias) = &self.bias {
            inputs.param_of_shape(bias, &w[..1])?;
        }
        let (rows, cols) = (x[1] + pad[0] + pad[2], x[2] + pad[1] + pad[3]);
        inputs.require(
            rows >= kernel && cols >= kernel,
            "the padded input",
            "at least the kernel",
            format!("{rows}x{cols}"),
        )?;
        Ok([w[0], (rows - kernel) / stride + 1, (cols - kernel) / stride + 1])
    }

    fn params(&self) -> Vec<&str> {
        [&self.weight]
            .into_iter()
            .chain(&self.bias)
            .map(String::as_str)
            .collect()
    }

    /// Taps that fall on padding count, as in every published figure.
    fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        let taps = inputs[0][0] as u64 * (self.kernel as u64).pow(2);
        output.iter().map(|d| *d as u64).product::<u64>() * taps
    }

    /// The column matrix; none where the input itself is it.
    fn scratch_len(&self, extents: &Extents<'_>) -> usize {
        let columns = Columns::of(self, extents);
        if columns.are_the_input() {
            0
        } else {
            columns.taps() * extents.plane()
        }
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let columns = Columns::of(self, &pass.extents);
        let (p, taps, outs) = (pass.extents.plane(), columns.taps(), pass.extents.output[0]);
        let (bias, y) = (pass.params.get(1), pass.y);
        for (plane, b) in y.chunks_exact_mut(p).zip(bias) {
            plane.fill(*b);
        }
        let matrix = if columns.are_the_input() {
            pass.x[0]
        } else {
            columns.gather(pass.x[0], pass.scratch);
            &*pass.scratch
        };
        T::product(
            [p, outs, taps],
            (y, by_column(p)),
            !bias.is_empty(),
            T::ONE,
            (matrix, by_column(p)),
            (pass.params.get(0), by_column(taps)),
        );
    }
}

impl Reverse for Conv {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let columns = Columns::of(self, &pass.extents);
        let (p, taps, outs) = (pass.extents.plane(), columns.taps(), pass.extents.output[0]);
        let (x, dy, scratch) = (pass.x[0], pass.dy, pass.scratch);
        if let Some(by_bias) = pass.gradients.of(1) {
            for (d, plane) in by_bias.iter_mut().zip(dy.chunks_exact(p)) {
                *d += sum(plane);
            }
        }
        if let Some(by_weight) = pass.gradients.of(0) {
            let matrix = if columns.are_the_input() {
                x
            } else {
                columns.gather(x, scratch);
                &*scratch
            };
            T::product(
                [taps, outs, p],
                (by_weight, by_column(taps)),
                true,
                T::ONE,
                (matrix, by_row(p)),
                (dy, by_column(p)),
            );
        }
        let dx = pass.slopes.of(0);
        if dx.is_empty() {
            return;
        }
        let (size, weight) = ([p, taps, outs], (pass.params.get(0), by_row(taps)));
        if columns.are_the_input() {
            T::product(size, (dx, by_column(p)), true, T::ONE, (dy, by_column(p)), weight);
        } else {
            T::product(size, (scratch, by_column(p)), false, T::ONE, (dy, by_column(p)), weight);
            columns.scatter(scratch, dx);
        }
    }
}

/// How the column matrix follows from the input.
struct Columns {
    n: usize,
    input: Shape,
    output: Shape,
    kernel: usize,
    stride: usize,
    /// Zeros at the top and at the left; those at the bottom and right follow from the extents.
    pad: [usize; 2],
}

impl Columns {
    fn of(conv: &Conv, extents: &Extents<'_>) -> Self {
        Self {
            n: extents.n,
            input: extents.inputs[0],
            output: extents.output,
            kernel: conv.kernel,
            stride: conv.stride,
            pad: [conv.pad[0], conv.pad[1]],
        }
    }

    /// Rows of the matrix.
    fn taps(&self) -> usize {
        self.input[0] * self.kernel * self.kernel
    }

    fn are_the_input(&self) -> bool {
        self.kernel == 1 && self.keeps_extents()
    }

    fn keeps_extents(&self) -> bool {
        self.stride == 1 && self.input[1..] == self.output[1..]
    }

    /// Elements of an input's channel, and of a row of the matrix.
    fn planes(&self) -> [usize; 2] {
        [self.input, self.output].map(|[_, rows, cols]| self.n * rows * cols)
    }

    /// Fills the column matrix.
    fn gather<T: Real>(&self, x: &[T], columns: &mut [T]) {
        let [plane, row] = self.planes();
        let rows = columns.chunks_exact_mut(row).take(self.taps());
        for (i, row) in rows.enumerate() {
            let (channel, tap) = (i / (self.kernel * self.kernel), i % (self.kernel * self.kernel));
            let x = &x[channel * plane..][..plane];
            if self.keeps_extents() {
                let (to, from, len) = self.overlap(tap, plane);
                row[..to].fill(T::ZERO);
                row[to..to + len].copy_from_slice(&x[from..from + len]);
                row[to + len..].fill(T::ZERO);
                self.clear_outside(tap, row);
            } else {
                self.each(tap, |at, from| row[at] = from.map_or(T::ZERO, |from| x[from]));
            }
        }
    }

    /// Adds the columns' gradient to the input's; what lies outside the input is lost.
    fn scatter<T: Real>(&self, columns: &mut [T], dx: &mut [T]) {
        let [plane, row] = self.planes();
        let rows = columns.chunks_exact_mut(row).take(self.taps());
        for (i, row) in rows.enumerate() {
            let (channel, tap) = (i / (self.kernel * self.kernel), i % (self.kernel * self.kernel));
            let dx = &mut dx[channel * plane..][..plane];
            if self.keeps_extents() {
                self.clear_outside(tap, row);
                let (to, from, len) = self.overlap(tap, plane);
                let pairs = dx[from..from + len].iter_mut().zip(&row[to..to + len]);
                pairs.for_each(|(d, r)| *d += *r);
            } else {
                self.each(tap, |at, from| {
                    if let Some(from) = from {
                        dx[from] += row[at];
                    }
                });
            }
        }
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
    fn clear_outside<T: Real>(&self, tap: usize, row: &mut [T]) {
        let [dy, dx] = self.offset(tap);
        let (rows, cols) = (self.input[1], self.input[2]);
        let outside = |at: usize, by: isize, extent: usize| at.checked_add_signed(by).is_none_or(|at| at >= extent);
        if dy != 0 {
            for image in row.chunks_exact_mut(rows * cols) {
                for (y, line) in image.chunks_exact_mut(cols).enumerate() {
                    if outside(y, dy, rows) {
                        line.fill(T::ZERO);
                    }
                }
            }
        }
        for x in (0..cols).filter(|x| outside(*x, dx, cols)) {
            row.iter_mut().skip(x).step_by(cols).for_each(|v| *v = T::ZERO);
        }
    }

    /// Every output of a plane with the input that the tap reads there, if it is inside.
    fn each(&self, tap: usize, mut visit: impl FnMut(usize, Option<usize>)) {
        let [dy, dx] = self.offset(tap);
        let ([_, rows, cols], [_, out_rows, out_cols]) = (self.input, self.output);
        let inside =
            |at: usize, by: isize, extent: usize| (at * self.stride).checked_add_signed(by).filter(|at| *at < extent);
        for line in 0..self.n * out_rows {
            let (image, y) = (line / out_rows, inside(line % out_rows, dy, rows));
            for x in 0..out_cols {
                let from = y.zip(inside(x, dx, cols)).map(|(y, x)| (image * rows + y) * cols + x);
                visit(line * out_cols + x, from);
            }
        }
    }
}
