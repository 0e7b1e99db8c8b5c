//! A conversion from what every kind of checkpoint comes down to: a program, a schedule, and runs to calibrate on.

use std::sync::atomic::{AtomicUsize, Ordering};

use mote_engine::calibrate::{Stats, calibrate};
use mote_engine::memory::AlignedBytes;
use mote_engine::record::record;
use mote_runtime::{Model, RunError};

use super::calibration::Calibration;
use super::condition::Given;
use super::provenance::Provenance;
use super::{ConvertError, Converted};
use crate::emit::{Diffusion, EmitError, Emitted, emit};
use crate::import::Trained;
use crate::plan::Arena;
use crate::program::Program;
use crate::quantize::formats::formats;
use crate::quantize::round::{Row, round};
use crate::quantize::scheme::Assignment;
use crate::quantize::weights::scales;
use crate::widths::auto::{self, Budget};
use crate::widths::int4;
use crate::widths::trial::{Progress, Trials};

/// What is converted, whatever it was read from.
pub struct Source<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// SHA-256 of its file of weights, lower-case hexadecimal.
    pub sha256: &'a str,
    /// The network.
    pub program: Program,
    /// Schedule and conventions.
    pub diffusion: Diffusion,
    /// Runs that calibration observes.
    pub calibration: Calibration,
    /// Condition vectors to calibrate and measure with.
    pub conditions: Option<Given>,
    /// Number formats that it was trained with, where these are asked for.
    pub trained: Option<&'a Trained>,
}

/// Number formats that are asked for.
pub struct NumberFormats {
    /// Their name in the model file.
    pub scheme: &'static str,
    /// Who chooses widths; `None` for an f16 model. Formats that the network was trained with come first.
    pub widths: Option<Widths>,
}

/// Who chooses the widths of activations and weights.
pub enum Widths {
    /// They are given.
    Given(Assignment),
    /// They are given. Of the weights that have 8 bits, those that matter least get 4.
    FourBits(Assignment),
    /// Measured sensitivity chooses, within the budget if there is one.
    Measured,
}

/// Memory that a model may take.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// What the arena is planned for. `None` is fast where that fits the budget, small elsewhere.
    pub arena: Option<Arena>,
    /// What there is. Without it, any size will do.
    pub budget: Option<Budget>,
}

impl Memory {
    /// What measuring plans the arena for: with a budget, memory goes to widths first and then to blocks of columns.
    fn arena_to_measure(&self) -> Arena {
        let within = self.budget.map_or(Arena::Fast, |_| Arena::Small);
        self.arena.unwrap_or(within)
    }

    /// The model in the arena that is asked for, or in the fast one where that fits the budget and in the small one elsewhere.
    fn fit(&self, emit: impl Fn(Arena) -> Result<Emitted, EmitError>) -> Result<(Arena, Emitted), EmitError> {
        let arena = self.arena.unwrap_or_default();
        let emitted = emit(arena)?;
        let fits = self.budget.is_none_or(|b| emitted.plan.arena_bytes <= b.arena_bytes);
        if fits || self.arena.is_some() {
            return Ok((arena, emitted));
        }
        Ok((Arena::Small, emit(Arena::Small)?))
    }
}

/// Converts `source`. The same source and formats give the same bytes on every machine.
pub fn convert_source(
    source: Source<'_>,
    numbers: NumberFormats,
    memory: Memory,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Converted, ConvertError> {
    let Source { program, diffusion, .. } = &source;
    let provenance = |runs, arena| {
        let calibration = &source.calibration;
        Provenance::new(source.name, source.sha256, numbers.scheme, calibration, runs).with(arena)
    };
    // A float convolution has one column always: the fast arena is the small one.
    let arena = memory.arena.filter(|arena| *arena == Arena::Large).unwrap_or_default();
    let reference = emit(program, diffusion, None, arena, &provenance(0, arena))?;
    let Some(widths) = numbers.widths else {
        let converted = Converted::float(reference, arena, source.program);
        return Ok(Converted {
            conditions: source.conditions,
            ..converted
        });
    };
    let copy = AlignedBytes::copy_of(&reference.bytes);
    let model = Model::parse(copy.bytes())?;
    let stats = observe(&model, &source.calibration, progress)?;
    let (widths, scales, int4) = match source.trained {
        Some(trained) => {
            let weights = trained.weights(program)?;
            (Widths::Given(weights.assignment), weights.scales, weights.int4)
        }
        None => {
            let int4 = match widths {
                Widths::FourBits(_) => rounded(program, &source.calibration, &model)?,
                Widths::Given(_) | Widths::Measured => vec![],
            };
            (widths, scales(program, &stats), int4)
        }
    };
    let trials = Trials {
        scales,
        int4,
        program,
        diffusion,
        stats: &stats,
        reference: model,
        conditions: source.conditions.as_ref(),
        provenance: &|arena| provenance(source.calibration.runs.len(), arena),
    };
    let (assignment, sensitivity) = match widths {
        Widths::Given(assignment) => (assignment, vec![]),
        Widths::FourBits(assignment) => int4::assign(&trials, assignment, progress)?,
        Widths::Measured => auto::assign(&trials, memory.budget, memory.arena_to_measure(), progress)?,
    };
    let formats = match source.trained {
        Some(trained) => trained.formats(program)?,
        None => formats(program, &stats, &assignment),
    };
    let chosen = Trained::of(numbers.scheme, program, &trials.quantization(&assignment, &formats));
    let (arena, emitted) = memory.fit(|arena| trials.emit(&assignment, &formats, arena))?;
    Ok(Converted {
        emitted,
        arena,
        formats,
        assignment: Some(assignment),
        sensitivity,
        chosen: Some(chosen),
        conditions: source.conditions,
        program: source.program,
    })
}

/// What the f16 model's activations are in the runs of calibration.
fn observe(
    model: &Model<'_>,
    calibration: &Calibration,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Vec<Stats>, RunError> {
    let runs = calibration.runs.len();
    let done = AtomicUsize::new(0);
    progress(Progress::Calibrating(0, runs));
    calibrate(model, &calibration.runs, &|| {
        let n = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(Progress::Calibrating(n, runs));
    })
}

/// Weights of 4 bits, rounded on calls of other runs than those that calibration observes.
fn rounded(program: &Program, calibration: &Calibration, model: &Model<'_>) -> Result<Vec<Vec<Row>>, RunError> {
    let every = calibration.rounding_stride(program);
    Ok(round(program, &record(model, &calibration.rounding, every)?))
}
