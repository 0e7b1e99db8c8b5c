//! Random numbers of an evaluation: pure functions of seed, stream and index, from the device's own generator.
//!
//! A stream is one purpose of one image or step, so results depend neither on the order of work nor on the batch.

use mote_runtime::internals::numeric::normal::fill_normal_q24;
use mote_runtime::internals::numeric::philox::philox4x32;

/// Second counter word of uniform draws, so that they share no block with the normals of the same stream.
const UNIFORM: u32 = 1;

/// `count` standard normals, within +-6.77 and in steps of 2^-24.
#[must_use]
pub fn normals(seed: u64, stream: u32, count: usize) -> Vec<f64> {
    let mut q24 = vec![0; count];
    fill_normal_q24(seed, stream, &mut q24);
    q24.into_iter().map(|v| f64::from(v) / f64::from(1 << 24)).collect()
}

/// `count` numbers in the open interval (0, 1), in steps of 2^-32.
#[must_use]
pub fn uniforms(seed: u64, stream: u32, count: usize) -> Vec<f64> {
    words(seed, stream, count)
        .map(|word| (f64::from(word) + 0.5) / 4_294_967_296.0)
        .collect()
}

/// `count` signs, +1 or -1 with equal probability (Rademacher).
#[must_use]
pub fn signs(seed: u64, stream: u32, count: usize) -> Vec<f64> {
    words(seed, stream, count)
        .map(|word| if word >> 31 == 0 { 1.0 } else { -1.0 })
        .collect()
}

fn words(seed: u64, stream: u32, count: usize) -> impl Iterator<Item = u32> {
    let key = [seed as u32, (seed >> 32) as u32];
    (0..count.div_ceil(4) as u32)
        .flat_map(move |block| philox4x32([block, stream, UNIFORM, 0], key))
        .take(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distributions() {
        let n = 40_000;
        let moment = |v: &[f64], p: i32| v.iter().map(|v| v.powi(p)).sum::<f64>() / n as f64;
        // Tolerances are five standard errors.
        let z = normals(3, 9, n);
        assert!(moment(&z, 1).abs() < 0.025 && (moment(&z, 2) - 1.0).abs() < 0.036);
        let u = uniforms(3, 9, n);
        assert!((moment(&u, 1) - 0.5).abs() < 0.0073 && (moment(&u, 2) - 1.0 / 3.0).abs() < 0.0075);
        let s = signs(3, 9, n);
        assert!(moment(&s, 1).abs() < 0.025 && s.iter().all(|s| s.abs() == 1.0));
        assert_ne!(normals(3, 9, 8), normals(3, 10, 8));
        assert_eq!(uniforms(3, 9, 5), uniforms(3, 9, 8)[..5]);
    }
}
