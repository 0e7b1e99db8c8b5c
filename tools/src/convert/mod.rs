//! The conversion pipeline: checkpoint, fused program, calibration, number formats, model file.
//!
//! [`convert`] takes a checkpoint with its noise schedule. [`source`] is the same for anything that has a program, a schedule and runs to
//! calibrate on.

pub mod calibration;
pub mod decoder;
pub mod equalize;
mod guard;
mod halves;
pub mod held;
mod last_sum;
mod limits;
mod price;
pub mod provenance;
pub mod source;
mod units;

use mote_graph::config::ConfigError;
use mote_graph::graph::GraphError;
use mote_graph::schedule::ScheduleError;
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::{ParseError, RunError};

use crate::condition::Given;
use crate::emit::{Diffusion, EmitError, Emitted};
use crate::import::{Checkpoint, Trained};
use crate::lower::{LowerError, deployed, lower_of};
use crate::plan::{Arena, once_more, recompute};
use crate::program::Program;
use crate::quantize::formats::Format;
use crate::quantize::scheme::{Assignment, Bits, Scheme};
use crate::quantize::trained::TrainedError;
use crate::widths::auto;
use crate::widths::eight_bit::eight_bit;
pub use crate::widths::trial::Progress;
use crate::widths::trial::QuantizeError;
use calibration::Calibration;
use source::{Memory, NumberFormats, Source, Widths, convert_source};

/// Why a checkpoint cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A layer arrangement without an operator.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// Too large for the file format, or refused by the runtime.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A setting that no model file holds.
    #[error(transparent)]
    Setting(#[from] ConfigError),
    /// A schedule that cannot be made.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A model that the converter wrote and the runtime refuses.
    #[error("the runtime refuses the model: {0}")]
    Parse(#[from] ParseError),
    /// A weight that an f16 model cannot hold.
    #[error(
        "layer '{layer}': its weight {weight} is beyond 65504, the largest number of f16, which every model is calibrated in; \
         scale the layer down and what reads it up"
    )]
    WeightBeyondF16 {
        /// The layer.
        layer: String,
        /// The weight.
        weight: f32,
    },
    /// A calibration run failed.
    #[error("a calibration run failed: {0}")]
    Run(#[from] RunError),
    /// A network that is no sound graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Number formats that chains do not have.
    #[error("--scheme {0} is not for a chain of 2015: choose auto, f16, w8a16 or w16a16")]
    ChainScheme(Scheme),
    /// No assignment fits, or one could not be measured.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// Condition vectors that are missing or wrong.
    #[error(transparent)]
    Condition(#[from] crate::Error),
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
    /// Whether measured error decides more of the model, in memory no larger: channels of like size, and 16 bits where no arena grows.
    pub refine: bool,
}

impl Options {
    /// `scheme` without a budget.
    pub fn of(scheme: Scheme) -> Self {
        Self {
            scheme,
            budget: None,
            arena: None,
            refine: false,
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
    /// What stays when weights move; `None` for f16, and where layers were put into other units or taken apart.
    pub standing: Option<held::Standing>,
    /// What a user should know of the model, a sentence each.
    pub notes: Vec<String>,
    /// The condition vectors that were calibrated with; `None` for a network without a condition.
    pub conditions: Option<Given>,
    /// The decoder that stands in the same file.
    pub decoder: Option<decoder::Drawing>,
    /// Of a refined model: the file with the widths that it would have had.
    unrefined: Option<Vec<u8>>,
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

impl Converted {
    fn float(emitted: Emitted, arena: Arena, program: Program, notes: Vec<String>) -> Self {
        Self {
            emitted,
            arena,
            program,
            formats: vec![],
            assignment: None,
            sensitivity: vec![],
            chosen: None,
            standing: None,
            notes,
            conditions: None,
            decoder: None,
            unrefined: None,
        }
    }
}

/// Converts `checkpoint`. The same checkpoint and options give the same bytes on every machine.
pub fn convert(
    checkpoint: &Checkpoint,
    options: &Options,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Converted, ConvertError> {
    let learned_variance = checkpoint.has_variances() && !checkpoint.variances;
    let checkpoint = &*deployed(checkpoint)?;
    limits::check(checkpoint, options.scheme)?;
    let equal;
    let checkpoint = match options.refine {
        true => {
            equal = equalize::of_checkpoint(checkpoint)?;
            &equal
        }
        false => checkpoint,
    };
    let given = Given::of(checkpoint)?;
    let arena = options.arena.unwrap_or_default();
    let program = recompute(lowered(checkpoint)?, arena);
    let diffusion = diffusion(checkpoint)?;
    let scheme = options.scheme.name();
    let of_program = |program: Program| {
        let numbers = NumberFormats {
            scheme,
            widths: widths(options.scheme, &program, arena),
            refine: options.refine,
        };
        let source = Source {
            name: &checkpoint.name,
            sha256: &checkpoint.sha256,
            learned_variance,
            calibration: Calibration::of(&program, &diffusion, given.as_ref()),
            program,
            diffusion: diffusion.clone(),
            conditions: given.clone(),
            trained: checkpoint.trained.as_ref().filter(|trained| trained.scheme == scheme),
        };
        let memory = Memory {
            arena: options.arena,
            budget: options.budget,
        };
        let runs = source.calibration.runs.clone();
        let converted = convert_source(source, numbers, memory, progress);
        Ok::<_, ConvertError>((converted.map_err(|error| by_setting(error, checkpoint))?, runs))
    };
    let once_more = (options.refine && arena != Arena::Large)
        .then(|| once_more(&program))
        .flatten();
    let (mut converted, runs) = of_program(program)?;
    if let Some(plain) = converted.unrefined.clone() {
        if let Some(program) = once_more {
            let (other, _) = of_program(program)?;
            if price::is_better(&other, &converted) {
                converted = other;
            }
        }
        converted.notes.push(price::note(&plain, &converted.emitted.bytes)?);
    }
    match &checkpoint.decoder {
        Some(decoder) => decoder::joined(converted, decoder, &runs, options),
        None => Ok(converted),
    }
}

/// The operators of a checkpoint's network.
fn lowered(checkpoint: &Checkpoint) -> Result<Program, LowerError> {
    let mut program = lower_of(&checkpoint.graph, checkpoint.scheduler.num_train_timesteps)?;
    if let Some(edm) = &checkpoint.scheduler.edm {
        // The device's state has unit variance, its factor is at most 1: the rest of `c_in` is the input's.
        program.scale_input(1.0 / edm.sigma_data);
    }
    Ok(program)
}

/// A run that the checkpoint's own settings rule out is refused by the setting.
fn by_setting(error: ConvertError, checkpoint: &Checkpoint) -> ConvertError {
    let (field, problem) = match error {
        ConvertError::Run(RunError::ZeroSnr) => (
            "prediction_type",
            "its noise levels leave no signal at a timestep that a run visits, where epsilon says nothing of the image: train with \
             v_prediction, or choose a timestep_spacing that does not visit it",
        ),
        ConvertError::Run(RunError::StepsOffset { .. }) => (
            "steps_offset",
            "it pushes the first timestep of a run past the last training timestep",
        ),
        other => return other,
    };
    let value = checkpoint.scheduler_config.get(field);
    ConvertError::Setting(ConfigError {
        file: format!("scheduler_config.json of {}", checkpoint.config_file),
        field: field.to_owned(),
        value: value.map_or_else(|| "missing".to_owned(), mote_graph::config::shown),
        problem: problem.to_owned(),
    })
}

/// Who chooses the widths of a scheme.
fn widths(scheme: Scheme, program: &Program, arena: Arena) -> Option<Widths> {
    let sixteen_bit = || Assignment::uniform(program, Bits::Sixteen);
    Some(match scheme {
        Scheme::F16 => return None,
        Scheme::W8A8 => Widths::Given(eight_bit(program, arena)),
        Scheme::W8A16 => Widths::Given(sixteen_bit()),
        Scheme::W16A16 => Widths::Given(Assignment {
            weights: vec![Bits::Sixteen; program.ops.len()],
            ..sixteen_bit()
        }),
        Scheme::W4A8 => Widths::FourBits(eight_bit(program, arena)),
        Scheme::W4A16 => Widths::FourBits(sixteen_bit()),
        Scheme::Auto => Widths::Measured,
    })
}

fn diffusion(checkpoint: &Checkpoint) -> Result<Diffusion, ScheduleError> {
    let config = &checkpoint.scheduler;
    let (alpha_bars, final_alpha_bar) = config.alpha_bars()?;
    Ok(Diffusion {
        train_steps: config.num_train_timesteps as u32,
        alpha_bars,
        final_alpha_bar,
        prediction: config.device_prediction(),
        clip: if config.clip_sample { Clip::Stock } else { Clip::Off },
        clip_range: config.clip_sample_range,
        schedule: config.device_schedule(),
        steps_offset: config.steps_offset as i32,
        null_class: checkpoint.null_class.map(|label| label as u16),
    })
}
