//! Group normalization (Wu and He 2018), with the timestep's scale and shift and the SiLU that follow it.
//!
//! What a normalization does after it has found its statistics is the same for every kind of them: an affine a channel, modulation by the
//! timestep, an activation. [`fixed_affine`] and [`modulation`] write these parts of a record, for this normalization and for others.

use mote_graph::graph::{Node, Op, ops};
use mote_runtime::Model;
use mote_runtime::internals::numeric::requant::Requant;
use mote_runtime::internals::ops::norm::group_norm_scratch_bytes;
use mote_runtime::internals::ops::{At, GroupNorm, NormConv, Op as Record};
use mote_runtime::internals::tensor::{Tensor, TensorId};

use super::{Cost, Operator, OutputFormat, Room, conv, source};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, Next, refuse};
use crate::program::{Program, Slot, SlotId};
use crate::quantize::Q16;

/// Fractional bits of gamma, where its size allows: keeps the shift of the normalization near 30.
const GAMMA_FRAC: i32 = 22;

/// A group normalization with what was fused into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// One input, or the two halves of a concatenation.
    pub source: Vec<SlotId>,
    /// Number of groups. Divides the channels.
    pub groups: usize,
    /// Added to the variance.
    pub eps: f64,
    /// Factor of each channel.
    pub gamma: Vec<f32>,
    /// Offset of each channel.
    pub beta: Vec<f32>,
    /// SiLU at the end.
    pub silu: bool,
    /// `y * (1 + v[..C]) + v[C..]`.
    pub scale_shift: Option<SlotId>,
}

impl Norm {
    pub(super) fn lower(op: &ops::Norm, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let (ops::Over::Groups(groups), Some(gamma), Some(beta), true) = (op.over, &op.gamma, &op.beta, op.centred)
        else {
            return Err(refuse(node, "a normalization that is no group normalization"));
        };
        let source = lowering.view(node, 0)?;
        if source.upsample {
            return Err(refuse(node, "group normalization of an upsampled value"));
        }
        let norm = Self {
            source: source.slots,
            groups,
            eps: op.eps,
            gamma: lowering.param(node, gamma)?,
            beta: lowering.param(node, beta)?,
            silu: false,
            scale_shift: None,
        };
        Ok(Lowered::Operator(norm.into()))
    }

    /// Whether it can be made a few rows at a time, inside the convolution that reads it.
    pub fn fits_in_window(&self) -> bool {
        self.scale_shift.is_none()
    }
}

/// The timestep's vector of scales and shifts, and the factor that brings it to Q16.
pub(super) fn modulation(scale_shift: Option<SlotId>, e: &Emitter<'_>) -> Option<(TensorId, Requant)> {
    scale_shift.map(|slot| (e.id(slot), e.requant(e.scale(slot) * Q16)))
}

/// The affine of a normalization as its record holds it, and the fractional bits of gamma. In f16 models both tables are f32.
pub(super) fn fixed_affine(gamma: &[f32], beta: &[f32], e: &mut Emitter<'_>) -> (At, u8) {
    if e.is_float() {
        return (e.weights.put(gamma.iter().chain(beta).copied()), 0);
    }
    let largest = gamma.iter().fold(0.0f64, |m, g| m.max(f64::from(g.abs())));
    let (_, exponent) = libm::frexp(largest);
    let gamma_frac = (30 - exponent).clamp(0, GAMMA_FRAC);
    let fixed = |v: f32, frac: i32| {
        libm::round(libm::ldexp(f64::from(v), frac)).clamp(-2_147_483_647.0, 2_147_483_647.0) as i32
    };
    let gamma = gamma.iter().map(|g| fixed(*g, gamma_frac));
    let affine = gamma.chain(beta.iter().map(|b| fixed(*b, 16)));
    (e.weights.put(affine), gamma_frac as u8)
}

/// What a record over so many channels costs: gamma and beta.
pub(super) fn cost(channels: u16) -> Cost {
    Cost::table(8 * u64::from(channels))
}

/// What a convolution with a normalization inside costs.
pub(super) fn cost_inside(model: &Model<'_>, record: &NormConv, out: &Tensor) -> Cost {
    let conv = conv::cost(model, &record.conv, out);
    let channels = model.tensor(record.norm.out).map_or(0, |t| t.channels);
    Cost {
        weight_bytes: conv.weight_bytes + cost(channels).weight_bytes,
        ..conv
    }
}

impl Operator for Norm {
    fn inputs(&self) -> Vec<SlotId> {
        self.source.iter().copied().chain(self.scale_shift).collect()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        self.source.iter_mut().chain(&mut self.scale_shift).collect()
    }

    fn absorbs(&self, next: &Next<'_>) -> bool {
        !self.silu
            && match next.node.op {
                Op::ScaleShift(_) => self.scale_shift.is_none() && next.node.inputs[0] == next.value,
                Op::Silu(_) => true,
                _ => false,
            }
    }

    fn absorb(&mut self, node: &Node, _input: usize, lowering: &Lowering<'_>) -> Result<(), LowerError> {
        match node.op {
            Op::ScaleShift(_) => self.scale_shift = Some(lowering.slot(node, 1)?),
            Op::Silu(_) => self.silu = true,
            _ => return Err(refuse(node, "it cannot join a group normalization")),
        }
        Ok(())
    }

    fn macs(&self, _out: &Slot) -> u64 {
        0
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    fn in_place(&self) -> Option<SlotId> {
        match self.source[..] {
            [one] => Some(one),
            _ => None,
        }
    }

    fn scratch_bytes(&self, program: &Program, _out: &Slot, room: Room) -> usize {
        group_norm_scratch_bytes(room.float, program.channels(&self.source))
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let (source, input_unit) = source::record(&self.source, e);
        let elements = (e.program.slot(out).len() / self.groups) as f64;
        let ratio = elements / input_unit;
        let eps_q = libm::round((self.eps * ratio * ratio).min((1u64 << 62) as f64)) as u64;
        let (affine, gamma_frac) = fixed_affine(&self.gamma, &self.beta, e);
        Record::GroupNorm(GroupNorm {
            source,
            out: e.id(out),
            scratch: e.scratch(out),
            groups: self.groups as u16,
            silu: self.silu,
            affine,
            gamma_frac,
            eps_q: if e.is_float() { 0 } else { eps_q },
            eps: self.eps as f32,
            out_requant: e.requant(1.0 / (Q16 * e.scale(out))),
            scale_shift: modulation(self.scale_shift, e),
        })
    }
}
