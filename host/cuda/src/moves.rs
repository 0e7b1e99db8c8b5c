//! How the state of a run moves, computed before it: the coefficients that the runtime makes before each step.

use std::ops::Range;

use mote_runtime::internals::model::sampling::Terms;
use mote_runtime::internals::schedule::chain::{BitStep, KernelStep};
use mote_runtime::internals::schedule::coefficients::{ALPHA_BAR_ONE_Q62, Prediction};
use mote_runtime::internals::schedule::rows::{INPUT_ONE_Q30, Row, Rows};
use mote_runtime::{Config, Model, RunError};

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

/// The moves of a step of the sampler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepMoves {
    /// Its number.
    pub index: u32,
    /// Training timestep that it begins at.
    pub timestep: u32,
    /// A move a network call: one, or two where the sampler calls twice a step.
    pub moves: Range<usize>,
}

/// All moves of a run.
#[derive(Debug)]
pub struct Moves {
    /// As the kernels read them.
    pub device: Vec<DeviceMove>,
    /// The steps that they make.
    pub steps: Vec<StepMoves>,
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
        let rows = Rows { model, config };
        rows.begins_at(first)?;
        let prediction = model.header().prediction;
        let mut moves = Self {
            device: vec![],
            steps: vec![],
            rule: match (prediction, config.method.entry().terms) {
                (Prediction::Bits { .. }, _) => rule::BITS,
                (Prediction::Kernel, _) => rule::KERNEL,
                (_, Terms::Output) => rule::BY_OUTPUT,
                (_, Terms::Kept) => rule::BY_SAMPLE,
            },
            begin: known(rows.noising(first, 0)),
            first_bit: match prediction {
                Prediction::Bits { prior_q31 } => q31(BitStep::new(0, ALPHA_BAR_ONE_Q62, prior_q31))[2],
                _ => 0,
            },
        };
        for index in first..config.steps {
            let Some(time_q16) = rows.time_q16(index, 0) else { break };
            moves.step(rows, first, index, time_q16 >> 16)?;
        }
        Ok(moves)
    }

    fn step(&mut self, rows: Rows<'_>, first: u32, index: u32, t: u32) -> Result<(), RunError> {
        let begin = self.device.len();
        let mut made = DeviceMove {
            time_q16: t << 16,
            input_q30: INPUT_ONE_Q30,
            stream: index + 1,
            digest: self.steps.len() as u32,
            known: known(rows.noising(index + 1, 0)),
            ..DeviceMove::default()
        };
        match rows.model.header().prediction {
            Prediction::Bits { prior_q31 } => {
                let (now, next) = rows.alphas(index, t)?;
                made.bits = q31(BitStep::new(now, next, prior_q31));
            }
            Prediction::Kernel => {
                let (now, next) = rows.alphas(index, t)?;
                let mean = KernelStep::new(now, next).mean();
                (made.sample, made.sample_shift) = (mean.mant(), mean.shift().into());
                // Not asked, but a shift all the same.
                made.step_shift = 1;
            }
            _ => {
                let row = rows.row(index, 0, index > first)?.ok_or(RunError::Steps {
                    found: index,
                    max: rows.config.steps,
                })?;
                apply(&mut made, &row);
                let second = match rows.config.method.calls() {
                    1 => None,
                    _ => rows.row(index, 1, true)?,
                };
                if let Some(second) = second {
                    self.device.push(DeviceMove {
                        digest: NO_STEP,
                        known: known(rows.noising(index, 1)),
                        ..made
                    });
                    apply(&mut made, &second);
                }
            }
        }
        self.device.push(made);
        self.steps.push(StepMoves {
            index,
            timestep: t,
            moves: begin..self.device.len(),
        });
        Ok(())
    }
}

fn apply(made: &mut DeviceMove, row: &Row) {
    let (sample, step) = (row.coefficients.sample, row.coefficients.step);
    (made.time_q16, made.input_q30) = (row.time_q16, row.input_q30);
    (made.sample, made.sample_shift) = (sample.mant(), sample.shift().into());
    (made.step, made.step_shift) = (step.mant(), step.shift().into());
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
