//! What this build of the runtime can run. Each part can be left out by a Cargo feature, so that a firmware for one model holds
//! no code for operators that the model does not use. A part that is left out makes [`crate::Model::parse`] refuse a model that
//! needs it, one of a sampler makes [`crate::Config::validate`] refuse the run; it never changes a result.

use core::fmt;

/// A part of the runtime that can be left out. There will be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Feature {
    /// Integer models.
    Integer,
    /// f16 models.
    F16,
    /// Convolutions with int16 weights, of integer models.
    W16,
    /// Convolutions with int4 weights.
    W4,
    /// Attention.
    Attention,
    /// Attention over other positions than the queries', and over constant rows.
    CrossAttention,
    /// Linear attention.
    LinearAttention,
    /// Class embeddings.
    Class,
    /// Vectors that runs are given.
    Condition,
    /// Upsampling that no convolution absorbs, and the mean over 2x2 windows.
    Resample,
    /// The timestep's scale and shift in a group normalization.
    ScaleShift,
    /// Group normalizations inside the convolutions that read them.
    NormConv,
    /// Normalizations over the channels of a position, or not centred.
    Norm,
    /// Functions of every element from tables, with what is multiplied and added.
    Pointwise,
    /// The ancestral sampler.
    Ddpm,
    /// Variances that the network gives beside its prediction, in the ancestral sampler.
    LearnedVariance,
    /// DPM-Solver++(2M).
    DpmSolver,
    /// Heun's method, and over continuous levels the midpoint method.
    Heun,
    /// Calls of the network between training timesteps, and with a scaled state: continuous noise levels.
    Continuous,
    /// The noise levels of EDM. Files that plan their run do without.
    Edm,
    /// Multistep consistency sampling.
    Consistency,
    /// Runs in which part of the image is known.
    Inpaint,
    /// Starts between two seeds.
    Interpolate,
    /// Diffusion chains of 2015: their steps, readouts by timestep, softmax.
    Chain,
    /// Timesteps and coefficients of a run. Files that hold those of theirs ([`crate::model::plan`]) do without.
    Schedule,
    /// Means over windows that are not 2x2, and maxima.
    Pool,
    /// Elements in other places: blocks of positions and channels, repetition, other rows.
    Rearrange,
    /// Tables that are added to activations: positions.
    Constant,
    /// Kernels whose rows and columns differ, strides that do, and strides above 2.
    Rectangles,
    /// Convolutions in groups, depthwise ones included, with weights of their own channels alone.
    Grouped,
    /// A second network in the file, which makes a picture of the last state, and rows of activations.
    Decoder,
    /// The second factor of a chain's steps: what is known of its bits or values.
    Posterior,
    /// Quick ways of convolution, normalization and checksums, in place of small ones that serve every shape. No model needs them.
    Fast,
    /// Weights that the core cannot address: blocks of them are read into RAM.
    Streamed,
}

impl Feature {
    /// Every part.
    pub const ALL: [Self; 34] = [
        Self::Integer,
        Self::F16,
        Self::W16,
        Self::W4,
        Self::Attention,
        Self::CrossAttention,
        Self::LinearAttention,
        Self::Class,
        Self::Condition,
        Self::Resample,
        Self::ScaleShift,
        Self::NormConv,
        Self::Norm,
        Self::Pointwise,
        Self::Ddpm,
        Self::LearnedVariance,
        Self::DpmSolver,
        Self::Heun,
        Self::Continuous,
        Self::Edm,
        Self::Consistency,
        Self::Inpaint,
        Self::Interpolate,
        Self::Chain,
        Self::Schedule,
        Self::Pool,
        Self::Rearrange,
        Self::Constant,
        Self::Rectangles,
        Self::Grouped,
        Self::Decoder,
        Self::Posterior,
        Self::Fast,
        Self::Streamed,
    ];

    /// The name of the Cargo feature.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::F16 => "f16",
            Self::W16 => "w16",
            Self::W4 => "w4",
            Self::Attention => "attention",
            Self::CrossAttention => "cross-attention",
            Self::LinearAttention => "linear-attention",
            Self::Class => "class",
            Self::Condition => "condition",
            Self::Resample => "resample",
            Self::ScaleShift => "scale-shift",
            Self::NormConv => "norm-conv",
            Self::Norm => "norm",
            Self::Pointwise => "pointwise",
            Self::Ddpm => "ddpm",
            Self::LearnedVariance => "learned-variance",
            Self::DpmSolver => "dpm-solver",
            Self::Heun => "heun",
            Self::Continuous => "continuous",
            Self::Edm => "edm",
            Self::Consistency => "consistency",
            Self::Inpaint => "inpaint",
            Self::Interpolate => "interpolate",
            Self::Chain => "chain",
            Self::Schedule => "schedule",
            Self::Pool => "pool",
            Self::Rearrange => "rearrange",
            Self::Constant => "constant",
            Self::Rectangles => "rectangles",
            Self::Grouped => "grouped",
            Self::Decoder => "decoder",
            Self::Posterior => "posterior",
            Self::Fast => "fast",
            Self::Streamed => "streamed",
        }
    }

    /// Whether this build has it. A constant, so that what stands behind it is not linked where it is `false`.
    #[inline(always)]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Integer => cfg!(feature = "integer"),
            Self::F16 => cfg!(feature = "f16"),
            Self::W16 => cfg!(feature = "w16"),
            Self::W4 => cfg!(feature = "w4"),
            Self::Attention => cfg!(feature = "attention"),
            Self::CrossAttention => cfg!(feature = "cross-attention"),
            Self::LinearAttention => cfg!(feature = "linear-attention"),
            Self::Class => cfg!(feature = "class"),
            Self::Condition => cfg!(feature = "condition"),
            Self::Resample => cfg!(feature = "resample"),
            Self::ScaleShift => cfg!(feature = "scale-shift"),
            Self::NormConv => cfg!(feature = "norm-conv"),
            Self::Norm => cfg!(feature = "norm"),
            Self::Pointwise => cfg!(feature = "pointwise"),
            Self::Ddpm => cfg!(feature = "ddpm"),
            Self::LearnedVariance => cfg!(feature = "learned-variance"),
            Self::DpmSolver => cfg!(feature = "dpm-solver"),
            Self::Heun => cfg!(feature = "heun"),
            Self::Continuous => cfg!(feature = "continuous"),
            Self::Edm => cfg!(feature = "edm"),
            Self::Consistency => cfg!(feature = "consistency"),
            Self::Inpaint => cfg!(feature = "inpaint"),
            Self::Interpolate => cfg!(feature = "interpolate"),
            Self::Chain => cfg!(feature = "chain"),
            Self::Schedule => cfg!(feature = "schedule"),
            Self::Pool => cfg!(feature = "pool"),
            Self::Rearrange => cfg!(feature = "rearrange"),
            Self::Constant => cfg!(feature = "constant"),
            Self::Rectangles => cfg!(feature = "rectangles"),
            Self::Grouped => cfg!(feature = "grouped"),
            Self::Decoder => cfg!(feature = "decoder"),
            Self::Posterior => cfg!(feature = "posterior"),
            Self::Fast => cfg!(feature = "fast"),
            Self::Streamed => cfg!(feature = "streamed"),
        }
    }

    /// `Some` where this build has it: `Feature::Attention.built()?` before the code that it stands for.
    #[inline(always)]
    pub(crate) const fn built(self) -> Option<()> {
        if self.is_built() { Some(()) } else { None }
    }
}

/// Whether there are quick ways for many small operators and for vectors: those of networks with the part `pointwise`, which modulate their
/// channels.
pub(crate) const MODULATES: bool =
    Feature::Fast.is_built() && Feature::Pointwise.is_built() && Feature::Integer.is_built();

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
