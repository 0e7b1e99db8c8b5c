//! Where an error is: for logs.

use core::ffi::c_char;
use core::ptr::null;

use mote_runtime::internals::model::SECTIONS;
use mote_runtime::{Fault, ParseError, RunError, Section};

use crate::check::aligned;
use crate::status::{mote_status, status};
use crate::storage::{ModelPlace, RunPlace, mote_model, mote_run};

/// What a status says in numbers. What it does not say is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct mote_detail {
    /// Which tensor, operator, section, class, output channel or weight.
    pub index: u32,
    /// What is needed or allowed.
    pub expected: u32,
    /// What was found.
    pub found: u32,
    /// Bytes of `name`.
    pub name_bytes: u32,
    /// The name of a part that was not built, of a header field or of a section; null where there is none. It does not end with a 0.
    pub name: *const c_char,
}

const NOTHING: mote_detail = mote_detail {
    index: 0,
    expected: 0,
    found: 0,
    name_bytes: 0,
    name: null(),
};

fn at(index: u32) -> mote_detail {
    mote_detail { index, ..NOTHING }
}

fn pair(expected: u32, found: u32) -> mote_detail {
    mote_detail {
        expected,
        found,
        ..NOTHING
    }
}

fn named(name: &'static str) -> mote_detail {
    mote_detail {
        name: name.as_ptr().cast(),
        name_bytes: name.len() as u32,
        ..NOTHING
    }
}

fn section(section: Section) -> mote_detail {
    let index = SECTIONS.iter().position(|one| *one == section).unwrap_or(0) as u32;
    let name = match section {
        Section::Header => "header",
        Section::Tensors => "tensors",
        Section::Ops => "operators",
        Section::Weights => "weights",
        Section::Schedule => "schedule",
        Section::Names => "names",
        Section::Provenance => "provenance",
    };
    mote_detail { index, ..named(name) }
}

/// What a fault says; `index` is that of its tensor or operator, and what it names itself is in `found`.
fn fault(index: u16, fault: Fault) -> mote_detail {
    let what = match fault {
        Fault::Shape { expected, found } => pair(expected, found),
        Fault::OutOfBounds { limit, end } => pair(limit, end),
        Fault::UnknownTensor(id) | Fault::Lifetime(id) | Fault::Overlap(id) => pair(0, id.into()),
        Fault::Alignment(at) | Fault::Accumulator(at) | Fault::NotFinite(at) | Fault::Padding(at) => pair(0, at),
        Fault::NotBuilt(part) => named(part.name()),
        Fault::Decode | Fault::Dtype | Fault::ZeroPoint | Fault::Parameter | Fault::Requant => NOTHING,
    };
    mote_detail {
        index: index.into(),
        ..what
    }
}

fn of_parse(error: ParseError) -> mote_detail {
    match error {
        ParseError::Misaligned(align) => pair(align, 0),
        ParseError::Length { expected, found } => pair(expected, found),
        ParseError::NotAModel | ParseError::Checksum(None) => NOTHING,
        ParseError::FormatVersion { found, supported } | ParseError::NumericVersion { found, supported } => {
            pair(supported.into(), found.into())
        }
        ParseError::Checksum(Some(which)) | ParseError::Section(which) => section(which),
        ParseError::SectionTable(entry) => at(entry.into()),
        ParseError::Tensors { found, limit } => pair(limit, found),
        ParseError::Header(field) => named(field),
        ParseError::NotBuilt(part) => named(part.name()),
        ParseError::Tensor { tensor, fault: what } => fault(tensor, what),
        ParseError::Op { op, fault: what } => fault(op, what),
        #[cfg(feature = "streamed")]
        ParseError::Apart => NOTHING,
        #[cfg(not(feature = "streamed"))]
        #[allow(unreachable_patterns)]
        _ => NOTHING,
    }
}

fn of_run(error: RunError) -> mote_detail {
    match error {
        RunError::ArenaTooSmall { needed, found } => pair(needed, found),
        RunError::ArenaMisaligned(align) => pair(align, 0),
        RunError::Steps { found, max } => pair(max, found),
        RunError::StepsOffset { steps, offset } => pair(offset as u32, steps),
        RunError::ChainSteps { found, needed } => pair(needed, found),
        RunError::Class { found, classes } => pair(classes.into(), found.into()),
        RunError::Eta(found) | RunError::Strength(found) | RunError::Part(found) => pair(1 << 16, found),
        RunError::NotBuilt(part) => named(part.name()),
        RunError::Planned { steps } => pair(steps, 0),
        RunError::Length { expected, found } => pair(expected, found),
        RunError::Memory { op } => at(op.into()),
        #[cfg(feature = "condition")]
        RunError::Condition { expected, found } => pair(expected, found),
        #[cfg(feature = "condition")]
        RunError::ConditionChanged => NOTHING,
        #[cfg(feature = "decoder")]
        RunError::Decoder | RunError::NoDecoder => NOTHING,
        #[cfg(feature = "learned-variance")]
        RunError::NoVariances => NOTHING,
        #[cfg(feature = "posterior")]
        RunError::NoChain => NOTHING,
        #[cfg(feature = "posterior")]
        RunError::KnownNoise(found) => pair(1 << 30, found),
        #[cfg(feature = "streamed")]
        RunError::Apart | RunError::OtherWeights => NOTHING,
        #[cfg(feature = "streamed")]
        RunError::Unread { at: byte } => at(byte),
        RunError::ChainSampler
        | RunError::ClassMissing
        | RunError::GuidanceUnsupported
        | RunError::EtaElsewhere
        | RunError::Levels
        | RunError::ClipRange
        | RunError::ZeroSnr
        | RunError::PlannedStart
        | RunError::Snapshot
        | RunError::SnapshotVersion
        | RunError::KnownImage
        | RunError::StepBegun => NOTHING,
        #[cfg(not(all(
            feature = "condition",
            feature = "decoder",
            feature = "learned-variance",
            feature = "posterior",
            feature = "streamed"
        )))]
        #[allow(unreachable_patterns)]
        _ => NOTHING,
    }
}

/// Says where the error is for which `mote_open` refused the file. Zeros where it did not.
///
/// # Safety
/// `model` was given to `mote_open` or is zeros; `detail` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_open_detail(model: *const mote_model, detail: *mut mote_detail) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(ModelPlace::new(model).and_then(|place| unsafe {
        aligned(detail)?;
        detail.write(place.refused().map_or(NOTHING, of_parse));
        Ok(())
    }))
}

/// Says where the error is for which the last start, resume, inpaint or step of this run failed. Zeros where it did not.
///
/// # Safety
/// `run` was begun or is zeros; `detail` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_run_detail(run: *const mote_run, detail: *mut mote_detail) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(RunPlace::new(run).and_then(|place| unsafe {
        aligned(detail)?;
        detail.write(place.error().map_or(NOTHING, of_run));
        Ok(())
    }))
}
