//! Constant keys and values before those of an attention's inputs.

use crate::file::File;
use crate::file::header::Arithmetic;
use crate::file::reader::{At, Factor, Reader};
use crate::file::weights;
use crate::scalar::half::load;

/// The rows: integers, or f16 bits.
#[derive(Debug, Default)]
pub struct Rows {
    keys: Vec<i64>,
    values: Vec<i64>,
    channels: usize,
    /// The factors of the rows' scores, and of their values' sum.
    factors: Option<[Factor; 2]>,
}

impl Rows {
    /// Those of a record, if it has any; the output has so many channels.
    pub fn read(r: &mut Reader<'_>, file: &File<'_>, channels: usize) -> Option<Self> {
        let fields = r.option(|r| Some((r.u16()?, [r.at()?, r.at()?], [r.factor()?, r.factor()?])))?;
        let Some((count, places, factors)) = fields else {
            return Some(Self::default());
        };
        let table = |at: At| {
            let count = usize::from(count) * channels;
            match file.header().arithmetic {
                Arithmetic::Integer => weights::int16(file, at, count),
                Arithmetic::F16 => weights::f16_bits(file, at, count),
            }
        };
        let [keys, values] = places.map(table);
        Some(Self {
            keys: keys?,
            values: values?,
            channels,
            factors: Some(factors),
        })
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.keys.len() / self.channels.max(1)
    }

    /// The factors; those of no rows are never used.
    pub fn factors(&self) -> [Factor; 2] {
        self.factors.unwrap_or([Factor { mult: 0, shift: 1 }; 2])
    }

    /// A channel of all rows' keys.
    pub fn keys(&self, channel: usize) -> Vec<i64> {
        (0..self.count())
            .map(|j| self.keys[j * self.channels + channel])
            .collect()
    }

    /// A channel of all rows' values.
    pub fn values(&self, channel: usize) -> Vec<i64> {
        (0..self.count())
            .map(|j| self.values[j * self.channels + channel])
            .collect()
    }
}

/// f16 bits as numbers, then numbers.
pub fn joined(bits: &[i64], numbers: &[f32]) -> Vec<f32> {
    bits.iter().map(|v| load(*v)).chain(numbers.iter().copied()).collect()
}

/// `sum of a_j b_j` in order, from +0.
pub fn in_order(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// `sum of a_j b_j`.
pub fn products(a: &[i64], b: &[i64]) -> i64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
