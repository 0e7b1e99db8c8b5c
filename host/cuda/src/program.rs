//! A model and a run as the kernels read them: the layouts of `host/cuda/kernels/program.cuh`.

use bytemuck::{Pod, Zeroable};
use mote_runtime::Model;
use mote_runtime::numeric::requant::Requant;

use super::builder::Builder;

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
    pub time_q16: u32,
    pub input_q30: i32,
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
    /// Whether an operator of the file ends with this one: a normalization inside a convolution and the joining of two activations are
    /// operators of their own here.
    pub ends: Vec<bool>,
    /// Bytes of a sample's arena. What has a window in the file lies behind the file's arena, whole, and so do joined activations.
    pub arena_bytes: u64,
}

impl Program {
    /// Prepares `model`, two activations that a convolution reads as one joined before it where `join` is set; `None` where a record names
    /// what is not there, which a parsed model's never do.
    pub fn new(model: &Model<'_>, join: bool) -> Option<Self> {
        let mut builder = Builder::new(model, join);
        let (mut ops, mut ends) = (vec![], vec![]);
        for op in model.ops() {
            let (before, last) = builder.ops(&op)?;
            ends.extend(before.iter().map(|_| false).chain([true]));
            ops.extend(before.into_iter().chain([last]));
        }
        let layers = ops.iter().map(Layer::of).collect();
        let (arena_bytes, constants) = builder.finish();
        Some(Self {
            ends,
            arena_bytes,
            ops,
            constants,
            layers,
        })
    }

    /// Positions of the largest attention.
    pub fn scores(&self) -> u32 {
        self.layers.iter().map(|layer| layer.scores).max().unwrap_or(0)
    }
}

/// `Kind` of `program.cuh`.
pub(super) mod kind {
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
    pub const JOIN: u32 = 10;
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
            kind::JOIN => ("join_layer", elements),
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
