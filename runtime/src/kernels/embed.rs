//! What enters the network: the noisy sample, the timestep, the class.

use super::view::ViewMut;
use crate::features::Feature;
use crate::numeric::requant::Requant;
use crate::numeric::sine::{cos_q15, sin_q15};

/// x_t in Q24 to the network's input: `requantize(x) + offset`.
pub fn input(x_q24: impl Iterator<Item = i32>, requant: Requant, offset: i32, out: &mut ViewMut<'_>) {
    for (i, x) in x_q24.enumerate() {
        out.put(i, requant.times(x).saturating_add(offset));
    }
}

/// Sinusoidal timestep features (Ho et al. 2020, section 3.3 of their appendix B, after Vaswani et al. 2017) in Q15: `phases`
/// are turns a timestep in Q32, so the angle is `phase * t` modulo one turn, rounded half up where t (Q16) is no whole number.
/// `put(i, value)` takes each feature.
pub fn time_proj(time_q16: u32, phases: &[u32], cos_first: bool, mut put: impl FnMut(usize, i32)) {
    let half = phases.len();
    for (i, phase) in phases.iter().enumerate() {
        let angle = if Feature::Continuous.is_built() {
            ((u64::from(*phase) * u64::from(time_q16) + (1 << 15)) >> 16) as u32
        } else {
            phase.wrapping_mul(time_q16 >> 16)
        };
        let (at_sin, at_cos) = if cos_first { (half + i, i) } else { (i, half + i) };
        put(at_sin, sin_q15(angle));
        put(at_cos, cos_q15(angle));
    }
}
