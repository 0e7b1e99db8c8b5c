//! A factor in two halves of 16 bits, whose products with 16-bit numbers fit 32 bits.

use mote_runtime::internals::numeric::requant::Requant;

/// `q -> (q * mult + offset) >> (16 + shift)`, the upper bits of a 64-bit sum in arithmetic of 32 bits. Flooring twice floors as once.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Split {
    /// `mult` is `high << 16` and the signed `low`.
    pub high: i16,
    pub low: i16,
    /// `offset` is `base << 16` and the unsigned `rest`.
    pub base: i32,
    pub rest: i32,
    pub shift: u32,
}

impl Split {
    /// `None` where a half does not fit, or `total` is below 16. Results are right modulo 2^32 before the last shift: whoever
    /// applies it must know that they fit.
    #[inline(always)]
    pub fn new(mult: i32, offset: i64, total: u32) -> Option<Self> {
        let low = mult as i16;
        let high = i16::try_from((i64::from(mult) - i64::from(low)) >> 16).ok()?;
        Some(Self {
            high,
            low,
            base: (offset >> 16) as i32,
            rest: (offset & 0xFFFF) as i32,
            shift: total.checked_sub(16)?,
        })
    }

    /// A factor of 16-bit numbers stored with a zero point, half up. Results fit: shifts are 17 to 45.
    pub fn of(factor: Requant, zero: i32) -> Option<Self> {
        let offset = (1i64 << (factor.shift.clamp(1, 62) - 1)) - i64::from(zero) * i64::from(factor.mult);
        (17..=45)
            .contains(&factor.shift)
            .then(|| Self::new(factor.mult, offset, factor.shift.into()))?
    }

    #[inline(always)]
    pub fn apply(&self, q: i32) -> i32 {
        let low = (q * i32::from(self.low) + self.rest) >> 16;
        let sum = (q.wrapping_mul(self.high.into())).wrapping_add(self.base);
        sum.wrapping_add(low) >> self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_give_what_64_bits_give() {
        let mut word = 1u64;
        let mut next = || {
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (word >> 32) as i32
        };
        let mut checked = 0;
        for _ in 0..20_000 {
            let factor = Requant {
                mult: (next() & 0x3FFF_FFFF) | 1 << 30,
                shift: 15 + (next() & 31) as u8,
            };
            let zero = next() >> 24;
            let Some(split) = Split::of(factor, zero) else { continue };
            for q in [next() >> 16, i16::MIN.into(), i16::MAX.into(), zero, 0] {
                // What is stored less its zero point fits 16 bits too.
                let q = q.clamp(i32::from(i16::MIN) + 128, i32::from(i16::MAX) - 128);
                assert_eq!(split.apply(q), factor.apply(q - zero), "{factor:?} {zero} {q}");
            }
            checked += 1;
        }
        assert!(checked > 10_000, "{checked}");
        assert_eq!(Split::new(i32::MAX, 0, 16), None);
        assert_eq!(Split::new(1, 0, 15), None);
    }
}
