//! Operators and the header from the bytes that postcard writes of them: the fields in their order.
//!
//! A new field is one line here; the test holds this to postcard's own decoder.

use super::header::{Arithmetic, Header, Packing};
use super::op::{Addend, Attention, Conv, GroupNorm, NormConv, Op, Readout, Source, Weights};
use super::plan::{Plan, Schedule};
use super::reader::Reader;
use crate::features::Feature;
use crate::numeric::requant::{Requant, WideRequant};
use crate::schedule::coefficients::{Clip, Prediction};

/// The next operator; `None` at the end, where there is none, and where it needs what is not built ([`missing`]).
#[inline(never)]
pub fn op(r: &mut Reader<'_>) -> Option<Op> {
    let op = match r.u32() {
        0 => Op::Input {
            out: r.tensor(),
            requant: requant(r),
            offset: r.i32(),
            scale: r.f32(),
            shift: r.f32(),
        },
        1 => Op::TimeProj {
            out: r.tensor(),
            phases: r.at(),
            cos_first: r.flag(),
        },
        2 if Feature::Class.is_built() => Op::ClassEmbed {
            out: r.tensor(),
            table: r.at(),
        },
        3 => Op::Silu {
            src: r.tensor(),
            out: r.tensor(),
            in_requant: requant(r),
            out_requant: requant(r),
        },
        4 => Op::Conv(conv(r)),
        5 => Op::GroupNorm(group_norm(r)),
        6 if Feature::Attention.is_built() => Op::Attention(attention(r)),
        7 if Feature::Resample.is_built() => Op::Upsample {
            src: r.tensor(),
            out: r.tensor(),
        },
        8 if Feature::Resample.is_built() => Op::AvgPool {
            src: r.tensor(),
            out: r.tensor(),
        },
        9 if Feature::NormConv.is_built() => Op::NormConv(NormConv {
            norm: group_norm(r),
            conv: conv(r),
        }),
        10 if Feature::Chain.is_built() => Op::Readout(Readout {
            conv: conv(r),
            first: r.at(),
            groups: r.u16(),
        }),
        11 if Feature::Chain.is_built() => Op::Softmax {
            src: r.tensor(),
            out: r.tensor(),
            in_requant: requant(r),
        },
        _ => return None,
    };
    if r.failed() { None } else { Some(op) }
}

/// What the next operator needs and this build does not have.
pub fn missing(r: &Reader<'_>) -> Option<Feature> {
    let feature = match r.clone().u32() {
        2 => Feature::Class,
        6 => Feature::Attention,
        7 | 8 => Feature::Resample,
        9 => Feature::NormConv,
        10 | 11 => Feature::Chain,
        _ => return None,
    };
    Some(feature).filter(|feature| !feature.is_built())
}

/// The header, which `bytes` hold and nothing else.
#[inline(never)]
pub fn header(bytes: &[u8]) -> Option<Header> {
    let r = &mut Reader::new(bytes);
    let header = Header {
        arithmetic: r.one_of([Arithmetic::Integer, Arithmetic::F16]),
        packing: r.one_of([Packing::Portable]),
        channels: r.u16(),
        rows: r.u16(),
        cols: r.u16(),
        classes: r.u16(),
        null_class: if r.flag() { Some(r.u16()) } else { None },
        train_steps: r.u32(),
        prediction: prediction(r),
        clip: r.one_of([Clip::Off, Clip::Stock, Clip::Rederived]),
        clip_range_q24: r.i32(),
        schedule: schedule(r),
        steps_offset: r.i32(),
        final_alpha_bar_q62: r.u64(),
        output: r.tensor(),
        arena_bytes: r.u32(),
        op_count: r.u16(),
        macs: r.u64(),
    };
    (!r.failed() && r.rest().is_empty()).then_some(header)
}

fn prediction(r: &mut Reader<'_>) -> Prediction {
    match r.u32() {
        0 => Prediction::Epsilon,
        1 => Prediction::V,
        2 => Prediction::Sample,
        3 => Prediction::Bits { prior_q31: r.u32() },
        4 => Prediction::Kernel,
        _ => {
            r.fail();
            Prediction::Epsilon
        }
    }
}

fn schedule(r: &mut Reader<'_>) -> Schedule {
    match r.u32() {
        0 => Schedule::Leading,
        1 => Schedule::Trailing,
        2 => Schedule::Linspace,
        3 => Schedule::Quadratic,
        4 => Schedule::Planned(Plan::read(r)),
        _ => {
            r.fail();
            Schedule::Leading
        }
    }
}

#[inline(never)]
fn conv(r: &mut Reader<'_>) -> Conv {
    Conv {
        source: source(r),
        out: r.tensor(),
        scratch: r.tensor(),
        weights: weights(r),
        kernel: r.u8(),
        stride: r.u8(),
        pad: [r.u8(), r.u8(), r.u8(), r.u8()],
        upsample: r.flag(),
        addend: if r.flag() { Some(addend(r)) } else { None },
    }
}

#[inline(never)]
fn addend(r: &mut Reader<'_>) -> Addend {
    Addend {
        tensor: r.tensor(),
        requant: requant(r),
        factor: r.f32(),
    }
}

#[inline(never)]
fn weights(r: &mut Reader<'_>) -> Weights {
    let variant = r.u32();
    let (data, bias) = (r.at(), r.at());
    match variant {
        0 => Weights::W8 {
            data,
            bias,
            requant: r.at(),
        },
        1 => Weights::W16 {
            data,
            bias,
            requant: r.at(),
        },
        2 => Weights::F16 { data, bias },
        3 => Weights::W4 {
            data,
            bias,
            requant: r.at(),
        },
        _ => {
            r.fail();
            Weights::F16 { data, bias }
        }
    }
}

#[inline(never)]
fn group_norm(r: &mut Reader<'_>) -> GroupNorm {
    GroupNorm {
        source: source(r),
        out: r.tensor(),
        scratch: r.tensor(),
        groups: r.u16(),
        silu: r.flag(),
        affine: r.at(),
        gamma_frac: r.u8(),
        eps_q: r.u64(),
        eps: r.f32(),
        out_requant: requant(r),
        scale_shift: if r.flag() { Some((r.tensor(), requant(r))) } else { None },
    }
}

#[inline(never)]
fn attention(r: &mut Reader<'_>) -> Attention {
    Attention {
        q: r.tensor(),
        k: r.tensor(),
        v: r.tensor(),
        out: r.tensor(),
        scratch: r.tensor(),
        heads: r.u16(),
        score: WideRequant {
            mult: r.i32(),
            shift: r.u8(),
        },
        out_requant: requant(r),
        scale: r.f32(),
    }
}

#[inline(never)]
fn source(r: &mut Reader<'_>) -> Source {
    Source {
        first: r.tensor(),
        second: if r.flag() {
            Some((r.tensor(), [requant(r), requant(r)]))
        } else {
            None
        },
    }
}

#[inline(never)]
fn requant(r: &mut Reader<'_>) -> Requant {
    Requant {
        mult: r.i32(),
        shift: r.u8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::philox::philox4x32;
    use std::vec::Vec;

    fn encoded(record: &impl serde::Serialize) -> Vec<u8> {
        let mut buffer = [0; 256];
        postcard::to_slice(record, &mut buffer)
            .expect("records are short")
            .to_vec()
    }

    /// Bytes of which most are small, as in records, and some continue a number or are whatever.
    fn bytes(seed: u32) -> Vec<u8> {
        let word = |i: u32| philox4x32([i, 0, 0, 0], [seed, 0]);
        let byte = |i: u32| match word(i) {
            [kind, byte, ..] if kind % 16 == 0 => byte as u8,
            [kind, byte, ..] if kind % 16 < 3 => byte as u8 | 0x80,
            [kind, byte, ..] if kind % 16 == 3 => byte as u8 & 3,
            [_, byte, ..] => byte as u8 & 1,
        };
        let kind = word(1000)[0] as u8 % 13;
        core::iter::once(kind).chain((0..140).map(byte)).collect()
    }

    #[test]
    fn operators_are_read_as_postcard_reads_them() {
        let mut read = [0; 12];
        let mut refused = 0;
        for seed in 0..200_000 {
            let bytes = bytes(seed);
            // All of them, and cut anywhere.
            for bytes in [&bytes[..], &bytes[..seed as usize % bytes.len()]] {
                let expected = postcard::take_from_bytes::<Op>(bytes).ok();
                let mut reader = Reader::new(bytes);
                let found = op(&mut reader).map(|op| (op, reader.rest()));
                // By their bytes, so that a float that is no number equals itself.
                let whole = |(op, rest): (Op, &[u8])| (encoded(&op), rest.len());
                assert_eq!(found.map(whole), expected.map(whole), "{bytes:x?}");
                match expected {
                    Some(_) => read[usize::from(bytes[0])] += 1,
                    None => refused += 1,
                }
            }
        }
        assert!(read.iter().all(|&n| n > 1000) && refused > 1000, "{read:?}, {refused}");
    }

    #[test]
    fn headers_are_read_as_postcard_reads_them() {
        let (mut read, mut refused) = (0, 0);
        for seed in 0..200_000 {
            let mut bytes = bytes(seed);
            // A header has no bytes after it: as many as postcard takes, and sometimes one more.
            if let Ok((_, rest)) = postcard::take_from_bytes::<Header>(&bytes) {
                bytes.truncate(bytes.len() - rest.len() + usize::from(seed % 8 == 0));
            }
            let expected = postcard::take_from_bytes::<Header>(&bytes).ok();
            let expected = expected.filter(|(_, rest)| rest.is_empty()).map(|(header, _)| header);
            assert_eq!(header(&bytes), expected, "{bytes:x?}");
            match expected {
                Some(_) => read += 1,
                None => refused += 1,
            }
        }
        assert!(read > 1000 && refused > 1000, "{read}, {refused}");
    }

    #[test]
    fn plans_are_read_as_postcard_writes_them_and_nothing_that_is_cut_off_is() {
        let words = |i: u32| philox4x32([i, 0, 0, 0], [7, 7]);
        for i in 0..2_000 {
            let [steps, eta_q16, choice, size] = words(i);
            // Numbers of every length.
            let size = size % 32;
            let mut plan = [0; 16];
            let plan = postcard::to_slice(&(steps >> size, eta_q16 >> size, choice as u8), &mut plan).unwrap();
            let plan = postcard::from_bytes(plan).unwrap();
            let planned = Header {
                schedule: Schedule::Planned(plan),
                ..Header::EMPTY
            };
            let mut bytes = [0; 64];
            let bytes = postcard::to_slice(&planned, &mut bytes).unwrap();
            assert_eq!(header(bytes), Some(planned));
            for len in 0..bytes.len() {
                assert_eq!(header(&bytes[..len]), None);
            }
        }
    }
}
