//! Round numbers along an axis.

/// Marks from at most `low` to at least `high` at a step of 1, 2 or 5 times a power of ten, about `wanted` of them.
pub fn ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let span = (high - low).max(1e-9);
    let rough = span / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|s| *s >= rough)
        .unwrap_or(power * 10.0);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    (0..=(last - first) as usize)
        .map(|i| (first + i as f64) * step)
        .collect()
}

/// Marks in whole steps of bytes: powers of two, so that they read as KiB.
pub fn byte_ticks(high: usize, wanted: usize) -> Vec<usize> {
    let step = (high / wanted.max(1)).max(1).next_power_of_two();
    (0..=high / step).map(|i| i * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(31.0, 58.0, 5), [30.0, 40.0, 50.0, 60.0]);
        assert_eq!(ticks(0.0, 0.9, 4), [0.0, 0.5, 1.0]);
        assert_eq!(byte_ticks(9216, 4), [0, 4096, 8192]);
    }
}
