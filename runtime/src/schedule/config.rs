//! What a run is asked to do.

use serde::{Deserialize, Serialize};

use super::spacing::begins_within;
use crate::error::RunError;
use crate::features::Feature;
use crate::model::Model;
use crate::model::header::Header;
use crate::model::plan::Plan;
use crate::model::sampling::{Clip, Method, PrevRule, Spacing};

/// Everything that is chosen at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Number of steps, 1 to the training steps.
    pub steps: u32,
    /// Which timesteps.
    pub spacing: Spacing,
    /// What the timestep after a timestep is.
    pub prev: PrevRule,
    /// DDIM's stochasticity, Q16: 0 is deterministic, 65536 is DDPM's ancestral variance; 0 for other samplers.
    pub eta_q16: u32,
    /// Clipping of the predicted x0.
    pub clip: Clip,
    /// Its bound, Q24.
    pub clip_range_q24: i32,
    /// Class label of a conditional model; `None` is the null class where there is one.
    pub class: Option<u16>,
    /// Weight w of classifier-free guidance, Q16: `uncond + w (cond - uncond)`. Two network calls a step.
    pub guidance_q16: Option<i32>,
    /// Seed of all noise.
    pub seed: u64,
    /// The sampler.
    pub method: Method,
}

impl Config {
    /// The configuration that the checkpoint was saved with, deterministic DDIM (or the sampler of the model's noise levels), seed 0; where the file plans its run, that one (which has a
    /// number of steps of its own: [`Plan::steps`]).
    pub fn of(header: &Header, steps: u32) -> Self {
        let plan = header.schedule.plan().unwrap_or(Plan::new(
            steps,
            header.schedule.spacing(),
            PrevRule::List,
            0,
            header.prediction.levels().default_method(),
        ));
        Self {
            steps,
            spacing: plan.spacing(),
            prev: plan.prev(),
            eta_q16: plan.eta_q16,
            clip: header.clip,
            clip_range_q24: header.clip_range_q24,
            class: None,
            guidance_q16: None,
            seed: 0,
            method: plan.method(),
        }
    }

    /// What of it a file can plan, beside clipping.
    pub fn plan(&self) -> Plan {
        Plan::new(self.steps, self.spacing, self.prev, self.eta_q16, self.method)
    }

    /// [`Config::validate`] for a model, whose condition vector may be what guidance drops.
    pub fn validate_for(&self, model: &Model<'_>) -> Result<(), RunError> {
        #[cfg(feature = "learned-variance")]
        if self.method.is_learned() && !model.has_variances() {
            return Err(RunError::NoVariances);
        }
        let drops = || model.condition().is_some_and(|condition| condition.null.is_some());
        if Feature::Condition.is_built() && self.guidance_q16.is_some() && drops() {
            let guidance_q16 = None;
            return Self { guidance_q16, ..*self }.validate(model.header());
        }
        self.validate(model.header())
    }

    /// Checks every field against the model's header.
    pub fn validate(&self, header: &Header) -> Result<(), RunError> {
        #[cfg(feature = "decoder")]
        if header.prediction.picture().is_some() {
            return Err(RunError::Decoder);
        }
        if self.steps == 0 || self.steps > header.train_steps {
            return Err(RunError::Steps {
                found: self.steps,
                max: header.train_steps,
            });
        }
        if let Some(feature) = self.method.feature() {
            feature.built().ok_or(RunError::NotBuilt(feature))?;
            if self.eta_q16 != 0 {
                return Err(RunError::EtaElsewhere);
            }
        }
        // Elsewhere there are levels of one kind.
        if Feature::Continuous.is_built() {
            let levels = header.prediction.levels();
            if !levels.are(self.method.entry().levels) || !levels.allow(self.spacing, self.prev) {
                return Err(RunError::Levels);
            }
        }
        if let Some(plan) = header.schedule.plan()
            && (self.plan(), self.clip) != (plan, header.clip)
        {
            return Err(RunError::Planned { steps: plan.steps });
        }
        let computed = Feature::Schedule.is_built() && header.schedule.plan().is_none();
        if computed && !begins_within(self.spacing, header.train_steps, self.steps, header.steps_offset) {
            return Err(RunError::StepsOffset {
                steps: self.steps,
                offset: header.steps_offset,
            });
        }
        if header.prediction.is_chain() && self.method != Method::Ddim {
            return Err(RunError::ChainSampler);
        }
        // The kernels of a Gaussian chain are learned for single steps.
        if header.prediction.is_kernel() && self.steps != header.train_steps {
            return Err(RunError::ChainSteps {
                found: self.steps,
                needed: header.train_steps,
            });
        }
        if self.eta_q16 > 1 << 16 {
            return Err(RunError::Eta(self.eta_q16));
        }
        if !(1..=1 << 30).contains(&self.clip_range_q24) {
            return Err(RunError::ClipRange);
        }
        match self.class {
            Some(class) if class >= header.classes => {
                return Err(RunError::Class {
                    found: class,
                    classes: header.classes,
                });
            }
            None if header.classes > 0 && header.null_class.is_none() => return Err(RunError::ClassMissing),
            _ => {}
        }
        // The outputs of a Gaussian chain are no images to go between.
        let unguided = header.null_class.is_none() || header.prediction.is_kernel();
        if self.guidance_q16.is_some() && unguided {
            return Err(RunError::GuidanceUnsupported);
        }
        Ok(())
    }
}
