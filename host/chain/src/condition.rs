//! A second factor r(x): the chain's distribution times what is known of a sample (2015, section 2.5). Every kernel is multiplied by r
//! and normalized again; it has the same form as before.

/// What is known of one coordinate of a Gaussian chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    /// Nothing.
    Free,
    /// Its value: inpainting.
    Value(f64),
    /// A noisy observation with its standard deviation: denoising.
    Near(f64, f64),
}

impl Known {
    /// Mean and variance of `N(mean, variance)` times r.
    pub fn times(self, mean: f64, variance: f64) -> (f64, f64) {
        match self {
            Self::Free => (mean, variance),
            Self::Value(value) => (value, 0.0),
            Self::Near(value, deviation) => {
                let precision = 1.0 / variance + 1.0 / (deviation * deviation);
                let sum = mean / variance + value / (deviation * deviation);
                (sum / precision, 1.0 / precision)
            }
        }
    }
}

/// What is added to a bit's log odds in every step where it is known to be `value` (`None`: nothing is known): inpainting.
pub fn known_bit(value: Option<bool>) -> f64 {
    match value {
        None => 0.0,
        Some(true) => f64::INFINITY,
        Some(false) => f64::NEG_INFINITY,
    }
}

/// What is added to a bit's log odds in every step where it was seen as `value` through a channel that flips a bit with
/// probability `flip`: denoising.
pub fn seen_bit(value: bool, flip: f64) -> f64 {
    let odds = libm::log((1.0 - flip) / flip);
    if value { odds } else { -odds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binomial::sigmoid;

    #[test]
    fn a_known_value_is_the_limit_of_exact_observations() {
        let (mean, variance) = Known::Near(0.7, 1e-9).times(-3.0, 0.2);
        assert!((mean - 0.7).abs() < 1e-9 && variance < 1e-17);
        assert_eq!(Known::Value(0.7).times(-3.0, 0.2), (0.7, 0.0));
        assert_eq!(Known::Free.times(-3.0, 0.2), (-3.0, 0.2));
    }

    #[test]
    fn a_factor_on_a_bit_is_bayes() {
        let (p, flip) = (0.3, 0.1);
        let logit = libm::log(p / (1.0 - p));
        let by_bayes = p * (1.0 - flip) / (p * (1.0 - flip) + (1.0 - p) * flip);
        assert!((sigmoid(logit + seen_bit(true, flip)) - by_bayes).abs() < 1e-12);
        assert_eq!(sigmoid(logit + known_bit(Some(true))), 1.0);
        assert_eq!(sigmoid(logit + known_bit(Some(false))), 0.0);
    }
}
