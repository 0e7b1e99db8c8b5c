//! Normalization of every kind, with the timestep's scale and shift and the SiLU that follow it.
//!
//! Two records stand for it: group normalization (Wu and He 2018), which has kernels, and every other one: over the channels of each
//! position, or not centred. What follows the statistics is the same in both: an affine a channel, modulation, an activation.

use mote_graph::graph::ops::{Modulate, Over};
use mote_graph::graph::{Node, Op, ops};
use mote_runtime::Model;
use mote_runtime::internals::ops::norm::{MAX_UP, Norm as NormRecord, ScaleShift, group_norm_scratch_bytes};
use mote_runtime::internals::ops::{At, GroupNorm, NormConv, Op as Record};
use mote_runtime::internals::tensor::Tensor;

use super::{Cost, Operator, OutputFormat, Room, conv, source};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, Next, refuse};
use crate::program::{Program, Slot, SlotId};
use crate::quantize::Q16;

/// Fractional bits of gamma, where its size allows: keeps the shift of the normalization near 30.
const GAMMA_FRAC: i32 = 22;

/// Standard deviations that a normalized value is hardly ever beyond.
const DEVIATIONS: f64 = 4.0;
/// Results below which Q16 has too few bits: the step of Q16 is 2^-11 of the largest.
const SMALL: f64 = 1.0 / 32.0;
/// Results from which on Q16, which ends at 2^15, may saturate.
const LARGE: f64 = 16384.0;

/// A normalization with what was fused into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// One input, or the two halves of a concatenation.
    pub source: Vec<SlotId>,
    /// What is normalized together. The number of groups divides the channels.
    pub over: Over,
    /// Whether the mean is subtracted.
    pub centred: bool,
    /// What keeps it from dividing by 0.
    pub bound: Bound,
    /// Factor of each channel.
    pub gamma: Vec<f32>,
    /// Offset of each channel.
    pub beta: Vec<f32>,
    /// SiLU at the end.
    pub silu: bool,
    /// `y * (1 + v[..C]) + v[C..]`.
    pub scale_shift: Option<SlotId>,
}

/// What keeps a normalization from dividing by 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Added to the mean square.
    Eps(f64),
    /// Least root of the mean square.
    Floor(f64),
}

impl Norm {
    /// A group normalization, nothing fused.
    pub fn group(source: Vec<SlotId>, groups: usize, eps: f64, gamma: Vec<f32>, beta: Vec<f32>) -> Self {
        Self {
            source,
            over: Over::Groups(groups),
            centred: true,
            bound: Bound::Eps(eps),
            gamma,
            beta,
            silu: false,
            scale_shift: None,
        }
    }

    pub(super) fn lower(op: &ops::Norm, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let source = lowering.view(node, 0)?;
        if source.upsample {
            return Err(refuse(node, "normalization of an upsampled value"));
        }
        let bound = match (op.eps, op.floor) {
            (eps, 0.0) => Bound::Eps(eps),
            (0.0, floor) => Bound::Floor(floor),
            _ => return Err(refuse(node, "a normalization with both an epsilon and a least divisor")),
        };
        let channels = lowering.shape(node.output)[0];
        let affine = |key: &Option<String>, without: f32| match key {
            Some(key) => lowering.param(node, key),
            None => Ok(vec![without; channels]),
        };
        let norm = Self {
            source: source.slots,
            over: op.over,
            centred: op.centred,
            bound,
            gamma: affine(&op.gamma, 1.0)?,
            beta: affine(&op.beta, 0.0)?,
            silu: false,
            scale_shift: None,
        };
        Ok(Lowered::Operator(norm.into()))
    }

    /// Whether it is a group normalization.
    fn is_group(&self) -> bool {
        self.centred && matches!((self.over, self.bound), (Over::Groups(_), Bound::Eps(_)))
    }

    /// Whether its record is that of group normalization, which has no unit of its own: without SiLU, gamma and beta alone are in that unit.
    fn is_group_record(&self, float: bool) -> bool {
        self.is_group() && (float || !self.silu || self.up() == 0)
    }

    /// Whether it can be made a few rows at a time, inside the convolution that reads it.
    pub fn fits_in_window(&self) -> bool {
        self.is_group_record(false) && self.scale_shift.is_none()
    }

    /// Exponent of the unit that integers compute in, which is Q16 times `2^up`: 0 where Q16 has room and resolution for what gamma and
    /// beta give. A vector of scales and shifts could make anything of it.
    fn up(&self) -> i32 {
        let pairs = self.gamma.iter().zip(&self.beta);
        let largest = pairs.fold(0.0f64, |m, (g, b)| {
            m.max(DEVIATIONS * f64::from(g.abs()) + f64::from(b.abs()))
        });
        if self.scale_shift.is_some() || largest == 0.0 || (SMALL..LARGE).contains(&largest) {
            return 0;
        }
        let (_, exponent) = libm::frexp(largest);
        (-exponent).clamp(-(MAX_UP as i32), MAX_UP as i32)
    }

    /// The bound in units of what integers compute of elements whose unit is `unit`.
    fn eps_q(&self, out: SlotId, unit: f64, e: &Emitter<'_>) -> u64 {
        if e.is_float() {
            return 0;
        }
        let square = match self.bound {
            Bound::Eps(eps) => eps,
            Bound::Floor(floor) => floor * floor,
        };
        let ratio = self.over.elements(e.program.slot(out).shape) as f64 / unit;
        libm::round((square * ratio * ratio).min((1u64 << 62) as f64)) as u64
    }

    /// Units of one, in which integers compute.
    fn unit(&self) -> f64 {
        libm::ldexp(Q16, self.up())
    }

    /// Gamma and beta as the record holds them, and the fractional bits of gamma. In f16 models both tables are f32.
    fn fixed_affine(&self, e: &mut Emitter<'_>) -> (At, u8) {
        if e.is_float() {
            return (e.weights.put(self.gamma.iter().chain(&self.beta).copied()), 0);
        }
        let scaled = |v: &f32| libm::ldexp(f64::from(*v), self.up());
        let largest = self.gamma.iter().map(scaled).fold(0.0f64, |m, g| m.max(g.abs()));
        let (_, exponent) = libm::frexp(largest);
        let gamma_frac = (30 - exponent).clamp(0, GAMMA_FRAC);
        let fixed = |v: &f32, frac: i32| {
            libm::round(libm::ldexp(scaled(v), frac)).clamp(-2_147_483_647.0, 2_147_483_647.0) as i32
        };
        let gamma = self.gamma.iter().map(|g| fixed(g, gamma_frac));
        let affine = gamma.chain(self.beta.iter().map(|b| fixed(b, 16)));
        (e.weights.put(affine), gamma_frac as u8)
    }

    fn group_norm(&self, eps: f64, out: SlotId, e: &mut Emitter<'_>) -> GroupNorm {
        let (source, unit) = source::record(&self.source, e);
        let (affine, gamma_frac) = self.fixed_affine(e);
        GroupNorm {
            source,
            out: e.id(out),
            scratch: e.scratch(out),
            groups: self.over.groups() as u16,
            silu: self.silu,
            affine,
            gamma_frac,
            eps_q: self.eps_q(out, unit, e),
            eps: eps as f32,
            out_requant: e.requant(1.0 / (self.unit() * e.scale(out))),
            scale_shift: self
                .scale_shift
                .map(|slot| (e.id(slot), e.requant(e.scale(slot) * Q16))),
        }
    }

    fn other(&self, out: SlotId, e: &mut Emitter<'_>) -> NormRecord {
        let (source, unit) = source::record(&self.source, e);
        let (affine, gamma_frac) = self.fixed_affine(e);
        let (Bound::Eps(bound) | Bound::Floor(bound)) = self.bound;
        NormRecord {
            source,
            out: e.id(out),
            by_position: matches!(self.over, Over::Position(_)),
            centred: self.centred,
            floor: matches!(self.bound, Bound::Floor(_)),
            groups: self.over.groups() as u16,
            silu: self.silu,
            affine,
            gamma_frac,
            up: if e.is_float() { 0 } else { self.up() as i8 },
            eps_q: self.eps_q(out, unit, e),
            eps: bound as f32,
            out_requant: e.requant(1.0 / (self.unit() * e.scale(out))),
            scale_shift: self.scale_shift.map(|slot| ScaleShift {
                vector: e.id(slot),
                scale: e.requant(e.scale(slot) * Q16),
                shift: e.requant(e.scale(slot) * self.unit()),
            }),
        }
    }
}

/// What a record over so many channels costs: gamma and beta.
pub(super) fn cost(channels: u16) -> Cost {
    Cost::table(8 * u64::from(channels))
}

/// What a convolution with a normalization inside costs.
pub(super) fn cost_inside(model: &Model<'_>, record: &NormConv, out: &Tensor) -> Cost {
    let conv = conv::cost(model, &record.conv, 1, out);
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
                Op::ScaleShift(_) | Op::Modulate(Modulate { one: true }) => {
                    self.scale_shift.is_none() && next.node.inputs[0] == next.value
                }
                Op::Silu(_) => true,
                Op::Pointwise(op) => op.function == ops::Function::Silu,
                _ => false,
            }
    }

    fn absorb(&mut self, node: &Node, _input: usize, lowering: &Lowering<'_>) -> Result<(), LowerError> {
        match node.op {
            Op::ScaleShift(_) | Op::Modulate(_) => self.scale_shift = Some(lowering.slot(node, 1)?),
            Op::Silu(_) | Op::Pointwise(_) => self.silu = true,
            _ => return Err(refuse(node, "it cannot join a normalization")),
        }
        Ok(())
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
        if self.is_group_record(room.float) {
            group_norm_scratch_bytes(room.float, program.channels(&self.source))
        } else {
            0
        }
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        match self.bound {
            Bound::Eps(eps) if self.is_group_record(e.is_float()) => Record::GroupNorm(self.group_norm(eps, out, e)),
            _ => Record::Norm(self.other(out, e)),
        }
    }
}
