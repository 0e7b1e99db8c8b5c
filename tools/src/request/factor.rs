//! What is known of a chain's samples: the second factor r(x) of its steps.

use crate::Error;
use crate::tensors::to_q24;
use mote_runtime::RunError;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::sampler::UNKNOWN;
use mote_runtime::internals::schedule::coefficients::Prediction;
use mote_runtime::internals::schedule::posterior::{INFINITE_Q24, MOST_FLIP_Q31};

/// Elements of a chain's samples that are known, exactly or with noise: Sohl-Dickstein et al. 2015, section 2.5. Every step is
/// multiplied by them.
///
/// ```
/// use mote_tools::SecondFactor;
///
/// let seen = SecondFactor::parse("0.5,?", 0.2)?;
/// assert_eq!(seen, SecondFactor::new(vec![Some(0.5), None], 0.2)?);
/// assert!(SecondFactor::parse("0.5,nan", 0.2).is_err());
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SecondFactor {
    values: Vec<Option<f64>>,
    noise: f64,
}

impl SecondFactor {
    /// A value an element, in the order `(row, col, channel)`, `None` where nothing is known; a bit is 0 or 1. `noise` is the probability
    /// that a bit was flipped, 0 to 0.5, or the standard deviation of a value, infinity included.
    ///
    /// # Errors
    /// Of kind `Usage` for what is no number, and where nothing is known.
    pub fn new(values: Vec<Option<f64>>, noise: f64) -> Result<Self, Error> {
        if let Some((i, value)) = values
            .iter()
            .enumerate()
            .find_map(|(i, value)| value.filter(|value| !value.is_finite()).map(|value| (i, value)))
        {
            return Err(Error::usage(format_args!("known value {i} is {value}"))
                .help("give finite numbers, and ? for what is not known"));
        }
        if values.iter().all(Option::is_none) {
            return Err(Error::usage("--known says nothing: every element is ?").help("leave --known out"));
        }
        if noise.is_nan() || noise < 0.0 {
            return Err(Error::usage(format_args!("the noise of what is known is {noise}"))
                .help("give --known-noise from 0: a probability of bits, a standard deviation of values"));
        }
        Ok(Self { values, noise })
    }

    /// Numbers with commas between, `?` where nothing is known.
    ///
    /// # Errors
    /// As [`SecondFactor::new`].
    pub fn parse(values: &str, noise: f64) -> Result<Self, Error> {
        let one = |(i, text): (usize, &str)| match text.trim() {
            "?" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Error::usage(format_args!("known value {i} is '{}'", crate::escaped(text)))
                    .help("give numbers with commas between, and ? for what is not known")
            }),
        };
        let values = values.split(',').enumerate().map(one);
        Self::new(values.collect::<Result<_, _>>()?, noise)
    }

    /// The elements in Q24, and the noise, as the runtime takes them for this model.
    ///
    /// # Errors
    /// Of kind `Refused` for a model that is no chain or has another number of elements, and for noise that is out of range; of kind `Usage`
    /// for a value that no element can have.
    pub fn fixed(&self, header: &Header) -> Result<(Vec<i32>, u32), Error> {
        if !header.prediction.is_chain() {
            return Err(RunError::NoChain.into());
        }
        let (expected, found) = (header.sample_len(), self.values.len());
        if expected != found {
            return Err(Error::from(RunError::Length {
                expected: expected as u32,
                found: found as u32,
            })
            .help(format_args!(
                "give --known {expected} elements, ? where nothing is known"
            )));
        }
        let bits = matches!(header.prediction, Prediction::Bits { .. });
        let element = |(i, value): (usize, &Option<f64>)| match value {
            None => Ok(UNKNOWN),
            Some(value) if bits => bit(i, *value),
            Some(value) => to_q24(*value).ok_or_else(|| {
                Error::usage(format_args!("known value {i} is {value}")).help("values lie between -64 and 64")
            }),
        };
        let values = self.values.iter().enumerate().map(element);
        let noise = if bits {
            flip_q31(self.noise)?
        } else {
            deviation_q24(self.noise)?
        };
        Ok((values.collect::<Result<_, _>>()?, noise))
    }
}

fn bit(i: usize, value: f64) -> Result<i32, Error> {
    match value {
        0.0 => Ok(-(1 << 24)),
        1.0 => Ok(1 << 24),
        value => Err(Error::usage(format_args!(
            "known value {i} is {value}, and the model's elements are bits"
        ))
        .help("give 0, 1, or ? for what is not known")),
    }
}

fn flip_q31(noise: f64) -> Result<u32, Error> {
    let flip_q31 = (noise * 2_147_483_648.0).round().min(u32::MAX.into()) as u32;
    if flip_q31 > MOST_FLIP_Q31 {
        return Err(RunError::KnownNoise(flip_q31).into());
    }
    Ok(flip_q31)
}

fn deviation_q24(noise: f64) -> Result<u32, Error> {
    if noise.is_infinite() {
        return Ok(INFINITE_Q24);
    }
    let deviation_q24 = (noise * 16_777_216.0).round();
    if deviation_q24 >= f64::from(INFINITE_Q24) {
        return Err(Error::usage(format_args!(
            "the noise of what is known is {noise}, and deviations are below 256"
        ))
        .help("give --known-noise below 256, or inf"));
    }
    Ok(deviation_q24 as u32)
}
