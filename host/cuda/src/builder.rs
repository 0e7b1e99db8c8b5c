//! What operators are built with: the model's tensors and tables as kernels find them.

use bytemuck::{AnyBitPattern, NoUninit};
use mote_runtime::Model;
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::internals::ops::{At, Source};
use mote_runtime::internals::tensor::TensorId;

use super::ops::{DeviceOp, DeviceTensor, Factor};
use super::pack::Constants;

/// Collects constants, and memory behind the file's arena, while the operators of a model are built in their order.
pub(crate) struct Builder<'m> {
    model: &'m Model<'m>,
    join: bool,
    arena_bytes: u64,
    constants: Constants,
}

impl<'m> Builder<'m> {
    /// For `model`; `join`: whether convolutions may read two activations joined before them.
    pub fn new(model: &'m Model<'m>, join: bool) -> Self {
        Self {
            model,
            join,
            arena_bytes: model.header().arena_bytes.into(),
            constants: Constants::default(),
        }
    }

    /// Bytes of a sample's arena, and the constants.
    pub fn finish(self) -> (u64, Vec<u8>) {
        (self.arena_bytes, self.constants.bytes)
    }

    /// The model.
    pub fn model(&self) -> &'m Model<'m> {
        self.model
    }

    /// Whether convolutions may read two activations joined before them.
    pub fn joins(&self) -> bool {
        self.join
    }

    /// Whether the model is of the float scheme.
    pub fn is_float(&self) -> bool {
        self.model.header().arithmetic == Arithmetic::F16
    }

    /// An operator that makes `out`, before anything else is known of it.
    pub fn op(&self, out: TensorId) -> Option<DeviceOp> {
        Some(DeviceOp {
            floats: self.is_float().into(),
            out: self.tensor(out)?,
            parts: 1,
            ..DeviceOp::default()
        })
    }

    /// An activation.
    pub fn tensor(&self, id: TensorId) -> Option<DeviceTensor> {
        let t = self.model.tensor(id)?;
        Some(DeviceTensor {
            offset: t.offset,
            rows: t.rows.into(),
            cols: t.cols.into(),
            channels: t.channels.into(),
            dtype: t.dtype as u32,
            zero: t.zero_point.into(),
        })
    }

    /// First and second input of `op`, and their factors.
    pub fn source(&self, source: &Source, op: &mut DeviceOp) -> Option<()> {
        op.first = self.tensor(source.first)?;
        if let Some((id, requants)) = source.second {
            op.second = self.tensor(id)?;
            op.parts = 2;
            op.join = requants.map(Factor::from);
        }
        Some(())
    }

    /// Puts what lives from one operator to the next behind the arena.
    pub fn behind(&mut self, tensor: DeviceTensor) -> DeviceTensor {
        let offset = self.model.header().arena_bytes.next_multiple_of(16);
        let bytes = tensor.len() * (1 + u64::from(tensor.dtype));
        self.arena_bytes = self.arena_bytes.max(u64::from(offset) + bytes);
        DeviceTensor { offset, ..tensor }
    }

    /// A table of the weights section among the constants; its place.
    pub fn table<T: AnyBitPattern + NoUninit>(&mut self, at: At, count: usize) -> Option<u32> {
        Some(self.constants.push(self.model.table::<T>(at, count)?))
    }

    /// Constants that kernels read; their place.
    pub fn push<T: NoUninit>(&mut self, values: &[T]) -> u32 {
        self.constants.push(values)
    }
}
