//! Changes of an image that leave it an image of its kind, drawn anew each time it is seen.

use super::random::{Purpose, below, uniform};

/// What may be changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Augment {
    /// Left and right are swapped every other time.
    pub flip: bool,
    /// Moved by up to so many pixels in each direction; what comes in is the value of the edge.
    pub shift: usize,
}

impl Augment {
    /// Copies `image`, `(channel, row, col)`, as the `index`-th of a step.
    pub fn apply(&self, [_, rows, cols]: [usize; 3], image: &[f32], seed: u64, step: u64, index: u32, to: &mut [f32]) {
        let flip = self.flip && uniform(seed, Purpose::Augment, step, 4 * index) < 0.5;
        let offset = |i: u32| below(seed, Purpose::Augment, step, 4 * index + i, 2 * self.shift + 1);
        let (dy, dx) = (offset(1), offset(2));
        let source = |at: usize, by: usize, extent: usize| (at + by).saturating_sub(self.shift).min(extent - 1);
        for (from, to) in image.chunks_exact(rows * cols).zip(to.chunks_exact_mut(rows * cols)) {
            for (y, line) in to.chunks_exact_mut(cols).enumerate() {
                let from = &from[source(y, dy, rows) * cols..][..cols];
                for (x, v) in line.iter_mut().enumerate() {
                    let x = source(x, dx, cols);
                    *v = from[if flip { cols - 1 - x } else { x }];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [1, 2, 3];
    const IMAGE: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

    fn seen(augment: Augment) -> Vec<Vec<f32>> {
        let one = |index| {
            let mut to = vec![0.0; 6];
            augment.apply(SHAPE, &IMAGE, 1, 2, index, &mut to);
            to
        };
        let mut all: Vec<Vec<f32>> = (0..100).map(one).collect();
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all.dedup();
        all
    }

    #[test]
    fn every_change_occurs_and_no_other() {
        assert_eq!(seen(Augment::default()), [IMAGE.to_vec()]);
        let flipped = vec![3.0, 2.0, 1.0, 6.0, 5.0, 4.0];
        assert_eq!(seen(Augment { flip: true, shift: 0 }), [IMAGE.to_vec(), flipped]);
        let shifted = seen(Augment { flip: false, shift: 1 });
        assert_eq!(shifted.len(), 9);
        assert!(shifted.contains(&vec![1.0, 1.0, 2.0, 1.0, 1.0, 2.0]), "down and right");
    }
}
