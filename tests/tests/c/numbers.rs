//! Numbers never change: each kind of error has the one that it was published with.

use std::ffi::CStr;

use mote::mote_status;
use mote_runtime::internals::model::sampling::Variance;
use mote_runtime::{Clip, Fault, Feature, Method, ParseError, PrevRule, RunError, Section, Spacing};

/// Published: a line may be appended, none changed.
const PUBLISHED: &str = include_str!("numbers.txt");

#[test]
fn every_status_has_its_published_number_and_name() {
    let now: String = mote::status_names()
        .map(|(name, number)| format!("{number} {name}\n"))
        .collect();
    assert_eq!(now, PUBLISHED);
    for (name, number) in mote::status_names() {
        // SAFETY: it is a constant of the library that ends with a zero.
        let said = unsafe { CStr::from_ptr(mote::mote_status_name(number)) };
        assert_eq!(said.to_str(), Ok(name));
    }
    // SAFETY: as above.
    let unknown = unsafe { CStr::from_ptr(mote::mote_status_name(-1)) };
    assert_eq!(unknown.to_str(), Ok("?"));
}

#[test]
fn every_kind_of_error_has_its_number() {
    let faults = [
        Fault::Decode,
        Fault::UnknownTensor(1),
        Fault::Shape { expected: 1, found: 2 },
        Fault::Dtype,
        Fault::ZeroPoint,
        Fault::Lifetime(1),
        Fault::Overlap(1),
        Fault::OutOfBounds { limit: 1, end: 2 },
        Fault::Alignment(1),
        Fault::Parameter,
        Fault::Requant,
        Fault::Accumulator(1),
        Fault::NotFinite(1),
        Fault::Padding(1),
        Fault::NotBuilt(Feature::W4),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let of = |error: ParseError| mote_status::from(error) as usize;
        assert_eq!(of(ParseError::Tensor { tensor: 3, fault }), 200 + number, "{fault:?}");
        assert_eq!(of(ParseError::Op { op: 3, fault }), 300 + number, "{fault:?}");
    }
    let parse = [
        ParseError::Misaligned(16),
        ParseError::Length { expected: 1, found: 2 },
        ParseError::NotAModel,
        ParseError::FormatVersion { found: 1, supported: 2 },
        ParseError::NumericVersion { found: 1, supported: 2 },
        ParseError::Checksum(None),
        ParseError::SectionTable(1),
        ParseError::Section(Section::Ops),
        ParseError::Tensors { found: 1, limit: 2 },
        ParseError::Header("rows"),
        ParseError::NotBuilt(Feature::W4),
    ];
    for (number, error) in parse.into_iter().enumerate() {
        assert_eq!(mote_status::from(error) as usize, 100 + number, "{error:?}");
    }
    let run = [
        RunError::ArenaTooSmall { needed: 1, found: 2 },
        RunError::ArenaMisaligned(16),
        RunError::Steps { found: 1, max: 2 },
        RunError::StepsOffset { steps: 1, offset: 2 },
        RunError::ChainSampler,
        RunError::ChainSteps { found: 1, needed: 2 },
        RunError::Class { found: 1, classes: 2 },
        RunError::ClassMissing,
        RunError::GuidanceUnsupported,
        RunError::Eta(1),
        RunError::EtaElsewhere,
        RunError::Levels,
        RunError::NotBuilt(Feature::W4),
        RunError::ClipRange,
        RunError::Strength(1),
        RunError::Part(1),
        RunError::ZeroSnr,
        RunError::Planned { steps: 1 },
        RunError::PlannedStart,
        RunError::Length { expected: 1, found: 2 },
        RunError::Snapshot,
        RunError::SnapshotVersion,
        RunError::KnownImage,
        RunError::Memory { op: 1 },
        RunError::Condition { expected: 1, found: 2 },
        RunError::ConditionChanged,
        RunError::StepBegun,
    ];
    for (number, error) in run.into_iter().enumerate() {
        assert_eq!(mote_status::from(error) as usize, 400 + number, "{error:?}");
    }
}

#[test]
fn choices_have_the_runtimes_numbers() {
    let methods = [
        (mote::MOTE_SAMPLER_DDIM, Method::Ddim),
        (mote::MOTE_SAMPLER_DDPM_SMALL, Method::Ddpm(Variance::Small)),
        (mote::MOTE_SAMPLER_DDPM_LARGE, Method::Ddpm(Variance::Large)),
        (mote::MOTE_SAMPLER_DPM_SOLVER, Method::DpmSolver2M),
        (mote::MOTE_SAMPLER_HEUN, Method::Heun),
        (mote::MOTE_SAMPLER_EULER, Method::FlowEuler),
        (mote::MOTE_SAMPLER_FLOW_HEUN, Method::FlowHeun),
        (mote::MOTE_SAMPLER_FLOW_MIDPOINT, Method::FlowMidpoint),
        (mote::MOTE_SAMPLER_FLOW_DPM_SOLVER, Method::FlowDpmSolver2M),
        (mote::MOTE_SAMPLER_CONSISTENCY, Method::Consistency),
        (mote::MOTE_SAMPLER_FLOW_CONSISTENCY, Method::FlowConsistency),
        (mote::MOTE_SAMPLER_DDPM_LEARNED, Method::Ddpm(Variance::Learned)),
    ];
    assert_eq!(methods.len(), Method::ALL.len(), "a sampler has no name in mote.h");
    for (number, method) in methods {
        assert_eq!(Method::numbered(number), Some(method));
    }
    let clips = [mote::MOTE_CLIP_OFF, mote::MOTE_CLIP_STOCK, mote::MOTE_CLIP_REDERIVED];
    assert_eq!(clips, Clip::ALL.map(|clip| clip as u32));
    let spacings = [
        mote::MOTE_SPACING_LEADING,
        mote::MOTE_SPACING_TRAILING,
        mote::MOTE_SPACING_LINSPACE,
        mote::MOTE_SPACING_QUADRATIC,
    ];
    assert_eq!(spacings, Spacing::ALL.map(|spacing| spacing as u32));
    let rules = [mote::MOTE_PREVIOUS_LIST, mote::MOTE_PREVIOUS_DIFFUSERS];
    assert_eq!(rules, PrevRule::ALL.map(|rule| rule as u32));
}
