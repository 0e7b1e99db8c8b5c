//! The Gaussian chain: `q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t)`, with beta learned.

use candle_core::{DType, Device, Result, Tensor, Var};

/// The betas: the first is fixed, since the bound grows without limit as it falls; the others are learned.
#[derive(Debug)]
pub struct Gaussian {
    /// beta_1.
    pub first: f64,
    /// `(T - 1)`: log odds of beta_2, beta_3, ...
    pub logits: Var,
}

/// Where beta_T begins.
const LAST: f64 = 0.6;

/// What the forward process says of every step, each `(T, 1, 1)`.
#[derive(Debug)]
pub struct Kernels {
    /// beta_t.
    pub beta: Tensor,
    /// Product of `1 - beta` up to t.
    pub alpha_bar: Tensor,
    /// Factors of x_0 and of x_t in the mean of `q(x_{t-1} | x_t, x_0)`, and its variance.
    pub posterior: [Tensor; 3],
}

impl Gaussian {
    /// A chain of `steps` steps whose betas begin as a geometric series up to 0.6.
    pub fn new(steps: usize, first: f64) -> Result<Self> {
        let logit = |t: usize| {
            let beta = first * libm::pow(LAST / first, (t - 1) as f64 / (steps - 1) as f64);
            libm::log(beta / (1.0 - beta))
        };
        let logits: Vec<f64> = (2..=steps).map(logit).collect();
        let logits = Var::from_tensor(&Tensor::from_vec(logits, steps - 1, &Device::Cpu)?)?;
        Ok(Self { first, logits })
    }

    /// T.
    pub fn steps(&self) -> Result<usize> {
        Ok(self.logits.dim(0)? + 1)
    }

    /// beta of every step.
    pub fn betas(&self) -> Result<Vec<f64>> {
        self.kernels()?.beta.flatten_all()?.to_vec1()
    }

    /// The forward process in closed form, differentiable in the betas.
    pub fn kernels(&self) -> Result<Kernels> {
        let steps = self.steps()?;
        let column = |t: Tensor| t.reshape((steps, 1, 1));
        let learned = (self.logits.neg()?.exp()? + 1.0)?.recip()?;
        let beta = Tensor::cat(&[&Tensor::new(&[self.first], &Device::Cpu)?, &learned], 0)?;
        let kept = (1.0 - &beta)?;
        // Sums of logarithms as one product with a triangle of ones.
        let triangle: Vec<f64> = (0..steps * steps)
            .map(|i| f64::from(u8::from(i % steps <= i / steps)))
            .collect();
        let triangle = Tensor::from_vec(triangle, (steps, steps), &Device::Cpu)?;
        let alpha_bar = triangle.matmul(&kept.log()?.unsqueeze(1)?)?.flatten_all()?.exp()?;
        let before = Tensor::cat(
            &[
                &Tensor::ones(1, DType::F64, &Device::Cpu)?,
                &alpha_bar.narrow(0, 0, steps - 1)?,
            ],
            0,
        )?;
        let lost = (1.0 - &alpha_bar)?;
        let lost_before = (1.0 - &before)?;
        Ok(Kernels {
            posterior: [
                column(((before.sqrt()? * &beta)? / &lost)?)?,
                column(((kept.sqrt()? * &lost_before)? / &lost)?)?,
                column(((&beta * &lost_before)? / &lost)?)?,
            ],
            beta: column(beta)?,
            alpha_bar: column(alpha_bar)?,
        })
    }
}

impl Kernels {
    /// Those of step t alone.
    pub fn at(&self, t: usize) -> Result<Self> {
        let one = |all: &Tensor| all.narrow(0, t - 1, 1);
        let [a, b, v] = &self.posterior;
        Ok(Self {
            beta: one(&self.beta)?,
            alpha_bar: one(&self.alpha_bar)?,
            posterior: [one(a)?, one(b)?, one(v)?],
        })
    }

    /// Draws x_t for rows of x_0 `(n, D)` with noise `(T, n, D)`, for every t.
    pub fn noised(&self, x0: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let signal = self.alpha_bar.sqrt()?.broadcast_mul(&x0.unsqueeze(0)?)?;
        signal + (1.0 - &self.alpha_bar)?.sqrt()?.broadcast_mul(noise)?
    }

    /// Mean and variance of `p(x_{t-1} | x_t)`, each `(T, n, D)`, from the network's outputs `(T, n, 2 D)`: means first, then variances.
    ///
    /// `mean = sqrt(1 - beta) x + sqrt(beta) m`, `variance = sigmoid(v + logit(beta))`: outputs of 0 give the reverse kernel of the
    /// equilibrium.
    pub fn reverse(&self, x: &Tensor, out: &Tensor) -> Result<(Tensor, Tensor)> {
        let size = x.dim(2)?;
        let kept = (1.0 - &self.beta)?.sqrt()?.broadcast_mul(x)?;
        let mean = (kept + self.beta.sqrt()?.broadcast_mul(&out.narrow(2, 0, size)?)?)?;
        let odds = ((1.0 / &self.beta)? - 1.0)?;
        let variance = (out.narrow(2, size, size)?.neg()?.exp()?.broadcast_mul(&odds)? + 1.0)?.recip()?;
        Ok((mean, variance))
    }

    /// `KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))` in nats of steps 2 to T, `(T - 1, n)`.
    pub fn divergences(&self, x0: &Tensor, x: &Tensor, out: &Tensor) -> Result<Tensor> {
        let [of_x0, of_x, true_variance] = &self.posterior;
        let (mean, variance) = self.reverse(x, out)?;
        let true_mean = (of_x0.broadcast_mul(&x0.unsqueeze(0)?)? + of_x.broadcast_mul(x)?)?;
        let from = |t: &Tensor| t.narrow(0, 1, t.dim(0)? - 1);
        let (variance, true_variance) = (from(&variance)?, from(true_variance)?);
        let off = from(&(true_mean - mean)?)?.sqr()?;
        let ratio = (off.broadcast_add(&true_variance)? / &variance)?;
        let logs = variance.log()?.broadcast_sub(&true_variance.log()?)?;
        ((ratio + logs)? - 1.0)?.sum(2)? * 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_draw_of_the_posterior_after_the_marginal_is_the_marginal_before() {
        let k = Gaussian::new(12, 1e-3).unwrap().kernels().unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let ab = values(&k.alpha_bar);
        let [a, b, v] = [0, 1, 2].map(|i| values(&k.posterior[i]));
        for t in 1..12 {
            // Mean and variance of x_{t-1} given x_0, by way of x_t.
            let mean = a[t] + b[t] * libm::sqrt(ab[t]);
            let variance = v[t] + b[t] * b[t] * (1.0 - ab[t]);
            assert!((mean - libm::sqrt(ab[t - 1])).abs() < 1e-12);
            assert!((variance - (1.0 - ab[t - 1])).abs() < 1e-12);
        }
    }

    #[test]
    fn outputs_of_zero_leave_the_equilibrium_alone() {
        let k = Gaussian::new(5, 1e-2).unwrap().kernels().unwrap();
        let x = Tensor::ones((5, 1, 2), DType::F64, &Device::Cpu).unwrap();
        let out = Tensor::zeros((5, 1, 4), DType::F64, &Device::Cpu).unwrap();
        let (mean, variance) = k.reverse(&x, &out).unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let beta = values(&k.beta);
        for (i, (m, v)) in values(&mean).iter().zip(values(&variance)).enumerate() {
            assert!((m * m + v - 1.0).abs() < 1e-12);
            assert!((v - beta[i / 2]).abs() < 1e-12);
        }
    }
}
