//! The natural logarithm in fixed point: of a uniform word for noise, of a cumulative alpha for the log-SNR.

use super::product::product;
use super::table::{LN_2_Q57, LN_INTERVALS, LN_RECIPROCAL_Q57, RECIPROCAL_ABOVE_ONE_Q8};

/// `-ln(v / 2^64)` in Q57, 0..44.4 (0 counts as 1). Largest error 8.1e-12 (measured).
#[must_use]
pub fn neg_ln_u64_q57(v: u64) -> u64 {
    let v = v.max(1);
    let k = v.leading_zeros();
    let y_q64 = v << k;
    neg_ln_of(k, y_q64 >> 31, y_q64 & 0x7FFF_FFFF)
}

/// Half the log-SNR, `lambda = ln(sqrt(ab) / sqrt(1 - ab))` in Q57, of a cumulative alpha in Q62 (Lu et al. 2022,
/// "DPM-Solver"). Within +-21.5: neither `ab` nor `1 - ab` counts as less than 2^-62. Largest error 4.3e-12 (measured).
#[must_use]
pub fn lambda_q57(alpha_bar_q62: u64) -> i64 {
    let signal = alpha_bar_q62.min(1 << 62);
    (neg_ln_u64_q57((1 << 62) - signal) as i64 - neg_ln_u64_q57(signal) as i64) >> 1
}

/// `-ln(y * 2^-k)` in Q57, where y in `[0.5, 1)` is given by its upper 33 bits and the 31 below them.
///
/// With the table's `c ~ 1/y`, `y c = 1 + d` exactly, |d| < 2^-6.6, and
/// `-ln u = k ln 2 + ln c - ln(1 + d)`, `ln(1 + d) = d - d^2 (1/2 - d (1/3 - d/4))` (truncated below 2e-11).
/// Inlined: where the lower bits are known to be 0, as for noise, what they take goes.
#[inline(always)]
pub(super) fn neg_ln_of(k: u32, y_q33: u64, low_q64: u64) -> u64 {
    let index = (y_q33 >> 26) as usize & (LN_INTERVALS - 1);
    let reciprocal_q8 = 256 + u64::from(RECIPROCAL_ABOVE_ONE_Q8[index]);
    let d_q41 = (y_q33 * reciprocal_q8) as i64 - (1 << 41);
    let d_q57 = (d_q41 << 16) + ((low_q64 * reciprocal_q8) >> 15) as i64;
    // All below 2^31.
    let d_q37 = (d_q57 >> 20) as i32;
    let inner_q31 = ONE_THIRD_Q31 - (d_q37 >> 8);
    let outer_q31 = (1 << 30) - (product(d_q37, inner_q31) >> 37) as i32;
    let d_squared_q44 = (product(d_q37, d_q37) >> 30) as i32;
    let ln_1p_q57 = d_q57 - (product(d_squared_q44, outer_q31) >> 18);
    (u64::from(k) * LN_2_Q57 + LN_RECIPROCAL_Q57[index]).wrapping_sub(ln_1p_q57 as u64)
}

/// round(2^31 / 3).
const ONE_THIRD_Q31: i32 = (((1i64 << 31) + 1) / 3) as i32;
