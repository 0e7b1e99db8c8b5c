//! Operators and the header from the bytes that postcard writes of them: the fields in their order.
//!
//! A new field is one line here; the test holds this to postcard's own decoder.

use super::header::{Arithmetic, Header, Packing};
use super::op::{Addend, Attention, Conv, GroupNorm, NormConv, Op, Readout, Source, Weights};
use super::reader::Reader;
use super::sampling::{Clip, Prediction, Schedule};
use super::tensor::TensorId;
use crate::features::Feature;
use crate::numeric::requant::{Requant, WideRequant};

/// The next operator. The reader fails at the end, where there is none, and where it needs what is not built ([`missing`]).
#[inline(never)]
pub fn op(r: &mut Reader<'_>) -> Op {
    match r.u32() {
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
        4 => {
            let mut c = Conv::EMPTY;
            conv(r, &mut c);
            Op::Conv(c)
        }
        5 => {
            let mut norm = GroupNorm::EMPTY;
            group_norm(r, &mut norm);
            Op::GroupNorm(norm)
        }
        6 if Feature::Attention.is_built() => Op::Attention(attention(r)),
        7 if Feature::Resample.is_built() => Op::Upsample {
            src: r.tensor(),
            out: r.tensor(),
        },
        8 if Feature::Resample.is_built() => Op::AvgPool {
            src: r.tensor(),
            out: r.tensor(),
        },
        9 if Feature::NormConv.is_built() => {
            let mut both = NormConv {
                norm: GroupNorm::EMPTY,
                conv: Conv::EMPTY,
            };
            group_norm(r, &mut both.norm);
            conv(r, &mut both.conv);
            Op::NormConv(both)
        }
        10 if Feature::Chain.is_built() => {
            let mut c = Conv::EMPTY;
            conv(r, &mut c);
            Op::Readout(Readout {
                conv: c,
                first: r.at(),
                groups: r.u16(),
            })
        }
        11 if Feature::Chain.is_built() => Op::Softmax {
            src: r.tensor(),
            out: r.tensor(),
            in_requant: requant(r),
        },
        _ => {
            r.fail();
            let none = TensorId(0);
            Op::Upsample { src: none, out: none }
        }
    }
}

/// What the next operator needs and this build does not have.
pub fn missing(mut r: Reader<'_>) -> Option<Feature> {
    let feature = match r.u32() {
        2 => Feature::Class,
        6 => Feature::Attention,
        7 | 8 => Feature::Resample,
        9 => Feature::NormConv,
        10 | 11 => Feature::Chain,
        _ => return None,
    };
    Some(feature).filter(|feature| !feature.is_built())
}

/// The header, made where it is wanted.
#[inline(never)]
pub fn header(r: &mut Reader<'_>, header: &mut Header) {
    header.arithmetic = match r.variant(2) {
        0 => Arithmetic::Integer,
        _ => Arithmetic::F16,
    };
    r.variant(1);
    header.packing = Packing::Portable;
    header.channels = r.u16();
    header.rows = r.u16();
    header.cols = r.u16();
    header.classes = r.u16();
    header.null_class = if r.flag() { Some(r.u16()) } else { None };
    header.train_steps = r.u32();
    header.prediction = Prediction::read(r);
    header.clip = Clip::read(r);
    header.clip_range_q24 = r.i32();
    header.schedule = Schedule::read(r);
    header.steps_offset = r.i32();
    header.final_alpha_bar_q62 = r.u64();
    header.output = r.tensor();
    header.arena_bytes = r.u32();
    header.op_count = r.u16();
    header.macs = r.u64();
}

#[inline(never)]
fn conv(r: &mut Reader<'_>, conv: &mut Conv) {
    conv.source = source(r);
    conv.out = r.tensor();
    conv.scratch = r.tensor();
    conv.weights = weights(r);
    conv.kernel = r.u8();
    conv.stride = r.u8();
    conv.pad.iter_mut().for_each(|pad| *pad = r.u8());
    conv.upsample = r.flag();
    conv.addend = if r.flag() { Some(addend(r)) } else { None };
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
    let variant = r.variant(4);
    let (data, bias) = (r.at(), r.at());
    if variant == 2 {
        return Weights::F16 { data, bias };
    }
    let requant = r.at();
    match variant {
        0 => Weights::W8 { data, bias, requant },
        1 => Weights::W16 { data, bias, requant },
        _ => Weights::W4 { data, bias, requant },
    }
}

#[inline(never)]
fn group_norm(r: &mut Reader<'_>, norm: &mut GroupNorm) {
    norm.source = source(r);
    norm.out = r.tensor();
    norm.scratch = r.tensor();
    norm.groups = r.u16();
    norm.silu = r.flag();
    norm.affine = r.at();
    norm.gamma_frac = r.u8();
    norm.eps_q = r.u64();
    norm.eps = r.f32();
    norm.out_requant = requant(r);
    norm.scale_shift = if r.flag() { Some((r.tensor(), requant(r))) } else { None };
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
                let found = op(&mut reader);
                let found = (!reader.failed()).then(|| (found, reader.rest()));
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
            assert_eq!(whole_header(&bytes), expected, "{bytes:x?}");
            match expected {
                Some(_) => read += 1,
                None => refused += 1,
            }
        }
        assert!(read > 1000 && refused > 1000, "{read}, {refused}");
    }

    /// The header that `bytes` hold, and nothing else.
    fn whole_header(bytes: &[u8]) -> Option<Header> {
        let (mut reader, mut found) = (Reader::new(bytes), Header::EMPTY);
        header(&mut reader, &mut found);
        Some(found).filter(|_| !reader.failed() && reader.rest().is_empty())
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
            assert_eq!(whole_header(bytes), Some(planned));
            for len in 0..bytes.len() {
                assert_eq!(whole_header(&bytes[..len]), None);
            }
        }
    }
}
