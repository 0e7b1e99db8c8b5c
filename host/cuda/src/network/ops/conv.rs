//! Convolutions: in f32 a block a tile, of f16 inputs on tensor cores a warp a tile.

use mote_graph::graph::ops;

use super::{NetworkOp, OnGpu};
use crate::CudaError;
use crate::network::fuse::KernelWork;
use crate::network::launches::Kernel;
use crate::network::pack::Weights;
use crate::network::program::Writing;
use crate::records::records;

records! {
    /// Of a convolution.
    Fields in C "NetworkConv" {
        /// f32 (tap, out), or fragments of f16.
        weights: u32,
        /// f32 a column.
        bias: u32,
        /// u32 a tap, or four channels: kernel row, column and channel.
        taps: u32,
        /// The kernel's side.
        side: u32,
        /// Stride.
        stride: u32,
        /// Zeros at the top.
        top: u32,
        /// Zeros at the left.
        left: u32,
        /// 1 for an input that is read through x2.
        zoom: u32,
        /// Steps of 16 taps.
        steps: u32,
        /// What 'second' is: nothing, of the output's shape, or a vector.
        addend: u32,
        /// What the sum with it is divided by.
        divisor: f32,
    }
}

impl OnGpu for ops::Conv {
    fn write(&self, step: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let [kernel, stride] = self.as_square().ok_or(CudaError::Unsupported(
            "a convolution whose kernel is no square, with strides that differ, dilation or groups",
        ))?;
        let outs = op.out.channels as usize;
        let weights = Weights {
            data: to.param(&self.weight),
            outs,
            channels: op.first.channels as usize,
            side: kernel,
        };
        if kernel > 15 || weights.channels >= 1 << 24 {
            return Err(CudaError::Unsupported(
                "a convolution of more than 15 rows or 2^24 channels",
            ));
        }
        let bias = to.vector(self.bias.as_ref(), outs);
        let on_tensor_cores = op.first.half != 0;
        let (at, taps) = if on_tensor_cores {
            let (halves, taps) = weights.fragments()?;
            (to.constants(&halves), taps)
        } else {
            let (rows, taps) = weights.rows();
            (to.constants(&rows), taps)
        };
        let (addend, divisor) = match step.addend {
            Some((id, divisor)) => (Some(to.tensor(id)), divisor),
            None => (None, 1.0),
        };
        let fields = Fields {
            weights: at,
            bias,
            taps: to.constants(&taps),
            side: kernel as u32,
            stride: stride as u32,
            top: self.pad[0] as u32,
            left: self.pad[1] as u32,
            zoom: step.zoom.into(),
            steps: taps.len() as u32 / if on_tensor_cores { 4 } else { 16 },
            addend: addend.map_or(0, |t| if t.positions() == 1 { 2 } else { 1 }),
            divisor: divisor as f32,
        };
        let op = NetworkOp {
            second: addend.unwrap_or_default(),
            ..op
        };
        let (positions, outs) = (op.out.positions(), outs as u64);
        let tiles = if on_tensor_cores {
            Kernel::TensorConv
        } else {
            Kernel::Conv
        };
        to.push(tiles(positions, outs), op.with(&fields));
        Ok(())
    }
}
