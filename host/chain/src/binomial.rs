//! The binomial chain: every bit is kept, or redrawn from the prior.

/// A forward process over bits: `q(x_t = 1 | x_s) = k x_s + (1 - k) prior` with `k = alpha_t / alpha_s`.
#[derive(Debug, Clone, PartialEq)]
pub struct Binomial {
    /// Probability of a 1 in equilibrium.
    pub prior: f64,
    /// Probability that a bit was never redrawn, by step; `alpha[0]` is 1.
    pub alpha: Vec<f64>,
}

/// Which two steps a kernel joins; `from < to`.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// The cleaner step.
    pub from: usize,
    /// The noisier step.
    pub to: usize,
}

impl Span {
    /// The step before `to`.
    pub fn last(to: usize) -> Self {
        Self { from: to - 1, to }
    }
}

impl Binomial {
    /// The paper's schedule `beta_t = 1 / (T - t + 1)`, whose `alpha_t` is `1 - t / T`: the same part of the bits is lost in every step.
    pub fn linear(steps: usize, prior: f64) -> Self {
        let alpha = (0..=steps).map(|t| (steps - t) as f64 / steps as f64).collect();
        Self { prior, alpha }
    }

    /// T.
    pub fn steps(&self) -> usize {
        self.alpha.len() - 1
    }

    /// `q(x_to = 1 | x_from)`.
    pub fn forward(&self, span: Span, x: bool) -> f64 {
        let keep = self.alpha[span.to] / self.alpha[span.from];
        keep * f64::from(u8::from(x)) + (1.0 - keep) * self.prior
    }

    /// `q(x_t = 1 | x_0)`.
    pub fn marginal(&self, t: usize, x0: bool) -> f64 {
        self.forward(Span { from: 0, to: t }, x0)
    }

    /// `q(x_from = 1 | x_to, x_0)`, by Bayes.
    pub fn posterior(&self, span: Span, x: bool, x0: bool) -> f64 {
        let before = self.marginal(span.from, x0);
        let [zero, one] = self.likelihoods(span, x);
        one * before / (one * before + zero * (1.0 - before))
    }

    /// `q(x_to | x_from = 0)` and `q(x_to | x_from = 1)` of the bit that was seen.
    pub fn likelihoods(&self, span: Span, x: bool) -> [f64; 2] {
        [false, true].map(|before| {
            let one = self.forward(span, before);
            if x { one } else { 1.0 - one }
        })
    }

    /// The learned reverse kernel: `log odds of p(x_from = 1 | x_to)`, and its slope in the network's output `f`.
    ///
    /// `f` is what the other bits say about x_0's bit, in log odds against the prior. By Bayes it is turned into a belief about
    /// x_from, and with what x_to says into the kernel. At `f = 0` that is the equilibrium's reverse kernel exactly, and no `f`
    /// leaves the range of the true posteriors.
    pub fn reverse(&self, span: Span, x: bool, f: f64) -> (f64, f64) {
        let ([zero, one], slope) = self.reverse_weights(span, x, f);
        (libm::log(one) - libm::log(zero), slope)
    }

    /// [`Binomial::reverse`] as weights of 0 and 1, which need not sum to 1.
    pub fn reverse_weights(&self, span: Span, x: bool, f: f64) -> ([f64; 2], f64) {
        let (a, prior) = (self.alpha[span.from], self.prior);
        // Both from the exponential, so that neither loses its digits.
        let (s, r) = {
            let e = libm::exp(-f.abs());
            let (large, small) = (1.0 / (1.0 + e), e / (1.0 + e));
            if f < 0.0 { (small, large) } else { (large, small) }
        };
        let norm = s * prior + r * (1.0 - prior);
        let one = a * s * prior + (1.0 - a) * prior * norm;
        let zero = a * r * (1.0 - prior) + (1.0 - a) * (1.0 - prior) * norm;
        let [seen_zero, seen_one] = self.likelihoods(span, x);
        let shift = 2.0 * prior - 1.0;
        let one_slope = a * prior + (1.0 - a) * prior * shift;
        let zero_slope = -a * (1.0 - prior) + (1.0 - a) * (1.0 - prior) * shift;
        let slope = (one_slope / one - zero_slope / zero) * s * r;
        ([seen_zero * zero, seen_one * one], slope)
    }
}

/// Logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

/// `KL(Bernoulli(q) || Bernoulli(sigmoid(logit)))` in nats.
pub fn divergence(q: f64, logit: f64) -> f64 {
    // -log p and -log (1 - p), without cancellation.
    let softplus = |v: f64| v.max(0.0) + libm::log1p(libm::exp(-v.abs()));
    let cross = q * softplus(-logit) + (1.0 - q) * softplus(logit);
    cross - entropy(q)
}

/// Entropy of a bit in nats.
pub fn entropy(p: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * libm::log(p) } else { 0.0 };
    part(p) + part(1.0 - p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_perturbation_the_reverse_kernel_is_the_forward_one() {
        let chain = Binomial::linear(50, 0.2);
        for t in 1..50 {
            for x in [false, true] {
                let (logit, _) = chain.reverse(Span::last(t), x, 0.0);
                let forward = chain.forward(Span::last(t), x);
                assert!((sigmoid(logit) - forward).abs() < 1e-12, "{t}");
            }
        }
    }

    #[test]
    fn a_certain_network_gives_the_posterior_and_the_slope_is_the_slope() {
        let chain = Binomial::linear(50, 0.2);
        for (t, x) in [(2, false), (7, true), (30, false), (50, true)] {
            let span = Span::last(t);
            for x0 in [false, true] {
                let (logit, _) = chain.reverse(span, x, if x0 { 60.0 } else { -60.0 });
                assert!((sigmoid(logit) - chain.posterior(span, x, x0)).abs() < 1e-12);
            }
            for f in [-3.0, 0.0, 2.0] {
                let (at, slope) = chain.reverse(span, x, f);
                let numeric = (chain.reverse(span, x, f + 1e-5).0 - at) / 1e-5;
                assert!(
                    (numeric - slope).abs() < 1e-4 * (1.0 + slope.abs()),
                    "{numeric} {slope}"
                );
            }
        }
    }
}
