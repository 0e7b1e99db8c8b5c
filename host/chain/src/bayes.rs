//! What is known about x_0 when the data are a finite set: the best that a factorized reverse process can do.

use crate::binomial::Binomial;

/// Distinct sequences of bits, each as likely as any other.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequences {
    /// The sequences, of one length.
    pub rows: Vec<Vec<bool>>,
}

impl Sequences {
    /// Bits of a sequence.
    pub fn len(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Fraction of ones.
    pub fn ones(&self) -> f64 {
        let ones: usize = self.rows.iter().map(|row| row.iter().filter(|b| **b).count()).sum();
        ones as f64 / (self.rows.len() * self.len()) as f64
    }

    /// `q(x_0 = row | x_t)`, by row.
    pub fn posterior(&self, chain: &Binomial, t: usize, x: &[bool]) -> Vec<f64> {
        let log = [false, true].map(|x0| {
            let one = chain.marginal(t, x0);
            [libm::log(1.0 - one), libm::log(one)]
        });
        let term = |(x0, x): (&bool, &bool)| log[usize::from(*x0)][usize::from(*x)];
        let scores: Vec<f64> = self.rows.iter().map(|row| row.iter().zip(x).map(term).sum()).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|s| libm::exp(s - top)).collect();
        let total: f64 = weights.iter().sum();
        weights.into_iter().map(|w| w / total).collect()
    }

    /// The network's output that no network can beat: the log odds of every bit of x_0 given x_t, less those of the bit's own
    /// evidence and of the prior.
    pub fn best(&self, chain: &Binomial, t: usize, x: &[bool]) -> Vec<f64> {
        let posterior = self.posterior(chain, t, x);
        (0..x.len())
            .map(|i| {
                let sum = |value: bool| -> f64 {
                    let rows = self.rows.iter().zip(&posterior);
                    rows.filter(|(row, _)| row[i] == value).map(|(_, w)| w).sum()
                };
                let own = [false, true].map(|x0| {
                    let one = chain.marginal(t, x0);
                    if x[i] { one } else { 1.0 - one }
                });
                let odds = libm::log(sum(true)) - libm::log(sum(false));
                odds - libm::log(own[1] * chain.prior) + libm::log(own[0] * (1.0 - chain.prior))
            })
            .collect()
    }
}
