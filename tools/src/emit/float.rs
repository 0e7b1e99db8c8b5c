//! Operators of the f16 scheme.

use half::f16;
use mote_runtime::blob::op::{
    Addend, Attention, AvgPool, ClassEmbed, Conv, GroupNorm, Input, Op, Silu, Softmax, TimeProj, Upsample, Weights,
};
use mote_runtime::numeric::requant::{Requant, WideRequant};

use super::{Emitter, source};
use crate::lower::program::{Kind, Step};

/// A wide factor where none is used.
const UNUSED: WideRequant = WideRequant {
    mult: 1 << 21,
    shift: 21,
};

impl Emitter<'_> {
    pub(super) fn float_op(&mut self, index: usize, step: &Step) -> Op {
        let (out, scratch) = (self.id(step.out), self.scratch(index));
        match &step.kind {
            Kind::Input { scale, shift } => Op::Input(Input {
                out,
                requant: Requant::ONE,
                offset: 0,
                scale: *scale as f32,
                shift: *shift as f32,
            }),
            Kind::TimeProj { frequencies, cos_first } => Op::TimeProj(TimeProj {
                out,
                phases: self.phases(frequencies),
                cos_first: *cos_first,
            }),
            Kind::ClassEmbed { table } => Op::ClassEmbed(ClassEmbed {
                out,
                table: self.weights.put(table.iter().map(|v| bits(*v))),
            }),
            Kind::Silu { src } => Op::Silu(Silu {
                src: self.id(*src),
                out,
                in_requant: Requant::ONE,
                out_requant: Requant::ONE,
            }),
            Kind::Softmax { src } => Op::Softmax(Softmax {
                src: self.id(*src),
                out,
                in_requant: Requant::ONE,
            }),
            Kind::Conv(c) => {
                let groups = c.groups.len().max(1);
                let outs = c.bias.len() / groups;
                let taps = c.weight.len() / c.bias.len();
                let group =
                    |g: usize| (0..taps).flat_map(move |tap| (0..outs).map(move |o| (g * outs + o) * taps + tap));
                let order = (0..groups).flat_map(group);
                let data = self.weights.put(order.map(|i| bits(c.weight[i])));
                let bias = self.weights.put(c.bias.iter().copied());
                let addend = c.addend.map(|(slot, factor)| Addend {
                    tensor: self.id(slot),
                    requant: Requant::ONE,
                    factor,
                });
                self.grouped(
                    c,
                    Conv {
                        source: source(&c.source, None).0,
                        out,
                        scratch,
                        weights: Weights::F16 { data, bias },
                        kernel: c.kernel as u8,
                        stride: c.stride as u8,
                        pad: c.pad.map(|p| p as u8),
                        upsample: c.upsample,
                        addend,
                    },
                )
            }
            Kind::Norm(n) => Op::GroupNorm(GroupNorm {
                source: source(&n.source, None).0,
                out,
                scratch,
                groups: n.groups as u16,
                silu: n.silu,
                affine: self.weights.put(n.gamma.iter().chain(&n.beta).copied()),
                gamma_frac: 0,
                eps_q: 0,
                eps: n.eps as f32,
                out_requant: Requant::ONE,
                scale_shift: n.scale_shift.map(|slot| (self.id(slot), Requant::ONE)),
            }),
            Kind::Attention { qkv: [q, k, v], heads } => {
                let depth = self.program.slot(*q).shape[0] / heads;
                Op::Attention(Attention {
                    q: self.id(*q),
                    k: self.id(*k),
                    v: self.id(*v),
                    out,
                    scratch,
                    heads: *heads as u16,
                    score: UNUSED,
                    out_requant: Requant::ONE,
                    scale: (1.0 / libm::sqrt(depth as f64)) as f32,
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
}

/// f16 bits, saturated: a weight beyond 65504 becomes 65504.
fn bits(v: f32) -> u16 {
    f16::from_f32(v.clamp(-65504.0, 65504.0)).to_bits()
}
