//! Tests of the numeric contract: errors against `f64`, statistics of the noise, and golden values.

extern crate std;

mod fixed_point;
mod float;
pub(crate) mod golden;
mod logarithm;
mod noise_statistics;
mod noise_transform;
mod roots;
mod scaled;
mod tables;

use super::philox::philox4x32;

/// A fixed sequence of test words: Philox under a key of its own.
fn words(count: u32) -> impl Iterator<Item = [u32; 4]> {
    (0..count).map(|i| philox4x32([i, 0, 0, 0x7E57], [0x6D6F, 0x7465]))
}

/// 64-bit values of every magnitude: random mantissas shifted by a random count.
fn any_magnitude(count: u32) -> impl Iterator<Item = u64> {
    words(count).map(|[a, b, shift, _]| ((u64::from(a) << 32) | u64::from(b)) >> (shift % 64))
}
