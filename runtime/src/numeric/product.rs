//! The exact product of 32-bit integers.

/// `a * b`. Called where a core has no long multiply, or every place would widen both for the compiler's own product of 64 bits.
#[must_use]
#[cfg_attr(mote_narrow_multiply, inline(never))]
#[cfg_attr(not(mote_narrow_multiply), inline(always))]
pub const fn product(a: i32, b: i32) -> i64 {
    a as i64 * b as i64
}
