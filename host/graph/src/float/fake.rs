//! Fake quantization of an activation: the number that an integer model would store in its place.

use crate::Real;

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
    pub(super) fn apply<T: Real>(&self, values: &mut [T], inside: &mut [T]) {
        let [scale, low, high] = [self.scale, self.low, self.high].map(|v| T::of(v.into()));
        let (unit, half) = (T::ONE / scale, T::of(0.5));
        for (v, inside) in values.iter_mut().zip(inside) {
            let q = (*v * unit + half).floor();
            let held = q.limited(low, high);
            *inside = if held == q { T::ONE } else { T::ZERO };
            *v = held * scale;
        }
    }
}
