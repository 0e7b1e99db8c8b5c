//! The fixed point of a model's condition.

use mote_runtime::Model;

/// Fractional bits where the range leaves room for them.
const BITS: u8 = 24;

/// How a model holds the numbers of its condition: as multiples of `2^-bits`, in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FixedPoint {
    /// Fractional bits.
    pub bits: u8,
    /// The least number.
    pub low: i32,
    /// The largest number.
    pub high: i32,
    /// What stands for every number of a condition that is dropped.
    pub null: Option<i32>,
}

impl FixedPoint {
    /// That of a network trained on numbers from `low` to `high`, finite, `low` below `high`. `null` stands for a dropped condition, and
    /// is brought into the range.
    #[must_use]
    pub fn of_range([low, high]: [f64; 2], null: Option<f64>) -> Self {
        let largest = low.abs().max(high.abs());
        let fits = |bits: &u8| largest * f64::from(1u32 << bits) <= f64::from(i32::MAX);
        let bits = (0..=BITS).rev().find(fits).unwrap_or(0);
        let plain = Self {
            bits,
            low: i32::MIN,
            high: i32::MAX,
            null: None,
        };
        let (low, high) = (plain.number(low), plain.number(high));
        // Two ends that the fixed point cannot tell apart.
        let high = high.max(low.saturating_add(1));
        Self {
            low: low.min(high.saturating_sub(1)),
            high,
            null: null.map(|null| plain.number(null).max(low).min(high)),
            ..plain
        }
    }

    /// That of a model; `None` where it takes no condition.
    #[must_use]
    pub fn of(model: &Model<'_>) -> Option<Self> {
        model.condition().map(|condition| Self {
            bits: condition.bits,
            low: condition.low,
            high: condition.high,
            null: condition.null,
        })
    }

    /// The nearest number, however far outside the range; halves away from zero.
    #[must_use]
    pub fn number(&self, value: f64) -> i32 {
        libm::round(value * self.one()).clamp(f64::from(i32::MIN), f64::from(i32::MAX)) as i32
    }

    /// Real value of a number.
    #[must_use]
    pub fn real(&self, number: i32) -> f64 {
        f64::from(number) / self.one()
    }

    /// Least and largest value.
    #[must_use]
    pub fn range(&self) -> [f64; 2] {
        [self.low, self.high].map(|number| self.real(number))
    }

    /// How many of these numbers are outside the range.
    #[must_use]
    pub fn outside(&self, numbers: &[i32]) -> usize {
        numbers.iter().filter(|n| !(self.low..=self.high).contains(n)).count()
    }

    fn one(&self) -> f64 {
        f64::from(1u32 << self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_fractional_bits_as_the_range_leaves_room_for() {
        let bits = |low, high| FixedPoint::of_range([low, high], None).bits;
        assert_eq!((bits(-1.0, 1.0), bits(0.0, 127.9), bits(-200.0, 3.0)), (24, 24, 23));
        assert_eq!((bits(0.0, 1e6), bits(0.0, 1e12)), (11, 0));
        let point = FixedPoint::of_range([-0.5, 2.0], Some(-3.0));
        assert_eq!(point.range(), [-0.5, 2.0]);
        assert_eq!(point.null, Some(point.low));
        assert_eq!((point.number(1e9), point.number(-1e9)), (i32::MAX, i32::MIN));
        assert_eq!(point.outside(&[point.low, point.high, point.high + 1, i32::MIN]), 2);
        let narrow = FixedPoint::of_range([1.0, 1.0 + 1e-12], None);
        assert!(narrow.low < narrow.high);
        let wide = FixedPoint::of_range([1e11, 1e12], None);
        assert!(wide.low < wide.high);
    }
}
