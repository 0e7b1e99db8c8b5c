//! Of model files and of runs: what the command never asks of the runtime.

use super::Row;
use mote_runtime::internals::error::Fault;
use mote_runtime::internals::features::Feature;
use mote_runtime::{ParseError, RunError};
use mote_tools::Error;

const HOST: &str = "the command is built with every part of the runtime";

const API: &str = "the command always gives what the runtime asks for";

const NO_FAULT: &str = "no record of a tensor has this fault, which has a number since operators have it";

pub fn files() -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        (
            ParseError::Misaligned(16).into(),
            100,
            "the command aligns every file that it opens",
            &["multiple of 16 bytes", "Aligned", "docs/firmware.md"],
        ),
        (
            ParseError::NotBuilt(Feature::F16).into(),
            110,
            HOST,
            &["feature 'f16'", "without which this runtime was built", "mote inspect"],
        ),
        (
            ParseError::Op {
                op: 3,
                fault: Fault::ZeroPoint,
            }
            .into(),
            304,
            "attention alone has it, in models of which no small checkpoint is in the tests of the command",
            &["operator 3", "a zero point is set", "copy the file again"],
        ),
        (
            ParseError::Op {
                op: 3,
                fault: Fault::NotBuilt(Feature::Attention),
            }
            .into(),
            314,
            HOST,
            &["operator 3", "feature 'attention'", "Build with the feature"],
        ),
    ];
    let of_tensors: [(Fault, u16, &'static [&'static str]); 8] = [
        (Fault::UnknownTensor(7), 201, &["tensor 3", "tensor 7"]),
        (Fault::Dtype, 203, &["tensor 3", "number format"]),
        (Fault::Parameter, 209, &["tensor 3", "parameter"]),
        (Fault::Requant, 210, &["tensor 3", "multiplier or shift"]),
        (Fault::Accumulator(7), 211, &["tensor 3", "output channel 7"]),
        (Fault::NotFinite(7), 212, &["tensor 3", "weight 7"]),
        (Fault::Padding(7), 213, &["tensor 3", "output channel 7"]),
        (Fault::NotBuilt(Feature::F16), 214, &["tensor 3", "feature 'f16'"]),
    ];
    rows.extend(of_tensors.map(|(fault, code, words)| {
        let error: Error = ParseError::Tensor { tensor: 3, fault }.into();
        (error, code, NO_FAULT, words)
    }));
    rows
}

pub fn runs() -> Vec<Row> {
    let usage = "the command refuses the option by its own name before a run is made";
    let snapshot = "the command saves no runs: firmware and programs do";
    let streamed = "the command opens no model whose weights lie elsewhere: firmware does";
    let rows: [(RunError, u16, &'static str, &'static [&'static str]); 18] = [
        (
            RunError::ArenaTooSmall { needed: 9, found: 3 },
            400,
            API,
            &["3 bytes, 9 are needed", "arena_bytes"],
        ),
        (
            RunError::ArenaMisaligned(16),
            401,
            API,
            &["multiple of 16 bytes", "Align it"],
        ),
        (
            RunError::Eta(65537),
            409,
            usage,
            &["65537/65536", "between 0 and 1", "--eta"],
        ),
        (
            RunError::EtaElsewhere,
            410,
            usage,
            &["eta is DDIM's alone", "--sampler ddim"],
        ),
        (
            RunError::NotBuilt(Feature::Heun),
            412,
            HOST,
            &["'heun'", "another sampler"],
        ),
        (
            RunError::ClipRange,
            413,
            "a model file's range is checked when it is opened, and the command gives no other",
            &["clipping range", "between 0 and 64", "in this range"],
        ),
        (
            RunError::Strength(65537),
            414,
            usage,
            &["65537/65536", "`--strength` from 0 to 1"],
        ),
        (RunError::Part(65537), 415, API, &["65537/65536", "between 0 and 1"]),
        (
            RunError::Length { expected: 64, found: 3 },
            419,
            "the command compares shapes before, with the file's name",
            &["3 elements given", "has 64", "mote inspect"],
        ),
        (
            RunError::Snapshot,
            420,
            snapshot,
            &["snapshot is damaged", "another model"],
        ),
        (
            RunError::SnapshotVersion,
            421,
            snapshot,
            &["earlier version", "run again"],
        ),
        (RunError::KnownImage, 422, snapshot, &["known image", "Give it again"]),
        (
            RunError::Memory { op: 3 },
            423,
            "a model that was checked never returns it",
            &["operator 3", "its memory", "what writes there"],
        ),
        (
            RunError::ConditionChanged,
            425,
            snapshot,
            &["condition vector", "Give it again"],
        ),
        (
            RunError::StepBegun,
            426,
            "the command makes whole steps",
            &["a step is begun", "Finish the step"],
        ),
        (RunError::Apart, 430, streamed, &["another file", "`Streamed`"]),
        (
            RunError::Unread { at: 77 },
            431,
            streamed,
            &["failed at byte 77", "snapshot"],
        ),
        (
            RunError::OtherWeights,
            432,
            streamed,
            &["not the model's file of weights", "mote split"],
        ),
    ];
    rows.into_iter()
        .map(|(error, code, why, words)| (error.into(), code, why, words))
        .collect()
}
