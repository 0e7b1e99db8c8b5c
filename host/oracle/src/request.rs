//! What a run is asked for, in plain types of the oracle's own.

/// Which training timesteps a run visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Multiples of `T / S`.
    Leading,
    /// From the last timestep down, in equal parts.
    Trailing,
    /// Both ends, in equal parts.
    Linspace,
    /// Denser towards the clean end.
    Quadratic,
}

/// What the timestep after a timestep is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrevRule {
    /// The next one that the run visits.
    List,
    /// The one `T / S` below, as diffusers has it.
    Diffusers,
}

/// Variance of the ancestral sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variance {
    /// That of the posterior.
    Small,
    /// That of the forward step.
    Large,
    /// Between the two, as the network says.
    Learned,
}

/// How a run goes from one timestep to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// DDIM, and its family by eta.
    Ddim,
    /// The ancestral sampler.
    Ddpm(Variance),
    /// DPM-Solver++(2M).
    DpmSolver2M,
    /// Heun's method.
    Heun,
    /// Euler's method on continuous levels.
    FlowEuler,
    /// Heun's on these.
    FlowHeun,
    /// The midpoint's.
    FlowMidpoint,
    /// DPM-Solver++(2M) on these.
    FlowDpmSolver2M,
    /// Consistency sampling on cumulative alphas.
    Consistency,
    /// Consistency sampling on continuous levels.
    FlowConsistency,
}

impl Method {
    /// Whether it runs on continuous levels, and on no others.
    pub fn is_continuous(self) -> bool {
        match self {
            Self::Ddim | Self::Ddpm(_) | Self::DpmSolver2M | Self::Heun | Self::Consistency => false,
            Self::FlowEuler | Self::FlowHeun | Self::FlowMidpoint | Self::FlowDpmSolver2M | Self::FlowConsistency => {
                true
            }
        }
    }
}

/// Whether the predicted clean sample is clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clip {
    /// Never.
    Off,
    /// x0 is clamped, epsilon is kept.
    Stock,
    /// x0 is clamped, and epsilon computed again from it.
    Rederived,
}

/// Everything that is chosen for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Number of steps, 1 to the training timesteps.
    pub steps: u32,
    /// Which timesteps.
    pub spacing: Spacing,
    /// What the timestep after a timestep is.
    pub prev: PrevRule,
    /// DDIM's stochasticity, Q16, at most 65536; 0 for other samplers.
    pub eta_q16: u32,
    /// Clipping of the predicted x0.
    pub clip: Clip,
    /// Its bound, Q24, 1 to 2^30.
    pub clip_range_q24: i32,
    /// Class label of a conditional model; `None` is the null class where there is one.
    pub class: Option<u16>,
    /// Weight w of classifier-free guidance, Q16: `uncond + w (cond - uncond)`.
    pub guidance_q16: Option<i32>,
    /// Seed of all noise.
    pub seed: u64,
    /// The sampler.
    pub method: Method,
}

/// What of a request a file can plan, beside clipping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Number of steps.
    pub steps: u32,
    /// Which timesteps.
    pub spacing: Spacing,
    /// What the timestep after a timestep is.
    pub prev: PrevRule,
    /// DDIM's stochasticity, Q16.
    pub eta_q16: u32,
    /// The sampler.
    pub method: Method,
}

impl Request {
    /// What of it a file can plan.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            steps: self.steps,
            spacing: self.spacing,
            prev: self.prev,
            eta_q16: self.eta_q16,
            method: self.method,
        }
    }
}

/// An element of a known image that is not known.
pub const UNKNOWN: i32 = i32::MIN;

/// What a run may be given beside its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extras<'s> {
    /// The known image, Q24, [`UNKNOWN`] where it is not known.
    pub known: Option<&'s [i32]>,
    /// How well a chain's elements are known: a flip's probability, Q31, or a deviation, Q24, `u32::MAX` for an infinite one.
    pub known_noise: u32,
    /// The condition vector, in the model's fixed point.
    pub condition: Option<&'s [i32]>,
}

/// Where a run starts. Images and noise are Q24, `(row, col, channel)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start<'s> {
    /// x_T drawn from the seed.
    Seed,
    /// x_T given.
    Noise(&'s [i32]),
    /// A clean image, noised to the timestep where `strength * steps` steps are left.
    Image {
        /// The image.
        image_q24: &'s [i32],
        /// Share of the steps that are run, Q16, at most 65536.
        strength_q16: u32,
    },
    /// x_T between two seeds' noises, on a quarter circle.
    Between {
        /// The other seed.
        second: u64,
        /// How far towards it, Q16, at most 65536.
        part_q16: u32,
    },
}
