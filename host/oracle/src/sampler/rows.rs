//! The rows of a run, from the document: of every call of the network the timestep, the forms and the noising. Each sampler's equations
//! are one function here.

use super::coefficients::{Coefficients, Form, Level, Signed, ZERO, minus, noising, plus, times};
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
            Method::DpmSolver2M | Method::Heun | Method::FlowEuler => false,
        }
    }

    /// Whether a planned run must begin at its first step.
    pub fn follow_each_other(&self) -> bool {
        self.config.method == Method::DpmSolver2M
    }

    /// Where a call of a step is, Q16; `None` where there is none.
    pub fn time_q16(&self, step: u32, call: u32) -> Option<u32> {
        match self.words(step, call) {
            Some(words) if self.is_flow() => Some(words?[9] as u32),
            Some(words) => Some((words?[0] as u32 & 0xFFFF) * 65_536),
            None if self.is_flow() => Some(self.flow_level(step)?.time_q16(self.model.header().train_steps)),
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
            None if self.is_flow() => Some(self.flow_level(step)?.noising()),
            None => Some(noising(self.model.alpha_bar_q62(self.timestep(step, call)?))),
        }
    }

    /// The row of a call; `follows`: this run made the step before.
    pub fn row(&self, step: u32, call: u32, follows: bool) -> Result<Option<Row>, OracleError> {
        let (Some(time_q16), Some(noising)) = (self.time_q16(step, call), self.noising(step, call)) else {
            return Ok(None);
        };
        let planned = self.words(step, call).flatten();
        let (input_q30, coefficients) = match (&planned, self.flow_level(step)) {
            (Some(words), _) => (words.get(10).map_or(1 << 30, |q30| (*q30).into()), self.stored(words)),
            (None, Some(now)) => (now.input_q30(), self.flow_euler(now, self.flow_level(step + 1))),
            (None, None) => (1 << 30, self.computed(step, call, follows)?),
        };
        Ok(Some(Row {
            time_q16,
            input_q30,
            noising,
            coefficients,
        }))
    }

    /// Whether the levels are flow matching's.
    fn is_flow(&self) -> bool {
        self.model.header().prediction == Prediction::Flow
    }

    /// The level of flow matching that a step asks about; `None` past the last, and of other models.
    fn flow_level(&self, step: u32) -> Option<FlowLevel> {
        let shift_q24: u64 = match self.model.header().schedule {
            Schedule::Flow { shift_q24 } => shift_q24.into(),
            _ => return None,
        };
        let (k, steps) = (u64::from(step), u64::from(self.config.steps));
        let below = u64::from(self.model.header().train_steps - 1) << 24;
        (k < steps).then(|| match self.config.spacing {
            Spacing::Linspace if steps > 1 => {
                let d = (steps - 1) * (below + shift_q24);
                FlowLevel::new(d - k * below, d, shift_q24)
            }
            _ => FlowLevel::new(steps - k, steps, shift_q24),
        })
    }

    /// Euler's step between two levels, to the clean sample where there is no second.
    fn flow_euler(&self, now: FlowLevel, next: Option<FlowLevel>) -> Coefficients {
        let step = match next {
            None => [plus(Soft::ONE), ZERO, ZERO, ZERO],
            Some(next) => {
                let gap = Soft::from_q(now.n - next.n, 0).times(Soft::from_q(now.d, 0));
                let scale = now.u.times(next.norm());
                let x = next.u.times(now.norm()).over(scale);
                [plus(now.shift.times(gap).over(scale)), ZERO, plus(x), ZERO]
            }
        };
        let sum = now.u.plus(now.w);
        let sample = [plus(now.norm().over(sum)), minus(plus(now.u.over(sum)))];
        Coefficients::of(Form::new(&sample), Form::new(&step), self.config.clip)
    }

    /// The words of a row where the file plans its run: row by row, those of a step together.
    fn words(&self, step: u32, call: u32) -> Option<Option<Vec<i32>>> {
        self.model.header().schedule.plan()?;
        let size = 4 * WORDS[usize::from(self.is_flow())];
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
            Method::FlowEuler => return Err(OracleError::Config { field: "method" }),
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

/// A level of flow matching: `s = u / (u + w)`, u = f n, w = d - n.
struct FlowLevel {
    n: u64,
    d: u64,
    shift: Soft,
    u: Soft,
    w: Soft,
}

impl FlowLevel {
    fn new(n: u64, d: u64, shift_q24: u64) -> Self {
        let shift = Soft::from_q(shift_q24, 24);
        Self {
            n,
            d,
            shift,
            u: shift.times(Soft::from_q(n, 0)),
            w: Soft::from_q(d - n, 0),
        }
    }

    fn norm(&self) -> Soft {
        self.u.times(self.u).plus(self.w.times(self.w)).sqrt()
    }

    fn input_q30(&self) -> i128 {
        let q30 = self.norm().over(self.u.plus(self.w)).to_q(30) as i128;
        q30.clamp(1, 1 << 30)
    }

    fn time_q16(&self, train_steps: u32) -> u32 {
        let time = Soft::from_q(train_steps.into(), 0)
            .times(self.u)
            .over(self.u.plus(self.w));
        time.to_q(16).min(u64::from(train_steps) * 65_536) as u32
    }

    fn noising(&self) -> [i128; 2] {
        [self.w, self.u].map(|share| (share.over(self.norm()).to_q(30) as i128).min(1 << 30))
    }
}
