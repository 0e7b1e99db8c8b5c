//! The exponential moving average of the weights, which is what is saved.

/// Moves `average` towards `params` after `step` (from 0). Early steps count more, so that the first weights are soon forgotten.
pub fn follow(average: &mut [f32], params: &[f32], step: u64, decay: f64) {
    let early = (1.0 + step as f64) / (10.0 + step as f64);
    let keep = decay.min(early) as f32;
    average
        .iter_mut()
        .zip(params)
        .for_each(|(a, p)| *a = keep * *a + (1.0 - keep) * p);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_slowly() {
        let mut average = vec![0.0];
        follow(&mut average, &[1.0], 0, 0.999);
        assert!((average[0] - 0.9).abs() < 1e-6);
        follow(&mut average, &[1.0], 1_000_000, 0.5);
        assert!((average[0] - 0.95).abs() < 1e-6);
    }
}
