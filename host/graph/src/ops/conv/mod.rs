//! 2-D convolution and its gradients, as matrix products over columns.
//!
//! Activations are `(channel, sample, row, col)`, so a row of the column matrix (one input channel seen through one tap) is,
//! where the output has the input's extents, the whole plane of that channel shifted, with zeros where it leaves an image.
//! Every group of channels has a matrix of its own.
//!
//! ```text
//! columns  (in * rows * cols of the kernel, n * rows * cols)
//! forward  y = W columns + b
//! backward dW = dy columns^T,  dcolumns = W^T dy, shifted back and added
//! ```

mod columns;
mod transposed;

pub use transposed::ConvTranspose;

use super::loops::sum;
use super::{Backward, Extents, Forward, Inputs, Operator, Reverse, Shape};
use crate::Real;
use crate::graph::GraphError;
use crate::matrix::{by_column, by_row};
use columns::Columns;

/// Largest side of a kernel, in taps.
pub(crate) const MAX_SIDE: usize = 64;

/// 2-D convolution with zero padding. A linear layer over channels has a kernel of 1, a 1-D signal `(channel, time)` is
/// `(channel, 1, time)`. Pairs are (row, col).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conv {
    /// Key of `(out, in / groups, row, col)`. `(out, in / groups, col)` is accepted where the kernel has one row,
    /// `(out, in / groups)` where it has one tap.
    pub weight: String,
    /// Key of `(out)`.
    pub bias: Option<String>,
    /// Taps of each axis.
    pub kernel: [usize; 2],
    /// Step between outputs: 1, 2, or the kernel's side without padding (a patch).
    pub stride: [usize; 2],
    /// Zeros added at top, left, bottom, right.
    pub pad: [usize; 4],
    /// Step between taps.
    pub dilation: [usize; 2],
    /// Parts of the channels that do not see each other; as many as channels make it depthwise.
    pub groups: usize,
}

impl Conv {
    /// A square kernel with one stride.
    #[must_use]
    pub fn square(
        weight: impl Into<String>,
        bias: Option<String>,
        kernel: usize,
        stride: usize,
        pad: [usize; 4],
    ) -> Self {
        Self {
            weight: weight.into(),
            bias,
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad,
            dilation: [1; 2],
            groups: 1,
        }
    }

    /// A linear layer over channels, the same at every position.
    #[must_use]
    pub fn linear(weight: impl Into<String>, bias: Option<String>) -> Self {
        Self::square(weight, bias, 1, 1, [0; 4])
    }

    /// A convolution of signals with as many zeros at both ends.
    #[must_use]
    pub fn signal(weight: impl Into<String>, bias: Option<String>, kernel: usize, stride: usize, pad: usize) -> Self {
        Self {
            kernel: [1, kernel],
            stride: [1, stride],
            ..Self::square(weight, bias, 1, 1, [0, pad, 0, pad])
        }
    }

    /// The kernel's side and the stride, where both axes have the same, without dilation and groups.
    #[must_use]
    pub fn as_square(&self) -> Option<[usize; 2]> {
        let ([kernel, cols], [stride, along]) = (self.kernel, self.stride);
        let plain = self.dilation == [1; 2] && self.groups == 1;
        (plain && kernel == cols && stride == along).then_some([kernel, stride])
    }

    /// Extent of the kernel on each axis, with the gaps between its taps.
    #[must_use]
    pub fn extent(&self) -> [usize; 2] {
        [0, 1].map(|i| (self.kernel[i] - 1) * self.dilation[i] + 1)
    }

    fn columns(&self, extents: &Extents<'_>) -> Columns {
        Columns {
            n: extents.n,
            input: [
                extents.inputs[0][0] / self.groups,
                extents.inputs[0][1],
                extents.inputs[0][2],
            ],
            output: extents.output,
            kernel: self.kernel,
            stride: self.stride,
            dilation: self.dilation,
            pad: [self.pad[0], self.pad[1]],
        }
    }

    /// Zero taps and paddings that nothing could hold are refused first, so that no product below overflows.
    fn check_geometry(&self, inputs: &Inputs<'_>) -> Result<(), GraphError> {
        let Self {
            kernel,
            stride,
            dilation,
            pad,
            ..
        } = *self;
        let small = |values: [usize; 2]| values.iter().all(|v| (1..=MAX_SIDE).contains(v));
        inputs.require(small(kernel), "the kernel", "1 to 64 a side", format!("{kernel:?}"))?;
        inputs.require(small(dilation), "the dilation", "1 to 64", format!("{dilation:?}"))?;
        let patch = |i: usize| stride[i] == kernel[i] && pad[i] == 0 && pad[i + 2] == 0;
        let steps = [0, 1].into_iter().all(|i| (1..=2).contains(&stride[i]) || patch(i));
        let expected = "1 or 2, or the kernel's side without padding";
        inputs.require(steps, "the stride", expected, format!("{stride:?}"))?;
        let extent = self.extent();
        let padded = pad.iter().enumerate().all(|(i, p)| *p < extent[i % 2].max(16));
        inputs.require(
            padded,
            "the padding",
            "below 16 or the kernel's extent",
            format!("{pad:?}"),
        )
    }
}

impl Operator for Conv {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        let x = inputs.one()?;
        self.check_geometry(inputs)?;
        let (kernel, pad) = (self.kernel, self.pad);
        inputs.divides("the groups", self.groups, x[0])?;
        let (ins, w) = (x[0] / self.groups, &inputs.param(&self.weight)?.shape);
        check_weight(inputs, w, kernel, ["out", &ins.to_string()], |w| w[1] == ins)?;
        inputs.divides("the groups", self.groups, w[0])?;
        if let Some(bias) = &self.bias {
            inputs.param_of_shape(bias, &w[..1])?;
        }
        let (rows, cols) = (x[1] + pad[0] + pad[2], x[2] + pad[1] + pad[3]);
        let extent = self.extent();
        inputs.require(
            rows >= extent[0] && cols >= extent[1],
            "the padded input",
            "at least the kernel",
            format!("{rows}x{cols}"),
        )?;
        let outputs = |size: usize, i: usize| (size - extent[i]) / self.stride[i] + 1;
        Ok([w[0], outputs(rows, 0), outputs(cols, 1)])
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
        let taps = (inputs[0][0] / self.groups * self.kernel[0] * self.kernel[1]) as u64;
        output.iter().map(|d| *d as u64).product::<u64>() * taps
    }

    /// The column matrix of a group; none where the input itself is it.
    fn scratch_len(&self, extents: &Extents<'_>) -> usize {
        let columns = self.columns(extents);
        if columns.are_the_input() {
            0
        } else {
            columns.taps() * extents.plane()
        }
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        let columns = self.columns(&pass.extents);
        let (p, taps, outs) = (
            pass.extents.plane(),
            columns.taps(),
            pass.extents.output[0] / self.groups,
        );
        let bias = pass.params.get(1);
        for (plane, b) in pass.y.chunks_exact_mut(p).zip(bias) {
            plane.fill(*b);
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(direct) = columns.direct(outs).filter(|_| self.groups == 1)
            && T::convolve(
                &direct,
                pass.x[0],
                pass.params.get(0),
                pass.scratch,
                !bias.is_empty(),
                pass.y,
            )
        {
            return;
        }
        let groups = pass
            .y
            .chunks_exact_mut(outs * p)
            .zip(pass.x[0].chunks_exact(columns.input_len()));
        for ((y, x), weight) in groups.zip(pass.params.get(0).chunks_exact(outs * taps)) {
            let matrix = columns.matrix(x, pass.scratch);
            T::product(
                [p, outs, taps],
                (y, by_column(p)),
                !bias.is_empty(),
                T::ONE,
                (matrix, by_column(p)),
                (weight, by_column(taps)),
            );
        }
    }
}

impl Reverse for Conv {
    fn backward<T: Real>(&self, mut pass: Backward<'_, T>) {
        let columns = self.columns(&pass.extents);
        let (p, taps, outs) = (
            pass.extents.plane(),
            columns.taps(),
            pass.extents.output[0] / self.groups,
        );
        let (x, dy, scratch) = (pass.x[0], pass.dy, pass.scratch);
        if let Some(by_bias) = pass.gradients.of(1) {
            for (d, plane) in by_bias.iter_mut().zip(dy.chunks_exact(p)) {
                *d += sum(plane);
            }
        }
        if let Some(by_weight) = pass.gradients.of(0) {
            let groups = dy.chunks_exact(outs * p).zip(x.chunks_exact(columns.input_len()));
            for ((dy, x), by_weight) in groups.zip(by_weight.chunks_exact_mut(outs * taps)) {
                let matrix = columns.matrix(x, scratch);
                T::product(
                    [taps, outs, p],
                    (by_weight, by_column(taps)),
                    true,
                    T::ONE,
                    (matrix, by_row(p)),
                    (dy, by_column(p)),
                );
            }
        }
        let dx = pass.slopes.of(0);
        if dx.is_empty() {
            return;
        }
        let groups = dx.chunks_exact_mut(columns.input_len()).zip(dy.chunks_exact(outs * p));
        for ((dx, dy), weight) in groups.zip(pass.params.get(0).chunks_exact(outs * taps)) {
            let (size, weight) = ([p, taps, outs], (weight, by_row(taps)));
            if columns.are_the_input() {
                T::product(size, (dx, by_column(p)), true, T::ONE, (dy, by_column(p)), weight);
            } else {
                T::product(size, (scratch, by_column(p)), false, T::ONE, (dy, by_column(p)), weight);
                columns.scatter(scratch, dx);
            }
        }
    }
}

/// Refuses a weight whose shape is not two axes of channels, named `channels` and checked by `fits`, and the kernel's.
fn check_weight(
    inputs: &Inputs<'_>,
    shape: &[usize],
    kernel: [usize; 2],
    channels: [&str; 2],
    fits: impl Fn(&[usize]) -> bool,
) -> Result<(), GraphError> {
    let taps = match shape {
        [_, _, taps @ ..] if taps.len() == 2 => taps == kernel,
        [_, _, col] => kernel == [1, *col],
        [_, _] => kernel == [1; 2],
        _ => false,
    };
    let expected = format!("[{}, {}, {}, {}]", channels[0], channels[1], kernel[0], kernel[1]);
    inputs.require(
        taps && fits(shape),
        "the weight's shape",
        &expected,
        format!("{shape:?}"),
    )
}
