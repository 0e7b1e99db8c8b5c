//! The float network on a GPU: the checkpoint's own weights, not a model file's, many samples at once.
//!
//! It walks the graph that [`mote_graph::float::Executor`] walks, and is held to it within a tolerance: sums go another way round, so bits differ.
//! Nothing of it is part of the exact modes; its kernels are a unit of their own (`host/cuda/kernels/network`).
//!
//! - [`Precision::F32`]: storage and arithmetic in f32, sums by fused multiply-add.
//! - [`Precision::F16`]: feature maps and the weights of convolutions over them in f16, multiplied on tensor cores with sums in f32. Everything else
//!   is computed in f32, and vectors (the path of the timestep) and the network's output are kept in f32.
//!
//! `fuse` says which nodes share a kernel, `place` where activations lie, [`ops`] has the operators, `program` is what the kernels read ([`layout`]), `launches` cuts it into
//! launches, and `run` evaluates it.

mod fuse;
mod launches;
pub mod layout;
pub mod ops;
mod pack;
mod place;
mod program;
mod run;

pub use run::DeviceNetwork;

/// The float network's kernels, as [`super::PTX`] is the exact ones.
pub const PTX: &str = include_str!("../../kernels/network/network.ptx");

/// In what numbers the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// IEEE 754 single precision.
    F32,
    /// Half precision where most of the work is.
    F16,
}
