//! Noise levels on a continuous scale, and the timestep that a network is told there.
//!
//! The level is `u = ln(sigma / alpha)`, minus half the log signal-to-noise ratio, for `x_t = alpha x_0 + sigma z`. At a training
//! timestep it is the table's own. Between two, the timestep is a monotone cubic (Fritsch and Carlson 1980) of the noise gathered so far,
//! `-ln alpha_bar`, which rises nearly evenly where u does not: an adaptive solver is held up by every kink.

use super::{Schedule, ScheduleError};

/// `alpha` and `sigma` at level `u` where `alpha^2 + sigma^2 = 1` (variance preserving).
#[must_use]
pub fn alpha_sigma(u: f64) -> (f64, f64) {
    // 1 / sqrt(1 + e^2u), either way without overflow.
    (
        1.0 / libm::sqrt(1.0 + libm::exp(2.0 * u)),
        1.0 / libm::sqrt(1.0 + libm::exp(-2.0 * u)),
    )
}

/// The levels of a schedule's timesteps.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// `-ln alpha_bar` of timesteps 0, 1, ..., rising.
    gathered: Vec<f64>,
    /// Derivative of the timestep with respect to it.
    slopes: Vec<f64>,
}

impl Levels {
    /// The levels of `schedule`. A last timestep without signal (zero terminal SNR) has no finite level and is left out.
    pub fn new(schedule: &Schedule) -> Result<Self, ScheduleError> {
        let bars = &schedule.alphas_cumprod;
        let kept = bars.iter().take_while(|bar| **bar > 0.0);
        let gathered: Vec<f64> = kept.map(|bar| -libm::log(*bar)).collect();
        let flat = gathered.windows(2).position(|w| w[1] <= w[0]);
        let none = gathered.len() < 2 || gathered[0] <= 0.0;
        if let Some(timestep) = flat.or(none.then_some(0)) {
            let alpha = bars.get(timestep).copied().unwrap_or(0.0);
            return Err(ScheduleError::Flat { timestep, alpha });
        }
        let slopes = monotone_slopes(&gathered);
        Ok(Self { gathered, slopes })
    }

    /// The level of the first timestep: where a continuous process ends.
    #[must_use]
    pub fn lowest(&self) -> f64 {
        level(self.gathered[0])
    }

    /// The level of the last timestep.
    #[must_use]
    pub fn highest(&self) -> f64 {
        level(self.gathered[self.gathered.len() - 1])
    }

    /// The timestep at level `u`; levels beyond the ends are at the ends.
    #[must_use]
    pub fn timestep(&self, u: f64) -> f64 {
        let table = &self.gathered;
        // -ln alpha_bar at u, without overflow.
        let whole = 2.0 * u.max(0.0) + libm::log1p(libm::exp(-2.0 * u.abs()));
        let at = whole.clamp(table[0], table[table.len() - 1]);
        let i = table.partition_point(|b| *b <= at).clamp(1, table.len() - 1) - 1;
        let h = table[i + 1] - table[i];
        let p = (at - table[i]) / h;
        // Hermite's cubic between timesteps i and i + 1.
        let rise = p * p * (3.0 - 2.0 * p);
        let (first, second) = (p * (1.0 - p) * (1.0 - p), p * p * (p - 1.0));
        i as f64 + rise + h * (first * self.slopes[i] + second * self.slopes[i + 1])
    }
}

/// `ln(sigma / alpha)` where `-ln alpha^2` is `gathered`.
fn level(gathered: f64) -> f64 {
    0.5 * libm::log(libm::expm1(gathered))
}

/// Slopes of 0, 1, 2, ... over `table`: those of the parabola through a point and its neighbours, at most three times either secant, which
/// keeps each piece monotone; the secants at the ends.
fn monotone_slopes(table: &[f64]) -> Vec<f64> {
    let gaps: Vec<f64> = table.windows(2).map(|w| w[1] - w[0]).collect();
    let last = gaps.len() - 1;
    (0..table.len())
        .map(|i| match i {
            0 => 1.0 / gaps[0],
            i if i > last => 1.0 / gaps[last],
            i => {
                let (before, after) = (gaps[i - 1], gaps[i]);
                let parabola = (after / before + before / after) / (before + after);
                parabola.min(3.0 / before.max(after))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Precision, SchedulerConfig};

    fn levels(settings: &str) -> Result<Levels, ScheduleError> {
        let text = format!(r#"{{"_class_name": "DDPMScheduler"{settings}}}"#);
        let config = SchedulerConfig::parse("test", &text).unwrap();
        Levels::new(&Schedule::new(&config, Precision::F64).unwrap())
    }

    #[test]
    fn timesteps_are_hit_and_nothing_turns_back() {
        for settings in ["", r#", "beta_schedule": "squaredcos_cap_v2""#] {
            let levels = levels(settings).unwrap();
            for (t, gathered) in levels.gathered.iter().enumerate() {
                assert!((levels.timestep(level(*gathered)) - t as f64).abs() < 1e-6);
            }
            let at = |i: i32| levels.timestep(-6.0 + f64::from(i) * 0.001);
            assert!((0..20_000).all(|i| at(i + 1) >= at(i)));
            assert_eq!((levels.timestep(-99.0), levels.timestep(99.0)), (0.0, 999.0));
        }
    }

    #[test]
    fn zero_snr_loses_its_last_timestep_and_flat_schedules_are_refused() {
        let zero = levels(r#", "rescale_betas_zero_snr": true"#).unwrap();
        assert_eq!(zero.gathered.len(), 999);
        let flat = r#", "num_train_timesteps": 3, "trained_betas": [0.1, 0.0, 0.1]"#;
        assert!(matches!(levels(flat), Err(ScheduleError::Flat { timestep: 0, .. })));
        let one = r#", "num_train_timesteps": 1"#;
        assert!(matches!(levels(one), Err(ScheduleError::Flat { .. })));
    }

    #[test]
    fn variance_is_preserved() {
        for u in [-800.0, -4.6, 0.0, 5.0, 800.0] {
            let (alpha, sigma) = alpha_sigma(u);
            assert!((alpha * alpha + sigma * sigma - 1.0).abs() < 1e-15);
        }
        let (alpha, sigma) = alpha_sigma(1.5);
        assert!((libm::log(sigma / alpha) - 1.5).abs() < 1e-15);
    }
}
