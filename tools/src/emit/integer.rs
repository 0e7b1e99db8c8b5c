//! Operators of the integer schemes.

use mote_host::calibrate::Stats;
use mote_runtime::blob::int4;
use mote_runtime::blob::op::{
    Addend, At, Attention, AvgPool, ClassEmbed, Conv, GroupNorm, Input, Op, Silu, Softmax, TimeProj, Upsample, Weights,
};
use mote_runtime::blob::proof::input_bound;
use mote_runtime::kernels::family::padded;
use mote_runtime::numeric::requant::{ADD_GUARD_BITS, WideRequant};

use super::{Emitter, Numbers, source};
use crate::lower::program::{self, Kind, Norm, SlotId, Step};
use crate::quantize::factor::{requant, wide_requant};
use crate::quantize::formats::Format;
use crate::quantize::round::Row;
use crate::quantize::scheme::{Assignment, Bits};
use crate::quantize::weights::{Channel, InputFacts, channel, channel_of_4_bits, widest_scale};

/// One unit of Q16.
const Q16: f64 = 65536.0;
/// Fractional bits of gamma, where its size allows: keeps the shift of the normalization near 30.
const GAMMA_FRAC: i32 = 22;

impl<'p> Emitter<'p> {
    fn numbers(&self) -> (&'p [Format], &'p [Stats], &'p Assignment) {
        match self.numbers {
            Numbers::Integer {
                formats,
                stats,
                assignment,
                ..
            } => (formats, stats, assignment),
            Numbers::F16 => (&[], &[], EMPTY),
        }
    }

    /// What the quantizer has found for one output channel: the scale of 8 bits, the weights of 4.
    fn found(&self, index: usize, channel: usize) -> (f64, Option<&'p Row>) {
        match self.numbers {
            Numbers::Integer { scales, int4, .. } => {
                let rows = int4.get(index);
                (scales[index][channel], rows.and_then(|rows| rows.get(channel)))
            }
            Numbers::F16 => (1.0, None),
        }
    }

    pub(super) fn integer_op(&mut self, index: usize, step: &Step) -> Op {
        let (out, scratch) = (self.id(step.out), self.scratch(index));
        let (formats, ..) = self.numbers();
        let unit = formats[index].scale;
        match &step.kind {
            Kind::Input { scale, shift } => Op::Input(Input {
                out,
                requant: requant(scale / 16_777_216.0 / unit),
                offset: libm::round(shift / unit) as i32,
                scale: *scale as f32,
                shift: *shift as f32,
            }),
            Kind::TimeProj { frequencies, cos_first } => Op::TimeProj(TimeProj {
                out,
                phases: self.phases(frequencies),
                cos_first: *cos_first,
            }),
            Kind::ClassEmbed { table } => {
                let round = |v: &f32| libm::round(f64::from(*v) / unit).clamp(-32768.0, 32767.0) as i16;
                Op::ClassEmbed(ClassEmbed {
                    out,
                    table: self.weights.put(table.iter().map(round)),
                })
            }
            Kind::Silu { src } => Op::Silu(Silu {
                src: self.id(*src),
                out,
                in_requant: requant(formats[src.0].scale * Q16),
                out_requant: requant(1.0 / (Q16 * unit)),
            }),
            Kind::Softmax { src } => Op::Softmax(Softmax {
                src: self.id(*src),
                out,
                in_requant: requant(formats[src.0].scale * core::f64::consts::LOG2_E * Q16),
            }),
            Kind::Conv(c) => self.conv(index, step, c),
            Kind::Norm(n) => self.norm(index, step, n),
            Kind::Attention { qkv: [q, k, v], heads } => {
                let depth = (self.program.slot(*q).shape[0] / heads) as f64;
                let score =
                    formats[q.0].scale * formats[k.0].scale * core::f64::consts::LOG2_E / libm::sqrt(depth) * Q16;
                Op::Attention(Attention {
                    q: self.id(*q),
                    k: self.id(*k),
                    v: self.id(*v),
                    out,
                    scratch,
                    heads: *heads as u16,
                    score: wide_requant(score),
                    out_requant: requant(formats[v.0].scale / 32768.0 / unit),
                    scale: (1.0 / libm::sqrt(depth)) as f32,
                })
            }
            Kind::Upsample { src } => Op::Upsample(Upsample {
                src: self.id(*src),
                out,
            }),
            Kind::AvgPool { src } => Op::AvgPool(AvgPool {
                src: self.id(*src),
                out,
            }),
        }
    }

    fn conv(&mut self, index: usize, step: &Step, c: &program::Conv) -> Op {
        let (formats, stats, assignment) = self.numbers();
        let (source, input_unit) = source(&c.source, Some(formats));
        let guard = if c.addend.is_some() {
            f64::from(1 << ADD_GUARD_BITS)
        } else {
            1.0
        };
        let unit = formats[index].scale / guard;
        let addend = c.addend.map(|(slot, factor)| Addend {
            tensor: self.id(slot),
            requant: requant(formats[slot.0].scale * f64::from(factor) / unit),
            factor,
        });
        let means = means(&c.source, stats);
        let bound = match c.source[..] {
            [one] => input_bound(formats[one.0].dtype, formats[one.0].zero_point),
            _ => 1 << 15,
        };
        let facts = InputFacts {
            means: &means,
            scale: input_unit,
            bound,
        };
        let (bits, narrow) = (assignment.weights[index], i32::MAX.into());
        let taps = c.weight.len() / c.bias.len();
        let rows = c.weight.chunks_exact(taps).zip(&c.bias).enumerate();
        let integers = |(o, (row, &bias)): (usize, (&[f32], &f32))| {
            let (scale, int4) = self.found(index, o);
            match bits {
                Bits::Four => channel_of_4_bits(row, bias, int4, &facts, narrow),
                Bits::Eight => channel(row, bias, 8, scale, &facts, narrow),
                Bits::Sixteen => channel(row, bias, 16, widest_scale(row, 16), &facts, WideRequant::ACC_LIMIT),
            }
        };
        let channels: Vec<Channel> = rows.map(integers).collect();
        let weights = self.filter(&channels, bits, input_unit / unit);
        let conv = Conv {
            source,
            out: self.id(step.out),
            scratch: self.scratch(index),
            weights,
            kernel: c.kernel as u8,
            stride: c.stride as u8,
            pad: c.pad.map(|p| p as u8),
            upsample: c.upsample,
            addend,
        };
        self.grouped(c, conv)
    }

    /// Weights, biases, and the factors `weight scale * ratio`.
    fn filter(&mut self, channels: &[Channel], bits: Bits, ratio: f64) -> Weights {
        // Rows of whole words.
        let row = |c: &'_ Channel| {
            let mut row = c.weights.clone();
            row.resize(padded(row.len()), 0);
            row
        };
        let all = channels.iter().flat_map(row);
        if bits == Bits::Sixteen {
            let factor = |c: &Channel| {
                let w = wide_requant(c.scale * ratio);
                (w.mult, w.shift)
            };
            let data = self.weights.put(all.map(|w| w as i16));
            let bias = self.weights.put(channels.iter().map(|c| c.bias));
            let requant = self
                .weights
                .put_requants(&channels.iter().map(factor).collect::<Vec<_>>());
            return Weights::W16 { data, bias, requant };
        }
        let factor = |c: &Channel| {
            let r = requant(c.scale * ratio);
            (r.mult, r.shift)
        };
        let nibbles = |c: &Channel| c.weights.iter().map(|w| (w / int4::UNIT) as i8).collect::<Vec<i8>>();
        let data = if bits == Bits::Four {
            let words = channels
                .iter()
                .map(nibbles)
                .flat_map(|row| int4::pack(&row).collect::<Vec<u32>>());
            self.weights.put(words)
        } else {
            self.weights.put(all.map(|w| w as i8))
        };
        let bias = self.weights.put(channels.iter().map(|c| c.bias as i32));
        let requant: At = self
            .weights
            .put_requants(&channels.iter().map(factor).collect::<Vec<_>>());
        if bits == Bits::Four {
            Weights::W4 { data, bias, requant }
        } else {
            Weights::W8 { data, bias, requant }
        }
    }

    fn norm(&mut self, index: usize, step: &Step, n: &Norm) -> Op {
        let (formats, ..) = self.numbers();
        let (source, input_unit) = source(&n.source, Some(formats));
        let shape = self.program.slot(step.out).shape;
        let elements = (shape.iter().product::<usize>() / n.groups) as f64;
        let ratio = elements / input_unit;
        let top = n.gamma.iter().fold(0.0f64, |m, g| m.max(f64::from(g.abs())));
        let (_, exponent) = libm::frexp(top);
        let gamma_frac = (30 - exponent).clamp(0, GAMMA_FRAC);
        let fixed = |v: f32, frac: i32| {
            libm::round(libm::ldexp(f64::from(v), frac)).clamp(-2_147_483_647.0, 2_147_483_647.0) as i32
        };
        let scale_shift = n
            .scale_shift
            .map(|slot| (self.id(slot), requant(formats[slot.0].scale * Q16)));
        let out_requant = requant(1.0 / (Q16 * formats[index].scale));
        let gamma = n.gamma.iter().map(|g| fixed(*g, gamma_frac));
        let affine = gamma.chain(n.beta.iter().map(|b| fixed(*b, 16)));
        Op::GroupNorm(GroupNorm {
            source,
            out: self.id(step.out),
            scratch: self.scratch(index),
            groups: n.groups as u16,
            silu: n.silu,
            affine: self.weights.put(affine),
            gamma_frac: gamma_frac as u8,
            eps_q: libm::round((n.eps * ratio * ratio).min((1u64 << 62) as f64)) as u64,
            eps: n.eps as f32,
            out_requant,
            scale_shift,
        })
    }
}

static EMPTY: &Assignment = &Assignment {
    activations: Vec::new(),
    weights: Vec::new(),
};

/// Means by input channel, both halves of a concatenation.
fn means(slots: &[SlotId], stats: &[Stats]) -> Vec<f64> {
    slots.iter().flat_map(|id| stats[id.0].means()).collect()
}
