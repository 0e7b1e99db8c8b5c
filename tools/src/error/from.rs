//! Errors of the stages as errors of the face: their kind, and what to do.

use super::{Error, ErrorKind};
use crate::backend::BackendError;
use crate::convert::ConvertError;
use crate::crosscheck::CrosscheckError;
use crate::data::DataError;
use crate::emit::planned::PlanError;
use crate::emit::split::SplitError;
use crate::images::ImageError;
use crate::import::ImportError;
use crate::tensors::TensorsError;
use crate::validate::{DistributionError, FloatError};
use mote_graph::predictor::PredictorError;
use mote_graph::schedule::ScheduleError;
use mote_graph::sde::rk45::SolveError;
use mote_runtime::{ParseError, RunError};

/// What to do where a checkpoint's offset leaves no room for so many steps.
const FEWER_STEPS: &str = "give fewer --steps";

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        let help = match error {
            RunError::ChainSteps { needed, .. } => format!("give --steps {needed}"),
            RunError::Steps { max, .. } => format!("give --steps from 1 to {max}"),
            RunError::StepsOffset { .. } => FEWER_STEPS.into(),
            RunError::Class { classes: 0, .. } => "leave --class out".into(),
            RunError::Class { classes, .. } => format!("give --class from 0 to {}", classes - 1),
            RunError::Planned { .. } => {
                "leave the sampler's options out; `mote inspect` says what is planned, `mote plan` plans another".into()
            }
            RunError::Condition { expected: 0, .. } => "leave --condition out".into(),
            RunError::Condition { expected, .. } => {
                format!("give --condition FILE.npz:ARRAY, rows of {expected} numbers, or the numbers with commas between")
            }
            RunError::ClassMissing => "give --class".into(),
            RunError::GuidanceUnsupported => "leave --guidance out: the model names no label for no class (`mote convert --null-class` says which one is)".into(),
            RunError::Levels => "leave --sampler, --spacing and --prev out: the model's own are taken".into(),
            RunError::NoChain => "leave --known out; --from IMAGE --inpaint MASK keeps a part of an image".into(),
            RunError::KnownNoise(_) => "give --known-noise from 0 to 0.5".into(),
            RunError::NoVariances => "say --variance small or large, or convert with --learned-variance keep".into(),
            RunError::NoDecoder => "give the file of a decoder, or of a model that samples latents".into(),
            RunError::ZeroSnr => "choose --spacing leading, which does not visit the last timestep".into(),
            _ => return Self::coded(ErrorKind::Refused, error),
        };
        Self::coded(ErrorKind::Refused, error).help(help)
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Run(error) => error.into(),
            BackendError::Unavailable { ref how, .. } => {
                let how = how.clone();
                Self::coded(ErrorKind::Unavailable, error).help(how)
            }
            BackendError::NotInPage(_) => {
                Self::coded(ErrorKind::Refused, error).help("choose another backend, such as cpu")
            }
            error => Self::coded(ErrorKind::Failed, error),
        }
    }
}

impl From<ParseError> for Error {
    fn from(error: ParseError) -> Self {
        Self::coded(ErrorKind::Input, error)
    }
}

impl From<ImportError> for Error {
    fn from(error: ImportError) -> Self {
        Self::coded(ErrorKind::Input, error)
    }
}

impl From<ConvertError> for Error {
    fn from(error: ConvertError) -> Self {
        match error {
            ConvertError::Condition(error) => error,
            error => Self::coded(ErrorKind::Input, error),
        }
    }
}

impl From<PlanError> for Error {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Run(error) => error.into(),
            PlanError::Parse(error) => error.into(),
            PlanError::Planned => Self::coded(ErrorKind::Refused, error).help("plan the file that it was planned from"),
            PlanError::TwoCallsPrev => Self::coded(ErrorKind::Refused, error).help("leave --prev out"),
            PlanError::Variances => {
                Self::coded(ErrorKind::Refused, error).help("say --variance small or large, or take another sampler")
            }
            PlanError::Chain => Self::coded(ErrorKind::Refused, error),
        }
    }
}

impl From<SplitError> for Error {
    fn from(error: SplitError) -> Self {
        match error {
            SplitError::Parse(error) => error.into(),
            SplitError::Decoder => Self::coded(ErrorKind::Refused, error).help("convert the latents' network alone"),
            SplitError::Grouped => {
                Self::coded(ErrorKind::Refused, error).help("keep the weights where the core can address them")
            }
            SplitError::Tables => Self::coded(ErrorKind::Refused, error).help("convert the checkpoint again"),
        }
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        Self::coded(ErrorKind::Input, error).help("see `mote eval --help` for what data can be")
    }
}

impl From<TensorsError> for Error {
    fn from(error: TensorsError) -> Self {
        Self::coded(ErrorKind::Input, error)
    }
}

impl From<ImageError> for Error {
    fn from(error: ImageError) -> Self {
        Self::coded(ErrorKind::Failed, error)
    }
}

impl From<CrosscheckError> for Error {
    fn from(error: CrosscheckError) -> Self {
        Self::coded(ErrorKind::Input, error).help("give the vectors that were exported with this checkpoint")
    }
}

impl From<FloatError> for Error {
    fn from(error: FloatError) -> Self {
        Self::coded(ErrorKind::Input, error).help("give --against the checkpoint that the model was converted from")
    }
}

impl From<DistributionError> for Error {
    fn from(error: DistributionError) -> Self {
        match error {
            DistributionError::Backend(error) => error.into(),
            DistributionError::Float(error) => error.into(),
            DistributionError::Conditioned => Self::coded(ErrorKind::Refused, error).help("leave --distribution out"),
            DistributionError::Count { .. } => {
                Self::coded(ErrorKind::Usage, error).help("give another number of images")
            }
            DistributionError::Data { .. } => Self::coded(ErrorKind::Input, error).help("give --data more images"),
        }
    }
}

impl From<PredictorError> for Error {
    fn from(error: PredictorError) -> Self {
        Self::coded(ErrorKind::Failed, error)
    }
}

impl From<SolveError<PredictorError>> for Error {
    fn from(error: SolveError<PredictorError>) -> Self {
        match error {
            SolveError::Slope(error) => error.into(),
            error => Self::coded(ErrorKind::Failed, error).help("give a larger --tolerance"),
        }
    }
}

impl From<ScheduleError> for Error {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Range { .. } => Self::coded(ErrorKind::Refused, error).help(FEWER_STEPS),
            ScheduleError::Steps { max, .. } => {
                Self::coded(ErrorKind::Usage, error).help(format_args!("give --steps from 1 to {max}"))
            }
            error => Self::coded(ErrorKind::Failed, error),
        }
    }
}
