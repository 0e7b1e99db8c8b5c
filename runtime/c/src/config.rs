//! What is chosen at run time.

use mote_runtime::{Clip, Config, Method, Model, PrevRule, Spacing, arena_bytes};

use crate::check::aligned;
use crate::status::{Refused, mote_status, status};
use crate::storage::{ModelPlace, mote_model};

/// DDIM, deterministic or with noise by eta.
pub const MOTE_SAMPLER_DDIM: u32 = 0;
/// The ancestral sampler, with the posterior's variance. Feature `ddpm`.
pub const MOTE_SAMPLER_DDPM_SMALL: u32 = 1;
/// The ancestral sampler, with the forward process' variance. Feature `ddpm`.
pub const MOTE_SAMPLER_DDPM_LARGE: u32 = 2;
/// DPM-Solver++(2M). Feature `dpm-solver`.
pub const MOTE_SAMPLER_DPM_SOLVER: u32 = 3;
/// Heun's method, two network calls a step. Feature `heun`.
pub const MOTE_SAMPLER_HEUN: u32 = 4;
/// Euler's method, of flow matching and EDM. Feature `continuous`.
pub const MOTE_SAMPLER_EULER: u32 = 5;
/// Heun's method, of flow matching and EDM. Features `continuous` and `heun`.
pub const MOTE_SAMPLER_FLOW_HEUN: u32 = 6;
/// The midpoint method, of flow matching and EDM. Features `continuous` and `heun`.
pub const MOTE_SAMPLER_FLOW_MIDPOINT: u32 = 7;
/// DPM-Solver++(2M), of flow matching and EDM. Features `continuous` and `dpm-solver`.
pub const MOTE_SAMPLER_FLOW_DPM_SOLVER: u32 = 8;
/// Multistep consistency sampling. Feature `consistency`.
pub const MOTE_SAMPLER_CONSISTENCY: u32 = 9;
/// Multistep consistency sampling, of flow matching and EDM. Features `continuous` and `consistency`.
pub const MOTE_SAMPLER_FLOW_CONSISTENCY: u32 = 10;
/// The ancestral sampler with the network's own variances. Features `ddpm` and `learned-variance`.
pub const MOTE_SAMPLER_DDPM_LEARNED: u32 = 11;

/// The predicted clean sample is not clamped.
pub const MOTE_CLIP_OFF: u32 = 0;
/// It is clamped, epsilon is kept.
pub const MOTE_CLIP_STOCK: u32 = 1;
/// It is clamped, and epsilon computed from it.
pub const MOTE_CLIP_REDERIVED: u32 = 2;

/// Timesteps at multiples of T / steps.
pub const MOTE_SPACING_LEADING: u32 = 0;
/// Timesteps from the last one down.
pub const MOTE_SPACING_TRAILING: u32 = 1;
/// First and last timestep and evenly between.
pub const MOTE_SPACING_LINSPACE: u32 = 2;
/// More timesteps where there is little noise.
pub const MOTE_SPACING_QUADRATIC: u32 = 3;

/// The timestep after a timestep is the next of the list.
pub const MOTE_PREVIOUS_LIST: u32 = 0;
/// It is T / steps below, as in diffusers.
pub const MOTE_PREVIOUS_DIFFUSERS: u32 = 1;

/// `class_label` of a run without a class.
pub const MOTE_NO_CLASS: i32 = -1;
/// 1.0 of the fields and arguments that end with q16.
pub const MOTE_ONE_Q16: u32 = 65536;
/// 1.0 of states and images in Q24.
pub const MOTE_ONE_Q24: i32 = 16777216;

/// What a run is asked to do. `mote_config_init` fills it in; then change what is to be otherwise.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct mote_config {
    /// Seed of all noise.
    pub seed: u64,
    /// Number of steps, 1 to the training steps.
    pub steps: u32,
    /// A `MOTE_SAMPLER_`.
    pub sampler: u32,
    /// DDIM's stochasticity, Q16: 0 is deterministic. 0 for other samplers.
    pub eta_q16: u32,
    /// A `MOTE_CLIP_`.
    pub clip: u32,
    /// Bound of the clamped sample, Q24.
    pub clip_range_q24: i32,
    /// A `MOTE_SPACING_`.
    pub spacing: u32,
    /// A `MOTE_PREVIOUS_`.
    pub previous: u32,
    /// Class, or `MOTE_NO_CLASS`.
    pub class_label: i32,
    /// 1 for classifier-free guidance, which calls the network twice as often; else 0.
    pub guided: u32,
    /// Its weight w, Q16: `without + w (with - without)`.
    pub guidance_q16: i32,
}

impl mote_config {
    fn of(config: &Config) -> Self {
        Self {
            seed: config.seed,
            steps: config.steps,
            // Of one sampler the number is known, and no table of numbers is linked.
            sampler: if Method::IS_A_CHOICE {
                config.method.entry().number.into()
            } else {
                MOTE_SAMPLER_DDIM
            },
            eta_q16: config.eta_q16,
            clip: config.clip as u32,
            clip_range_q24: config.clip_range_q24,
            spacing: config.spacing as u32,
            previous: config.prev as u32,
            class_label: config.class.map_or(MOTE_NO_CLASS, i32::from),
            guided: config.guidance_q16.is_some().into(),
            guidance_q16: config.guidance_q16.unwrap_or(0),
        }
    }

    /// The runtime's; `None` where a number is none.
    #[inline(always)]
    fn choice(&self) -> Option<Config> {
        Some(Config {
            steps: self.steps,
            spacing: match self.spacing {
                MOTE_SPACING_LEADING => Spacing::Leading,
                MOTE_SPACING_TRAILING => Spacing::Trailing,
                MOTE_SPACING_LINSPACE => Spacing::Linspace,
                MOTE_SPACING_QUADRATIC => Spacing::Quadratic,
                _ => return None,
            },
            prev: match self.previous {
                MOTE_PREVIOUS_LIST => PrevRule::List,
                MOTE_PREVIOUS_DIFFUSERS => PrevRule::Diffusers,
                _ => return None,
            },
            eta_q16: self.eta_q16,
            clip: match self.clip {
                MOTE_CLIP_OFF => Clip::Off,
                MOTE_CLIP_STOCK => Clip::Stock,
                MOTE_CLIP_REDERIVED => Clip::Rederived,
                _ => return None,
            },
            clip_range_q24: self.clip_range_q24,
            class: match self.class_label {
                MOTE_NO_CLASS => None,
                class => Some(u16::try_from(class).ok()?),
            },
            guidance_q16: match self.guided {
                0 => None,
                1 => Some(self.guidance_q16),
                _ => return None,
            },
            seed: self.seed,
            method: Method::numbered(self.sampler)?,
        })
    }
}

/// The configuration that a caller gave.
///
/// # Safety
/// `config` is readable.
#[inline(always)]
pub(crate) unsafe fn read(config: *const mote_config) -> Result<Config, Refused> {
    aligned(config)?;
    // SAFETY: the caller's promise; the pointer was checked.
    let config = unsafe { &*config };
    config.choice().ok_or(mote_status::MOTE_CHOICE.into())
}

/// Fills in what the checkpoint was saved with: its spacing and clipping, deterministic DDIM or the sampler of its noise levels, seed 0, no
/// class, no guidance. Of a file that plans its run: that run, with the plan's number of steps where `steps` is 0.
///
/// # Safety
/// `model` was opened or is zeros; `config` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_config_init(
    config: *mut mote_config,
    model: *const mote_model,
    steps: u32,
) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(aligned(config).and_then(|()| unsafe {
        let header = ModelPlace::opened(model)?.header();
        let planned = header.schedule.plan().filter(|_| steps == 0);
        let steps = planned.map_or(steps, |plan| plan.steps);
        config.write(mote_config::of(&Config::of(header, steps)));
        Ok(())
    }))
}

/// Bytes of arena that a run needs. It depends on the model, on guidance and on the sampler, not on the steps.
///
/// # Safety
/// `model` was opened or is zeros; `config` is readable, `bytes` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_arena_bytes(
    model: *const mote_model,
    config: *const mote_config,
    bytes: *mut usize,
) -> mote_status {
    // SAFETY: the caller's promise.
    unsafe { measure(model, config, bytes, arena_bytes) }
}

/// Writes what `size` says of a model and a configuration.
///
/// # Safety
/// As of [`mote_arena_bytes`].
#[inline(always)]
pub(crate) unsafe fn measure(
    model: *const mote_model,
    config: *const mote_config,
    bytes: *mut usize,
    size: impl FnOnce(&Model<'_>, &Config) -> usize,
) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(aligned(bytes).and_then(|()| unsafe {
        bytes.write(size(ModelPlace::opened(model)?, &read(config)?));
        Ok(())
    }))
}
