//! One evaluation as kernels read it: the layout of `host/cuda/kernels/network/network.cuh`. Those of operators are in [`super::ops`].

use bytemuck::{Pod, Zeroable};

/// One evaluation of a batch.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs)] // as in network.cuh
pub struct NetworkRun {
    pub ops: u64,
    pub constants: u64,
    pub arenas: u64,
    pub x: u64,
    pub features: u64,
    pub labels: u64,
    pub outputs: u64,
    pub stride: u64,
    pub samples: u32,
    pub sample_len: u32,
    pub output_len: u32,
    pub feature_stride: u32,
}
