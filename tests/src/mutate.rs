//! Wrong contents, drawn from a seed: what a checksum cannot catch because it was made after the damage.

use mote_runtime::Method;
use mote_runtime::internals::model::header::{Arithmetic, Header};
use mote_runtime::internals::model::plan::Plan;
use mote_runtime::internals::model::sampling::Schedule;
use mote_runtime::internals::numeric::requant::{Requant, WideRequant};
use mote_runtime::internals::ops::attention::Rows;
use mote_runtime::internals::ops::constant::Sum;
use mote_runtime::internals::ops::norm::ScaleShift;
use mote_runtime::internals::ops::pointwise::Affine;
use mote_runtime::internals::ops::rearrange::Pattern;
use mote_runtime::internals::ops::{
    At, Attention, AvgPool, ClassEmbed, Constant, Conv, CrossAttention, GroupNorm, Input, LinearAttention, Norm, Op,
    Pointwise, Silu, Softmax, Source, TimeProj, Upsample, Weights,
};
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};
use mote_runtime::internals::schedule::spacing::{PrevRule, Spacing};
use mote_runtime::internals::tensor::{Tensor, TensorId};

use crate::parts::{OPS, Parts, SCHEDULE, TENSORS, WEIGHTS};
use crate::random::Random;
use crate::running::METHODS;

/// Changes `parts` in one to three places.
pub fn mutate(parts: &mut Parts, random: &mut Random) {
    for _ in 0..=random.below(3) {
        match random.below(10) {
            0 => header(parts, random),
            1 | 2 => record(&mut parts.sections[TENSORS], random),
            3..=5 => operators(parts, random),
            6 => raw(&mut parts.sections[OPS], random),
            7 => raw(&mut parts.sections[WEIGHTS], random),
            8 => raw(&mut parts.sections[SCHEDULE], random),
            _ => {
                let any = random.below(parts.sections.len());
                resize(&mut parts.sections[any], random);
            }
        }
    }
}

/// A number that code is likely to trip over, near `v` or at an edge.
fn odd(v: u64, random: &mut Random) -> u64 {
    let edges = [
        0,
        1,
        2,
        0x7F,
        0x80,
        0xFF,
        0x7FFF,
        0x8000,
        0xFFFF,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_FFFF,
        1 << 62,
        u64::MAX,
    ];
    match random.below(4) {
        0 => v.wrapping_add(1 + random.below(4) as u64),
        1 => v.wrapping_sub(1 + random.below(4) as u64),
        2 => v ^ 1 << random.below(32),
        _ => random.pick(&edges),
    }
}

fn real(random: &mut Random) -> f32 {
    random.pick(&[
        0.0,
        -0.0,
        1.0,
        -1.0,
        1e-45,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NAN,
        65504.0,
    ])
}

fn header(parts: &mut Parts, random: &mut Random) {
    let Ok(mut h) = postcard::from_bytes::<Header>(&parts.sections[0]) else {
        return;
    };
    match random.below(15) {
        0 => h.channels = odd(h.channels.into(), random) as u16,
        1 => h.rows = odd(h.rows.into(), random) as u16,
        2 => h.cols = odd(h.cols.into(), random) as u16,
        3 => h.classes = odd(h.classes.into(), random) as u16,
        4 => h.null_class = random.pick(&[None, Some(0), Some(2), Some(3), Some(u16::MAX)]),
        5 => h.train_steps = odd(h.train_steps.into(), random) as u32,
        6 => {
            let prior_q31 = random.pick(&[0, 1, 1 << 29, 1 << 31, u32::MAX]);
            h.prediction = random.pick(&[
                Prediction::Epsilon,
                Prediction::V,
                Prediction::Sample,
                Prediction::Bits { prior_q31 },
                Prediction::Kernel,
            ]);
        }
        7 => h.clip = random.pick(&[Clip::Off, Clip::Stock, Clip::Rederived]),
        8 => h.clip_range_q24 = odd(h.clip_range_q24 as u64, random) as i32,
        9 => {
            h.schedule = match (random.below(2), h.schedule) {
                (0, Schedule::Planned(plan)) => Schedule::Planned(self::plan(plan, random)),
                _ => random.pick(&[
                    Schedule::Leading,
                    Schedule::Trailing,
                    Schedule::Linspace,
                    Schedule::Quadratic,
                    Schedule::Planned(Plan::new(1, Spacing::Leading, PrevRule::List, 0, Method::Ddim)),
                ]),
            }
        }
        10 => h.steps_offset = odd(h.steps_offset as u64, random) as i32,
        11 => h.final_alpha_bar_q62 = odd(h.final_alpha_bar_q62, random),
        12 => h.arena_bytes = odd(h.arena_bytes.into(), random) as u32,
        13 => h.op_count = odd(h.op_count.into(), random) as u16,
        _ => h.arithmetic = random.pick(&[Arithmetic::Integer, Arithmetic::F16]),
    }
    parts.set_header(&h);
}

/// One field of a plan.
fn plan(plan: Plan, random: &mut Random) -> Plan {
    let (steps, eta_q16) = (plan.steps, plan.eta_q16);
    let (spacing, prev, method) = (plan.spacing(), plan.prev(), plan.method());
    match random.below(4) {
        0 => Plan::new(odd(steps.into(), random) as u32, spacing, prev, eta_q16, method),
        1 => Plan::new(steps, spacing, prev, odd(eta_q16.into(), random) as u32, method),
        2 => Plan::new(steps, Spacing::Quadratic, PrevRule::Diffusers, eta_q16, method),
        _ => Plan::new(steps, spacing, prev, eta_q16, random.pick(&METHODS)),
    }
}

/// One field of one tensor record.
fn record(section: &mut [u8], random: &mut Random) {
    let index = random.below(section.len() / Tensor::RECORD_BYTES);
    let (offset, size) = random.pick(&[
        (0, 4),
        (4, 2),
        (6, 2),
        (8, 2),
        (10, 1),
        (11, 1),
        (12, 2),
        (14, 2),
        (16, 4),
    ]);
    let at = index * Tensor::RECORD_BYTES + offset;
    let Some(field) = section.get_mut(at..at + size) else {
        return;
    };
    let mut word = [0; 8];
    word[..size].copy_from_slice(field);
    let changed = odd(u64::from_le_bytes(word), random).to_le_bytes();
    field.copy_from_slice(&changed[..size]);
}

fn raw(section: &mut [u8], random: &mut Random) {
    let start = random.below(section.len());
    let run = 1 + random.below(8);
    let value = random.pick(&[None, Some(0), Some(0x7F), Some(0x80), Some(0xFF)]);
    for byte in section.iter_mut().skip(start).take(run) {
        *byte = value.unwrap_or(random.bits() as u8);
    }
}

fn resize(section: &mut Vec<u8>, random: &mut Random) {
    match random.below(3) {
        0 => section.truncate(random.below(section.len() + 1)),
        1 => section.extend((0..random.below(64)).map(|i| i as u8)),
        _ => {
            section.truncate(section.len().saturating_sub(1 + random.below(8)));
        }
    }
}

fn operators(parts: &mut Parts, random: &mut Random) {
    let mut ops = parts.ops();
    if ops.is_empty() {
        return;
    }
    let index = random.below(ops.len());
    match random.below(12) {
        0 => ops.swap(index, random.below(parts.ops().len())),
        1 => drop(ops.remove(index)),
        2 => ops.insert(index, ops[index]),
        _ => operator(&mut ops[index], random),
    }
    parts.set_ops(&ops);
}

fn operator(op: &mut Op, random: &mut Random) {
    match op {
        Op::Input(Input {
            out,
            requant,
            offset,
            scale,
            shift,
        }) => match random.below(5) {
            0 => tensor(out, random),
            1 => factor(requant, random),
            2 => *offset = odd(*offset as u64, random) as i32,
            3 => *scale = real(random),
            _ => *shift = real(random),
        },
        Op::TimeProj(TimeProj { out, phases: at, .. }) | Op::ClassEmbed(ClassEmbed { out, table: at }) => {
            match random.below(2) {
                0 => tensor(out, random),
                _ => place(at, random),
            }
        }
        Op::Silu(Silu {
            src,
            out,
            in_requant,
            out_requant,
        }) => match random.below(4) {
            0 => tensor(src, random),
            1 => tensor(out, random),
            2 => factor(in_requant, random),
            _ => factor(out_requant, random),
        },
        Op::Conv(c) => conv(c, random),
        Op::Grouped(g) => match random.below(8) {
            0 => g.groups = odd(g.groups.into(), random) as u16,
            _ => conv(&mut g.conv, random),
        },
        Op::Readout(r) => match random.below(8) {
            0 => place(&mut r.first, random),
            1 => r.groups = odd(r.groups.into(), random) as u16,
            _ => conv(&mut r.conv, random),
        },
        Op::Condition(c) => match random.below(6) {
            0 => tensor(&mut c.out, random),
            1 => factor(&mut c.requant, random),
            2 => c.bits = odd(c.bits.into(), random) as u8,
            3 => c.low = odd(c.low as u64, random) as i32,
            4 => c.high = odd(c.high as u64, random) as i32,
            _ => c.null = random.pick(&[None, Some(0), Some(i32::MIN), Some(i32::MAX)]),
        },
        Op::Softmax(Softmax { src, out, in_requant }) => match random.below(3) {
            0 => tensor(src, random),
            1 => tensor(out, random),
            _ => factor(in_requant, random),
        },
        Op::Pointwise(p) => pointwise(p, random),
        Op::GroupNorm(n) => norm(n, random),
        Op::Norm(n) => other_norm(n, random),
        Op::Attention(a) => attention(a, random),
        Op::CrossAttention(a) => cross_attention(a, random),
        Op::LinearAttention(a) => linear_attention(a, random),
        Op::NormConv(both) => match random.below(2) {
            0 => norm(&mut both.norm, random),
            _ => conv(&mut both.conv, random),
        },
        Op::Pool(p) => match random.below(5) {
            0 => tensor(&mut p.src, random),
            1 => tensor(&mut p.out, random),
            2 => p.window = odd(p.window.into(), random) as u8,
            3 => p.stride = odd(p.stride.into(), random) as u8,
            _ => match &mut p.mean {
                Some(mean) => factor(mean, random),
                None => p.mean = Some(Requant::ONE),
            },
        },
        Op::Rearrange(r) => match random.below(4) {
            0 => tensor(&mut r.src, random),
            1 => tensor(&mut r.out, random),
            2 => r.block = odd(r.block.into(), random) as u8,
            _ => {
                r.way = random.pick(&[
                    Pattern::Channels,
                    Pattern::Phases,
                    Pattern::Depth,
                    Pattern::Repeat,
                    Pattern::Reshape,
                ])
            }
        },
        Op::Constant(c) => constant(c, random),
        Op::Band(r) => match random.below(4) {
            0 => tensor(&mut r.first, random),
            1 => tensor(&mut r.out, random),
            2 => r.from = odd(r.from.into(), random) as u16,
            _ => match &mut r.second {
                Some(second) => tensor(second, random),
                None => r.second = Some(r.first),
            },
        },
        Op::Upsample(Upsample { src, out }) | Op::AvgPool(AvgPool { src, out }) => match random.below(2) {
            0 => tensor(src, random),
            _ => tensor(out, random),
        },
    }
}

fn constant(c: &mut Constant, random: &mut Random) {
    match (random.below(7), &mut c.sum) {
        (0, _) => tensor(&mut c.out, random),
        (1, _) => place(&mut c.table, random),
        (2, Some(_)) => c.sum = None,
        (3, Some(sum)) => tensor(&mut sum.src, random),
        (4, Some(sum)) => sum.mult = odd(sum.mult as u64, random) as i32,
        (5, Some(sum)) => sum.table_mult = odd(sum.table_mult as u64, random) as i32,
        (_, Some(sum)) => sum.shift = odd(sum.shift.into(), random) as u8,
        (_, None) => {
            c.sum = Some(Sum {
                src: TensorId(random.below(30) as u16),
                mult: random.pick(&[0, 1, -1, 1 << 30, i32::MAX, i32::MIN]),
                table_mult: random.pick(&[0, 1, -1, 1 << 30, i32::MAX, i32::MIN]),
                shift: random.pick(&[0, 1, 30, 62, 63, 255]),
            });
        }
    }
}

fn conv(c: &mut Conv, random: &mut Random) {
    match random.below(12) {
        0 => source(&mut c.source, random),
        1 => tensor(&mut c.out, random),
        2 => tensor(&mut c.scratch, random),
        3 => c.kernel.0 = odd(c.kernel.0.into(), random) as u8,
        4 => c.stride.0 = odd(c.stride.0.into(), random) as u8,
        5 => {
            let side = random.below(4);
            c.pad[side] = odd(c.pad[side].into(), random) as u8;
        }
        6 => c.upsample = !c.upsample,
        7 => c.addend = None,
        8 | 9 => {
            if let Some(addend) = &mut c.addend {
                match random.below(3) {
                    0 => tensor(&mut addend.tensor, random),
                    1 => factor(&mut addend.requant, random),
                    _ => addend.factor = real(random),
                }
            }
        }
        _ => weights(&mut c.weights, random),
    }
}

fn weights(w: &mut Weights, random: &mut Random) {
    let (data, bias, requant) = match *w {
        Weights::W8 { data, bias, requant }
        | Weights::W4 { data, bias, requant }
        | Weights::W16 { data, bias, requant } => (data, bias, requant),
        Weights::F16 { data, bias } => (data, bias, bias),
    };
    *w = match random.below(9) {
        0 => Weights::W8 { data, bias, requant },
        1 => Weights::W16 { data, bias, requant },
        2 => Weights::F16 { data, bias },
        3 => Weights::W4 { data, bias, requant },
        _ => *w,
    };
    match w {
        Weights::W8 { data, bias, requant }
        | Weights::W4 { data, bias, requant }
        | Weights::W16 { data, bias, requant } => {
            place([data, bias, requant][random.below(3)], random);
        }
        Weights::F16 { data, bias } => place([data, bias][random.below(2)], random),
    }
}

fn norm(n: &mut GroupNorm, random: &mut Random) {
    match random.below(11) {
        0 => source(&mut n.source, random),
        1 => tensor(&mut n.out, random),
        2 => tensor(&mut n.scratch, random),
        3 => n.groups = odd(n.groups.into(), random) as u16,
        4 => n.silu = !n.silu,
        5 => place(&mut n.affine, random),
        6 => n.gamma_frac = odd(n.gamma_frac.into(), random) as u8,
        7 => n.eps_q = odd(n.eps_q, random),
        8 => n.eps = real(random),
        9 => factor(&mut n.out_requant, random),
        _ => match &mut n.scale_shift {
            Some((id, _)) if random.below(2) == 0 => tensor(id, random),
            Some((_, requant)) => factor(requant, random),
            None => n.scale_shift = Some((TensorId(random.below(30) as u16), Requant::ONE)),
        },
    }
}

fn other_norm(n: &mut Norm, random: &mut Random) {
    match random.below(14) {
        0 => source(&mut n.source, random),
        1 => tensor(&mut n.out, random),
        2 => n.groups = odd(n.groups.into(), random) as u16,
        3 => n.silu = !n.silu,
        4 => place(&mut n.affine, random),
        5 => n.gamma_frac = odd(n.gamma_frac.into(), random) as u8,
        6 => n.eps_q = odd(n.eps_q, random),
        7 => n.eps = real(random),
        8 => factor(&mut n.out_requant, random),
        9 => n.up = odd(n.up as u64, random) as i8,
        10 => n.by_position = !n.by_position,
        11 => n.centred = !n.centred,
        12 => n.floor = !n.floor,
        _ => match &mut n.scale_shift {
            Some(of) => match random.below(3) {
                0 => tensor(&mut of.vector, random),
                1 => factor(&mut of.scale, random),
                _ => factor(&mut of.shift, random),
            },
            None => {
                n.scale_shift = Some(ScaleShift {
                    vector: TensorId(random.below(30) as u16),
                    scale: Requant::ONE,
                    shift: Requant::ONE,
                });
            }
        },
    }
}

fn pointwise(p: &mut Pointwise, random: &mut Random) {
    match (random.below(6), &mut p.table, &mut p.affine) {
        (0, ..) => tensor(&mut p.src, random),
        (1, ..) => tensor(&mut p.out, random),
        (2, Some(table), _) => place(&mut table.at, random),
        (3, Some(table), _) => table.segment_bits = random.pick(&[0, 1, 4, 8, 12, 15, 16, 255]),
        (4, table, affine) if random.below(4) == 0 => match random.below(2) {
            0 => *table = None,
            _ => *affine = None,
        },
        (_, _, Some(affine)) => self::affine(affine, random),
        (_, table, None) => *table = None,
    }
}

fn affine(affine: &mut Affine, random: &mut Random) {
    let mult = |mult: &mut i32, random: &mut Random| *mult = random.pick(&[0, 1, -1, 1 << 30, i32::MAX, i32::MIN]);
    match random.below(10) {
        0 => mult(&mut affine.one, random),
        1 => affine.one_float = real(random),
        2 => affine.shift = random.pick(&[0, 1, 31, 32, 33, 62, 63, 255]),
        3 => affine.factor = None,
        4 => affine.addend = None,
        5 | 6 => {
            if let Some(of) = &mut affine.factor {
                match random.below(2) {
                    0 => tensor(&mut of.tensor, random),
                    _ => factor(&mut of.requant, random),
                }
            }
        }
        _ => {
            if let Some(of) = &mut affine.addend {
                match (random.below(4), &mut of.tensor) {
                    (0, id) => *id = None,
                    (1, Some(id)) => tensor(id, random),
                    (2, _) => of.mult_float = real(random),
                    _ => mult(&mut of.mult, random),
                }
            }
        }
    }
}

fn attention(a: &mut Attention, random: &mut Random) {
    match random.below(9) {
        0 => tensor(&mut a.q, random),
        1 => tensor(&mut a.k, random),
        2 => tensor(&mut a.v, random),
        3 => tensor(&mut a.out, random),
        4 => tensor(&mut a.scratch, random),
        5 => a.heads = odd(a.heads.into(), random) as u16,
        6 => a.scale = real(random),
        7 => factor(&mut a.out_requant, random),
        _ => {
            let (mult, shift) = (
                odd(a.score.mult as u64, random) as i32,
                odd(a.score.shift.into(), random) as u8,
            );
            a.score = WideRequant { mult, shift };
        }
    }
}

fn cross_attention(a: &mut CrossAttention, random: &mut Random) {
    match random.below(10) {
        0 => tensor(&mut a.q, random),
        1 => tensor(&mut a.k, random),
        2 => tensor(&mut a.v, random),
        3 => tensor(&mut a.out, random),
        4 => tensor(&mut a.scratch, random),
        5 => a.heads = odd(a.heads.into(), random) as u16,
        6 => a.scale = real(random),
        7 => factor(&mut a.out_requant, random),
        8 => wide(&mut a.score, random),
        _ => rows(&mut a.rows, random),
    }
}

fn linear_attention(a: &mut LinearAttention, random: &mut Random) {
    match random.below(12) {
        0 => tensor(&mut a.q, random),
        1 => tensor(&mut a.k, random),
        2 => tensor(&mut a.v, random),
        3 => tensor(&mut a.out, random),
        4 => tensor(&mut a.scratch, random),
        5 => a.heads = odd(a.heads.into(), random) as u16,
        6 => a.scale = real(random),
        7 => factor(&mut a.query, random),
        8 => factor(&mut a.key, random),
        9 => wide(&mut a.context, random),
        10 => wide(&mut a.out_requant, random),
        _ => rows(&mut a.rows, random),
    }
}

fn rows(rows: &mut Option<Rows>, random: &mut Random) {
    let Some(r) = rows else {
        return *rows = Some(Rows {
            count: odd(1, random) as u16,
            keys: At(0),
            values: At(16),
            score: WideRequant {
                mult: 1 << 21,
                shift: 21,
            },
            unit: WideRequant {
                mult: 1 << 21,
                shift: 21,
            },
        });
    };
    match random.below(6) {
        0 => r.count = odd(r.count.into(), random) as u16,
        1 => place(&mut r.keys, random),
        2 => place(&mut r.values, random),
        3 => wide(&mut r.score, random),
        4 => wide(&mut r.unit, random),
        _ => *rows = None,
    }
}

/// Valid and invalid ones, as [`factor`].
fn wide(r: &mut WideRequant, random: &mut Random) {
    match random.below(3) {
        0 => r.mult = odd(r.mult as u64, random) as i32,
        1 => r.shift = odd(r.shift.into(), random) as u8,
        _ => r.shift = 1 + random.below(62) as u8,
    }
}

fn source(s: &mut Source, random: &mut Random) {
    match &mut s.second {
        Some((id, requants)) => match random.below(4) {
            0 => tensor(&mut s.first, random),
            1 => tensor(id, random),
            2 => factor(&mut requants[random.below(2)], random),
            _ => s.second = None,
        },
        None if random.below(4) == 0 => s.second = Some((TensorId(random.below(30) as u16), [Requant::ONE; 2])),
        None => tensor(&mut s.first, random),
    }
}

fn tensor(id: &mut TensorId, random: &mut Random) {
    let any = random.below(45) as u16;
    id.0 = random.pick(&[any, any, any, id.0 ^ 1, u16::MAX]);
}

/// Valid factors as well as invalid ones: what is valid has to run.
fn factor(r: &mut Requant, random: &mut Random) {
    match random.below(4) {
        0 => r.mult = odd(r.mult as u64, random) as i32,
        1 => r.shift = odd(r.shift.into(), random) as u8,
        2 => r.shift = 1 + random.below(62) as u8,
        _ => r.mult = random.pick(&[0, 1 << 30, i32::MAX, -(1 << 30), i32::MIN]),
    }
}

fn place(at: &mut At, random: &mut Random) {
    at.0 = odd(at.0.into(), random) as u32;
}
