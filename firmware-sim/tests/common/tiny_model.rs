//! A model file made by hand, so that these tests need no converter: 8 x 8 pixels, a convolution to four channels,
//! group normalization with SiLU, a convolution back.

use mote_runtime::internals::family::padded;
use mote_runtime::internals::model::crc::crc32;
use mote_runtime::internals::model::header::{Arithmetic, Header, Packing};
use mote_runtime::internals::model::sampling::Schedule;
use mote_runtime::internals::model::{FORMAT_VERSION, MAGIC, SECTIONS};
use mote_runtime::internals::numeric::NUMERIC_VERSION;
use mote_runtime::internals::numeric::requant::Requant;
use mote_runtime::internals::ops::conv::Sides;
use mote_runtime::internals::ops::{At, Conv, GroupNorm, Input, Op, Source, Weights};
use mote_runtime::internals::schedule::coefficients::{Clip, Prediction};
use mote_runtime::internals::tensor::{Dtype, Tensor, TensorId};

const SIDE: u16 = 8;
const CHANNELS: u16 = 4;
const TRAIN_STEPS: u32 = 100;

/// `2^-bits`.
fn power(bits: u8) -> Requant {
    Requant {
        mult: 1 << 30,
        shift: 30 + bits,
    }
}

/// The file's bytes.
pub fn tiny_model() -> Vec<u8> {
    let mut weights = Weightbook::default();
    let ops = [
        Op::Input(Input {
            out: TensorId(0),
            requant: power(12),
            offset: 0,
            scale: 1.0,
            shift: 0.0,
        }),
        weights.conv(TensorId(0), 1, TensorId(1), CHANNELS, TensorId(4), power(6)),
        weights.group_norm(TensorId(1), TensorId(2), TensorId(5)),
        weights.conv(TensorId(2), CHANNELS, TensorId(3), 1, TensorId(6), power(1)),
    ];
    // The first plane's memory is free again when the last one is written.
    let plane = u32::from(SIDE * SIDE);
    let (wide, scratch) = (plane * u32::from(CHANNELS) * 2, 2 * plane * u32::from(CHANNELS) * 2);
    let tensors = [
        activation(0, 1, Dtype::I16, 0, 1),
        activation(wide, CHANNELS, Dtype::I16, 1, 2),
        activation(0, CHANNELS, Dtype::I16, 2, 3),
        activation(wide, 1, Dtype::Q24, 3, ops.len() as u16),
        Tensor {
            offset: scratch,
            ..Tensor::scratch(padded(9) as u32 * 2, 1)
        },
        Tensor {
            offset: scratch,
            ..Tensor::scratch(u32::from(CHANNELS) * 12, 2)
        },
        Tensor {
            offset: scratch,
            ..Tensor::scratch(9 * u32::from(CHANNELS) * 2, 3)
        },
    ];
    let header = header(scratch + 128, ops.len() as u16);
    let schedule = (0..TRAIN_STEPS).flat_map(|t| alpha_bar_q62(t).to_le_bytes());
    let sections = [
        postcard(&header),
        tensors.iter().flat_map(Tensor::to_bytes).collect(),
        ops.iter().flat_map(postcard).collect(),
        weights.bytes,
        schedule.collect(),
        Vec::new(),
        Vec::new(),
    ];
    file(&sections)
}

fn header(arena_bytes: u32, op_count: u16) -> Header {
    Header {
        arithmetic: Arithmetic::Integer,
        packing: Packing::Portable,
        channels: 1,
        rows: SIDE,
        cols: SIDE,
        classes: 0,
        null_class: None,
        train_steps: TRAIN_STEPS,
        prediction: Prediction::Epsilon,
        clip: Clip::Stock,
        clip_range_q24: 1 << 24,
        schedule: Schedule::Leading,
        steps_offset: 0,
        final_alpha_bar_q62: 1 << 62,
        output: TensorId(3),
        arena_bytes,
        op_count,
        macs: u64::from(SIDE * SIDE) * 9 * u64::from(CHANNELS) * 2,
    }
}

/// Falls in a straight line, and never to zero.
fn alpha_bar_q62(t: u32) -> u64 {
    (1 << 62) / u64::from(TRAIN_STEPS + 1) * u64::from(TRAIN_STEPS - t)
}

fn activation(offset: u32, channels: u16, dtype: Dtype, def: u16, last: u16) -> Tensor {
    Tensor {
        offset,
        rows: SIDE,
        cols: SIDE,
        channels,
        dtype,
        zero_point: 0,
        def,
        last,
        scale: 1.0,
    }
}

/// Gathers weights, and makes the operators that use them.
#[derive(Default)]
struct Weightbook {
    bytes: Vec<u8>,
}

impl Weightbook {
    fn put(&mut self, bytes: impl IntoIterator<Item = u8>) -> At {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let at = At(self.bytes.len() as u32);
        self.bytes.extend(bytes);
        at
    }

    fn conv(&mut self, from: TensorId, ins: u16, out: TensorId, outs: u16, scratch: TensorId, requant: Requant) -> Op {
        let outs = usize::from(outs);
        let taps = 9 * usize::from(ins);
        let data = self.put((0..padded(taps) * outs).map(|i| {
            if i % padded(taps) < taps {
                ((i * 37 % 61) as u8).wrapping_sub(30)
            } else {
                0
            }
        }));
        let bias = self.put((0..outs as i32).flat_map(|o| (100 * o - 150).to_le_bytes()));
        let mult = (0..outs).flat_map(|_| requant.mult.to_le_bytes());
        let requant = self.put(mult.chain((0..outs).map(|_| requant.shift)).collect::<Vec<u8>>());
        Op::Conv(Conv {
            source: Source {
                first: from,
                second: None,
            },
            out,
            scratch,
            weights: Weights::W8 { data, bias, requant },
            kernel: Sides::square(3),
            stride: Sides::square(1),
            pad: [1; 4],
            upsample: false,
            addend: None,
        })
    }

    fn group_norm(&mut self, from: TensorId, out: TensorId, scratch: TensorId) -> Op {
        let gamma = (0..CHANNELS).flat_map(|c| ((i32::from(c) + 3) << 14).to_le_bytes());
        let beta_q16 = (0..CHANNELS).flat_map(|c| (i32::from(c) << 12).to_le_bytes());
        let affine = self.put(gamma.chain(beta_q16).collect::<Vec<u8>>());
        Op::GroupNorm(GroupNorm {
            source: Source {
                first: from,
                second: None,
            },
            out,
            scratch,
            groups: 2,
            silu: true,
            affine,
            gamma_frac: 16,
            eps_q: 1 << 20,
            eps: 1e-5,
            out_requant: power(4),
            scale_shift: None,
        })
    }
}

fn postcard(value: &impl serde::Serialize) -> Vec<u8> {
    let mut buffer = [0; 512];
    postcard::to_slice(value, &mut buffer)
        .expect("a header or operator is shorter than the buffer")
        .to_vec()
}

/// Magic, versions, section table, sections at multiples of 16, checksums.
fn file(sections: &[Vec<u8>; SECTIONS.len()]) -> Vec<u8> {
    let mut body = vec![0; 16 + 16 * SECTIONS.len()];
    let mut table = Vec::new();
    for (kind, section) in (1u32..).zip(sections) {
        body.resize(body.len().next_multiple_of(16), 0);
        for word in [kind, body.len() as u32, section.len() as u32, crc32(section)] {
            table.extend(word.to_le_bytes());
        }
        body.extend(section);
    }
    let total = body.len() as u32 + 4;
    let versions = u32::from(FORMAT_VERSION) | u32::from(NUMERIC_VERSION) << 16;
    body[..4].copy_from_slice(&MAGIC);
    for (index, word) in [versions, total, SECTIONS.len() as u32].into_iter().enumerate() {
        body[4 + 4 * index..8 + 4 * index].copy_from_slice(&word.to_le_bytes());
    }
    body[16..16 + table.len()].copy_from_slice(&table);
    body.extend(crc32(&body).to_le_bytes());
    body
}
