//! The Gaussian chain: `q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t)`, with beta learned.
//!
//! The bound's gradient is written out. [`TransitionKernel::slopes`] differentiates one divergence by the network's outputs, by x_t and by the
//! numbers of the step's kernel; [`Gaussian::pull`] takes the last through the forward process to the betas' log odds.

/// The betas. The first is fixed, since the bound grows without limit as it falls; the others are learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// beta_1.
    pub first: f64,
    /// `(T - 1)`: log odds of beta_2, beta_3, ...
    pub logits: Vec<f64>,
}

/// Where beta_T begins.
const LAST: f64 = 0.6;

/// What the forward process says of one step; or a gradient by these numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct TransitionKernel {
    /// beta_t.
    pub beta: f64,
    /// Product of `1 - beta` up to t.
    pub alpha_bar: f64,
    /// Factor of x_0 in the mean of `q(x_{t-1} | x_t, x_0)`.
    pub of_x0: f64,
    /// Factor of x_t in that mean.
    pub of_x: f64,
    /// Variance of `q(x_{t-1} | x_t, x_0)`.
    pub variance: f64,
}

/// The gradient of one coordinate's divergence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Slopes {
    /// By the network's two outputs: the mean's, then the variance's.
    pub out: [f64; 2],
    /// By x_t itself; what goes through the network comes on top.
    pub x: f64,
    /// By the numbers of the kernel, of which the divergence does not use `alpha_bar`.
    pub kernel: TransitionKernel,
}

impl Gaussian {
    /// A chain of `steps` steps whose betas begin as a geometric series up to 0.6.
    pub fn new(steps: usize, first: f64) -> Self {
        let logit = |t: usize| {
            let beta = first * libm::pow(LAST / first, (t - 1) as f64 / (steps - 1) as f64);
            libm::log(beta / (1.0 - beta))
        };
        Self {
            first,
            logits: (2..=steps).map(logit).collect(),
        }
    }

    /// T.
    pub fn steps(&self) -> usize {
        self.logits.len() + 1
    }

    /// beta of every step.
    pub fn betas(&self) -> Vec<f64> {
        let learned = self.logits.iter().map(|logit| 1.0 / (libm::exp(-logit) + 1.0));
        std::iter::once(self.first).chain(learned).collect()
    }

    /// The forward process in closed form: the kernel of step t stands at `t - 1`.
    pub fn kernels(&self) -> Vec<TransitionKernel> {
        let mut log_alpha_bar = 0.0;
        let mut before = 1.0;
        let mut kernels = Vec::with_capacity(self.steps());
        for beta in self.betas() {
            log_alpha_bar += libm::log(1.0 - beta);
            let alpha_bar = libm::exp(log_alpha_bar);
            let (lost, lost_before) = (1.0 - alpha_bar, 1.0 - before);
            kernels.push(TransitionKernel {
                beta,
                alpha_bar,
                of_x0: libm::sqrt(before) * beta / lost,
                of_x: libm::sqrt(1.0 - beta) * lost_before / lost,
                variance: beta * lost_before / lost,
            });
            before = alpha_bar;
        }
        kernels
    }

    /// The gradient by [`Gaussian::logits`], from that by the numbers of every kernel of [`Gaussian::kernels`].
    pub fn pull(&self, slopes: &[TransitionKernel]) -> Vec<f64> {
        let kernels = self.kernels();
        let mut by_beta: Vec<f64> = slopes.iter().map(|slope| slope.beta).collect();
        let mut by_alpha_bar: Vec<f64> = slopes.iter().map(|slope| slope.alpha_bar).collect();
        for (i, (k, slope)) in kernels.iter().zip(slopes).enumerate() {
            let before = if i == 0 { 1.0 } else { kernels[i - 1].alpha_bar };
            let (kept, lost, lost_before) = (1.0 - k.beta, 1.0 - k.alpha_bar, 1.0 - before);
            by_beta[i] += slope.of_x0 * libm::sqrt(before) / lost
                - slope.of_x * lost_before / lost / (2.0 * libm::sqrt(kept))
                + slope.variance * lost_before / lost;
            // All three are divided by `lost`.
            by_alpha_bar[i] += (slope.of_x0 * k.of_x0 + slope.of_x * k.of_x + slope.variance * k.variance) / lost;
            if i > 0 {
                by_alpha_bar[i - 1] += slope.of_x0 * k.beta / lost / (2.0 * libm::sqrt(before))
                    - slope.of_x * libm::sqrt(kept) / lost
                    - slope.variance * k.beta / lost;
            }
        }
        // alpha_bar_t has a factor `1 - beta` of every step up to t.
        let mut later = 0.0;
        for (i, k) in kernels.iter().enumerate().rev() {
            later += by_alpha_bar[i] * k.alpha_bar;
            by_beta[i] -= later / (1.0 - k.beta);
        }
        let learned = by_beta.iter().zip(&kernels).skip(1);
        learned.map(|(slope, k)| slope * k.beta * (1.0 - k.beta)).collect()
    }
}

impl TransitionKernel {
    /// The log odds of beta: the variance's output that leaves the equilibrium alone.
    pub fn beta_logit(&self) -> f64 {
        libm::log(self.beta / (1.0 - self.beta))
    }

    /// A coordinate of x_t, from x_0's and a normal draw.
    pub fn noised(&self, x0: f64, noise: f64) -> f64 {
        libm::sqrt(self.alpha_bar) * x0 + libm::sqrt(1.0 - self.alpha_bar) * noise
    }

    /// The slope of [`TransitionKernel::noised`] in `alpha_bar`.
    pub fn noised_slope(&self, x0: f64, noise: f64) -> f64 {
        x0 / (2.0 * libm::sqrt(self.alpha_bar)) - noise / (2.0 * libm::sqrt(1.0 - self.alpha_bar))
    }

    /// Mean and variance of a coordinate of `p(x_{t-1} | x_t)`, from the network's outputs m and v.
    ///
    /// `mean = sqrt(1 - beta) x + sqrt(beta) m`, `variance = sigmoid(v)`: with `m = 0` and `v` the log odds of beta that is the reverse
    /// kernel of the equilibrium.
    pub fn reverse(&self, x: f64, [m, v]: [f64; 2]) -> (f64, f64) {
        let mean = libm::sqrt(1.0 - self.beta) * x + libm::sqrt(self.beta) * m;
        (mean, 1.0 / (libm::exp(-v) + 1.0))
    }

    /// `KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))` of a coordinate in nats, from step 2 on.
    pub fn divergence(&self, x0: f64, x: f64, out: [f64; 2]) -> f64 {
        let (mean, variance) = self.reverse(x, out);
        let off = self.of_x0 * x0 + self.of_x * x - mean;
        let logs = libm::log(variance) - libm::log(self.variance);
        0.5 * ((off * off + self.variance) / variance + logs - 1.0)
    }

    /// The gradient of [`TransitionKernel::divergence`].
    pub fn slopes(&self, x0: f64, x: f64, out: [f64; 2]) -> Slopes {
        let (mean, variance) = self.reverse(x, out);
        let off = self.of_x0 * x0 + self.of_x * x - mean;
        let by_off = off / variance;
        let by_variance = 0.5 * (1.0 / variance - (off * off + self.variance) / (variance * variance));
        let (kept, spread) = (libm::sqrt(1.0 - self.beta), libm::sqrt(self.beta));
        Slopes {
            out: [-spread * by_off, by_variance * variance * (1.0 - variance)],
            x: by_off * (self.of_x - kept),
            kernel: TransitionKernel {
                beta: by_off * (x / (2.0 * kept) - out[0] / (2.0 * spread)),
                alpha_bar: 0.0,
                of_x0: by_off * x0,
                of_x: by_off * x,
                variance: 0.5 * (1.0 / variance - 1.0 / self.variance),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_draw_of_the_posterior_after_the_marginal_is_the_marginal_before() {
        let kernels = Gaussian::new(12, 1e-3).kernels();
        for (before, k) in kernels.iter().zip(&kernels[1..]) {
            // Mean and variance of x_{t-1} given x_0, by way of x_t.
            let mean = k.of_x0 + k.of_x * libm::sqrt(k.alpha_bar);
            let variance = k.variance + k.of_x * k.of_x * (1.0 - k.alpha_bar);
            assert!((mean - libm::sqrt(before.alpha_bar)).abs() < 1e-12);
            assert!((variance - (1.0 - before.alpha_bar)).abs() < 1e-12);
        }
    }

    #[test]
    fn outputs_at_the_equilibrium_leave_it_alone() {
        for k in Gaussian::new(5, 1e-2).kernels() {
            let (mean, variance) = k.reverse(1.0, [0.0, k.beta_logit()]);
            assert!((mean * mean + variance - 1.0).abs() < 1e-12);
            assert!((variance - k.beta).abs() < 1e-12);
        }
    }

    const CASES: [(f64, f64, [f64; 2]); 3] = [
        (0.7, -0.2, [0.3, -1.5]),
        (-1.4, -1.1, [-0.8, 0.4]),
        (0.1, 2.3, [1.9, -4.0]),
    ];

    fn close(found: f64, expected: f64) {
        let error = (found - expected).abs();
        assert!(error < 1e-6 * (1.0 + expected.abs()), "{found}, not {expected}");
    }

    #[test]
    fn the_divergence_s_gradient_is_its_finite_difference() {
        let step = 1e-6;
        let numeric = |of: &dyn Fn(f64) -> f64| (of(step) - of(-step)) / (2.0 * step);
        for k in &Gaussian::new(7, 1e-2).kernels()[1..] {
            for (x0, x, out) in CASES {
                let slopes = k.slopes(x0, x, out);
                close(slopes.out[0], numeric(&|d| k.divergence(x0, x, [out[0] + d, out[1]])));
                close(slopes.out[1], numeric(&|d| k.divergence(x0, x, [out[0], out[1] + d])));
                close(slopes.x, numeric(&|d| k.divergence(x0, x + d, out)));
                let moved = |change: &dyn Fn(&mut TransitionKernel, f64)| {
                    numeric(&|d| {
                        let mut moved = *k;
                        change(&mut moved, d);
                        moved.divergence(x0, x, out)
                    })
                };
                close(slopes.kernel.beta, moved(&|k, d| k.beta += d));
                close(slopes.kernel.of_x0, moved(&|k, d| k.of_x0 += d));
                close(slopes.kernel.of_x, moved(&|k, d| k.of_x += d));
                close(slopes.kernel.variance, moved(&|k, d| k.variance += d));
                let noised = |d: f64| {
                    let mut moved = *k;
                    moved.alpha_bar += d;
                    moved.noised(x0, x)
                };
                close(k.noised_slope(x0, x), numeric(&noised));
            }
        }
    }

    /// Any function of all the kernels' numbers will do: here a sum with factors that all differ.
    #[test]
    fn the_betas_gradient_is_its_finite_difference() {
        let chain = Gaussian::new(6, 1e-2);
        let factor = |t: usize, which: usize| libm::sin((1 + 5 * t + which) as f64);
        let value = |chain: &Gaussian| -> f64 {
            let each = chain.kernels().into_iter().enumerate().map(|(t, k)| {
                let numbers = [k.beta, k.alpha_bar, k.of_x0, k.of_x, k.variance];
                numbers.iter().enumerate().map(|(i, v)| factor(t, i) * v).sum::<f64>()
            });
            each.sum()
        };
        let slopes: Vec<TransitionKernel> = (0..6)
            .map(|t| TransitionKernel {
                beta: factor(t, 0),
                alpha_bar: factor(t, 1),
                of_x0: factor(t, 2),
                of_x: factor(t, 3),
                variance: factor(t, 4),
            })
            .collect();
        for (i, found) in chain.pull(&slopes).into_iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = chain.clone();
                moved.logits[i] += by;
                value(&moved)
            };
            close(found, (moved(1e-6) - moved(-1e-6)) / 2e-6);
        }
    }
}
