//! A model and a run as the kernels read them: a run's layouts are those of `host/cuda/kernels/program.cuh`, an operator's are in
//! [`super::ops`].

use bytemuck::{Pod, Zeroable};
use mote_runtime::Model;

use super::CudaError;
use super::builder::Builder;
use super::ops::{self, DeviceOp, Layer};

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
    /// Prepares `model`, two activations that a convolution reads as one joined before it where `join` is set. An operator without kernels
    /// is refused by its name.
    pub fn new(model: &Model<'_>, join: bool) -> Result<Self, CudaError> {
        let mut builder = Builder::new(model, join);
        let (mut ops, mut layers, mut ends) = (vec![], vec![], vec![]);
        for op in model.ops() {
            let built = ops::build(&op, &mut builder)?;
            ends.extend((1..=built.len()).map(|place| place == built.len()));
            ops.extend(built.iter().map(|built| built.op));
            layers.extend(built.iter().map(|built| built.layer));
        }
        let (arena_bytes, constants) = builder.finish();
        Ok(Self {
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
