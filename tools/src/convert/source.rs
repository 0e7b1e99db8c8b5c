//! A conversion from what every kind of checkpoint comes down to: a program, a schedule, and runs to calibrate on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use mote_engine::calibrate::{Stats, calibrate};
use mote_engine::memory::AlignedBytes;
use mote_engine::record::record;
use mote_runtime::{Model, RunError};

use super::calibration::Calibration;
use super::held::Standing;
use super::provenance::Provenance;
use super::units::{LARGEST, Units};
use super::{ConvertError, Converted, guard, halves, last_sum};
use crate::condition::Given;
use crate::emit::{Diffusion, EmitError, Emitted, emit};
use crate::import::Trained;
use crate::plan::Arena;
use crate::program::{FusedOp, Program, SlotId};
use crate::quantize::formats::formats;
use crate::quantize::round::{Row, round, round_closely};
use crate::quantize::scheme::{Assignment, Bits};
use crate::quantize::trained;
use crate::quantize::weights::scales;
use crate::widths::auto::{self, Budget};
use crate::widths::int4;
use crate::widths::refined;
use crate::widths::trial::{Progress, Trials};

/// Times that units are made larger, at most.
const ROUNDS: usize = 12;

/// What is converted, whatever it was read from.
pub struct Source<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// SHA-256 of its file of weights, lower-case hexadecimal.
    pub sha256: &'a str,
    /// Whether it had variances, which were cut away.
    pub learned_variance: bool,
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
    /// Whether measured error gives 16 bits to more activations than the given widths do, in arenas as large.
    pub refine: bool,
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

impl Widths {
    /// The same where operators were taken apart; `origins` are those that each stands for, and `wide` needs 16 bits.
    fn of_parts(self, origins: &[usize], wide: Option<SlotId>) -> Self {
        let parts = |of: Assignment| {
            let mut parts = Assignment {
                weights: origins.iter().map(|i| of.weights[*i]).collect(),
                activations: origins.iter().map(|i| of.activations[*i]).collect(),
            };
            wide.iter().for_each(|slot| parts.activations[slot.0] = Bits::Sixteen);
            parts
        };
        match self {
            Self::Given(assignment) => Self::Given(parts(assignment)),
            Self::FourBits(assignment) => Self::FourBits(parts(assignment)),
            Self::Measured => Self::Measured,
        }
    }
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
    let Source {
        diffusion, calibration, ..
    } = &source;
    let provenance = |runs, arena| {
        let own = Provenance::new(source.name, source.sha256, numbers.scheme, calibration, runs);
        own.of_variance(source.learned_variance)
            .refined(numbers.refine)
            .with(arena)
    };
    // A float convolution has one column always: the fast arena is the small one.
    let arena = memory.arena.filter(|arena| *arena == Arena::Large).unwrap_or_default();
    let float = |program: &Program| emit(program, diffusion, None, arena, &provenance(0, arena));
    let looks = guard::runs(&source.program, diffusion, calibration);
    let integers = numbers.widths.is_some();
    let look = |model: &Model<'_>| match integers {
        true => observe(model, calibration, progress),
        false => calibrate(model, &looks, &|| ()),
    };
    let mut within = within_f16(&source, &float, &look)?;
    let (mut widths, mut apart) = (numbers.widths, false);
    for take_apart in [halves::take_apart, last_sum::take_apart] {
        let Some(asked) = widths.take() else { break };
        widths = Some(match take_apart(&within.program, &within.stats) {
            Some(parts) if source.trained.is_none() => {
                let emitted = float(&parts.program)?;
                let copy = AlignedBytes::copy_of(&emitted.bytes);
                within = Within {
                    program: parts.program,
                    stats: look(&Model::parse(copy.bytes())?)?,
                    emitted,
                    ..within
                };
                apart = true;
                asked.of_parts(&parts.origins, parts.wide)
            }
            _ => asked,
        });
    }
    let (program, stats, mut notes) = (&within.program, within.stats, within.notes);
    let Some(widths) = widths else {
        let copy = AlignedBytes::copy_of(&within.emitted.bytes);
        notes.extend(guard::states(&Model::parse(copy.bytes())?, diffusion, &looks)?);
        let converted = Converted::float(within.emitted, arena, within.program, notes);
        return Ok(Converted {
            conditions: source.conditions,
            ..converted
        });
    };
    let copy = AlignedBytes::copy_of(&within.emitted.bytes);
    let model = Model::parse(copy.bytes())?;
    let (widths, scales, int4) = match source.trained {
        Some(trained) => {
            let weights = trained::weights(trained, program)?;
            (Widths::Given(weights.assignment), weights.scales, weights.int4)
        }
        None => {
            let int4 = match widths {
                Widths::FourBits(_) => rounded(program, &source.calibration, &model, numbers.refine.then_some(4))?,
                Widths::Given(_) | Widths::Measured => vec![],
            };
            (widths, scales(program, &stats), int4)
        }
    };
    let spread = source.conditions.as_ref().map(|given| |count| given.spread(count));
    let int8 = match numbers.refine {
        true => rounded(program, &source.calibration, &model, Some(8))?,
        false => vec![],
    };
    let trials = Trials {
        scales,
        int4,
        int8,
        program,
        diffusion,
        stats: &stats,
        reference: model,
        conditions: spread.as_ref().map(|spread| spread as _),
        provenance: &|arena| provenance(source.calibration.runs.len(), arena),
    };
    let widen = |given: Assignment| refined::widened(&trials, given, memory.arena.unwrap_or_default(), progress);
    let (widths, plain, mut of_activations) = match widths {
        Widths::Given(given) if numbers.refine => {
            let (wide, measured) = widen(given.clone())?;
            (Widths::Given(wide), Some(given), measured)
        }
        Widths::FourBits(given) if numbers.refine => {
            let (wide, measured) = widen(given.clone())?;
            (Widths::FourBits(wide), Some(given), measured)
        }
        widths => (widths, None, vec![]),
    };
    let (assignment, of_weights) = match widths {
        Widths::Given(assignment) => (assignment, vec![]),
        Widths::FourBits(assignment) => int4::assign(&trials, assignment, progress)?,
        Widths::Measured => auto::assign(&trials, memory.budget, memory.arena_to_measure(), progress)?,
    };
    of_activations.extend(of_weights);
    let sensitivity = of_activations;
    let formats = match source.trained {
        Some(trained) => trained::formats(trained, program)?,
        None => formats(program, &stats, &assignment),
    };
    let chosen = trained::chosen_formats(numbers.scheme, program, &trials.quantization(&assignment, &formats));
    let (arena, emitted) = memory.fit(|arena| trials.emit(&assignment, &formats, arena))?;
    let copy = AlignedBytes::copy_of(&emitted.bytes);
    let model = Model::parse(copy.bytes())?;
    notes.extend(guard::compare(
        &trials.reference,
        &model,
        program,
        &formats,
        diffusion,
        &looks,
    )?);
    let unrefined = plain.map(|plain| {
        let weights = assignment.weights.clone();
        let plain = Assignment { weights, ..plain };
        let formats = crate::quantize::formats::formats(program, &stats, &plain);
        trials.emit(&plain, &formats, arena)
    });
    let unrefined = unrefined.transpose()?;
    // Weights that move are lowered anew: nothing can stand of a program that is no longer the checkpoint's.
    let int4 = trials.int4;
    let standing = (!within.changed && !apart && !numbers.refine).then_some(Standing { stats, int4 });
    Ok(Converted {
        emitted,
        arena,
        formats,
        assignment: Some(assignment),
        sensitivity,
        chosen: Some(chosen),
        standing,
        conditions: source.conditions,
        program: within.program,
        notes,
        decoder: None,
        unrefined: unrefined.map(|emitted| emitted.bytes),
    })
}

/// A program whose activations f16 holds, as far as units can do it.
struct Within {
    program: Program,
    emitted: Emitted,
    stats: Vec<Stats>,
    /// Whether layers are in other units.
    changed: bool,
    notes: Vec<String>,
}

/// Finds units in which the activations that `observe` sees, and the weights, stay within f16. Nothing changes where they do.
fn within_f16(
    source: &Source<'_>,
    float: &dyn Fn(&Program) -> Result<Emitted, EmitError>,
    observe: &dyn Fn(&Model<'_>) -> Result<Vec<Stats>, RunError>,
) -> Result<Within, ConvertError> {
    let mut units = Units::of(&source.program);
    let (mut program, mut widened, mut fixed) = (source.program.clone(), BTreeSet::new(), BTreeSet::new());
    let mut rounds = 0;
    loop {
        rounds += 1;
        let emitted = float(&program)?;
        let copy = AlignedBytes::copy_of(&emitted.bytes);
        let stats = observe(&Model::parse(copy.bytes())?)?;
        let beyond = |op: &&FusedOp| stats[op.out.0].max_abs() >= LARGEST || largest_weight(op) > LARGEST;
        let beyond: Vec<SlotId> = program.ops.iter().filter(beyond).map(|op| op.out).collect();
        // What a network was trained to be stored in stays.
        let stay = if source.trained.is_some() {
            beyond.clone()
        } else {
            units.widen(&beyond)
        };
        fixed.extend(stay.iter().copied());
        if rounds == ROUNDS || beyond.iter().all(|slot| fixed.contains(slot)) {
            return within(
                source,
                Within {
                    program,
                    emitted,
                    stats,
                    changed: !widened.is_empty(),
                    notes: vec![],
                },
                &widened,
                &fixed,
            );
        }
        widened.extend(beyond.into_iter().filter(|slot| !stay.contains(slot)));
        program = units.apply(&source.program);
    }
}

/// Refuses a weight that f16 does not hold, by its layer, with the number that `original`, the same in its own units, has there.
pub(super) fn check_weights(program: &Program, original: &Program) -> Result<(), ConvertError> {
    match program.ops.iter().position(|op| largest_weight(op) > LARGEST) {
        None => Ok(()),
        Some(index) => Err(ConvertError::WeightBeyondF16 {
            layer: program.ops[index].name.clone(),
            weight: original.ops.get(index).map_or(f32::INFINITY, largest_weight),
        }),
    }
}

/// The largest magnitude of what an f16 model rounds to f16.
fn largest_weight(op: &FusedOp) -> f32 {
    let weights = op.kind.conv().map_or(&[][..], |conv| &conv.weight);
    weights.iter().fold(0.0, |most, weight| most.max(weight.abs()))
}

/// What there is to say of layers in other units, and of layers that stay beyond f16.
fn within(
    source: &Source<'_>,
    found: Within,
    widened: &BTreeSet<SlotId>,
    fixed: &BTreeSet<SlotId>,
) -> Result<Within, ConvertError> {
    let name = |slot: &SlotId| &source.program.ops[slot.0].name;
    check_weights(&found.program, &source.program)?;
    let mut notes = vec![];
    if let Some(first) = widened.iter().next() {
        let others = match widened.len() - 1 {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        notes.push(format!(
            "layer '{}'{others}: values beyond 65504, the largest number of f16, are held by a power of two smaller",
            name(first)
        ));
    }
    for slot in fixed.iter().filter(|slot| found.stats[slot.0].max_abs() >= LARGEST) {
        notes.push(format!(
            "layer '{}' reaches beyond 65504, the largest number of f16, and cannot be held smaller: what is beyond is cut, in calibration too",
            name(slot)
        ));
    }
    Ok(Within { notes, ..found })
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

/// Weights of 4 bits, rounded on calls of other runs than those that calibration observes; closely, of so many bits, in a refined model.
fn rounded(
    program: &Program,
    calibration: &Calibration,
    model: &Model<'_>,
    closely: Option<u32>,
) -> Result<Vec<Vec<Row>>, RunError> {
    let every = calibration.rounding_stride(program);
    let calls = record(model, &calibration.rounding, every)?;
    Ok(match closely {
        Some(bits) => round_closely(program, &calls, bits),
        None => round(program, &calls),
    })
}
