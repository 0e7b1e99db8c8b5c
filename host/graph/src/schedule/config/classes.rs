//! The scheduler classes that are known, and what they make of fields.

use crate::schedule::Variance;

/// Where a class's last step ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    /// `set_alpha_to_one`, with its default.
    Field(bool),
    /// `final_sigmas_type`: `zero` or `sigma_min`.
    Sigmas,
    /// At cumulative alpha 1 (true) or at that of timestep 0 (false), always.
    Always(bool),
}

/// What a class makes of its configuration, where classes differ. A field that a class does not know is without effect.
pub(super) struct Class {
    pub names: &'static [&'static str],
    /// Default of `clip_sample`; `None` where the class never clips.
    pub clip_sample: Option<bool>,
    pub end: End,
    /// Default of `timestep_spacing`.
    pub spacing: &'static str,
    /// Whether the class knows `timestep_spacing` and `steps_offset`.
    pub spaced: bool,
    /// Whether the class knows `rescale_betas_zero_snr`.
    pub rescales: bool,
    /// Whether the class knows `lambda_min_clipped`.
    pub clips_lambda: bool,
    /// Whether it is a solver of higher order, whose own method has no place in a model file.
    pub solver: bool,
}

pub(super) const DDIM: Class = Class {
    names: &["DDIMScheduler", "DDIMParallelScheduler"],
    clip_sample: Some(true),
    end: End::Field(true),
    spacing: "leading",
    spaced: true,
    rescales: true,
    clips_lambda: false,
    solver: false,
};

pub(super) const DPM_SOLVER: Class = Class {
    names: &["DPMSolverMultistepScheduler"],
    clip_sample: None,
    end: End::Sigmas,
    spacing: "linspace",
    spaced: true,
    rescales: true,
    clips_lambda: true,
    solver: true,
};

/// Every class that is supported, as diffusers 0.42 defines it.
pub(super) const CLASSES: [Class; 7] = [
    DDIM,
    Class {
        names: &["DDPMScheduler", "DDPMParallelScheduler"],
        end: End::Always(true),
        ..DDIM
    },
    Class {
        names: &["PNDMScheduler"],
        clip_sample: None,
        end: End::Field(false),
        rescales: false,
        solver: true,
        ..DDIM
    },
    DPM_SOLVER,
    Class {
        names: &["DPMSolverSinglestepScheduler"],
        spaced: false,
        rescales: false,
        ..DPM_SOLVER
    },
    Class {
        names: &["DEISMultistepScheduler"],
        end: End::Always(false),
        rescales: false,
        clips_lambda: false,
        ..DPM_SOLVER
    },
    Class {
        names: &["UniPCMultistepScheduler"],
        clips_lambda: false,
        ..DPM_SOLVER
    },
];

/// Settings that say how a solver steps, and parameters of settings that are refused where they are on: neither changes the
/// schedule that a network was trained under, nor which noise levels a run visits.
pub(super) const WITHOUT_EFFECT: [&str; 19] = [
    "dynamic_thresholding_ratio",
    "sample_max_value",
    "skip_prk_steps",
    "solver_order",
    "solver_type",
    "lower_order_final",
    "euler_at_final",
    "predict_x0",
    "disable_corrector",
    "solver_p",
    "flow_shift",
    "time_shift_type",
    "sigma_min",
    "sigma_max",
    "set_alpha_to_one",
    "clip_sample",
    "clip_sample_range",
    "timestep_spacing",
    "steps_offset",
];

/// Settings that change which noise levels a run visits, and have no place in a model file.
pub(super) const REFUSED: [(&str, &str); 8] = [
    (
        "thresholding",
        "dynamic thresholding is not supported: set it to false, or use clip_sample",
    ),
    ("use_karras_sigmas", OTHER_LEVELS),
    ("use_exponential_sigmas", OTHER_LEVELS),
    ("use_beta_sigmas", OTHER_LEVELS),
    ("use_lu_lambdas", OTHER_LEVELS),
    (
        "use_flow_sigmas",
        "flow matching is supported as FlowMatchEulerDiscreteScheduler: this class' sigmas are not",
    ),
    ("use_dynamic_shifting", OTHER_LEVELS),
    ("shift_terminal", OTHER_LEVELS),
];
pub(super) const OTHER_LEVELS: &str = "it would have a run visit other noise levels than the training timesteps, which no model file \
    holds: set it to false, and choose how timesteps are spread by timestep_spacing";

impl Class {
    pub fn notes(&self, name: &str, variance: Variance) -> Vec<String> {
        if !self.solver {
            // DDIM's class has no variance of its own.
            let large = variance == Variance::FixedLarge && self.end == End::Always(true);
            let note = "`variance_type` is fixed_large, which no model file holds: sample with --sampler ddpm --variance large for it";
            return large.then(|| note.to_string()).into_iter().collect();
        }
        let own = if name == "PNDMScheduler" {
            "it calls the network twice at some timesteps".to_string()
        } else {
            let ends = match self.end {
                End::Always(false) => ", and ends at the level of timestep 0",
                _ => "",
            };
            format!("it spreads n steps over n + 1 points and leaves the last one out, Mote over n{ends}")
        };
        vec![format!(
            "the noise schedule is {name}'s; its solver is left aside ({own}): choose a sampler with --sampler"
        )]
    }
}
