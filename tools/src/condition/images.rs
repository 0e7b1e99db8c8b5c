//! Images by their seeds and conditions.

use std::sync::Arc;

/// Images that are compared: a seed each, and a condition each where the model takes one. A list of seeds is one without conditions.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    /// Seeds.
    pub seeds: &'a [u64],
    /// Condition vectors in the model's fixed point, as many as there are seeds; or none at all.
    pub conditions: &'a [Arc<[i32]>],
}

impl<'a> Images<'a> {
    /// The images in groups of `size`, the last of what is left.
    pub(crate) fn groups(self, size: usize) -> impl Iterator<Item = Self> {
        let size = size.max(1);
        self.seeds.chunks(size).enumerate().map(move |(i, seeds)| Self {
            seeds,
            conditions: self
                .conditions
                .get(i * size..i * size + seeds.len())
                .unwrap_or_default(),
        })
    }

    /// The condition of an image, by its place.
    pub(crate) fn condition(&self, place: usize) -> Option<&'a Arc<[i32]>> {
        self.conditions.get(place)
    }

    /// Each image alone.
    pub(crate) fn each(self) -> Vec<(u64, Option<&'a Arc<[i32]>>)> {
        let seeds = self.seeds.iter().enumerate();
        seeds.map(|(i, seed)| (*seed, self.condition(i))).collect()
    }
}

impl<'a> From<&'a [u64]> for Images<'a> {
    fn from(seeds: &'a [u64]) -> Self {
        Self { seeds, conditions: &[] }
    }
}

impl<'a> From<&'a Vec<u64>> for Images<'a> {
    fn from(seeds: &'a Vec<u64>) -> Self {
        Self::from(seeds.as_slice())
    }
}

impl<'a, const N: usize> From<&'a [u64; N]> for Images<'a> {
    fn from(seeds: &'a [u64; N]) -> Self {
        Self::from(seeds.as_slice())
    }
}
