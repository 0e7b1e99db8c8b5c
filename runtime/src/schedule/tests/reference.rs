//! The `f64` sampler that the fixed-point one is held to, written straight from the equations.

use super::std::vec::Vec;
use crate::schedule::coefficients::{Clip, Prediction};

/// Cumulative alphas of a schedule of `t` steps, in Q62.
pub(super) fn linear(t: u32) -> Vec<u64> {
    cumulative((0..t).map(|i| 1e-4 + (0.02 - 1e-4) * f64::from(i) / f64::from(t - 1)))
}

/// Nichol and Dhariwal 2021, equation 17, with diffusers' bound of 0.999.
pub(super) fn squared_cosine(t: u32) -> Vec<u64> {
    let a = |x: f64| ((x + 0.008) / 1.008 * core::f64::consts::FRAC_PI_2).cos().powi(2);
    let part = |i: u32| f64::from(i) / f64::from(t);
    cumulative((0..t).map(|i| (1.0 - a(part(i + 1)) / a(part(i))).min(0.999)))
}

fn cumulative(betas: impl Iterator<Item = f64>) -> Vec<u64> {
    let products = betas.scan(1.0, |product, beta| {
        *product *= 1.0 - beta;
        Some(*product)
    });
    products.map(|product: f64| (product * 2f64.powi(62)) as u64).collect()
}

/// One DDIM step in `f64` (Song et al. 2021, equations 12 and 16).
#[derive(Clone, Copy)]
pub(super) struct Formula {
    pub ab: f64,
    pub ab_prev: f64,
    pub eta: f64,
    pub prediction: Prediction,
    pub clip: Clip,
}

impl Formula {
    pub(super) fn new(ab_q62: u64, ab_prev_q62: u64, eta_q16: u32, prediction: Prediction, clip: Clip) -> Self {
        let one = 2f64.powi(62);
        let (ab, ab_prev) = (ab_q62 as f64 / one, ab_prev_q62 as f64 / one);
        Self {
            ab,
            ab_prev,
            eta: f64::from(eta_q16) / 65_536.0,
            prediction,
            clip,
        }
    }

    /// `(x0, eps)`, before clipping.
    pub(super) fn predict(&self, x: f64, out: f64) -> (f64, f64) {
        let (signal, noise) = (self.ab.sqrt(), (1.0 - self.ab).sqrt());
        match self.prediction {
            Prediction::Epsilon => ((x - noise * out) / signal, out),
            Prediction::V => (signal * x - noise * out, signal * out + noise * x),
            Prediction::Sample => (out, (x - signal * out) / noise),
            _ => unreachable!("such a network has no DDIM step"),
        }
    }

    /// The network's output that says `eps`, of a state x.
    pub(super) fn output_for(&self, x: f64, eps: f64) -> f64 {
        let (signal, noise) = (self.ab.sqrt(), (1.0 - self.ab).sqrt());
        match self.prediction {
            Prediction::Epsilon => eps,
            Prediction::V => (eps - noise * x) / signal,
            Prediction::Sample => (x - noise * eps) / signal,
            _ => unreachable!("such a network has no DDIM step"),
        }
    }

    pub(super) fn apply(&self, x: f64, out: f64, z: f64, range: f64) -> f64 {
        let (mut x0, mut eps) = self.predict(x, out);
        if self.clip != Clip::Off {
            x0 = x0.clamp(-range, range);
        }
        if self.clip == Clip::Rederived {
            eps = (x - self.ab.sqrt() * x0) / (1.0 - self.ab).sqrt();
        }
        let sigma = self.eta * ((1.0 - self.ab_prev) / (1.0 - self.ab)).sqrt() * (1.0 - self.ab / self.ab_prev).sqrt();
        self.ab_prev.sqrt() * x0 + (1.0 - self.ab_prev - sigma * sigma).max(0.0).sqrt() * eps + sigma * z
    }
}
