//! A model file that holds the steps of one run in place of its schedule.

use super::file::{assemble, encode};
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::model::layout::{ENTRY_BYTES, PREFIX_BYTES, SECTIONS, read_u32};
use mote_runtime::internals::model::plan::Plan;
use mote_runtime::internals::model::sampling::Schedule;
use mote_runtime::internals::schedule::rows::{Row, Rows};
use mote_runtime::internals::schedule::spacing::PrevRule;
use mote_runtime::{Config, Model, ParseError, RunError, Section};
use thiserror::Error;

/// Why a run cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Not a model.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The model cannot be run so.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The file holds a run already.
    #[error("the file plans a run already, and holds no schedule to plan another from")]
    Planned,
    /// A chain moves by its own kernels.
    #[error("this model is a chain of 2015, whose steps are no linear forms: it cannot be planned")]
    Chain,
    /// The second call of a step would be at a timestep that no step begins at.
    #[error(
        "Heun's method, with two calls a step, is planned where a step goes to the next timestep of the list, not to t - T/S"
    )]
    TwoCallsPrev,
    /// Noise that the network scales has no place in a row.
    #[error("learned variances are the network's own in every call: a planned file holds none")]
    Variances,
}

/// The file `bytes`, with the coefficients of `config`'s steps in place of the schedule: their bits are the same, nothing else runs.
///
/// What a planned file leaves open (class, guidance, seed, range of clipping) is not asked of `config`.
pub fn planned(bytes: &[u8], config: &Config) -> Result<Vec<u8>, PlanError> {
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes())?;
    let header = *model.header();
    if header.schedule.plan().is_some() {
        return Err(PlanError::Planned);
    }
    if header.prediction.is_chain() {
        return Err(PlanError::Chain);
    }
    if header.prediction.picture().is_some() {
        return Err(PlanError::Run(RunError::Decoder));
    }
    if config.method.is_learned() {
        return Err(PlanError::Variances);
    }
    if config.method.calls() > 1 && config.prev != PrevRule::List {
        return Err(PlanError::TwoCallsPrev);
    }
    let config = Config {
        class: (header.classes > 0).then_some(0),
        guidance_q16: None,
        clip_range_q24: header.clip_range_q24,
        ..*config
    };
    config.validate(&header)?;
    let rows = rows(
        &Rows {
            model: &model,
            config: &config,
        },
        config.plan(),
    )?;
    let file = memory.bytes();
    let planned = Header {
        schedule: Schedule::Planned(config.plan()),
        clip: config.clip,
        ..header
    };
    let (header, provenance) = (encode(&planned), provenance(&model));
    let of = |i: usize| match SECTIONS.get(i) {
        Some(Section::Header) => &header,
        Some(Section::Schedule) => &rows,
        Some(Section::Provenance) => provenance.as_bytes(),
        _ => section(file, i),
    };
    let sections: Vec<&[u8]> = (0..count(file)).map(of).collect();
    let out = assemble(&sections);
    // Whatever is written can be read.
    Model::parse(AlignedBytes::copy_of(&out).bytes())?;
    Ok(out)
}

/// The rows of the schedule section.
fn rows(rows: &Rows<'_>, plan: Plan) -> Result<Vec<u8>, PlanError> {
    let mut bytes = Vec::new();
    let calls = (0..plan.steps).flat_map(|step| (0..plan.method().calls()).map(move |call| (step, call)));
    for (step, call) in calls {
        let (row, noising) = (rows.row(step, call, step > 0 || call > 0)?, rows.noising(step, call));
        if let (Some(row), Some(noising)) = (row, noising) {
            bytes.extend(plan.row_as_bytes(&Row::values(&row, noising)));
        }
    }
    Ok(bytes)
}

/// Sections of a file that was parsed.
pub(super) fn count(file: &[u8]) -> usize {
    read_u32(file, PREFIX_BYTES - 4) as usize
}

/// Section `index` of a file that was parsed.
pub(super) fn section(file: &[u8], index: usize) -> &[u8] {
    let entry = PREFIX_BYTES + index * ENTRY_BYTES;
    let [offset, len] = [4, 8].map(|at| read_u32(file, entry + at) as usize);
    &file[offset..offset + len]
}

/// What the file says of where it came from, and which file it was planned from.
fn provenance(model: &Model<'_>) -> String {
    // A file that was stripped stays so.
    if model.provenance().is_empty() {
        return String::new();
    }
    let mut origin: serde_json::Value = serde_json::from_slice(model.provenance()).unwrap_or_default();
    if let Some(origin) = origin.as_object_mut() {
        origin.insert("planned_from_crc32".into(), format!("{:08x}", model.crc()).into());
    }
    origin.to_string()
}
