//! Flow matching (Lipman et al. 2023; Esser et al. 2024) as diffusers configures it.

use super::SchedulerConfig;
use crate::config::{ConfigError, Fields};
use crate::schedule::Prediction;
use mote_runtime::internals::model::sampling::Levels;

/// diffusers' class for flow matching.
pub(super) const FLOW_EULER: &str = "FlowMatchEulerDiscreteScheduler";
/// The model file counts continuous timesteps to below this.
pub(super) const MAX_FLOW_TIMESTEPS: usize = (1 << 16) - 1;
/// The largest shift that the model file holds.
pub(super) const MAX_SHIFT: f64 = 128.0;

/// Reads flow matching's scheduler. Its levels are spread as pipelines ask for them, from 1 in even steps: the class's own default, which
/// ends with a step from the level of timestep 1, is the spacing linspace.
pub(super) fn flow(mut fields: Fields) -> Result<SchedulerConfig, ConfigError> {
    for (field, why) in [
        (
            "use_dynamic_shifting",
            "the shift would depend on the image's size: set it to false and give `shift`",
        ),
        (
            "use_karras_sigmas",
            "other levels than shifted ones are not supported: set it to false",
        ),
        (
            "use_exponential_sigmas",
            "other levels than shifted ones are not supported: set it to false",
        ),
        (
            "use_beta_sigmas",
            "other levels than shifted ones are not supported: set it to false",
        ),
        (
            "invert_sigmas",
            "levels that run from the image to noise are not supported: set it to false",
        ),
        (
            "stochastic_sampling",
            "noise between steps is not supported: set it to false",
        ),
        ("shift_terminal", "stretched levels are not supported: set it to null"),
    ] {
        fields.refuse_set(field, why)?;
    }
    let shift = fields.number("shift", 1.0)?;
    if !(1e-3..=MAX_SHIFT).contains(&shift) {
        return Err(fields.error("shift", format!("expected a number from 0.001 to {MAX_SHIFT}")));
    }
    let steps = fields
        .integer("num_train_timesteps", 1, MAX_FLOW_TIMESTEPS)?
        .unwrap_or(1000);
    // Of dynamic shifting alone.
    fields.ignore(&[
        "base_shift",
        "max_shift",
        "base_image_seq_len",
        "max_image_seq_len",
        "time_shift_type",
        "_class_name",
    ]);
    fields.finish()?;
    let config = SchedulerConfig::continuous(FLOW_EULER.to_string(), steps, Levels::Flow);
    Ok(SchedulerConfig {
        prediction_type: Prediction::Velocity,
        shift,
        ..config
    })
}
