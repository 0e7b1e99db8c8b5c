//! How the state of a run moves, computed before it: the coefficients that the runtime makes before each step.

use std::ops::Range;

use mote_runtime::sampler::Course;
use mote_runtime::schedule::chain::{BitStep, KernelStep};
use mote_runtime::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Prediction, StepCoefficients};
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
        let course = Course { model, config };
        course.begins_at(first)?;
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
            begin: known(course.noising(first)),
            first_bit: match prediction {
                Prediction::Bits { prior_q31 } => q31(BitStep::new(0, ALPHA_BAR_ONE_Q62, prior_q31))[2],
                _ => 0,
            },
        };
        for index in first..config.steps {
            let Some(t) = course.timestep(index) else { break };
            moves.step(course, first, index, t)?;
        }
        Ok(moves)
    }

    fn step(&mut self, course: Course<'_>, first: u32, index: u32, t: u32) -> Result<(), RunError> {
        let begin = self.device.len();
        let mut made = DeviceMove {
            timestep: t,
            stream: index + 1,
            digest: self.steps.len() as u32,
            known: known(course.noising(index + 1)),
            ..DeviceMove::default()
        };
        match course.model.header().prediction {
            Prediction::Bits { prior_q31 } => {
                let (now, next) = course.levels(index, t)?;
                made.bits = q31(BitStep::new(now, next, prior_q31));
            }
            Prediction::Kernel => {
                let (now, next) = course.levels(index, t)?;
                let mean = KernelStep::new(now, next).mean();
                (made.sample, made.sample_shift) = (mean.mant(), mean.shift().into());
                // Not asked, but a shift all the same.
                made.step_shift = 1;
            }
            _ => {
                apply(&mut made, &course.coefficients(index, t, index > first)?);
                let there = course
                    .second_timestep(index)
                    .filter(|_| course.config.method == Method::Heun);
                if let Some(there) = there {
                    self.device.push(DeviceMove {
                        digest: NO_STEP,
                        known: known(course.second_noising(index)),
                        ..made
                    });
                    made.timestep = there;
                    apply(&mut made, &course.correction(index, t)?);
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

/// What known elements are under a noising; themselves where there is none any more.
fn known(noising: Option<(i32, i32)>) -> DeviceNoising {
    noising.map_or(DeviceNoising::default(), |(kept, noise)| DeviceNoising {
        noised: 1,
        kept,
        noise,
    })
}
