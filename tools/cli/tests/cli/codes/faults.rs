//! Codes of model files with wrong contents and right checksums.

use super::{parts::*, wrong};
use crate::common::{digits, model, mote};
use mote_runtime::internals::model::layout::{ENTRY_BYTES, PREFIX_BYTES};
use mote_runtime::internals::ops::{At, Conv, NormConv, Op, Weights};
use mote_runtime::internals::tensor::{Tensor, TensorId};
use std::path::Path;

/// What is done to a file, the code that it is refused with, and words of the message.
type Row = (Damage, u16, &'static [&'static str]);

enum Damage {
    /// To the parts of the model w8a16.
    Parts(fn(&mut Parts)),
    /// To the parts of the model f16.
    Floats(fn(&mut Parts)),
}

use Damage::{Floats, Parts as Integers};

/// Writes `value` at byte `at` of the record of `tensor`.
fn put(parts: &mut Parts, tensor: usize, at: usize, value: &[u8]) {
    let at = tensor * Tensor::RECORD_BYTES + at;
    parts.sections[TENSORS][at..at + value.len()].copy_from_slice(value);
}

/// The record's bytes of `tensor`, from `at`.
fn get(parts: &Parts, tensor: usize, at: usize, bytes: usize) -> Vec<u8> {
    parts.sections[TENSORS][tensor * Tensor::RECORD_BYTES + at..][..bytes].to_vec()
}

/// Changes the first convolution.
fn conv(parts: &mut Parts, change: impl Fn(&mut Conv)) {
    let mut ops = parts.ops();
    let first = ops.iter_mut().find_map(|op| match op {
        Op::Conv(conv) => Some(conv),
        _ => None,
    });
    change(first.expect("there is a convolution"));
    parts.set_ops(&ops);
}

fn data(conv: &mut Conv) -> &mut At {
    match &mut conv.weights {
        Weights::W8 { data, .. } | Weights::W4 { data, .. } | Weights::W16 { data, .. } | Weights::F16 { data, .. } => {
            data
        }
    }
}

const ROWS: &[Row] = &[
    (
        Integers(|parts| parts.sections[OPS].extend([0; 4])),
        107,
        &["section 'operators' is malformed"],
    ),
    (
        Integers(|parts| {
            let record = get(parts, 0, 0, Tensor::RECORD_BYTES);
            (0..4096).for_each(|_| parts.sections[TENSORS].extend(&record));
        }),
        108,
        &["tensors", "4096 are the most", "no operator names"],
    ),
    (
        Integers(|parts| {
            let mut header = parts.header();
            header.train_steps = 0;
            parts.set_header(&header);
        }),
        109,
        &["header field 'train_steps'"],
    ),
    (Integers(|parts| put(parts, 3, 10, &[9])), 200, &["tensor 3", "decoded"]),
    (
        Integers(|parts| put(parts, 3, 4, &[0, 0])),
        202,
        &["tensor 3", "extent is 0 where 1"],
    ),
    (
        Integers(|parts| {
            let wide = (0..).find(|tensor| get(parts, *tensor, 10, 1) == [1]).unwrap();
            put(parts, wide, 11, &[5]);
        }),
        204,
        &["zero point"],
    ),
    (
        Integers(|parts| put(parts, 3, 12, &[0xFF; 2])),
        205,
        &["tensor 3", "lifetime"],
    ),
    (
        Integers(|parts| {
            let whole = get(parts, 3, 0, Tensor::RECORD_BYTES);
            put(parts, 4, 0, &whole);
        }),
        206,
        &["tensor 4", "overlaps that of tensor 3"],
    ),
    (
        Integers(|parts| put(parts, 3, 0, &[0, 0, 0, 0x10])),
        207,
        &["tensor 3", "reaches byte 268"],
    ),
    (
        Integers(|parts| {
            let at = get(parts, 3, 0, 1)[0] | 1;
            put(parts, 3, 0, &[at]);
        }),
        208,
        &["tensor 3", "not aligned"],
    ),
    (
        Integers(|parts| parts.sections[OPS][0] = 0x7F),
        300,
        &["operator 0", "decoded"],
    ),
    (
        Integers(|parts| conv(parts, |conv| conv.out = TensorId(9999))),
        301,
        &["operator", "tensor 9999", "does not exist"],
    ),
    (
        Integers(|parts| conv(parts, |conv| conv.kernel.0 = 0x57)),
        302,
        &["operator", "an extent is"],
    ),
    (
        Integers(|parts| {
            let floats = |conv: &mut Conv| {
                let (data, bias) = (*self::data(conv), *self::data(conv));
                conv.weights = Weights::F16 { data, bias };
            };
            conv(parts, floats);
        }),
        303,
        &["operator", "number format"],
    ),
    (
        Integers(|parts| {
            let mut ops = parts.ops();
            ops.swap(0, 1);
            parts.set_ops(&ops);
        }),
        305,
        &["operator 0", "outside its lifetime"],
    ),
    (
        Integers(|parts| {
            let mut ops = parts.ops();
            let summed = ops.iter_mut().find_map(|op| match op {
                Op::Conv(conv) | Op::NormConv(NormConv { conv, .. }) if conv.addend.is_some() => Some(conv),
                _ => None,
            });
            let conv = summed.expect("a convolution adds");
            conv.addend.as_mut().unwrap().tensor = conv.source.first;
            parts.set_ops(&ops);
        }),
        306,
        &["operator", "overlaps that of tensor"],
    ),
    (
        Integers(|parts| conv(parts, |conv| data(conv).0 = 0x7FFF_FF00)),
        307,
        &["operator", "reaches byte 2147"],
    ),
    (
        Integers(|parts| {
            conv(parts, |conv| match &mut conv.weights {
                Weights::W8 { bias, .. } | Weights::W16 { bias, .. } => bias.0 += 1,
                _ => panic!("another form"),
            })
        }),
        308,
        &["operator", "not aligned"],
    ),
    (
        Integers(|parts| conv(parts, |conv| conv.stride.0 = 0)),
        309,
        &["operator", "a parameter is outside"],
    ),
    (
        Integers(|parts| {
            let mut ops = parts.ops();
            let input = ops.iter_mut().find_map(|op| match op {
                Op::Input(input) => Some(input),
                _ => None,
            });
            input.expect("the sample is read").requant.shift = 63;
            parts.set_ops(&ops);
        }),
        310,
        &["operator", "multiplier or shift"],
    ),
    (
        Integers(|parts| {
            let of_first = parts.ops().iter().find_map(|op| match op {
                Op::Conv(Conv {
                    weights: Weights::W8 { bias, .. } | Weights::W16 { bias, .. },
                    ..
                }) => Some(bias.0 as usize),
                _ => None,
            });
            let bias = of_first.expect("there is a convolution");
            parts.sections[WEIGHTS][bias..bias + 4].copy_from_slice(&i32::MAX.to_le_bytes());
        }),
        311,
        &["operator", "output channel 0", "overflow"],
    ),
    (
        Floats(|parts| {
            let last = parts.sections[WEIGHTS].len() & !1;
            parts.sections[WEIGHTS][..last]
                .as_chunks_mut::<2>()
                .0
                .iter_mut()
                .for_each(|half| half[1] |= 0x7C);
        }),
        312,
        &["operator", "is not finite"],
    ),
    (
        Integers(|parts| {
            let four = |conv: &mut Conv| {
                if let Weights::W8 { data, bias, requant } = conv.weights {
                    conv.weights = Weights::W4 { data, bias, requant };
                }
            };
            conv(parts, four);
        }),
        313,
        &["operator", "not padded with zeros"],
    ),
];

/// The codes of all rows, each of which a command has met.
pub fn met(dir: &Path, faults: &mut Vec<String>) -> Vec<u16> {
    let done = mote(
        "convert {digits} -o {dir}/floats.mote --scheme f16",
        &[("digits", &*digits()), ("dir", dir)],
    );
    assert_eq!(done.status, 0, "{}", done.stderr);
    let read = |path: &Path| Parts::of(&std::fs::read(path).unwrap());
    let (integers, floats) = (read(model()), read(&dir.join("floats.mote")));
    let mut refused = |bytes: &[u8], code: u16, words: &[&str]| {
        std::fs::write(dir.join("fault.mote"), bytes).unwrap();
        let words: Vec<&str> = words.iter().chain(&["fault.mote"]).copied().collect();
        faults.extend(wrong("inspect {dir}/fault.mote", &[("dir", dir)], code, &words));
        code
    };
    let rows = ROWS.iter().map(|(damage, code, words)| {
        let (mut parts, change) = match damage {
            Integers(change) => (integers.clone(), change),
            Floats(change) => (floats.clone(), change),
        };
        change(&mut parts);
        refused(&parts.file(), *code, words)
    });
    let mut codes: Vec<u16> = rows.collect();
    let mut file = integers.file();
    file[PREFIX_BYTES + ENTRY_BYTES] = 9;
    let end = file.len() - 4;
    let sum = mote_runtime::internals::model::crc::crc32(&file[..end]);
    file[end..].copy_from_slice(&sum.to_le_bytes());
    codes.push(refused(&file, 106, &["entry 1 of the section table"]));
    codes
}
