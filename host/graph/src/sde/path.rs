//! The processes `dx = f(t) x dt + g(t) dw` over t from 0 to 1 whose noise levels are simulated.

/// A process with `beta(t)` rising linearly from `min` to `max` (Song et al. 2021, appendix C).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// Which process.
    pub kind: Kind,
    /// `beta(0)`.
    pub min: f64,
    /// `beta(1)`.
    pub max: f64,
}

/// Processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Variance preserving: DDPM in continuous time (eq. 11).
    Vp,
    /// Sub-variance preserving: never more variance than VP (eq. 12).
    SubVp,
}

impl Path {
    /// The published constants: beta from 0.1 to 20 (Song et al. 2021, appendix C).
    #[must_use]
    pub fn published(kind: Kind) -> Self {
        Self {
            kind,
            min: 0.1,
            max: 20.0,
        }
    }

    /// `beta(t)`.
    #[must_use]
    pub fn beta(&self, t: f64) -> f64 {
        self.min + t * (self.max - self.min)
    }

    /// The integral of beta from 0 to t.
    #[must_use]
    pub fn integral(&self, t: f64) -> f64 {
        t * (self.min + 0.5 * t * (self.max - self.min))
    }

    /// Factor of x_0 in x_t (eq. 29).
    #[must_use]
    pub fn alpha(&self, t: f64) -> f64 {
        libm::exp(-0.5 * self.integral(t))
    }

    /// Standard deviation of x_t given x_0 (eq. 29).
    #[must_use]
    pub fn sigma(&self, t: f64) -> f64 {
        let variance = -libm::expm1(-self.integral(t));
        match self.kind {
            Kind::Vp => libm::sqrt(variance),
            Kind::SubVp => variance,
        }
    }

    /// `f(t)`.
    #[must_use]
    pub fn drift(&self, t: f64) -> f64 {
        -0.5 * self.beta(t)
    }

    /// `g(t)^2`.
    #[must_use]
    pub fn diffusion_squared(&self, t: f64) -> f64 {
        match self.kind {
            Kind::Vp => self.beta(t),
            Kind::SubVp => self.beta(t) * -libm::expm1(-2.0 * self.integral(t)),
        }
    }

    /// `ln(sigma / alpha)`, the level that a model is asked about.
    #[must_use]
    pub fn level(&self, t: f64) -> f64 {
        libm::log(self.sigma(t) / self.alpha(t))
    }

    /// The time at which the level is `u`.
    #[must_use]
    pub fn time(&self, u: f64) -> f64 {
        let ratio = libm::exp(u);
        let integral = match self.kind {
            // sigma / alpha = sqrt(e^B - 1).
            Kind::Vp => libm::log1p(ratio * ratio),
            // sigma / alpha = e^(B / 2) - e^(-B / 2).
            Kind::SubVp => 2.0 * libm::asinh(ratio / 2.0),
        };
        // The root of the quadratic that cancels nothing.
        let root = libm::sqrt(self.min * self.min + 2.0 * (self.max - self.min) * integral);
        2.0 * integral / (self.min + root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Kind; 2] = [Kind::Vp, Kind::SubVp];

    /// The moments of a linear SDE: alpha' = f alpha and (sigma^2)' = 2 f sigma^2 + g^2.
    #[test]
    fn moments_follow_from_drift_and_diffusion() {
        for kind in BOTH {
            let path = Path::published(kind);
            let h = 1e-5;
            for t in [0.01, 0.2, 0.5, 0.99] {
                let slope = |v: &dyn Fn(f64) -> f64| (v(t + h) - v(t - h)) / (2.0 * h);
                let alpha = slope(&|t| path.alpha(t));
                assert!((alpha - path.drift(t) * path.alpha(t)).abs() < 1e-7, "{kind:?} {t}");
                let variance = slope(&|t| path.sigma(t).powi(2));
                let expected = 2.0 * path.drift(t) * path.sigma(t).powi(2) + path.diffusion_squared(t);
                assert!(
                    (variance - expected).abs() < 1e-6,
                    "{kind:?} {t}: {variance} {expected}"
                );
            }
        }
    }

    #[test]
    fn time_and_level_are_each_other_s_inverse() {
        for kind in BOTH {
            let path = Path::published(kind);
            for t in [1e-5, 1e-3, 0.1, 0.7, 1.0] {
                assert!((path.time(path.level(t)) / t - 1.0).abs() < 1e-9, "{kind:?} {t}");
            }
        }
    }

    /// DDPM's thousand betas are samples of the VP process: alpha_bar_T = 4.0358e-5 against e^-10.05 = 4.32e-5.
    #[test]
    fn ends_where_ddpm_ends() {
        let vp = Path::published(Kind::Vp);
        assert!((vp.alpha(1.0).powi(2) / 4.0358e-5 - 1.0).abs() < 0.08);
        assert!(Path::published(Kind::SubVp).sigma(0.1) < vp.sigma(0.1));
    }
}
