//! The reverse SDE (Song et al. 2021, eq. 6) by Euler-Maruyama, and predictor-corrector sampling (algorithms 1 and 5).

use super::path::{Kind, Path};
use crate::schedule::alpha_sigma;

/// A run's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reverse {
    /// The process.
    pub path: Path,
    /// Steps of equal length in time.
    pub steps: usize,
    /// The time at which the run starts, 1 or a little earlier.
    pub start: f64,
    /// The time at which it ends; what noise is left there is taken out of the result.
    pub end: f64,
    /// Langevin steps after each predictor step.
    pub corrections: usize,
    /// Their signal-to-noise ratio r, 0.16 by default in the paper's code.
    pub ratio: f64,
}

impl Reverse {
    /// Takes `x`, samples of `dims` elements of the noise at its start, to clean samples. `model(x, u)` gives epsilon; `noise()` gives standard
    /// normal noise of the length of `x`, a new one each call. A corrector's step follows from the mean norms of the samples together.
    pub fn sample<E>(
        &self,
        mut x: Vec<f64>,
        dims: usize,
        mut model: impl FnMut(&[f64], f64) -> Result<Vec<f64>, E>,
        mut noise: impl FnMut() -> Vec<f64>,
    ) -> Result<Vec<f64>, E> {
        let dt = (self.start - self.end) / self.steps as f64;
        for i in 0..self.steps {
            let t = self.start - i as f64 * dt;
            let epsilon = self.epsilon(&x, t, &mut model)?;
            self.predict(&mut x, &epsilon, t, dt, &noise());
            let t = t - dt;
            for _ in 0..self.corrections {
                let epsilon = self.epsilon(&x, t, &mut model)?;
                self.correct(&mut x, &epsilon, t, dt, dims, &noise());
            }
        }
        // The expected clean sample (Tweedie's formula).
        let epsilon = self.epsilon(&x, self.end, &mut model)?;
        let (alpha, sigma) = (self.path.alpha(self.end), self.path.sigma(self.end));
        Ok(x.iter().zip(epsilon).map(|(x, e)| (x - sigma * e) / alpha).collect())
    }

    /// Epsilon at time `t`: the model is asked about the same sample scaled as variance preserving.
    fn epsilon<E>(
        &self,
        x: &[f64],
        t: f64,
        model: &mut impl FnMut(&[f64], f64) -> Result<Vec<f64>, E>,
    ) -> Result<Vec<f64>, E> {
        let u = self.path.level(t);
        match self.path.kind {
            Kind::Vp => model(x, u),
            Kind::SubVp => {
                let scale = alpha_sigma(u).0 / self.path.alpha(t);
                let scaled: Vec<f64> = x.iter().map(|x| x * scale).collect();
                model(&scaled, u)
            }
        }
    }

    /// `x - (f x - g^2 s) dt + g sqrt(dt) z` with the score `s = -epsilon / sigma`.
    fn predict(&self, x: &mut [f64], epsilon: &[f64], t: f64, dt: f64, z: &[f64]) {
        let (drift, squared) = (self.path.drift(t), self.path.diffusion_squared(t));
        let (pull, push) = (squared / self.path.sigma(t) * dt, libm::sqrt(squared * dt));
        for ((x, e), z) in x.iter_mut().zip(epsilon).zip(z) {
            *x += -drift * dt * *x - pull * e + push * z;
        }
    }

    /// `x + h s + sqrt(2 h) z` with `h = 2 a (r |z| / |s|)^2`, `a = 1 - beta dt` as in algorithm 5.
    fn correct(&self, x: &mut [f64], epsilon: &[f64], t: f64, dt: f64, dims: usize, z: &[f64]) {
        let sigma = self.path.sigma(t);
        let norm = |v: &[f64]| {
            let lengths = v.chunks_exact(dims).map(|v| libm::sqrt(v.iter().map(|v| v * v).sum()));
            lengths.sum::<f64>() / (v.len() / dims).max(1) as f64
        };
        let score = norm(epsilon) / sigma;
        if score == 0.0 {
            return;
        }
        let a = (1.0 - self.path.beta(t) * dt).max(0.0);
        let h = 2.0 * a * (self.ratio * norm(z) / score).powi(2);
        for ((x, e), z) in x.iter_mut().zip(epsilon).zip(z) {
            *x += -h * e / sigma + libm::sqrt(2.0 * h) * z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::normals;
    use crate::sde::gaussian::Gaussian;
    use std::convert::Infallible;

    /// Mean and covariance of samples of normal data, with either process, with and without a corrector.
    #[test]
    fn samples_have_the_data_s_mean_and_covariance() {
        let data = Gaussian::new(vec![0.4, -0.2], vec![0.5, 1.2], &[1.0, 0.4]);
        let count = 4000;
        let moments = |x: &[f64]| {
            let n = (x.len() / 2) as f64;
            let mean = |f: &dyn Fn(&[f64]) -> f64| x.chunks(2).map(f).sum::<f64>() / n;
            let m = [mean(&|x| x[0]), mean(&|x| x[1])];
            let second = |i: usize, j: usize| mean(&|x| (x[i] - m[i]) * (x[j] - m[j]));
            [m[0], m[1], second(0, 0), second(0, 1), second(1, 1)]
        };
        // The data's own: mean, then H diag(s^2) H through samples of two points an axis.
        let corners = data.samples(&[1.0, 1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0]);
        let exact = moments(&corners);
        for (kind, corrections) in [(Kind::Vp, 0), (Kind::SubVp, 0), (Kind::Vp, 1)] {
            let reverse = Reverse {
                path: Path::published(kind),
                steps: 300,
                start: 1.0,
                end: 1e-3,
                corrections,
                ratio: 0.16,
            };
            let mut stream = 0;
            let noise = || {
                stream += 1;
                normals(8, stream, 2 * count)
            };
            let model = |x: &[f64], u: f64| Ok::<_, Infallible>(data.noise(x, u));
            let x = reverse.sample(normals(8, 0, 2 * count), 2, model, noise).unwrap();
            let found = moments(&x);
            // Five standard errors of the largest variance, 1.44, and 0.03 for the error of 300 steps.
            let allowed = 5.0 * 1.44 * (2.0 / count as f64).sqrt() + 0.03;
            for (found, exact) in found.iter().zip(exact) {
                assert!(
                    (found - exact).abs() < allowed,
                    "{kind:?} {corrections}: {found} {exact}"
                );
            }
        }
    }
}
