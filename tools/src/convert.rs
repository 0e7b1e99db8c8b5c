//! The conversion pipeline: checkpoint, fused program, calibration, number formats, model file.

use mote_host::calibrate::calibrate;
use mote_host::memory::AlignedBytes;
use mote_host::record::record;
use mote_host::schedule::{self as float, Precision, Schedule, ScheduleError};
use mote_runtime::schedule::coefficients::{Clip, Prediction};
use mote_runtime::schedule::spacing::Spacing;
use mote_runtime::{Config, Method, Model, ParseError, RunError};
use serde_json::{Value, json};

use crate::emit::{Diffusion, EmitError, Emitted, Numbers, emit};
use crate::import::Checkpoint;
use crate::lower::program::Program;
use crate::lower::{LowerError, lower};
use crate::plan::Arena;
use crate::quantize::auto;
pub use crate::quantize::context::Progress;
use crate::quantize::context::{Context, QuantizeError};
use crate::quantize::formats::{Format, formats};
use crate::quantize::int4;
use crate::quantize::round::{Row, round};
use crate::quantize::scheme::{Assignment, Bits, Scheme};
use crate::quantize::trained::{Trained, TrainedError};
use crate::quantize::weights::scales;

/// Seed of the first calibration trajectory; far from the small seeds that people sample with.
const CALIBRATION_SEED: u64 = 0x4D4F_5445_0000_0000;
/// Steps of a calibration trajectory.
const CALIBRATION_STEPS: u32 = 20;
/// Multiply-accumulates spent on calibration, about: sets the number of trajectories, 2 to 16.
const CALIBRATION_MACS: u64 = 16_000_000_000;

/// Seed of the first trajectory that weights of 4 bits are rounded on.
const ROUNDING_SEED: u64 = 0x524F_554E_0000_0000;
/// Calls recorded in all, about, and the bytes of activations that they may take.
const ROUNDING_CALLS: usize = 96;
const ROUNDING_BYTES: usize = 1 << 28;

/// Why a checkpoint cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A layer arrangement without an operator.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// Too large for the file format, or refused by the runtime.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A schedule that cannot be made.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A network that predicts variances beside x0.
    #[error(
        "learned variances (variance_type learned_range) have no place in a model file yet: `mote eval` measures such a checkpoint; \
         train with a fixed variance to convert"
    )]
    LearnedVariance,
    /// A model that the converter wrote and the runtime refuses.
    #[error("the runtime refuses the model: {0}")]
    Parse(#[from] ParseError),
    /// A calibration run failed.
    #[error("a calibration run failed: {0}")]
    Run(#[from] RunError),
    /// A chain whose tensors cannot be read.
    #[error("the chain: {0}")]
    Chain(candle_core::Error),
    /// No assignment fits, or one could not be measured.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The formats that the checkpoint was trained with are not its network's.
    #[error(transparent)]
    Trained(#[from] TrainedError),
}

/// What is asked of a conversion.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Number formats.
    pub scheme: Scheme,
    /// Memory that `auto` must stay within, and that the arena is chosen for.
    pub budget: Option<auto::Budget>,
    /// What the arena is planned for; `None` is fast where that fits the budget, small elsewhere.
    pub arena: Option<Arena>,
}

impl Options {
    /// `scheme` without a budget.
    pub fn of(scheme: Scheme) -> Self {
        Self {
            scheme,
            budget: None,
            arena: None,
        }
    }
}

/// A converted model, with what a report wants to know.
#[derive(Debug, Clone)]
pub struct Converted {
    /// The file.
    pub emitted: Emitted,
    /// What its arena is planned for.
    pub arena: Arena,
    /// The fused program.
    pub program: Program,
    /// Number formats by slot; empty for f16.
    pub formats: Vec<Format>,
    /// Widths; `None` for f16.
    pub assignment: Option<Assignment>,
    /// Sensitivities that `auto` measured.
    pub sensitivity: Vec<auto::Sensitivity>,
    /// The formats and scales, as training could take them; `None` for f16.
    pub chosen: Option<Trained>,
}

impl Converted {
    /// The model file, checked as any that is opened.
    ///
    /// # Errors
    /// None that a test has found: whatever is emitted was checked.
    pub fn file(&self) -> Result<crate::ModelFile, crate::Error> {
        crate::ModelFile::from_bytes(&self.emitted.bytes)
    }
}

/// Converts `checkpoint`. The same checkpoint and options give the same bytes on every machine.
pub fn convert(
    checkpoint: &Checkpoint,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Converted, ConvertError> {
    if checkpoint.scheduler.variance == float::Variance::LearnedRange {
        return Err(ConvertError::LearnedVariance);
    }
    // A float convolution has one column always: the fast arena is the small one.
    let arena = options.arena.filter(|arena| *arena == Arena::Large).unwrap_or_default();
    let program = lower(&checkpoint.graph, arena)?;
    let diffusion = diffusion(checkpoint)?;
    let provenance = |runs| Provenance::of(checkpoint, options, runs);
    let reference = emit(&program, &diffusion, Numbers::F16, arena, &provenance(0).with(arena))?;
    if options.scheme == Scheme::F16 {
        let (formats, sensitivity) = (vec![], vec![]);
        return Ok(Converted {
            emitted: reference,
            arena,
            program,
            formats,
            assignment: None,
            sensitivity,
            chosen: None,
        });
    }
    let configs = calibration(&program, &diffusion);
    let memory = AlignedBytes::copy_of(&reference.bytes);
    let model = Model::parse(memory.bytes())?;
    let done = std::sync::atomic::AtomicUsize::new(0);
    progress(Progress::Calibrating(0, configs.len()));
    let stats = calibrate(&model, &configs, &|| {
        let n = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        progress(Progress::Calibrating(n, configs.len()));
    })?;
    let trained = checkpoint
        .trained
        .as_ref()
        .filter(|t| t.scheme == options.scheme.name());
    let four = matches!(options.scheme, Scheme::W4A8 | Scheme::W4A16);
    let (given, scales, int4) = match trained {
        Some(trained) => {
            let (assignment, scales, int4) = trained.weights(&program)?;
            (Some((assignment, trained.formats(&program)?)), scales, int4)
        }
        None if four => (None, scales(&program, &stats), rounded(&program, &diffusion, &model)?),
        None => (None, scales(&program, &stats), vec![]),
    };
    let context = Context {
        scales,
        int4,
        program: &program,
        diffusion: &diffusion,
        stats: &stats,
        reference: model,
        provenance: provenance(configs.len()),
    };
    let (assignment, sensitivity) = match options.scheme {
        _ if given.is_some() => (given.as_ref().map(|g| g.0.clone()).unwrap_or_default(), vec![]),
        Scheme::W8A8 => (Assignment::eight_bit(&program, arena), vec![]),
        Scheme::W8A16 => (Assignment::uniform(&program, Bits::Sixteen), vec![]),
        Scheme::W4A8 => int4::assign(&context, Assignment::eight_bit(&program, arena), progress)?,
        Scheme::W4A16 => int4::assign(&context, Assignment::uniform(&program, Bits::Sixteen), progress)?,
        Scheme::Auto | Scheme::F16 => {
            // Memory goes to the widths first, then to the blocks of columns.
            let within = options.budget.map_or(Arena::Fast, |_| Arena::Small);
            auto::assign(&context, options.budget, options.arena.unwrap_or(within), progress)?
        }
    };
    let formats = match given {
        Some((_, formats)) => formats,
        None => formats(&program, &stats, &assignment),
    };
    let chosen = Trained::of(
        options.scheme,
        &program,
        &formats,
        &assignment,
        &context.scales,
        &context.int4,
    );
    let (arena, emitted) = in_arena(options, |arena| context.emit(&assignment, &formats, arena))?;
    Ok(Converted {
        emitted,
        arena,
        formats,
        assignment: Some(assignment),
        sensitivity,
        program,
        chosen: Some(chosen),
    })
}

/// The model in the arena that is asked for, or in the fast one where that fits the budget and in the small one elsewhere.
fn in_arena(
    options: &Options,
    emit: impl Fn(Arena) -> Result<Emitted, EmitError>,
) -> Result<(Arena, Emitted), EmitError> {
    let arena = options.arena.unwrap_or_default();
    let emitted = emit(arena)?;
    let fits = options.budget.is_none_or(|b| emitted.plan.arena_bytes <= b.arena_bytes);
    if fits || options.arena.is_some() {
        return Ok((arena, emitted));
    }
    Ok((Arena::Small, emit(Arena::Small)?))
}

/// The runs that calibration observes: the checkpoint's own sampler from several seeds, every class in turn.
fn calibration(program: &Program, diffusion: &Diffusion) -> Vec<Config> {
    let runs = affordable_runs(program, diffusion);
    (0..runs).map(|i| trajectory(program, diffusion, i)).collect()
}

/// 2 to 16, by the work of a call.
fn affordable_runs(program: &Program, diffusion: &Diffusion) -> u64 {
    let macs: u64 = program.steps.iter().map(|step| program.macs(step)).sum();
    let steps = CALIBRATION_STEPS.min(diffusion.alpha_bars.len() as u32);
    (CALIBRATION_MACS / (macs * u64::from(steps)).max(1)).clamp(2, 16)
}

fn trajectory(program: &Program, diffusion: &Diffusion, i: u64) -> Config {
    Config {
        steps: CALIBRATION_STEPS.min(diffusion.alpha_bars.len() as u32),
        spacing: diffusion.spacing,
        prev: mote_runtime::schedule::spacing::PrevRule::List,
        // Every fourth run is noisy, so that the ranges hold for eta > 0.
        eta_q16: if i % 4 == 3 { 1 << 16 } else { 0 },
        clip: diffusion.clip,
        clip_range_q24: 1 << 24,
        class: (program.classes > 0).then(|| (i % program.classes as u64) as u16),
        guidance_q16: None,
        seed: CALIBRATION_SEED + i,
        method: Method::Ddim,
    }
}

/// Weights of 4 bits, rounded on calls of other trajectories than those that calibration observes: of many lengths, so that many
/// timesteps occur.
fn rounded(program: &Program, diffusion: &Diffusion, model: &Model<'_>) -> Result<Vec<Vec<Row>>, RunError> {
    let config = |i: u64| {
        let config = trajectory(program, diffusion, i);
        Config {
            steps: (config.steps + i as u32).min(diffusion.alpha_bars.len() as u32),
            seed: ROUNDING_SEED + i,
            ..config
        }
    };
    let configs: Vec<Config> = (0..affordable_runs(program, diffusion)).map(config).collect();
    let available: usize = configs.iter().map(|c| c.steps as usize).sum();
    let bytes: usize = program.slots.iter().map(|slot| 2 * slot.len()).sum();
    let wanted = ROUNDING_CALLS.min(ROUNDING_BYTES / bytes.max(1)).max(1);
    Ok(round(program, &record(model, &configs, available.div_ceil(wanted))?))
}

fn diffusion(checkpoint: &Checkpoint) -> Result<Diffusion, ScheduleError> {
    let config = &checkpoint.scheduler;
    let schedule = Schedule::new(config, Precision::F64)?;
    let classes = checkpoint.graph.classes.unwrap_or(0);
    Ok(Diffusion {
        alpha_bars: schedule.alphas_cumprod,
        final_alpha_bar: schedule.final_alpha_cumprod,
        prediction: match config.prediction_type {
            float::Prediction::Epsilon => Prediction::Epsilon,
            float::Prediction::Velocity => Prediction::V,
            float::Prediction::Sample => Prediction::Sample,
        },
        clip: if config.clip_sample { Clip::Stock } else { Clip::Off },
        clip_range: config.clip_sample_range,
        spacing: match config.timestep_spacing {
            float::Spacing::Leading => Spacing::Leading,
            float::Spacing::Trailing => Spacing::Trailing,
            float::Spacing::Linspace => Spacing::Linspace,
            float::Spacing::Quadratic => Spacing::Quadratic,
        },
        steps_offset: config.steps_offset as i32,
        // By convention the last label stands for 'no class'.
        null_class: classes.checked_sub(1).map(|last| last as u16),
    })
}

/// Where a model comes from: what the file says of it, as JSON.
#[derive(Debug, Clone)]
pub struct Provenance(Value);

impl Provenance {
    fn of(checkpoint: &Checkpoint, options: &Options, trajectories: usize) -> Self {
        Self(json!({
            "model": checkpoint.name,
            "checkpoint_sha256": checkpoint.sha256,
            "converter": concat!("mote ", env!("CARGO_PKG_VERSION")),
            "scheme": options.scheme.name(),
            "calibration": {
                "trajectories": trajectories,
                "steps": CALIBRATION_STEPS,
                "first_seed": CALIBRATION_SEED,
            },
        }))
    }

    /// The text, with the arena where it is not the fast one.
    pub fn with(&self, arena: Arena) -> String {
        let mut value = self.0.clone();
        if arena != Arena::Fast {
            value["arena"] = arena.name().into();
        }
        value.to_string()
    }
}
