//! The structures that kernels read: the layouts of `host/cuda/kernels/network/network.cuh`.

use bytemuck::{Pod, Zeroable};

/// An activation.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs)] // as in network.cuh
pub struct NetworkTensor {
    pub offset: u32,
    pub rows: u32,
    pub cols: u32,
    pub channels: u32,
    pub half: u32,
}

impl NetworkTensor {
    /// Rows times columns.
    pub(super) fn positions(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }

    /// Elements.
    pub(super) fn len(&self) -> u64 {
        self.positions() * u64::from(self.channels)
    }
}

/// An operator; what its fields mean to each kind is said in the kernels.
#[derive(Debug, Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
#[allow(missing_docs)] // as in network.cuh
pub struct NetworkOp {
    pub out: NetworkTensor,
    pub first: NetworkTensor,
    pub second: NetworkTensor,
    pub kind: u32,
    pub at: [u32; 4],
    pub count: [u32; 8],
    pub real: [f32; 2],
}

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
