//! Adam (Kingma and Ba 2015) over candle's variables.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

/// First and second moments of every variable.
#[derive(Debug)]
pub struct Adam {
    vars: Vec<Var>,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    step: i32,
}

impl Adam {
    const BETA_1: f64 = 0.9;
    const BETA_2: f64 = 0.999;
    const EPSILON: f64 = 1e-8;

    /// At step 0.
    pub fn new(vars: Vec<Var>) -> Result<Self> {
        let zeros = || vars.iter().map(|v| v.zeros_like()).collect::<Result<Vec<_>>>();
        Ok(Self {
            first: zeros()?,
            second: zeros()?,
            vars,
            step: 0,
        })
    }

    /// One step of size `rate` down the gradient. Variables without one stay.
    pub fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        self.step += 1;
        let unbiased = |beta: f64| 1.0 - libm::pow(beta, f64::from(self.step));
        let (c1, c2) = (unbiased(Self::BETA_1), unbiased(Self::BETA_2));
        for (i, var) in self.vars.iter().enumerate() {
            let Some(g) = gradients.get(var) else { continue };
            // Detached: what is kept must not hold the graph of every step so far.
            let g = g.detach();
            self.first[i] = ((&self.first[i] * Self::BETA_1)? + (&g * (1.0 - Self::BETA_1))?)?;
            self.second[i] = ((&self.second[i] * Self::BETA_2)? + (g.sqr()? * (1.0 - Self::BETA_2))?)?;
            let scale = ((&self.second[i] / c2)?.sqrt()? + Self::EPSILON)?;
            let change = ((&self.first[i] / c1)? / scale)?;
            var.set(&(var.as_tensor() - (change * rate)?)?)?;
        }
        Ok(())
    }
}

/// The rate of step `at` of `steps`: up over the first 2 %, then down along half a cosine to 0.
pub fn rate(peak: f64, at: f64) -> f64 {
    let warm = 0.02;
    if at < warm {
        peak * at / warm
    } else {
        let done = ((at - warm) / (1.0 - warm)).min(1.0);
        peak * 0.5 * (1.0 + libm::cos(core::f64::consts::PI * done))
    }
}
