//! A model and a run as the kernels read them: the layouts of `host/kernels/program.cuh`.

use bytemuck::{Pod, Zeroable};
use mote_runtime::Model;
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::blob::op::{Attention, Conv, GroupNorm, NormConv, Op, Readout, Source, Weights};
use mote_runtime::blob::tensor::{Tensor, TensorId};
use mote_runtime::numeric::requant::Requant;

use super::pack::{Constants, Packed, Shape};

/// An activation.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub struct DeviceTensor {
    /// Byte in a sample's arena.
    pub offset: u32,
    /// Rows, columns, channels.
    pub shape: [u32; 3],
    /// [`mote_runtime::blob::tensor::Dtype`].
    pub dtype: u32,
    /// Zero point.
    pub zero: i32,
}

/// A factor `mult * 2^-shift`.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
pub struct Factor {
    /// Multiplier.
    pub mult: i32,
    /// Shift.
    pub shift: u32,
}

impl From<Requant> for Factor {
    fn from(r: Requant) -> Self {
        Self {
            mult: r.mult,
            shift: r.shift.into(),
        }
    }
}

/// An operator; what its fields mean to each kind is said in the kernels.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs)] // as in program.cuh
pub struct DeviceOp {
    pub eps_q: u64,
    pub kind: u32,
    pub floats: u32,
    pub out: DeviceTensor,
    pub first: DeviceTensor,
    pub second: DeviceTensor,
    pub third: DeviceTensor,
    pub parts: u32,
    pub has_third: u32,
    pub wide: u32,
    pub groups: u32,
    pub factor: [Factor; 4],
    pub real: [f32; 2],
    pub at: [u32; 6],
    pub count: [u32; 6],
}

/// What a known element is at a level of noise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs)] // as in program.cuh
pub struct DeviceNoising {
    pub noised: u32,
    pub kept: i32,
    pub noise: i32,
}

/// A call of the network and how the state moves by it.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs)] // as in program.cuh
pub struct DeviceMove {
    pub sample: [i32; 2],
    pub step: [i32; 4],
    pub sample_shift: u32,
    pub step_shift: u32,
    pub timestep: u32,
    pub stream: u32,
    pub digest: u32,
    pub known: DeviceNoising,
    pub bits: [u32; 4],
}

/// One batch through all moves.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs)] // as in program.cuh
pub struct DeviceRun {
    pub ops: u64,
    pub constants: u64,
    pub arenas: u64,
    pub states: u64,
    pub held: u64,
    pub cleans: u64,
    pub known: u64,
    pub seeds: u64,
    pub moves: u64,
    pub r#move: u64,
    pub digests: u64,
    pub op_digests: u64,
    pub arena_stride: u64,
    pub samples: u32,
    pub sample_len: u32,
    pub op_count: u32,
    pub move_count: u32,
    pub calls: u32,
    pub classes: [u32; 2],
    pub output: u32,
    pub rule: u32,
    pub keeps: u32,
    pub clips: u32,
    pub noisy: u32,
    pub clip_range: i32,
    pub guidance_q16: i32,
    pub channels: u32,
    pub first_bit: u32,
    pub begin: DeviceNoising,
    pub scores: u32,
    pub resident_scores: u32,
    pub resident_state: u32,
    pub resident_cleans: u32,
    pub pad: u32,
}

/// Which kernel runs an operator, and over how many threads a sample its work goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Threads that have work, a sample.
    pub threads: u64,
    /// Positions whose scores every warp holds in shared memory.
    pub scores: u32,
}

/// A model as the kernels read it.
#[derive(Debug)]
pub struct Program {
    /// The operators.
    pub ops: Vec<DeviceOp>,
    /// Weights and tables.
    pub constants: Vec<u8>,
    /// A kernel an operator.
    pub layers: Vec<Layer>,
    /// Whether an operator of the file ends with this one: a normalization inside a convolution is one of its own here.
    pub ends: Vec<bool>,
    /// Bytes of a sample's arena. What has a window in the file lies behind it, whole.
    pub arena_bytes: u64,
}

impl Program {
    /// Prepares `model`; `None` where a record names what is not there, which a parsed model's never do.
    pub fn new(model: &Model<'_>) -> Option<Self> {
        let mut builder = Builder {
            model,
            constants: Constants::default(),
        };
        let (mut ops, mut ends) = (vec![], vec![]);
        let mut arena_bytes = u64::from(model.header().arena_bytes);
        for op in model.ops() {
            if let Op::NormConv(NormConv { norm, conv }) = &op {
                let whole = builder.whole(norm)?;
                let mut first = builder.op(&Op::GroupNorm(*norm))?;
                let mut second = builder.op(&Op::Conv(*conv))?;
                (first.out, second.first) = (whole, whole);
                let bytes = whole.shape.map(u64::from).iter().product::<u64>() * (1 + u64::from(whole.dtype));
                arena_bytes = arena_bytes.max(u64::from(whole.offset) + bytes);
                ops.extend([first, second]);
                ends.extend([false, true]);
            } else {
                ops.push(builder.op(&op)?);
                ends.push(true);
            }
        }
        let layers = ops.iter().map(Layer::of).collect();
        Some(Self {
            ends,
            arena_bytes,
            ops,
            constants: builder.constants.bytes,
            layers,
        })
    }

    /// Positions of the largest attention.
    pub fn scores(&self) -> u32 {
        self.layers.iter().map(|layer| layer.scores).max().unwrap_or(0)
    }
}

/// `Kind` of `program.cuh`.
mod kind {
    pub const INPUT: u32 = 0;
    pub const TIME_PROJ: u32 = 1;
    pub const CLASS_EMBED: u32 = 2;
    pub const SILU: u32 = 3;
    pub const CONV: u32 = 4;
    pub const GROUP_NORM: u32 = 5;
    pub const ATTENTION: u32 = 6;
    pub const UPSAMPLE: u32 = 7;
    pub const AVG_POOL: u32 = 8;
    pub const SOFTMAX: u32 = 9;
}

impl Layer {
    fn of(op: &DeviceOp) -> Self {
        let [rows, cols, channels] = op.out.shape.map(u64::from);
        let (positions, floats) = (rows * cols, op.floats != 0);
        let elements = positions * channels;
        let warps = |count: u64| 32 * count;
        let (kernel, threads) = match op.kind {
            kind::INPUT => ("input_layer", elements),
            kind::TIME_PROJ => ("time_proj_layer", elements / 2),
            kind::CLASS_EMBED => ("class_embed_layer", elements),
            kind::SILU => ("silu_layer", elements),
            kind::CONV if floats => ("conv_f16_layer", elements),
            // Sixteen positions by four (two) blocks of eight channels a warp.
            kind::CONV if op.wide != 0 => ("conv_wide_layer", warps(positions.div_ceil(16) * channels.div_ceil(16))),
            kind::CONV if op.parts == 2 || op.first.dtype != 0 => (
                "conv_words_layer",
                warps(positions.div_ceil(16) * channels.div_ceil(32)),
            ),
            kind::CONV => (
                "conv_bytes_layer",
                warps(positions.div_ceil(16) * channels.div_ceil(32)),
            ),
            kind::GROUP_NORM if floats => ("group_norm_f16_layer", warps(op.count[0].into())),
            kind::GROUP_NORM => ("group_norm_layer", warps(op.count[0].into())),
            kind::ATTENTION if floats => ("attention_f16_layer", warps(positions * u64::from(op.count[0]))),
            kind::ATTENTION => ("attention_layer", warps(positions * u64::from(op.count[0]))),
            kind::UPSAMPLE => ("upsample_layer", elements),
            kind::SOFTMAX => ("softmax_layer", positions),
            _ => ("avg_pool_layer", elements),
        };
        let scores = if op.kind == kind::ATTENTION {
            positions as u32
        } else {
            0
        };
        Self {
            kernel,
            threads,
            scores,
        }
    }
}

struct Builder<'m> {
    model: &'m Model<'m>,
    constants: Constants,
}

impl Builder<'_> {
    fn op(&mut self, op: &Op) -> Option<DeviceOp> {
        let model = self.model;
        let device = DeviceOp {
            floats: (model.header().arithmetic == Arithmetic::F16).into(),
            out: self.tensor(op.io().out)?,
            parts: 1,
            ..DeviceOp::default()
        };
        let channels = device.out.shape[2] as usize;
        Some(match op {
            Op::Input {
                requant,
                offset,
                scale,
                shift,
                ..
            } => DeviceOp {
                kind: kind::INPUT,
                factor: factors([*requant]),
                real: [*scale, *shift],
                count: [*offset as u32, 0, 0, 0, 0, 0],
                ..device
            },
            Op::TimeProj { phases, cos_first, .. } => {
                let phases = self.constants.push(model.table::<u32>(*phases, channels / 2)?);
                DeviceOp {
                    kind: kind::TIME_PROJ,
                    at: [phases, 0, 0, 0, 0, 0],
                    count: [(*cos_first).into(), 0, 0, 0, 0, 0],
                    ..device
                }
            }
            Op::ClassEmbed { table, .. } => {
                let rows = usize::from(model.header().classes);
                let table = self.constants.push(model.table::<u16>(*table, rows * channels)?);
                DeviceOp {
                    kind: kind::CLASS_EMBED,
                    at: [table, 0, 0, 0, 0, 0],
                    ..device
                }
            }
            Op::Silu {
                src,
                in_requant,
                out_requant,
                ..
            } => DeviceOp {
                kind: kind::SILU,
                first: self.tensor(*src)?,
                factor: factors([*in_requant, *out_requant]),
                ..device
            },
            Op::Conv(c) => self.conv(c, 1, device)?,
            Op::Readout(readout) => self.readout(readout, device)?,
            Op::Softmax { src, in_requant, .. } => DeviceOp {
                kind: kind::SOFTMAX,
                first: self.tensor(*src)?,
                factor: factors([*in_requant]),
                ..device
            },
            Op::GroupNorm(n) => self.group_norm(n, device)?,
            Op::Attention(a) => self.attention(a, device)?,
            // Read as its two halves.
            Op::NormConv(_) => return None,
            Op::Upsample { src, .. } => DeviceOp {
                kind: kind::UPSAMPLE,
                first: self.tensor(*src)?,
                ..device
            },
            Op::AvgPool { src, .. } => DeviceOp {
                kind: kind::AVG_POOL,
                first: self.tensor(*src)?,
                ..device
            },
        })
    }

    /// All rows of what a window holds a few of, behind the arena: on a GPU memory is not what is short.
    fn whole(&self, norm: &GroupNorm) -> Option<DeviceTensor> {
        let window = self.tensor(norm.out)?;
        let [_, cols, channels] = window.shape;
        Some(DeviceTensor {
            offset: self.model.header().arena_bytes.next_multiple_of(16),
            shape: [self.record(norm.source.first)?.rows.into(), cols, channels],
            ..window
        })
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
