//! Sine and cosine of a phase in turns: for the noise (Box-Muller) and for the timestep embedding.

use super::product::product;
use super::table::{SINE_INTERVALS, SINE_Q30, TWO_PI_Q29};

/// `(sin, cos)` of `phase_q32` turns (2^32 is one turn), in Q30: -2^30..=2^30.
///
/// A quarter-wave table of 65 points and the addition theorems with a residual of at most 1/512 turn:
/// `sin(a + d) = S + C (d - d^3/6) - S d^2/2`. Measured error: 1.9 units of Q30 (1.8e-9).
#[must_use]
pub fn sin_cos_q30(phase_q32: u32) -> (i32, i32) {
    let quadrant = phase_q32 >> 30;
    let within = (phase_q32 & 0x3FFF_FFFF) as i32;
    let nearest = ((within + (1 << 23)) >> 24) as usize;
    let residual_q32 = within - ((nearest as i32) << 24);

    // Below 2^30, as `TWO_PI_Q29` is even.
    let d_q36 = (product(residual_q32, (TWO_PI_Q29 / 2) as i32) >> 24) as i32;
    let d_squared_q36 = (product(d_q36, d_q36) >> 36) as i32;
    let half_square_q36 = d_squared_q36 >> 1;
    // d^3/6 with 1/6 = 43691 * 2^-18 (exact to 2^-19 relative, on a term below 3.1e-7).
    let sixth_square_q36 = (product(d_squared_q36, 43_691) >> 18) as i32;
    let sine_d_q36 = d_q36 - (product(d_q36, sixth_square_q36) >> 36) as i32;

    let nearest = nearest.min(SINE_INTERVALS);
    let (s_q30, c_q30) = (SINE_Q30[nearest], SINE_Q30[SINE_INTERVALS - nearest]);
    let rounded_q30 = |v_q66: i64| ((v_q66 + (1 << 35)) >> 36) as i32;
    let sine = s_q30 + rounded_q30(product(c_q30, sine_d_q36) - product(s_q30, half_square_q36));
    let cosine = c_q30 + rounded_q30(-product(s_q30, sine_d_q36) - product(c_q30, half_square_q36));
    match quadrant {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}

/// `sin` of `phase_q32` turns in Q15, -32768..=32767: +1 saturates. Error at most 1 unit at the peak, else 0.51 units.
#[must_use]
pub fn sin_q15(phase_q32: u32) -> i32 {
    q30_to_q15(sin_cos_q30(phase_q32).0)
}

/// `cos` of `phase_q32` turns in Q15, -32768..=32767: +1 saturates. Error as [`sin_q15`].
#[must_use]
pub fn cos_q15(phase_q32: u32) -> i32 {
    q30_to_q15(sin_cos_q30(phase_q32).1)
}

fn q30_to_q15(v_q30: i32) -> i32 {
    ((v_q30 + (1 << 14)) >> 15).min(32_767)
}
