//! Codes of noise schedules and of float networks.

use super::{Code, Coded, Entry};
use mote_graph::float::FloatError;
use mote_graph::predictor::PredictorError;
use mote_graph::schedule::ScheduleError;
use mote_graph::sde::rk45::SolveError;

codes! { ScheduleError, SCHEDULE:
    Beta 1801 "A beta of the schedule is outside 0 to 1."
        "Check `beta_start`, `beta_end` and `trained_betas` of the scheduler."
    Length 1802 "The schedule has another number of betas than `num_train_timesteps`."
        "Make the two agree."
    NoAlphas 1803 "The scheduler has no cumulative alphas, which this task needs."
        "Choose a sampler of its own levels, such as euler."
    Rescale 1804 "`rescale_betas_zero_snr` is set of a schedule whose noise does not grow."
        "Take it out of the scheduler's configuration."
    Rises 1805 "With `rescale_betas_zero_snr`, noise would not grow at the end of this scheduler's levels."
        "Give the scheduler that the network was trained with."
    Steps 1806 "The number of steps is not 1 to the training timesteps."
        "Give `--steps` in that range."
    Range 1807 "`steps_offset` pushes the first of so many steps past the last training timestep."
        "Give fewer `--steps`."
    Flat 1808 "The noise does not grow at a timestep, so the schedule has no continuous form."
        "Choose a sampler in discrete steps, such as ddim."
    Singular 1809 "The prediction divides by zero at a timestep of nothing but noise, or of none."
        "Choose a spacing that does not visit it."
    ; through
}

codes! { FloatError, FLOAT:
    Input 1811 "What is given to the float network has another shape or number than it takes."
        "The message names the input and what it must be."
    Irreversible 1812 "Gradients do not pass through an operator of this network."
        "Leave it out of what is trained, or train the network where it comes from."
    ; through Graph Schedule
}

codes! { PredictorError, PREDICTOR:
    Channels 1821 "The network's output is neither a prediction nor one with variances."
        "Check `out_channels` and `variance_type` of the checkpoint."
    ; through Float Schedule
}

const GAVE_UP: Code = Code(1831);

impl<E: Coded> Coded for SolveError<E> {
    fn code(&self) -> Code {
        match self {
            Self::Slope(inner) => inner.code(),
            Self::GaveUp { .. } => GAVE_UP,
        }
    }
}

pub(super) const SOLVER: &[Entry] = &[Entry {
    code: GAVE_UP,
    name: "GaveUp",
    cause: "The solver's steps became too short: the tolerance is too small, or the network's output has no bounds.",
    remedy: "Give a larger `--tolerance`.",
}];
