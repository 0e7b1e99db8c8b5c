//! Fake quantization of an activation: the number that an integer model would store in its place.

/// An integer format: `(q - zero) * scale` with `q` between two bounds. Gradients pass as if nothing were rounded, and stop where
/// a value lies outside the range (Bengio et al. 2013; Jacob et al. 2018).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FakeRange {
    /// Real value of one unit.
    pub scale: f32,
    /// Smallest `q - zero`.
    pub low: f32,
    /// Largest `q - zero`.
    pub high: f32,
}

impl FakeRange {
    /// Rounds `values` half up, as the contract does; `inside` is 1 where a value was in range and 0 elsewhere.
    pub(super) fn apply(&self, values: &mut [f32], inside: &mut [f32]) {
        let unit = 1.0 / self.scale;
        for (v, inside) in values.iter_mut().zip(inside) {
            let q = (*v * unit + 0.5).floor();
            let held = q.clamp(self.low, self.high);
            *inside = if held == q { 1.0 } else { 0.0 };
            *v = held * self.scale;
        }
    }
}
