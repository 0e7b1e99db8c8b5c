//! Transposed convolution: the gradient of a convolution by its input, as an operator of its own.
//!
//! The columns are those of the convolution that goes the other way, from the output here to the input here.
//!
//! ```text
//! forward  columns = W^T x, shifted back and added to b
//! backward dx = W columns(dy),  dW = x columns(dy)^T
//! ```

use super::columns::Columns;
use super::{MAX_SIDE, check_weight, sum};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::{by_column, by_row};
use crate::ops::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};

/// Transposed 2-D convolution, as `torch.nn.ConvTranspose2d` has it. Pairs are (row, col).
///
/// An axis of `n` positions becomes `(n - 1) * stride + kernel - pad + output_pad`, with the pads of both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvTranspose {
    /// Key of `(in, out, row, col)`; `(in, out, col)` is accepted where the kernel has one row.
    pub weight: String,
    /// Key of `(out)`.
    pub bias: Option<String>,
    /// Taps of each axis.
    pub kernel: [usize; 2],
    /// Step between the places where the input's positions are added, 1 to 16.
    pub stride: [usize; 2],
    /// Outputs cut off at top, left, bottom, right, fewer than the kernel's side.
    pub pad: [usize; 4],
    /// Outputs appended at the bottom and at the right, fewer than the stride.
    pub output_pad: [usize; 2],
}

impl ConvTranspose {
    fn columns(&self, extents: &Extents<'_>) -> Columns {
        Columns {
            n: extents.n,
            input: extents.output,
            output: extents.inputs[0],
            kernel: self.kernel,
            stride: self.stride,
            dilation: [1; 2],
            pad: [self.pad[0], self.pad[1]],
        }
    }

    fn check_geometry(&self, inputs: &Inputs<'_>) -> Result<(), GraphError> {
        let Self {
            kernel,
            stride,
            pad,
            output_pad,
            ..
        } = *self;
        let within = |values: [usize; 2], most: usize| values.iter().all(|v| (1..=most).contains(v));
        inputs.require(
            within(kernel, MAX_SIDE),
            "the kernel",
            "1 to 64 a side",
            format!("{kernel:?}"),
        )?;
        inputs.require(within(stride, 16), "the stride", "1 to 16", format!("{stride:?}"))?;
        let cut = (0..4).all(|i| pad[i] < kernel[i % 2]);
        inputs.require(cut, "the padding", "below the kernel's side", format!("{pad:?}"))?;
        let added = (0..2).all(|i| output_pad[i] < stride[i]);
        inputs.require(
            added,
            "the output's padding",
            "below the stride",
            format!("{output_pad:?}"),
        )
    }
}

impl Operator for ConvTranspose {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let x = inputs.one()?;
        self.check_geometry(inputs)?;
        let w = &inputs.param(&self.weight)?.shape;
        check_weight(inputs, w, self.kernel, [&x[0].to_string(), "out"], |w| w[0] == x[0])?;
        if let Some(bias) = &self.bias {
            inputs.param_of_shape(bias, &w[1..2])?;
        }
        let outputs = |i: usize| {
            let all = (x[1 + i] - 1) * self.stride[i] + self.kernel[i] + self.output_pad[i];
            all.saturating_sub(self.pad[i] + self.pad[i + 2])
        };
        let [rows, cols] = [outputs(0), outputs(1)];
        inputs.require(
            rows > 0 && cols > 0,
            "the output",
            "larger than what the padding cuts off",
            format!("{rows}x{cols}"),
        )?;
        Ok([w[1], rows, cols])
    }

    fn params(&self) -> Vec<&str> {
        [&self.weight]
            .into_iter()
            .chain(&self.bias)
            .map(String::as_str)
            .collect()
    }

    /// A tap for every position of the input, whether its output is cut off or not.
    fn macs(&self, inputs: &[Shape], output: Shape) -> u64 {
        let taps = (output[0] * self.kernel[0] * self.kernel[1]) as u64;
        inputs[0].iter().map(|d| *d as u64).product::<u64>() * taps
    }

    fn scratch_len(&self, extents: &Extents<'_>) -> usize {
        let [_, rows, cols] = extents.inputs[0];
        self.columns(extents).taps() * extents.n * rows * cols
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let columns = self.columns(&pass.extents);
        let [ins, rows, cols] = pass.extents.inputs[0];
        let (p, taps) = (pass.extents.n * rows * cols, columns.taps());
        pass.y.fill(T::ZERO);
        let plane = pass.extents.plane();
        for (plane, b) in pass.y.chunks_exact_mut(plane).zip(pass.params.get(1)) {
            plane.fill(*b);
        }
        T::product(
            [p, taps, ins],
            (pass.scratch, by_column(p)),
            false,
            T::ONE,
            (pass.x[0], by_column(p)),
            (pass.params.get(0), by_row(taps)),
        );
        columns.scatter(pass.scratch, pass.y);
    }
}

impl Reverse for ConvTranspose {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let columns = self.columns(&pass.extents);
        let [ins, rows, cols] = pass.extents.inputs[0];
        let (p, taps) = (pass.extents.n * rows * cols, columns.taps());
        if let Some(by_bias) = pass.gradients.of(1) {
            for (d, plane) in by_bias.iter_mut().zip(pass.dy.chunks_exact(pass.extents.plane())) {
                *d += sum(plane);
            }
        }
        columns.gather(pass.dy, pass.scratch);
        let matrix = &*pass.scratch;
        if let Some(by_weight) = pass.gradients.of(0) {
            T::product(
                [taps, ins, p],
                (by_weight, by_column(taps)),
                true,
                T::ONE,
                (matrix, by_row(p)),
                (pass.x[0], by_column(p)),
            );
        }
        let dx = pass.slopes.of(0);
        if !dx.is_empty() {
            T::product(
                [p, ins, taps],
                (dx, by_column(p)),
                true,
                T::ONE,
                (matrix, by_column(p)),
                (pass.params.get(0), by_column(taps)),
            );
        }
    }
}
