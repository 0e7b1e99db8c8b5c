//! The learning rate over a run: linear warm-up, then a cosine down to a share of its height (Loshchilov and Hutter 2017).

/// A rate by step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// At the end of the warm-up.
    pub peak: f64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Steps of the run.
    pub steps: u64,
}

/// What is left of the peak at the end.
const FLOOR: f64 = 0.01;

impl Rate {
    /// At `step`, from 0.
    #[must_use]
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let span = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let done = ((step - self.warmup) as f64 / span).min(1.0);
        let cosine = 0.5 * (1.0 + libm::cos(std::f64::consts::PI * done));
        self.peak * (FLOOR + (1.0 - FLOOR) * cosine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_and_falls() {
        let rate = Rate {
            peak: 2.0,
            warmup: 4,
            steps: 104,
        };
        assert_eq!([rate.at(0), rate.at(1), rate.at(4)], [0.5, 1.0, 2.0]);
        assert!((rate.at(54) - 1.01).abs() < 1e-12);
        assert!((rate.at(104) - 0.02).abs() < 1e-12);
        assert_eq!(rate.at(1000), rate.at(104));
    }
}
