//! Which timesteps a run visits.
//!
//! The lists are the device's own ([`mote_runtime::internals::schedule::spacing`]): integer arithmetic, and the values that NumPy
//! gives diffusers. What is added here is the refusal of what the device would have to clamp.

use super::{ScheduleError, SchedulerConfig};
use mote_runtime::internals::schedule::spacing::{MAX_TRAIN_STEPS, begins_within, prev_timestep, timestep};

pub use mote_runtime::internals::schedule::spacing::{PrevRule as PreviousRule, Spacing};

const SPACINGS: [(&str, Spacing); 4] = [
    ("leading", Spacing::Leading),
    ("trailing", Spacing::Trailing),
    ("linspace", Spacing::Linspace),
    ("quadratic", Spacing::Quadratic),
];

/// One sampler step: from `timestep` to `previous`, or to the clean image when `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// What the network is told.
    pub timestep: usize,
    /// Where the step ends.
    pub previous: Option<usize>,
}

/// The name of a spacing in a scheduler's configuration; `quadratic` is no diffusers name.
#[must_use]
pub fn spacing_name(spacing: Spacing) -> &'static str {
    SPACINGS
        .iter()
        .find(|(_, known)| *known == spacing)
        .map_or("", |(name, _)| name)
}

/// The spacing of that name.
#[must_use]
pub fn spacing_from_name(name: &str) -> Option<Spacing> {
    SPACINGS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, spacing)| *spacing)
}

impl SchedulerConfig {
    /// The run of `steps` steps under this configuration's spacing and offset, noisiest first.
    pub fn steps(&self, steps: usize, rule: PreviousRule) -> Result<Vec<Transition>, ScheduleError> {
        let (total, offset) = (self.num_train_timesteps, self.steps_offset);
        let refused = ScheduleError::Steps { steps, max: total };
        if steps == 0 || steps > total || total > MAX_TRAIN_STEPS as usize {
            return Err(refused);
        }
        let leading = self.timestep_spacing == Spacing::Leading;
        if !begins_within(
            self.timestep_spacing,
            total as u32,
            steps as u32,
            i32::try_from(offset).unwrap_or(i32::MAX),
        ) {
            return Err(ScheduleError::Range {
                timestep: (steps - 1) * (total / steps) + offset,
                last: total - 1,
                offset,
                steps,
            });
        }
        // An offset reaches here only when it is below `total`: every number fits 32 bits.
        let offset = if leading { offset as i32 } else { 0 };
        let (spacing, total, count) = (self.timestep_spacing, total as u32, steps as u32);
        (0..count)
            .map(|index| {
                let at = timestep(spacing, total, count, offset, index).ok_or_else(|| refused.clone())?;
                let previous = prev_timestep(rule, spacing, total, count, offset, index);
                Ok(Transition {
                    timestep: at as usize,
                    previous: previous.map(|t| t as usize),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(spacing: Spacing, offset: usize) -> SchedulerConfig {
        let mut config = SchedulerConfig::parse("test", r#"{"_class_name": "DDIMScheduler"}"#).unwrap();
        (config.timestep_spacing, config.steps_offset) = (spacing, offset);
        config
    }

    fn timesteps(spacing: Spacing, steps: usize, offset: usize) -> Result<Vec<usize>, ScheduleError> {
        let steps = config(spacing, offset).steps(steps, PreviousRule::List)?;
        Ok(steps.iter().map(|step| step.timestep).collect())
    }

    #[test]
    fn known_lists() {
        let leading = timesteps(Spacing::Leading, 10, 1).unwrap();
        assert_eq!(leading, [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]);
        assert_eq!(timesteps(Spacing::Trailing, 4, 7).unwrap(), [999, 749, 499, 249]);
        assert_eq!(
            timesteps(Spacing::Linspace, 3, 0).unwrap(),
            [999, 500, 0],
            "499.5 goes to even"
        );
        assert_eq!(timesteps(Spacing::Quadratic, 5, 0).unwrap(), [800, 450, 200, 50, 0]);
    }

    /// The reference's floating-point formulas, written out, for every S from 2 to T = 1000.
    #[test]
    fn lists_are_the_reference_s() {
        for s in 2..=1000usize {
            let step = 999.0 / (s - 1) as f64;
            let linspace: Vec<usize> = (0..s)
                .rev()
                .map(|i| if i == s - 1 { 999.0 } else { i as f64 * step })
                .map(|v: f64| v.round_ties_even() as usize)
                .collect();
            assert_eq!(timesteps(Spacing::Linspace, s, 0).unwrap(), linspace, "linspace {s}");
            let ratio = -(1000.0 / s as f64);
            let delta = (1000.0 + ratio) - 1000.0;
            let trailing: Vec<usize> = (0..s)
                .map(|i| (1000.0 + i as f64 * delta).round_ties_even() as usize - 1)
                .collect();
            assert_eq!(timesteps(Spacing::Trailing, s, 0).unwrap(), trailing, "trailing {s}");
        }
    }

    #[test]
    fn the_two_previous_rules_differ_only_where_diffusers_is_wrong() {
        let agree = |spacing, s| {
            let config = config(spacing, 0);
            config.steps(s, PreviousRule::List).unwrap() == config.steps(s, PreviousRule::Diffusers).unwrap()
        };
        assert!(agree(Spacing::Leading, 10) && agree(Spacing::Leading, 7));
        assert!(agree(Spacing::Trailing, 10) && !agree(Spacing::Trailing, 7));
        assert!(!agree(Spacing::Linspace, 10));
    }

    #[test]
    fn out_of_range_is_refused() {
        assert!(timesteps(Spacing::Leading, 0, 0).is_err());
        assert!(timesteps(Spacing::Leading, 1001, 0).is_err());
        assert!(matches!(
            timesteps(Spacing::Leading, 1000, 1),
            Err(ScheduleError::Range { timestep: 1000, .. })
        ));
    }

    #[test]
    fn names_go_both_ways() {
        for (name, spacing) in SPACINGS {
            assert_eq!((spacing_name(spacing), spacing_from_name(name)), (name, Some(spacing)));
        }
        assert_eq!(spacing_from_name("karras"), None);
    }
}
