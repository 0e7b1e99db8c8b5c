//! From the operators of a model file to those of the kernels.

use mote_runtime::Model;
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::blob::op::{
    Attention, AvgPool, ClassEmbed, Conv, GroupNorm, Input, NormConv, Op, Readout, Silu, Softmax, Source, TimeProj,
    Upsample, Weights,
};
use mote_runtime::blob::tensor::{Dtype, Tensor, TensorId};
use mote_runtime::numeric::requant::Requant;

use super::pack::{Constants, Packed, Shape};
use super::program::{DeviceOp, DeviceTensor, Factor, kind};

/// Output channels of a warp's share of a convolution, about: as many times is every element of the input read for each of its taps.
const SHARE: usize = 32;

/// Builds the operators of a model in their order.
pub(super) struct Builder<'m> {
    model: &'m Model<'m>,
    join: bool,
    arena_bytes: u64,
    constants: Constants,
}

impl<'m> Builder<'m> {
    pub(super) fn new(model: &'m Model<'m>, join: bool) -> Self {
        Self {
            model,
            join,
            arena_bytes: model.header().arena_bytes.into(),
            constants: Constants::default(),
        }
    }

    /// Bytes of a sample's arena, and the constants.
    pub(super) fn finish(self) -> (u64, Vec<u8>) {
        (self.arena_bytes, self.constants.bytes)
    }

    /// What an operator of the file is here: one, and what is made for it before.
    pub(super) fn ops(&mut self, op: &Op) -> Option<(Option<DeviceOp>, DeviceOp)> {
        if let Op::NormConv(NormConv { norm, conv }) = op {
            let whole = self.whole(norm)?;
            let mut first = self.op(&Op::GroupNorm(*norm))?;
            let mut second = self.op(&Op::Conv(*conv))?;
            (first.out, second.first) = (whole, whole);
            return Some((Some(first), second));
        }
        let device = self.op(op)?;
        Some(match op {
            Op::Conv(_) | Op::Readout(_) if self.is_joined(&device) => {
                let (first, second) = self.joined(device);
                (Some(first), second)
            }
            _ => (None, device),
        })
    }

    /// Whether a convolution reads the elements of two integer activations more than once, which have to be brought to a common scale.
    fn is_joined(&self, conv: &DeviceOp) -> bool {
        let (side, outs) = (conv.count[0] as usize, conv.out.shape[2] as usize);
        self.join && conv.parts == 2 && conv.floats == 0 && side * side * outs.div_ceil(SHARE) > 1
    }

    /// One operator that brings the two activations to their common scale, and the convolution of what it makes.
    fn joined(&mut self, conv: DeviceOp) -> (DeviceOp, DeviceOp) {
        let [rows, cols, channels] = conv.first.shape;
        let out = self.behind(DeviceTensor {
            shape: [rows, cols, channels + conv.second.shape[2]],
            dtype: Dtype::I16 as u32,
            ..DeviceTensor::default()
        });
        let join = DeviceOp {
            kind: kind::JOIN,
            out,
            first: conv.first,
            second: conv.second,
            parts: 2,
            factor: [conv.factor[0], conv.factor[1], Factor::default(), Factor::default()],
            ..DeviceOp::default()
        };
        let conv = DeviceOp {
            first: out,
            second: DeviceTensor::default(),
            parts: 1,
            ..conv
        };
        (join, conv)
    }

    /// Puts what lives from one operator to the next behind the arena.
    fn behind(&mut self, tensor: DeviceTensor) -> DeviceTensor {
        let offset = self.model.header().arena_bytes.next_multiple_of(16);
        let bytes = tensor.shape.map(u64::from).iter().product::<u64>() * (1 + u64::from(tensor.dtype));
        self.arena_bytes = self.arena_bytes.max(u64::from(offset) + bytes);
        DeviceTensor { offset, ..tensor }
    }

    fn op(&mut self, op: &Op) -> Option<DeviceOp> {
        let model = self.model;
        let device = DeviceOp {
            floats: (model.header().arithmetic == Arithmetic::F16).into(),
            out: self.tensor(op.io().out())?,
            parts: 1,
            ..DeviceOp::default()
        };
        let channels = device.out.shape[2] as usize;
        Some(match op {
            Op::Input(Input {
                requant,
                offset,
                scale,
                shift,
                ..
            }) => DeviceOp {
                kind: kind::INPUT,
                factor: factors([*requant]),
                real: [*scale, *shift],
                count: [*offset as u32, 0, 0, 0, 0, 0],
                ..device
            },
            Op::TimeProj(TimeProj { phases, cos_first, .. }) => {
                let phases = self.constants.push(model.table::<u32>(*phases, channels / 2)?);
                DeviceOp {
                    kind: kind::TIME_PROJ,
                    at: [phases, 0, 0, 0, 0, 0],
                    count: [(*cos_first).into(), 0, 0, 0, 0, 0],
                    ..device
                }
            }
            Op::ClassEmbed(ClassEmbed { table, .. }) => {
                let rows = usize::from(model.header().classes);
                let table = self.constants.push(model.table::<u16>(*table, rows * channels)?);
                DeviceOp {
                    kind: kind::CLASS_EMBED,
                    at: [table, 0, 0, 0, 0, 0],
                    ..device
                }
            }
            Op::Silu(Silu {
                src,
                in_requant,
                out_requant,
                ..
            }) => DeviceOp {
                kind: kind::SILU,
                first: self.tensor(*src)?,
                factor: factors([*in_requant, *out_requant]),
                ..device
            },
            Op::Conv(c) => self.conv(c, 1, device)?,
            Op::Readout(readout) => self.readout(readout, device)?,
            Op::Softmax(Softmax { src, in_requant, .. }) => DeviceOp {
                kind: kind::SOFTMAX,
                first: self.tensor(*src)?,
                factor: factors([*in_requant]),
                ..device
            },
            Op::GroupNorm(n) => self.group_norm(n, device)?,
            Op::Attention(a) => self.attention(a, device)?,
            // Read as its two halves.
            Op::NormConv(_) => return None,
            Op::Upsample(Upsample { src, .. }) => DeviceOp {
                kind: kind::UPSAMPLE,
                first: self.tensor(*src)?,
                ..device
            },
            Op::AvgPool(AvgPool { src, .. }) => DeviceOp {
                kind: kind::AVG_POOL,
                first: self.tensor(*src)?,
                ..device
            },
        })
    }

    /// All rows of what a window holds a few of: on a GPU memory is not what is short.
    fn whole(&mut self, norm: &GroupNorm) -> Option<DeviceTensor> {
        let window = self.tensor(norm.out)?;
        let [_, cols, channels] = window.shape;
        let rows = self.record(norm.source.first)?.rows.into();
        Some(self.behind(DeviceTensor {
            shape: [rows, cols, channels],
            ..window
        }))
    }

    fn record(&self, id: TensorId) -> Option<Tensor> {
        self.model.tensor(id)
    }

    fn tensor(&self, id: TensorId) -> Option<DeviceTensor> {
        let t = self.record(id)?;
        Some(DeviceTensor {
            offset: t.offset,
            shape: [t.rows.into(), t.cols.into(), t.channels.into()],
            dtype: t.dtype as u32,
            zero: t.zero_point.into(),
        })
    }

    /// First and second input, and their factors.
    fn source(&self, source: &Source, device: &mut DeviceOp) -> Option<()> {
        device.first = self.tensor(source.first)?;
        if let Some((id, requants)) = source.second {
            device.second = self.tensor(id)?;
            device.parts = 2;
            device.factor[..2].copy_from_slice(&requants.map(Factor::from));
        }
        Some(())
    }

    fn readout(&mut self, readout: &Readout, device: DeviceOp) -> Option<DeviceOp> {
        let groups = usize::from(readout.groups);
        let mut device = self.conv(&readout.conv, groups, device)?;
        let first = self.model.table::<u32>(readout.first, groups)?;
        device.at[5] = self.constants.push(first);
        Some(device)
    }

    /// With weights for each of `groups` groups of timesteps.
    fn conv(&mut self, c: &Conv, groups: usize, mut device: DeviceOp) -> Option<DeviceOp> {
        (device.kind, device.groups) = (kind::CONV, groups as u32);
        self.source(&c.source, &mut device)?;
        if let Some(addend) = c.addend {
            device.third = self.tensor(addend.tensor)?;
            device.has_third = 1;
            device.factor[2] = addend.requant.into();
            device.real[0] = addend.factor;
        }
        let channels = device.first.shape[2] as usize + device.second.shape[2] as usize;
        let (side, outs) = (usize::from(c.kernel), device.out.shape[2] as usize);
        device.count = [
            c.kernel.into(),
            c.stride.into(),
            c.pad[0].into(),
            c.pad[1].into(),
            c.upsample.into(),
            0,
        ];
        if let Weights::F16 { data, bias } = c.weights {
            let weights = self
                .constants
                .push(self.model.table::<u16>(data, groups * side * side * channels * outs)?);
            let bias = self.constants.push(self.model.table::<f32>(bias, groups * outs)?);
            device.at = [weights, bias, 0, 0, 0, 0];
            return Some(device);
        }
        let bytes = device.parts == 1 && device.first.dtype == 0;
        device.wide = matches!(c.weights, Weights::W16 { .. }).into();
        // int8 inputs of int16 weights are read as 16 bits, their zero point removed.
        let zero = if bytes && device.wide == 0 {
            device.first.zero
        } else {
            0
        };
        let shape = Shape {
            side,
            channels,
            outs,
            groups,
        };
        let packed = Packed::new(self.model, &c.weights, shape, zero)?;
        device.count[5] = packed.steps;
        device.at = self.constants.push_conv(&packed);
        Some(device)
    }

    fn group_norm(&mut self, n: &GroupNorm, mut device: DeviceOp) -> Option<DeviceOp> {
        device.kind = kind::GROUP_NORM;
        self.source(&n.source, &mut device)?;
        if let Some((id, requant)) = n.scale_shift {
            device.third = self.tensor(id)?;
            device.has_third = 1;
            device.factor[2] = requant.into();
        }
        device.factor[3] = n.out_requant.into();
        device.eps_q = n.eps_q;
        device.real[0] = n.eps;
        let affine = self.model.table::<u32>(n.affine, 2 * device.out.shape[2] as usize)?;
        device.at[0] = self.constants.push(affine);
        device.count = [n.groups.into(), n.silu.into(), n.gamma_frac.into(), 0, 0, 0];
        Some(device)
    }

    fn attention(&self, a: &Attention, device: DeviceOp) -> Option<DeviceOp> {
        let score = Factor {
            mult: a.score.mult,
            shift: a.score.shift.into(),
        };
        Some(DeviceOp {
            kind: kind::ATTENTION,
            first: self.tensor(a.q)?,
            second: self.tensor(a.k)?,
            third: self.tensor(a.v)?,
            factor: [score, a.out_requant.into(), Factor::default(), Factor::default()],
            real: [a.scale, 0.0],
            count: [a.heads.into(), 0, 0, 0, 0, 0],
            ..device
        })
    }
}

fn factors<const N: usize>(requants: [Requant; N]) -> [Factor; 4] {
    let mut factors = [Factor::default(); 4];
    for (factor, requant) in factors.iter_mut().zip(requants) {
        *factor = requant.into();
    }
    factors
}
