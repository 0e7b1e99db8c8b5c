//! Damaged, cut, appended to, moved or foreign files are refused, each with the right error, and nothing panics.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::layout::{ENTRY_BYTES, FORMAT_VERSION, PREFIX_BYTES};
use mote_runtime::internals::numeric::NUMERIC_VERSION;
use mote_runtime::internals::ops::{At, Op, Weights};
use mote_runtime::internals::tensor::int4;
use mote_runtime::{Fault, Model, ParseError, Section};
use mote_tests::checkpoints::{converted, digits};
use mote_tests::parts::{Parts, TENSORS, WEIGHTS};
use mote_tests::synthetic::{Form, model};
use mote_tools::quantize::scheme::Scheme;
use rayon::prelude::*;

fn parse(file: &[u8]) -> Result<u32, ParseError> {
    let memory = AlignedBytes::copy_of(file);
    Model::parse(memory.bytes()).map(|model| model.crc())
}

/// Bits of `file`, of which every `stride`-th is flipped alone, that do not make it invalid.
fn harmless_flips(file: &[u8], stride: usize) -> Vec<usize> {
    let bits: Vec<usize> = (0..file.len() * 8).step_by(stride).collect();
    let survives = |memory: &mut AlignedBytes, bit: usize| {
        memory.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
        let accepted = Model::parse(memory.bytes()).is_ok();
        memory.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
        accepted.then_some(bit)
    };
    bits.into_par_iter()
        .map_init(|| AlignedBytes::copy_of(file), survives)
        .flatten()
        .collect()
}

#[test]
fn every_flipped_bit_is_refused() {
    for form in Form::ALL {
        let file = model(form);
        assert!(parse(&file).is_ok());
        assert_eq!(harmless_flips(&file, 1), Vec::<usize>::new(), "{form:?}");
    }
}

#[test]
fn flipped_bits_of_a_trained_model_are_refused() {
    let file = converted(&digits(), Scheme::W8A8).emitted.bytes;
    assert_eq!(harmless_flips(&file, 61), Vec::<usize>::new());
}

/// A file that was accepted before, as [`Model::parse_trusted`] opens it.
#[allow(
    unsafe_code,
    reason = "the file that is opened has been parsed, and a damaged one is refused"
)]
fn parse_trusted(memory: &AlignedBytes) -> Result<Model<'_>, ParseError> {
    // SAFETY: every caller has parsed these bytes, or has damaged them in a way that the checksum finds.
    unsafe { Model::parse_trusted(memory.bytes()) }
}

#[test]
fn a_trusted_file_is_the_parsed_one_and_every_flipped_bit_of_it_is_found() {
    for form in Form::ALL {
        let file = model(form);
        let mut memory = AlignedBytes::copy_of(&file);
        let parsed = Model::parse(memory.bytes()).expect("a valid model");
        let trusted = parse_trusted(&memory).expect("an unchanged model");
        assert_eq!(
            (trusted.header(), trusted.crc()),
            (parsed.header(), parsed.crc()),
            "{form:?}"
        );
        assert_eq!(trusted.tensor_count(), parsed.tensor_count(), "{form:?}");
        assert!(trusted.ops().eq(parsed.ops()), "{form:?}");
        for bit in 0..file.len() * 8 {
            memory.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
            assert!(parse_trusted(&memory).is_err(), "{form:?}: bit {bit}");
            memory.bytes_mut()[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_file_cut_at_any_length_is_refused() {
    let file = model(Form::W8A8);
    let memory = AlignedBytes::copy_of(&file);
    for len in 0..file.len() {
        let error = Model::parse(&memory.bytes()[..len]).expect_err("a cut file is no model");
        let right = match len {
            0..4 => error == ParseError::NotAModel,
            _ => matches!(error, ParseError::Length { .. }),
        };
        assert!(right, "cut at {len}: {error}");
    }
}

#[test]
fn appended_bytes_are_refused() {
    let file = model(Form::W8A16);
    for extra in [1, 3, 4, 16, 4096] {
        let longer = [file.as_slice(), &vec![0; extra]].concat();
        let (expected, found) = (file.len() as u32, longer.len() as u32);
        assert_eq!(parse(&longer), Err(ParseError::Length { expected, found }));
    }
    let twice = [file.as_slice(), &file].concat();
    assert!(matches!(parse(&twice), Err(ParseError::Length { .. })));
}

#[test]
fn a_misaligned_file_is_refused() {
    let file = model(Form::F16);
    for shift in 1..16 {
        let mut memory = AlignedBytes::zeroed(file.len() + 16);
        memory.bytes_mut()[shift..shift + file.len()].copy_from_slice(&file);
        let found = Model::parse(&memory.bytes()[shift..shift + file.len()]);
        assert_eq!(found.err(), Some(ParseError::Misaligned(16)));
    }
}

#[test]
fn other_versions_are_refused_by_name() {
    let parts = Parts::of(&model(Form::W8A8));
    for found in [0, FORMAT_VERSION + 1, u16::MAX] {
        let refused = parse(
            &Parts {
                format: found,
                ..parts.clone()
            }
            .file(),
        );
        assert_eq!(
            refused,
            Err(ParseError::FormatVersion {
                found,
                supported: FORMAT_VERSION
            })
        );
    }
    for found in [0, NUMERIC_VERSION + 1, u16::MAX] {
        let refused = parse(
            &Parts {
                numeric: found,
                ..parts.clone()
            }
            .file(),
        );
        assert_eq!(
            refused,
            Err(ParseError::NumericVersion {
                found,
                supported: NUMERIC_VERSION
            })
        );
    }
}

#[test]
fn damage_is_laid_at_the_right_section() {
    let mut file = model(Form::W8A8);
    let entry = PREFIX_BYTES + WEIGHTS * ENTRY_BYTES + 4;
    let offset = u32::from_le_bytes([file[entry], file[entry + 1], file[entry + 2], file[entry + 3]]);
    file[offset as usize] ^= 0x10;
    assert_eq!(parse(&file), Err(ParseError::Checksum(Some(Section::Weights))));
}

#[test]
fn foreign_files_are_refused() {
    for foreign in [&b""[..], b"M", b"\x89PNG\r\n\x1a\n", &[0; 4096], &[0xFF; 4096]] {
        assert_eq!(parse(foreign), Err(ParseError::NotAModel));
    }
}

#[test]
fn taking_apart_and_putting_together_gives_the_same_file() {
    for form in Form::ALL {
        let file = model(form);
        let mut parts = Parts::of(&file);
        assert_eq!(parts.file(), file);
        let (header, ops) = (parts.header(), parts.ops());
        parts.set_header(&header);
        parts.set_ops(&ops);
        assert_eq!(parts.file(), file, "{form:?}");
    }
}

/// The first convolution of int4 weights whose rows need padding: its index, where its first row ends, and its taps.
fn padded_conv(parts: &Parts, memory: &AlignedBytes) -> (u16, usize, usize) {
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let channels = |id| usize::from(model.tensor(id).expect("the tensor is there").channels);
    let padded = |(i, op): (usize, Op)| match op {
        Op::Conv(c) => {
            let ins = channels(c.source.first) + c.source.second.map_or(0, |(id, _)| channels(id));
            let taps = c.kernel().area() * ins;
            match c.weights {
                Weights::W4 { data, .. } if taps % int4::TAPS != 0 => {
                    Some((i as u16, data.0 as usize + 4 * int4::row_words(taps), taps))
                }
                _ => None,
            }
        }
        _ => None,
    };
    let mut found = parts.ops().into_iter().enumerate().filter_map(padded);
    found.next().expect("a row needs padding")
}

#[test]
fn int4_rows_that_are_not_padded_with_zeros_are_refused() {
    let file = model(Form::W4A8);
    let (mut parts, memory) = (Parts::of(&file), AlignedBytes::copy_of(&file));
    let (op, end, taps) = padded_conv(&parts, &memory);
    for place in 0..int4::TAPS {
        let (byte, one) = (end - 4 + place % 4, if place < 4 { 0x01 } else { 0x10 });
        parts.sections[WEIGHTS][byte] ^= one;
        let found = parse(&parts.file()).map(drop);
        parts.sections[WEIGHTS][byte] ^= one;
        // Where the word still holds taps it is another weight, but a model.
        let fault = Fault::Padding(0);
        let expected = if place < taps % int4::TAPS {
            Ok(())
        } else {
            Err(ParseError::Op { op, fault })
        };
        assert_eq!(found, expected, "place {place} of {taps} taps");
    }
}

#[test]
fn int4_weights_outside_their_section_or_between_words_are_refused() {
    let file = model(Form::W4A8);
    let parts = Parts::of(&file);
    let (op, ..) = padded_conv(&parts, &AlignedBytes::copy_of(&file));
    let section = parts.sections[WEIGHTS].len() as u32;
    let moved = |to: u32| {
        let (mut parts, mut ops) = (parts.clone(), parts.ops());
        if let Op::Conv(c) = &mut ops[usize::from(op)]
            && let Weights::W4 { data, .. } = &mut c.weights
        {
            *data = At(to);
        }
        parts.set_ops(&ops);
        match parse(&parts.file()) {
            Err(ParseError::Op { op: found, fault }) if found == op => fault,
            other => panic!("at {to}: {other:?}"),
        }
    };
    assert_eq!(moved(2), Fault::Alignment(2));
    for at in [section - 4, section & !3, !3] {
        assert!(matches!(moved(at), Fault::OutOfBounds { limit, .. } if limit == section));
    }
}

#[test]
fn more_tensors_than_a_file_may_have_are_refused_at_once() {
    let mut parts = Parts::of(&model(Form::W8A8));
    let record = parts.sections[TENSORS][..20].to_vec();
    // Records that no operator names.
    while parts.sections[TENSORS].len() < 65_000 * record.len() {
        parts.sections[TENSORS].extend_from_slice(&record);
    }
    let found = (parts.sections[TENSORS].len() / record.len()) as u32;
    let start = std::time::Instant::now();
    let refused = parse(&parts.file());
    let limit = mote_runtime::internals::model::TENSORS_MAX as u32;
    assert_eq!(refused, Err(ParseError::Tensors { found, limit }));
    assert!(
        start.elapsed().as_secs() < 5,
        "the time does not grow with the square of the table"
    );
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("65000 tensors") && said.contains("4096"), "{said}");
}
