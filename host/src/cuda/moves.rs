//! How the state of a run moves, computed before it: the coefficients that the runtime makes before each step.

use std::ops::Range;

use mote_runtime::schedule::chain::{BitStep, KernelStep};
use mote_runtime::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Prediction, StepCoefficients, ddim, noising};
use mote_runtime::schedule::ddpm::ddpm;
use mote_runtime::schedule::dpm_solver::dpm_solver_2m;
use mote_runtime::schedule::heun::{heun_corrector, heun_predictor};
use mote_runtime::schedule::spacing::{prev_timestep, timestep};
use mote_runtime::{Config, Method, Model, RunError};

use super::program::{DeviceMove, DeviceNoising};

/// `Rule` of `program.cuh`.
mod rule {
    pub const BY_OUTPUT: u32 = 0;
    pub const BY_SAMPLE: u32 = 1;
    pub const BITS: u32 = 2;
    pub const KERNEL: u32 = 3;
}

/// No step ends with a move.
const NO_STEP: u32 = u32::MAX;

/// A step of the sampler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub index: u32,
    /// Training timestep that it begins at.
    pub timestep: u32,
    /// Its moves: one, or two of Heun's method.
    pub moves: Range<usize>,
}

/// All moves of a run.
#[derive(Debug)]
pub struct Moves {
    /// As the kernels read them.
    pub device: Vec<DeviceMove>,
    /// The steps that they make.
    pub steps: Vec<Step>,
    /// `Rule` of all of them.
    pub rule: u32,
    /// What known elements are at the first timestep.
    pub begin: DeviceNoising,
    /// Probability of a 1 in x_T of a binomial chain, Q31.
    pub first_bit: u32,
}

impl Moves {
    /// Of the steps from `first` on.
    pub fn new(model: &Model<'_>, config: &Config, first: u32) -> Result<Self, RunError> {
        let schedule = Schedule { model, config };
        let prediction = model.header().prediction;
        let mut moves = Self {
            device: vec![],
            steps: vec![],
            rule: match (prediction, config.method) {
                (Prediction::Bits { .. }, _) => rule::BITS,
                (Prediction::Kernel, _) => rule::KERNEL,
                (_, Method::Ddim) => rule::BY_OUTPUT,
                _ => rule::BY_SAMPLE,
            },
            begin: schedule.noising(schedule.timestep(first)),
            first_bit: match prediction {
                Prediction::Bits { prior_q31 } => q31(BitStep::new(0, ALPHA_BAR_ONE_Q62, prior_q31))[2],
                _ => 0,
            },
        };
        for index in first..config.steps {
            let Some(t) = schedule.timestep(index) else { break };
            moves.step(&schedule, first, index, t)?;
        }
        Ok(moves)
    }

    fn step(&mut self, schedule: &Schedule<'_>, first: u32, index: u32, t: u32) -> Result<(), RunError> {
        let (now, next) = schedule.levels(index, t)?;
        let (header, config) = (schedule.model.header(), schedule.config);
        let begin = self.device.len();
        let mut made = DeviceMove {
            timestep: t,
            stream: index + 1,
            digest: self.steps.len() as u32,
            known: schedule.noising(schedule.timestep(index + 1)),
            ..DeviceMove::default()
        };
        let (prediction, clip) = (header.prediction, config.clip);
        match (prediction, config.method) {
            (Prediction::Bits { prior_q31 }, _) => made.bits = q31(BitStep::new(now, next, prior_q31)),
            (Prediction::Kernel, _) => {
                let mean = KernelStep::new(now, next).mean();
                (made.sample, made.sample_shift) = (mean.mant(), mean.shift().into());
                // Not asked, but a shift all the same.
                made.step_shift = 1;
            }
            (_, Method::Ddim) => apply(&mut made, &ddim(now, next, config.eta_q16, prediction, clip)),
            (_, Method::Ddpm(variance)) => apply(&mut made, &ddpm(now, next, variance, prediction, clip)),
            (_, Method::DpmSolver2M) => {
                let before = index.checked_sub(1).filter(|before| *before >= first);
                let before = before.and_then(|before| schedule.timestep(before));
                let before = before.map(|t| schedule.model.alpha_bar_q62(t));
                apply(&mut made, &dpm_solver_2m(before, now, next, prediction, clip));
            }
            (_, Method::Heun) => {
                apply(&mut made, &heun_predictor(now, next, prediction, clip));
                if let Some(there) = schedule.next_timestep(index) {
                    self.device.push(DeviceMove {
                        digest: NO_STEP,
                        known: schedule.noising(Some(there)),
                        ..made
                    });
                    made.timestep = there;
                    apply(&mut made, &heun_corrector(now, next, prediction, clip));
                }
            }
        }
        self.device.push(made);
        self.steps.push(Step {
            index,
            timestep: t,
            moves: begin..self.device.len(),
        });
        Ok(())
    }
}

fn apply(made: &mut DeviceMove, coefficients: &StepCoefficients) {
    (made.sample, made.sample_shift) = (coefficients.sample.mant(), coefficients.sample.shift().into());
    (made.step, made.step_shift) = (coefficients.step.mant(), coefficients.step.shift().into());
}

fn q31(step: BitStep) -> [u32; 4] {
    // At most 2^31 each.
    step.probabilities_q31().map(|p| p as u32)
}

/// Timesteps and levels of a run.
struct Schedule<'s> {
    model: &'s Model<'s>,
    config: &'s Config,
}

impl Schedule<'_> {
    fn timestep(&self, index: u32) -> Option<u32> {
        let (header, c) = (self.model.header(), self.config);
        timestep(c.spacing, header.train_steps, c.steps, header.steps_offset, index)
    }

    /// The timestep that step `index` goes to.
    fn next_timestep(&self, index: u32) -> Option<u32> {
        let (header, c) = (self.model.header(), self.config);
        prev_timestep(
            c.prev,
            c.spacing,
            header.train_steps,
            c.steps,
            header.steps_offset,
            index,
        )
    }

    /// The cumulative alphas, Q62, between which step `index` goes, which begins at timestep `t`.
    fn levels(&self, index: u32, t: u32) -> Result<(u64, u64), RunError> {
        let header = self.model.header();
        let now = self.model.alpha_bar_q62(t);
        if now == 0 && header.prediction == Prediction::Epsilon {
            return Err(RunError::ZeroSnr);
        }
        let last = match self.config.method {
            Method::Ddim => header.final_alpha_bar_q62,
            _ => ALPHA_BAR_ONE_Q62,
        };
        let next = self.next_timestep(index).map_or(last, |t| self.model.alpha_bar_q62(t));
        Ok((now, next.min(ALPHA_BAR_ONE_Q62)))
    }

    /// What known elements are at timestep `t`; themselves where there is none any more.
    fn noising(&self, t: Option<u32>) -> DeviceNoising {
        t.map_or(DeviceNoising::default(), |t| {
            let (kept, noise) = noising(self.model.alpha_bar_q62(t));
            DeviceNoising { noised: 1, kept, noise }
        })
    }
}
