//! Which timesteps a run visits.

use super::{ScheduleError, SchedulerConfig};

/// How S timesteps are spread over the T of training. All are exact integer arithmetic, ties to even.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// `i * (T / S) + steps_offset`, the division rounded down.
    Leading,
    /// `round(T - i * T / S) - 1`: always visits T - 1.
    Trailing,
    /// `round(i * (T - 1) / (S - 1))`: visits both ends. One step is timestep 0, as the reference has it.
    Linspace,
    /// `floor(0.8 T (i / (S - 1))^2)` (Song et al. 2021, appendix D.2, used there for CIFAR-10). Where S is so large
    /// that early timesteps coincide, they are visited more than once, as in the authors' code.
    Quadratic,
}

/// Which timestep's alpha a step moves to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviousRule {
    /// The next timestep of the list: right for every spacing.
    List,
    /// `t - T / S`, as diffusers has it: wrong for linspace, and for trailing where S does not divide T (its issues
    /// #11347 and #12633). For agreement with images made there.
    Diffusers,
}

/// One sampler step: from `timestep` to `previous`, or to the clean image when `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What the network is told.
    pub timestep: usize,
    /// Where the step ends.
    pub previous: Option<usize>,
}

impl Spacing {
    /// The name in a scheduler's configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leading => "leading",
            Self::Trailing => "trailing",
            Self::Linspace => "linspace",
            Self::Quadratic => "quadratic",
        }
    }

    /// The spacing of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Leading, Self::Trailing, Self::Linspace, Self::Quadratic]
            .into_iter()
            .find(|s| s.name() == name)
    }

    /// `steps` timesteps below `total`, largest first. `offset` is used by [`Spacing::Leading`] alone.
    pub fn timesteps(self, steps: usize, total: usize, offset: usize) -> Result<Vec<usize>, ScheduleError> {
        if steps == 0 || steps > total {
            return Err(ScheduleError::Steps { steps, max: total });
        }
        // At most 100,000 steps of 100,000 timesteps: every product below fits 64 bits.
        let (s, t) = (steps as u64, total as u64);
        let gaps = (s - 1).max(1);
        let at = |i: u64| match self {
            Self::Leading => i * (t / s) + offset as u64,
            Self::Trailing => round_half_even(t * (i + 1), s) - 1,
            Self::Linspace => round_half_even(i * (t - 1), gaps),
            Self::Quadratic => (4 * t * i * i / (5 * gaps * gaps)).min(t - 1),
        };
        let list: Vec<usize> = (0..s).rev().map(|i| at(i) as usize).collect();
        match list.first() {
            Some(&timestep) if timestep >= total => Err(ScheduleError::Range {
                timestep,
                last: total - 1,
                offset,
                steps,
            }),
            _ => Ok(list),
        }
    }
}

impl SchedulerConfig {
    /// The run of `steps` steps under this configuration's spacing and offset.
    pub fn steps(&self, steps: usize, rule: PreviousRule) -> Result<Vec<Step>, ScheduleError> {
        let total = self.num_train_timesteps;
        let timesteps = self.timestep_spacing.timesteps(steps, total, self.steps_offset)?;
        let previous = |i: usize, t: usize| match rule {
            PreviousRule::List => timesteps.get(i + 1).copied(),
            PreviousRule::Diffusers => t.checked_sub(total / steps),
        };
        Ok(timesteps
            .iter()
            .enumerate()
            .map(|(i, &t)| Step {
                timestep: t,
                previous: previous(i, t),
            })
            .collect())
    }
}

/// `a / b` rounded to the nearest integer, ties to even.
fn round_half_even(a: u64, b: u64) -> u64 {
    let (quotient, rest) = (a / b, a % b);
    match (2 * rest).cmp(&b) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Greater => quotient + 1,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_lists() {
        let leading = Spacing::Leading.timesteps(10, 1000, 1).unwrap();
        assert_eq!(leading, [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]);
        assert_eq!(Spacing::Trailing.timesteps(4, 1000, 7).unwrap(), [999, 749, 499, 249]);
        assert_eq!(
            Spacing::Linspace.timesteps(3, 1000, 0).unwrap(),
            [999, 500, 0],
            "499.5 goes to even"
        );
        assert_eq!(Spacing::Linspace.timesteps(1, 1000, 0).unwrap(), [0]);
        assert_eq!(
            Spacing::Quadratic.timesteps(5, 1000, 0).unwrap(),
            [800, 450, 200, 50, 0]
        );
    }

    /// The reference's floating-point formulas give the same integers for every S at T = 1000, with the exceptions
    /// below, where its own rounding errors push it off the exact value.
    #[test]
    fn integer_arithmetic_agrees_with_the_reference_s_floats() {
        let mut differing = Vec::new();
        for s in 1..=1000usize {
            let step = 999.0 / (s.max(2) - 1) as f64;
            let linspace: Vec<i64> = (0..s)
                .rev()
                .map(|i| if i > 0 && i == s - 1 { 999.0 } else { i as f64 * step })
                .map(|v: f64| v.round_ties_even() as i64)
                .collect();
            let ratio = -(1000.0 / s as f64);
            let length = (-1000.0 / ratio).ceil() as usize;
            let delta = (1000.0 + ratio) - 1000.0;
            let trailing: Vec<i64> = (0..length)
                .map(|i| (1000.0 + i as f64 * delta).round_ties_even() as i64 - 1)
                .collect();
            for (spacing, reference) in [(Spacing::Linspace, linspace), (Spacing::Trailing, trailing)] {
                let ours: Vec<i64> = spacing
                    .timesteps(s, 1000, 0)
                    .unwrap()
                    .into_iter()
                    .map(|t| t as i64)
                    .collect();
                if ours != reference {
                    differing.push((spacing, s));
                }
            }
        }
        eprintln!("{} {differing:?}", differing.len());
        assert!(differing.is_empty());
    }

    #[test]
    fn the_two_previous_rules_differ_only_where_diffusers_is_wrong() {
        let mut config = SchedulerConfig::parse("test", r#"{"_class_name": "DDIMScheduler"}"#).unwrap();
        let rules = |config: &SchedulerConfig, s| {
            config.steps(s, PreviousRule::List).unwrap() == config.steps(s, PreviousRule::Diffusers).unwrap()
        };
        assert!(rules(&config, 10) && rules(&config, 7));
        config.timestep_spacing = Spacing::Trailing;
        assert!(rules(&config, 10) && !rules(&config, 7));
        config.timestep_spacing = Spacing::Linspace;
        assert!(!rules(&config, 10));
    }

    #[test]
    fn out_of_range_is_refused() {
        assert!(Spacing::Leading.timesteps(0, 1000, 0).is_err());
        assert!(Spacing::Leading.timesteps(1001, 1000, 0).is_err());
        assert!(matches!(
            Spacing::Leading.timesteps(1000, 1000, 1),
            Err(ScheduleError::Range { timestep: 1000, .. })
        ));
    }
}
