//! Rounding half up, saturation, and the two requantizations.

/// How an operator rounds: half up, or, for a test that must be caught, towards minus infinity (f16: towards zero).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rounding {
    /// Drops the fraction instead of rounding it.
    pub broken: bool,
}

impl Rounding {
    /// `v / 2^shift`, a half up.
    pub fn shift(self, v: i128, shift: u32) -> i128 {
        if shift == 0 {
            return v;
        }
        let (whole, fraction) = (v >> shift, v & ((1 << shift) - 1));
        whole + i128::from(!self.broken && fraction >= 1 << (shift - 1))
    }

    /// `v` times `mult * 2^-shift`, saturated to 32 bits. Both kinds of multiplier.
    pub fn requantize(self, v: i64, mult: i32, shift: u8) -> i64 {
        let product = i128::from(v) * i128::from(mult);
        saturate(self.shift(product, shift.into()), 32)
    }

    /// `(a + b) / 2^4`, where the sum, and the sum with its half, saturate at 32 bits.
    pub fn add_guarded(self, a: i64, b: i64) -> i64 {
        let sum = saturate(i128::from(a) + i128::from(b), 32);
        let half = if self.broken { 0 } else { 8 };
        saturate(i128::from(sum) + half, 32) >> 4
    }
}

/// Clamps to a two's complement integer of `bits` bits.
pub fn saturate(v: i128, bits: u32) -> i64 {
    let top = (1i128 << (bits - 1)) - 1;
    v.clamp(-top - 1, top) as i64
}
