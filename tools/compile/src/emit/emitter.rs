//! What an operator's home asks while it writes its record.

use half::f16;
use mote_runtime::internals::numeric::requant::{Requant, WideRequant};
use mote_runtime::internals::ops::{NormConv, Op as Record};
use mote_runtime::internals::tensor::TensorId;

use super::EmitError;
use super::weights::WeightSection;
use crate::plan::Windows;
use crate::program::{Program, SlotId};
use crate::quantize::Quantization;
use crate::quantize::factor::{requant, wide_requant};
use crate::quantize::formats::Format;

/// A wide factor where none is used.
const UNUSED: WideRequant = WideRequant {
    mult: 1 << 21,
    shift: 21,
};

/// The records of a program as they are written, in integers or in f16.
pub struct Emitter<'p> {
    /// The program.
    pub program: &'p Program,
    /// The weights section so far.
    pub weights: WeightSection,
    /// `None` for f16 models.
    quantization: Option<&'p Quantization<'p>>,
    /// By slot.
    formats: &'p [Format],
    /// By operator.
    scratch: &'p [Option<TensorId>],
}

impl<'p> Emitter<'p> {
    pub(super) fn new(
        program: &'p Program,
        quantization: Option<&'p Quantization<'p>>,
        formats: &'p [Format],
        scratch: &'p [Option<TensorId>],
    ) -> Self {
        Self {
            program,
            weights: WeightSection::default(),
            quantization,
            formats,
            scratch,
        }
    }

    /// Every record in execution order. A normalization with a window is inside the convolution's.
    pub(super) fn records(&mut self, windows: &Windows) -> Result<Vec<Record>, EmitError> {
        let own = (0..self.program.ops.len()).filter(|i| windows.of_norm(*i).is_none());
        own.map(|i| match windows.inside(i) {
            Some(inner) => self.record_with(inner, i),
            None => Ok(self.record(i)),
        })
        .collect()
    }

    fn record(&mut self, index: usize) -> Record {
        let op = &self.program.ops[index];
        op.kind.operator().record(op.out, self)
    }

    /// The record of a convolution with the normalization inside that it alone reads.
    fn record_with(&mut self, inner: usize, outer: usize) -> Result<Record, EmitError> {
        match (self.record(inner), self.record(outer)) {
            (Record::GroupNorm(norm), Record::Conv(conv)) => Ok(Record::NormConv(NormConv { norm, conv })),
            _ => Err(EmitError::Inside {
                inner: self.program.ops[inner].name.clone(),
                outer: self.program.ops[outer].name.clone(),
            }),
        }
    }

    /// Integers and how they were chosen; `None` for f16 models.
    pub fn quantization(&self) -> Option<&'p Quantization<'p>> {
        self.quantization
    }

    /// Whether the model is an f16 one.
    pub fn is_float(&self) -> bool {
        self.quantization.is_none()
    }

    /// The tensor of a slot.
    pub fn id(&self, slot: SlotId) -> TensorId {
        TensorId(slot.0 as u16)
    }

    /// The scratch tensor of the operator that writes `out`.
    pub fn scratch(&self, out: SlotId) -> TensorId {
        self.scratch[out.0].unwrap_or(TensorId(u16::MAX))
    }

    /// Number format of a slot.
    pub fn format(&self, slot: SlotId) -> Format {
        self.formats[slot.0]
    }

    /// Real value of one unit of a slot.
    pub fn scale(&self, slot: SlotId) -> f64 {
        self.formats[slot.0].scale
    }

    /// A factor between units. In f16 models everything has one unit.
    pub fn requant(&self, factor: f64) -> Requant {
        if self.is_float() { Requant::ONE } else { requant(factor) }
    }

    /// As [`Emitter::requant`], for wide accumulators. An f16 model has none.
    pub fn wide_requant(&self, factor: f64) -> WideRequant {
        if self.is_float() { UNUSED } else { wide_requant(factor) }
    }
}

/// f16 bits, saturated: a weight beyond 65504 becomes 65504.
pub fn f16_bits(v: f32) -> u16 {
    f16::from_f32(v.clamp(-65504.0, 65504.0)).to_bits()
}
