//! The rows of a run, from the document: of every call of the network the timestep, the forms and the noising. Each sampler's equations
//! are one function here.

use super::coefficients::{Coefficients, Form, Level, Signed, ZERO, minus, noising, plus, times};
use super::levels::{Level as Continuous, Source, are_continuous};
use super::timesteps::{previous, timestep};
use crate::OracleError;
use crate::file::File;
use crate::file::header::{Prediction, Schedule};
use crate::request::{Method, Request, Spacing, Variance};
use crate::scalar::noise::lambda_q57;
use crate::scalar::soft::Soft;

/// Words of a row in a file that plans its run, on cumulative alphas and on continuous levels.
const WORDS: [usize; 2] = [9, 11];

/// A call of the network, and how the state moves by it.
pub struct Row {
    /// Where the network is asked, Q16.
    pub time_q16: u32,
    /// What it sees of the state, Q30.
    pub input_q30: i128,
    /// The shares of a known element and of its noise there, Q30.
    pub noising: [i128; 2],
    /// The forms.
    pub coefficients: Coefficients,
}

/// The rows of a run.
pub struct Rows<'a> {
    /// The model.
    pub model: &'a File<'a>,
    /// What is asked of the run.
    pub config: &'a Request,
}

impl Rows<'_> {
    /// Network calls of a step.
    pub fn calls(&self) -> u32 {
        match self.config.method {
            Method::Heun | Method::FlowHeun | Method::FlowMidpoint => 2,
            _ => 1,
        }
    }

    /// Whether the next state is a form over (x0, x, out, z); over (x0, the x0 before, x, z) if not.
    pub fn by_output(&self) -> bool {
        self.config.method == Method::Ddim
    }

    /// Whether the steps draw noise.
    pub fn noisy(&self) -> bool {
        match self.config.method {
            Method::Ddim => self.config.eta_q16 != 0,
            Method::Ddpm(_) | Method::Consistency | Method::FlowConsistency => true,
            _ => false,
        }
    }

    /// Whether a planned run must begin at its first step.
    pub fn follow_each_other(&self) -> bool {
        matches!(self.config.method, Method::DpmSolver2M | Method::FlowDpmSolver2M)
    }

    /// Where a call of a step is, Q16; `None` where there is none.
    pub fn time_q16(&self, step: u32, call: u32) -> Option<u32> {
        match self.words(step, call) {
            Some(words) if self.is_continuous() => Some(words?[9] as u32),
            Some(words) => Some((words?[0] as u32 & 0xFFFF) * 65_536),
            None if self.is_continuous() => {
                let level = self.asked(step, call)?;
                Some(self.source()?.time_q16(&level, self.model.header().train_steps))
            }
            None => Some(self.timestep(step, call)? * 65_536),
        }
    }

    /// The same, of steps on the training timesteps.
    fn timestep(&self, step: u32, call: u32) -> Option<u32> {
        if call == 0 {
            timestep(self.model.header(), self.config, step)
        } else {
            previous(self.model.header(), self.config, step)
        }
    }

    /// The shares of a known element and of its noise at a call, Q30.
    pub fn noising(&self, step: u32, call: u32) -> Option<[i128; 2]> {
        match self.words(step, call) {
            Some(words) => words.map(|words| [7, 8].map(|at: usize| words[at].into())),
            None if self.is_continuous() => Some(self.asked(step, call)?.noising()),
            None => Some(noising(self.model.alpha_bar_q62(self.timestep(step, call)?))),
        }
    }

    /// The row of a call; `follows`: this run made the step before.
    pub fn row(&self, step: u32, call: u32, follows: bool) -> Result<Option<Row>, OracleError> {
        let (Some(time_q16), Some(noising)) = (self.time_q16(step, call), self.noising(step, call)) else {
            return Ok(None);
        };
        let planned = self.words(step, call).flatten();
        let (input_q30, coefficients) = match (&planned, self.continuous(step, call, follows)) {
            (Some(words), _) => (words.get(10).map_or(1 << 30, |q30| (*q30).into()), self.stored(words)),
            (None, Some(row)) => row,
            (None, None) => (1 << 30, self.computed(step, call, follows)?),
        };
        Ok(Some(Row {
            time_q16,
            input_q30,
            noising,
            coefficients,
        }))
    }

    /// Whether the levels are continuous.
    fn is_continuous(&self) -> bool {
        are_continuous(self.model.header().prediction)
    }

    /// What continuous levels follow from; `None` of planned runs and of other models.
    fn source(&self) -> Option<Source> {
        match self.model.header().schedule {
            Schedule::Flow { shift_q24 } => Some(Source::Flow {
                shift_q24: shift_q24.into(),
                linspace: self.config.spacing == Spacing::Linspace,
            }),
            Schedule::Edm(edm) => Some(Source::Edm(edm)),
            _ => None,
        }
    }

    fn level(&self, step: u32) -> Option<Continuous> {
        self.source()?
            .level(step, self.config.steps, self.model.header().train_steps)
    }

    /// The level that a call is at.
    fn asked(&self, step: u32, call: u32) -> Option<Continuous> {
        let noisy = |step| self.level(step).filter(|level| !level.is_clean());
        let now = noisy(step)?;
        match (call, self.config.method) {
            (0, _) => Some(now),
            (_, Method::FlowMidpoint) => Some(now.middle(&self.level(step + 1)?)),
            _ => noisy(step + 1),
        }
    }

    /// The input's factor and the forms of a call on continuous levels.
    fn continuous(&self, step: u32, call: u32, follows: bool) -> Option<(i128, Coefficients)> {
        let source = self.source()?;
        let (now, next, asked) = (self.asked(step, 0)?, self.level(step + 1)?, self.asked(step, call)?);
        let form = match self.config.method {
            Method::FlowHeun if call > 0 => source.heun(&now, &next),
            Method::FlowMidpoint => source.midpoint(&now, &next, call),
            Method::FlowDpmSolver2M => {
                let before = if follows && step > 0 {
                    self.level(step - 1)
                } else {
                    None
                };
                source.dpm_solver(before, &now, &next)
            }
            Method::FlowConsistency => next.noised(),
            _ => source.euler(&now, &next),
        };
        let (input, sample) = source.sample(&asked);
        Some((
            input,
            Coefficients::of(Form::new(&sample), Form::new(&form), self.config.clip),
        ))
    }

    /// The words of a row where the file plans its run: row by row, those of a step together.
    fn words(&self, step: u32, call: u32) -> Option<Option<Vec<i32>>> {
        self.model.header().schedule.plan()?;
        let size = 4 * WORDS[usize::from(self.is_continuous())];
        let index = step as usize * self.calls() as usize + call as usize;
        let bytes = self.model.schedule().chunks(size).nth(index);
        let bytes = bytes.filter(|bytes| bytes.len() == size && call < self.calls());
        let word = |bytes: &[u8]| i32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[i]));
        Some(bytes.map(|bytes| bytes.chunks(4).map(word).collect()))
    }

    /// The forms of a row's words.
    fn stored(&self, words: &[i32]) -> Coefficients {
        let [_, _, sample_frac, step_frac] = words[0].to_le_bytes();
        let form = |words: &[i32], frac: u8| Form::of(words.iter().map(|w| (*w).into()).collect(), frac.into());
        Coefficients::of(
            form(&words[1..3], sample_frac),
            form(&words[3..7], step_frac),
            self.config.clip,
        )
    }

    /// The cumulative alphas between which a step goes.
    pub fn alphas(&self, step: u32, t: u32) -> Result<(u64, u64), OracleError> {
        let (c, h) = (self.config, self.model.header());
        let now = self.model.alpha_bar_q62(t);
        if now == 0 && h.prediction == Prediction::Epsilon {
            return Err(OracleError::ZeroSnr { timestep: t });
        }
        let end = if c.method == Method::Ddim {
            h.final_alpha_bar_q62
        } else {
            1 << 62
        };
        let there = previous(h, c, step);
        Ok((now, there.map_or(end, |t| self.model.alpha_bar_q62(t)).min(1 << 62)))
    }

    fn computed(&self, step: u32, call: u32, follows: bool) -> Result<Coefficients, OracleError> {
        let (c, h) = (self.config, self.model.header());
        let (prediction, clip) = (h.prediction, c.clip);
        let t = timestep(h, c, step).ok_or(OracleError::Config { field: "steps" })?;
        let (ab, ab_next) = self.alphas(step, t)?;
        let (now, next) = (Level::asked(ab, prediction), Level::of(ab_next));
        let form = match c.method {
            Method::FlowEuler
            | Method::FlowHeun
            | Method::FlowMidpoint
            | Method::FlowDpmSolver2M
            | Method::FlowConsistency => return Err(OracleError::Config { field: "method" }),
            Method::Consistency => [plus(next.s), ZERO, ZERO, plus(next.n)],
            Method::Ddim => return Ok(Coefficients::ddim(ab, ab_next, c.eta_q16, prediction, clip)),
            Method::Ddpm(variance) => ddpm(now, next, variance),
            Method::DpmSolver2M => {
                let before = follows.then(|| timestep(h, c, step - 1)).flatten();
                let before = before.map(|t| Level::asked(self.model.alpha_bar_q62(t), prediction));
                dpm_solver(before, now, next)
            }
            Method::Heun if call == 0 => euler(now, next),
            Method::Heun => {
                let there = Level::asked(ab_next, prediction);
                return Ok(Coefficients::by_sample(there, prediction, clip, &correction(now, next)));
            }
        };
        Ok(Coefficients::by_sample(now, prediction, clip, &form))
    }
}

/// The ancestral step.
fn ddpm(now: Level, next: Level, variance: Variance) -> [Signed; 4] {
    if next.ab <= now.ab {
        return euler(now, next);
    }
    let n2 = Soft::from_q((1 << 62) - now.ab, 62);
    let n2_next = Soft::from_q((1 << 62) - next.ab, 62);
    let gap = Soft::from_q(next.ab - now.ab, 62);
    let d = next.s.times(n2);
    let beta = gap.over(Soft::from_q(next.ab, 62));
    let sigma2 = match (variance, n2_next.is_zero()) {
        (Variance::Large | Variance::Learned, false) => beta,
        _ => n2_next.times(beta.over(n2)),
    };
    let x = now.s.times(n2_next).over(d);
    [plus(gap.over(d)), ZERO, plus(x), plus(sigma2.sqrt())]
}

/// The step of DPM-Solver++(2M), after one that began at `before`.
fn dpm_solver(before: Option<Level>, now: Level, next: Level) -> [Signed; 4] {
    let (a, c) = now.towards(next);
    let q = match before {
        Some(before) if next.ab != 1 << 62 => {
            let h = lambda_q57(next.ab) - lambda_q57(now.ab);
            let h_before = lambda_q57(now.ab) - lambda_q57(before.ab);
            if h > 0 && h_before > 0 {
                Soft::from_q(h as u64, 57).over(Soft::from_q(h_before as u64, 56))
            } else {
                Soft::ZERO
            }
        }
        _ => Soft::ZERO,
    };
    [times(c, Soft::ONE.plus(q)), minus(times(c, q)), plus(a), ZERO]
}

/// Euler's step: the first call of Heun's method.
fn euler(now: Level, next: Level) -> [Signed; 4] {
    let (a, c) = now.towards(next);
    [c, ZERO, plus(a), ZERO]
}

/// What the second call of Heun's method adds to it.
fn correction(now: Level, next: Level) -> [Signed; 4] {
    let (_, c) = now.towards(next);
    let half = times(c, Soft::from_q(1, 1));
    [half, minus(half), plus(Soft::ONE), ZERO]
}
