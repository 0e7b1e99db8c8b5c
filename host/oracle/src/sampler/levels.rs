//! Continuous noise levels, of flow matching and of EDM, and the forms of the samplers on them.

use super::coefficients::{Signed, ZERO, minus, plus, times};
use crate::file::header::Prediction;
use crate::scalar::noise::ln_q57;
use crate::scalar::soft::Soft;

/// A level: shares of noise and signal, and the whole.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    u: Soft,
    w: Soft,
    sum: Soft,
    /// Of flow matching `n / d` before the shift.
    n: u64,
    d: u64,
}

/// What levels follow from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// Flow matching's shift, Q24, and whether steps are spread linspace.
    Flow {
        /// The shift.
        shift_q24: u64,
        /// How steps are spread.
        linspace: bool,
    },
    /// EDM's.
    Edm(Edm),
}

/// What the header has of EDM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edm {
    /// Root of the lowest sigma, Q28.
    pub lo: u32,
    /// Root of the highest.
    pub hi: u32,
    /// Deviation of the data, Q24.
    pub data_q24: u32,
    /// How levels are bunched.
    pub rho: u32,
}

impl Edm {
    /// Whether all is in range.
    pub fn is_sound(&self) -> bool {
        let (lo, hi) = (u64::from(self.lo), u64::from(self.hi));
        let a = (0..64).find(|a| lo << a >= 1 << 28).unwrap_or(64);
        let b = (0..64).find(|b| hi >> b < 1 << 28).unwrap_or(64);
        lo >= 1 << 12
            && lo < hi
            && (1 << 12..=1 << 24).contains(&self.data_q24)
            && (1..=16).contains(&self.rho)
            && a * self.rho <= 20
            && b * self.rho <= 20
    }

    fn data(&self) -> Soft {
        Soft::from_q(self.data_q24.into(), 24)
    }

    fn ln_of_root(&self, root: u32) -> i128 {
        i128::from(self.rho) * ln(Soft::from_q(root.into(), 28))
    }
}

fn ln(v: Soft) -> i128 {
    ln_q57(v.mant, v.exp)
}

fn half() -> Soft {
    Soft::from_q(1, 1)
}

impl Source {
    /// The level of step `k` of `steps`, on `train_steps` timesteps; behind the last the clean sample, `None` further on.
    pub fn level(&self, k: u32, steps: u32, train_steps: u32) -> Option<Level> {
        let (k, steps) = (u64::from(k), u64::from(steps));
        if k > steps {
            return None;
        }
        Some(match self {
            Self::Flow { shift_q24, linspace } => {
                let below = u64::from(train_steps - 1) << 24;
                let d = (steps - 1) * (below + shift_q24);
                let (n, d) = match (k == steps, *linspace && steps > 1) {
                    (true, true) => (0, d),
                    (true, false) => (0, steps),
                    (_, true) => (d - k * below, d),
                    _ => (steps - k, steps),
                };
                let (u, w) = (
                    Soft::from_q(*shift_q24, 24).times(Soft::from_q(n, 0)),
                    Soft::from_q(d - n, 0),
                );
                Level {
                    u,
                    w,
                    sum: u.plus(w),
                    n,
                    d,
                }
            }
            Self::Edm(edm) => {
                let (lo, hi) = (u64::from(edm.lo), u64::from(edm.hi));
                let root = if steps == 1 {
                    hi
                } else {
                    let k = k.min(steps - 1);
                    (hi * (steps - 1 - k) + lo * k + (steps - 1) / 2) / (steps - 1)
                };
                let sigma = (0..edm.rho).fold(Soft::ONE, |sigma, _| sigma.times(Soft::from_q(root, 28)));
                Level {
                    u: if k == steps { Soft::ZERO } else { sigma },
                    w: Soft::ONE,
                    sum: Soft::ONE,
                    n: steps - k,
                    d: 1,
                }
            }
        })
    }

    fn gap(&self, now: &Level, next: &Level) -> Soft {
        match self {
            Self::Flow { shift_q24, .. } => {
                let parts = Soft::from_q(now.n - next.n, 0).times(Soft::from_q(now.d, 0));
                Soft::from_q(*shift_q24, 24).times(parts)
            }
            Self::Edm(_) => now.u.minus(next.u),
        }
    }

    /// The timestep of a level, Q16.
    pub fn time_q16(&self, level: &Level, train_steps: u32) -> u32 {
        let steps = Soft::from_q(train_steps.into(), 0);
        let time = match self {
            Self::Flow { .. } => steps.times(level.u).over(level.sum),
            Self::Edm(edm) => {
                let rise = |l: i128| Soft::from_q((l - edm.ln_of_root(edm.lo)).max(0) as u64, 57);
                steps.times(rise(ln(level.u)).over(rise(edm.ln_of_root(edm.hi))))
            }
        };
        time.to_q(16).min(u64::from(train_steps) * 65_536) as u32
    }

    /// What the network sees of the state, Q30, and x0 over (state, output).
    pub fn sample(&self, level: &Level) -> (i128, [Signed; 2]) {
        let (input, form) = match self {
            Self::Flow { .. } => (level.scale(), [plus(level.scale()), minus(plus(level.tau()))]),
            Self::Edm(edm) => {
                let d = edm.data();
                let q = level.u.times(level.u).plus(d.times(d));
                let r = q.sqrt();
                let x = d.times(d).times(level.norm()).over(q);
                (d.times(level.norm()).over(r), [plus(x), plus(level.u.times(d).over(r))])
            }
        };
        (i128::from(input.to_q(30)).clamp(1, 1 << 30), form)
    }

    /// Euler's step.
    pub fn euler(&self, now: &Level, next: &Level) -> [Signed; 4] {
        if next.is_clean() {
            return [plus(Soft::ONE), ZERO, ZERO, ZERO];
        }
        let scale = now.u.times(next.norm());
        let x = next.u.times(now.norm()).over(scale);
        [plus(self.gap(now, next).over(scale)), ZERO, plus(x), ZERO]
    }

    /// What Heun's second call adds.
    pub fn heun(&self, now: &Level, next: &Level) -> [Signed; 4] {
        let under = now.sum.times(next.u).times(next.norm());
        let h = plus(self.gap(now, next).times(next.sum).times(half()).over(under));
        [h, minus(h), plus(Soft::ONE), ZERO]
    }

    /// A call of the midpoint method.
    pub fn midpoint(&self, now: &Level, next: &Level, call: u32) -> [Signed; 4] {
        let m = now.middle(next);
        let d = self.gap(now, next).over(now.sum.times(next.sum));
        let [g, x] = if call == 0 {
            [now.tau().times(m.scale()), m.tau().times(now.scale())]
        } else {
            [m.tau().times(next.scale()), next.tau().times(m.scale())]
        };
        let (whole, part) = (plus(d.over(g)), plus(d.times(half()).over(g)));
        if call == 0 {
            [part, ZERO, plus(x.over(g)), ZERO]
        } else {
            [whole, minus(part), plus(x.over(g)), ZERO]
        }
    }

    /// DPM-Solver++(2M), after a step that began at `before`.
    pub fn dpm_solver(&self, before: Option<Level>, now: &Level, next: &Level) -> [Signed; 4] {
        let [c, _, a, _] = self.euler(now, next);
        let mut q = Soft::ZERO;
        if let Some(before) = before.filter(|before| !before.w.is_zero() && !next.is_clean()) {
            let (h, h_before) = (now.rise(next), before.rise(now));
            if h_before != 0 {
                q = Soft::from_q(h, 57).over(Soft::from_q(h_before, 56));
            }
        }
        [times(c, Soft::ONE.plus(q)), minus(times(c, q)), a, ZERO]
    }
}

impl Level {
    fn norm(&self) -> Soft {
        self.u.times(self.u).plus(self.w.times(self.w)).sqrt()
    }

    fn tau(&self) -> Soft {
        self.u.over(self.sum)
    }

    fn scale(&self) -> Soft {
        self.norm().over(self.sum)
    }

    /// Whether there is no noise.
    pub fn is_clean(&self) -> bool {
        self.n == 0
    }

    /// The level in the middle between two.
    pub fn middle(&self, next: &Self) -> Self {
        let mean = |a: Soft, b: Soft| a.over(self.sum).plus(b.over(next.sum)).times(half());
        Self {
            u: mean(self.u, next.u),
            w: mean(self.w, next.w),
            sum: Soft::ONE,
            n: 1,
            d: 1,
        }
    }

    /// How far the logarithm of signal over noise rises.
    fn rise(&self, next: &Self) -> u64 {
        ln(self.u.times(next.w).over(self.w.times(next.u))).max(0) as u64
    }

    /// The shares of a clean element and of a normal one, Q30.
    pub fn noising(&self) -> [i128; 2] {
        [self.w, self.u].map(|share| (share.over(self.norm()).to_q(30) as i128).min(1 << 30))
    }

    /// Fresh noise of this level upon x0.
    pub fn noised(&self) -> [Signed; 4] {
        if self.is_clean() {
            return [plus(Soft::ONE), ZERO, ZERO, ZERO];
        }
        let share = |of: Soft| plus(of.over(self.norm()));
        [share(self.w), ZERO, ZERO, share(self.u)]
    }
}

/// Whether the levels that such a network was trained on are continuous.
pub fn are_continuous(prediction: Prediction) -> bool {
    matches!(prediction, Prediction::Flow | Prediction::Edm)
}
