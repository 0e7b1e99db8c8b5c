//! The rows of a run, from the document: of every call of the network the timestep, the forms and the noising. Each sampler's equations
//! are one function here.

use super::coefficients::{Coefficients, Form, Level, Signed, ZERO, minus, noising, plus, times};
use super::timesteps::{previous, timestep};
use crate::OracleError;
use crate::file::File;
use crate::file::header::Prediction;
use crate::request::{Method, Request, Variance};
use crate::scalar::noise::lambda_q57;
use crate::scalar::soft::Soft;

/// Words of a row in a file that plans its run.
const WORDS: usize = 9;

/// A call of the network, and how the state moves by it.
pub struct Row {
    /// Where the network is asked.
    pub timestep: u32,
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
        if self.config.method == Method::Heun { 2 } else { 1 }
    }

    /// Whether the next state is a form over (x0, x, out, z); over (x0, the x0 before, x, z) if not.
    pub fn by_output(&self) -> bool {
        self.config.method == Method::Ddim
    }

    /// Whether the steps draw noise.
    pub fn noisy(&self) -> bool {
        match self.config.method {
            Method::Ddim => self.config.eta_q16 != 0,
            Method::Ddpm(_) => true,
            Method::DpmSolver2M | Method::Heun => false,
        }
    }

    /// Whether a planned run must begin at its first step.
    pub fn follow_each_other(&self) -> bool {
        self.config.method == Method::DpmSolver2M
    }

    /// Where a call of a step is; `None` where there is none.
    pub fn timestep(&self, step: u32, call: u32) -> Option<u32> {
        match self.words(step, call) {
            Some(words) => Some(words?[0] as u32 & 0xFFFF),
            None if call == 0 => timestep(self.model.header(), self.config, step),
            None => previous(self.model.header(), self.config, step),
        }
    }

    /// The shares of a known element and of its noise at a call, Q30.
    pub fn noising(&self, step: u32, call: u32) -> Option<[i128; 2]> {
        match self.words(step, call) {
            Some(words) => words.map(|words| [7, 8].map(|at: usize| words[at].into())),
            None => Some(noising(self.model.alpha_bar_q62(self.timestep(step, call)?))),
        }
    }

    /// The row of a call; `follows`: this run made the step before.
    pub fn row(&self, step: u32, call: u32, follows: bool) -> Result<Option<Row>, OracleError> {
        let (Some(timestep), Some(noising)) = (self.timestep(step, call), self.noising(step, call)) else {
            return Ok(None);
        };
        Ok(Some(Row {
            timestep,
            noising,
            coefficients: match self.words(step, call) {
                Some(words) => self.stored(words.ok_or(OracleError::Config { field: "plan" })?),
                None => self.computed(step, call, follows)?,
            },
        }))
    }

    /// The words of a row where the file plans its run: row by row, those of a step together.
    fn words(&self, step: u32, call: u32) -> Option<Option<[i32; WORDS]>> {
        self.model.header().schedule.plan()?;
        let index = step as usize * self.calls() as usize + call as usize;
        let bytes = self.model.schedule().chunks(4 * WORDS).nth(index);
        let bytes = bytes.filter(|bytes| bytes.len() == 4 * WORDS && call < self.calls());
        let word = |bytes: &[u8], at: usize| i32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[4 * at + i]));
        Some(bytes.map(|bytes| std::array::from_fn(|at| word(bytes, at))))
    }

    /// The forms of a row's words.
    fn stored(&self, words: [i32; WORDS]) -> Coefficients {
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
        (Variance::Large, false) => beta,
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
