//! 2-D convolution.

use super::{Inputs, Operator, Shape};
use crate::graph::GraphError;

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
}
