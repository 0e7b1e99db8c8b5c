//! Convolutions, with weights for all timesteps or for groups of them.

use mote_runtime::internals::ops::{Conv, Readout, Weights};
use mote_runtime::internals::tensor::Dtype;

use super::{Built, DeviceOp, DeviceTensor, Factor, Kernel, OnGpu, warps};
use crate::builder::Builder;
use crate::pack::{Packed, Shape};
use crate::records::records;

records! {
    /// Of a convolution. Tables of a readout hold those of all groups of timesteps.
    Fields in C "ConvFields" {
        /// Weights; of 16-bit ones the high bytes.
        weights: u32,
        /// Low bytes of 16-bit weights.
        low_weights: u32,
        /// i64 a column; f32 in f16 models.
        bias: u32,
        /// A factor a column.
        factors: u32,
        /// u32 a quad: kernel row, column and first channel.
        taps: u32,
        /// u32 a group of timesteps: the first of them.
        starts: u32,
        /// Groups of timesteps, each with weights of its own; 0 and 1 are all the same.
        groups: u32,
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
        /// Steps of 32 taps.
        steps: u32,
        /// Factor of the addend.
        addend: Factor,
        /// Factor of the addend in f16 models.
        addend_f16: f32,
    }
}

/// Output channels of a warp's share of a convolution, about: as many times is every element of the input read for each of its taps.
const SHARE: usize = 32;

/// Groups of timesteps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Groups {
    count: usize,
    /// Place of their first timesteps among the constants.
    starts: u32,
}

impl Groups {
    /// All timesteps in one.
    pub(super) const ONE: Self = Self { count: 1, starts: 0 };
}

impl OnGpu for Conv {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        build(self, Groups::ONE, None, b)
    }

    fn refused(&self) -> Option<&'static str> {
        refused(self)
    }
}

impl OnGpu for Readout {
    fn build(&self, b: &mut Builder<'_>) -> Option<Vec<Built>> {
        let count = usize::from(self.groups);
        let starts = b.table::<u32>(self.first, count)?;
        build(&self.conv, Groups { count, starts }, None, b)
    }

    fn refused(&self) -> Option<&'static str> {
        refused(&self.conv)
    }
}

/// Kernels here have one side and one stride.
pub(super) fn refused(c: &Conv) -> Option<&'static str> {
    (!c.is_square()).then_some("conv with a kernel or strides that are not square, or a stride above 2")
}

/// A convolution of its source, or of `input`, and what is made for it before.
pub(super) fn build(c: &Conv, groups: Groups, input: Option<DeviceTensor>, b: &mut Builder<'_>) -> Option<Vec<Built>> {
    let mut op = b.op(c.out)?;
    b.source(&c.source, &mut op)?;
    op.first = input.unwrap_or(op.first);
    let mut fields = Fields {
        groups: groups.count as u32,
        starts: groups.starts,
        side: c.kernel.cols().into(),
        stride: c.stride.cols().into(),
        top: c.pad[0].into(),
        left: c.pad[1].into(),
        zoom: c.upsample.into(),
        ..Fields::default()
    };
    if let Some(addend) = c.addend {
        op.third = b.tensor(addend.tensor)?;
        op.has_third = 1;
        fields.addend = addend.requant.into();
        fields.addend_f16 = addend.factor;
    }
    let (side, outs) = (usize::from(c.kernel.cols()), op.out.channels as usize);
    let channels = (op.first.channels + op.second.channels) as usize;
    if let Weights::F16 { data, bias } = c.weights {
        fields.weights = b.table::<u16>(data, groups.count * side * side * channels * outs)?;
        fields.bias = b.table::<f32>(bias, groups.count * outs)?;
        return Some(vec![Built::new(Kernel::ConvF16, op.out.len(), op.with(&fields))]);
    }
    let mut built = vec![];
    // Elements of two activations that are read more than once are brought to their common scale once.
    if b.joins() && op.parts == 2 && side * side * outs.div_ceil(SHARE) > 1 {
        let join = joined(&op, b);
        op = DeviceOp {
            first: join.op.out,
            second: DeviceTensor::default(),
            parts: 1,
            join: [Factor::default(); 2],
            ..op
        };
        built.push(join);
    }
    let words = op.parts == 2 || op.first.dtype != Dtype::I8 as u32;
    let wide = matches!(c.weights, Weights::W16 { .. });
    // int8 inputs of int16 weights are read as 16 bits, their zero point removed.
    let zero = if words || wide { 0 } else { op.first.zero };
    let shape = Shape {
        side,
        channels,
        outs,
        groups: groups.count,
    };
    let packed = Packed::new(b.model(), &c.weights, shape, zero)?;
    fields.steps = packed.steps;
    fields.low_weights = packed.low.as_ref().map_or(0, |low| b.push(low));
    fields.weights = b.push(&packed.high);
    fields.bias = b.push(&packed.bias);
    fields.factors = b.push(&packed.factors);
    fields.taps = b.push(&packed.taps);
    // Sixteen positions by four (two) blocks of eight channels a warp.
    let (kernel, columns) = match (wide, words) {
        (true, _) => (Kernel::ConvWide, 16),
        (false, true) => (Kernel::ConvWords, 32),
        (false, false) => (Kernel::ConvBytes, 32),
    };
    let items = op.out.positions().div_ceil(16) * u64::from(op.out.channels).div_ceil(columns);
    built.push(Built::new(kernel, warps(items), op.with(&fields)));
    Some(built)
}

/// What brings the two activations that `conv` reads to their common scale.
fn joined(conv: &DeviceOp, b: &mut Builder<'_>) -> Built {
    let out = b.behind(DeviceTensor {
        channels: conv.first.channels + conv.second.channels,
        dtype: Dtype::I16 as u32,
        zero: 0,
        ..conv.first
    });
    let join = DeviceOp {
        out,
        first: conv.first,
        second: conv.second,
        parts: 2,
        join: conv.join,
        ..DeviceOp::default()
    };
    Built::new(Kernel::Join, out.len(), join)
}
