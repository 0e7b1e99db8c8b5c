//! Division of 64-bit integers, bit by bit: on small cores less code than the compiler's own, for the few that a step needs.

use crate::features::Feature;

/// `(n / d, n % d)` for `d` of 1 to 2^63 (0 counts as 1).
#[must_use]
#[inline(never)]
pub const fn divide(n: u64, d: u64) -> (u64, u64) {
    let d = if d == 0 { 1 } else { d };
    let zeros = n.leading_zeros() & 63;
    continued(0, n << zeros, 64 - zeros, d)
}

/// Quotient and remainder of `rest * 2^bits` and the `bits` top bits of `low`, by `d` above `rest`.
#[must_use]
#[inline(never)]
pub const fn continued(mut rest: u64, mut low: u64, bits: u32, d: u64) -> (u64, u64) {
    let (mut quotient, mut left) = (0, bits);
    while left > 0 {
        rest = rest << 1 | low >> 63;
        low <<= 1;
        quotient <<= 1;
        if rest >= d {
            rest -= d;
            quotient |= 1;
        }
        left -= 1;
    }
    (quotient, rest)
}

/// `n / d` for `d` of 1 to 2^17, `n` below 2^48 and a quotient below 2^32.
#[must_use]
#[inline(never)]
pub fn divide_by_small(n: u64, d: u32) -> u32 {
    if Feature::Fast.is_built() {
        by_digits(n, d)
    } else {
        by_bits(n, d)
    }
}

/// By three divisions of 32 bits.
#[inline(always)]
fn by_digits(n: u64, d: u32) -> u32 {
    let digits = [(n >> 30) as u32, (n >> 15) as u32 & 0x7FFF, n as u32 & 0x7FFF];
    let (mut quotient, mut rest) = (0, 0);
    for digit in digits {
        let n = rest << 15 | digit;
        let part = n / d.max(1);
        rest = n - part * d;
        quotient = quotient << 15 | part;
    }
    quotient
}

/// A bit at a time, without a division.
#[inline(always)]
fn by_bits(n: u64, d: u32) -> u32 {
    let (mut low, mut rest, mut quotient) = (n << 16, 0, 0);
    for _ in 0..48 {
        rest = rest << 1 | (low >> 63) as u32;
        low <<= 1;
        quotient <<= 1;
        if rest >= d {
            rest -= d;
            quotient |= 1;
        }
    }
    quotient
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::philox::philox4x32;

    #[test]
    fn quotients_are_the_compilers() {
        let edges = [0, 1, 2, 3, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX];
        for n in edges {
            for d in edges.into_iter().filter(|d| (1..=1 << 63).contains(d)) {
                assert_eq!(divide(n, d), (n / d, n % d), "{n} / {d}");
            }
        }
        for i in 0..20_000 {
            let [a, b, c, d] = philox4x32([i, 0, 0, 0], [5, 6]);
            let (n, d) = (u64::from(a) << 32 | u64::from(b), u64::from(c) << 31 | u64::from(d));
            let (n, d) = (n >> (i % 61), (d >> (i % 53)).max(1));
            assert_eq!(divide(n, d), (n / d, n % d), "{n} / {d}");
        }
    }

    #[test]
    fn small_divisors_have_two_ways() {
        for i in 0..20_000 {
            let [a, b, c, _] = philox4x32([i, 0, 0, 0], [7, 8]);
            let d = (c >> (15 + i % 17)).max(1);
            let most = ((u64::from(d) << 32) - 1).min((1 << 48) - 1);
            for n in [(u64::from(a) << 32 | u64::from(b)) % (most + 1), 0, d.into(), most] {
                let exact = n / u64::from(d);
                assert_eq!(u64::from(by_digits(n, d)), exact, "{n} / {d}");
                assert_eq!(u64::from(by_bits(n, d)), exact, "{n} / {d}");
            }
        }
    }
}
