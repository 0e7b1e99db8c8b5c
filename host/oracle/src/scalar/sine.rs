//! Sine and cosine of a phase in turns.

use super::tables::TABLES;

/// 2 pi in Q29.
const TWO_PI_Q29: i128 = 3_373_259_426;

/// `(sin, cos)` in Q30 of `phase / 2^32` turns.
pub fn sin_cos_q30(phase: u32) -> (i64, i64) {
    let within = i128::from(phase % (1 << 30));
    let nearest = (within + (1 << 23)) >> 24;
    let residual = within - (nearest << 24);
    let d = (residual * TWO_PI_Q29) >> 25;
    let square = (d * d) >> 36;
    let half_square = square >> 1;
    let sixth_square = (square * 43_691) >> 18;
    let sine_d = d - ((d * sixth_square) >> 36);
    let s = i128::from(TABLES.sine_q30[nearest as usize]);
    let c = i128::from(TABLES.sine_q30[64 - nearest as usize]);
    let half = 1 << 35;
    let sine = (s + ((c * sine_d - s * half_square + half) >> 36)) as i64;
    let cosine = (c + ((-s * sine_d - c * half_square + half) >> 36)) as i64;
    match phase >> 30 {
        0 => (sine, cosine),
        1 => (cosine, -sine),
        2 => (-sine, -cosine),
        _ => (-cosine, sine),
    }
}
