//! How far a checkpoint's samples are from another's: what a student of few steps is worth beside its teacher of many.

use super::Subject;
use super::pictures::Run;
use crate::Error;
use crate::data::Discrete;
use mote_graph::frechet::sums::{MOST_VECTORS, Sums};
use serde::Serialize;

/// Images that are drawn together.
const BATCH: usize = 64;
/// Sets the seeds of the other checkpoint's second set apart.
const APART: u64 = 1 << 62;

/// Fréchet distances of pixels, from -1 to 1 (Dowson and Landau 1982). Keys of `eval --distance-to --json`. A distance grows as its sets
/// get smaller: only those of sets of one size can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distances {
    /// Images of each set.
    pub images: usize,
    /// DDIM steps of this checkpoint.
    pub steps: usize,
    /// DDIM steps of the other.
    pub their_steps: usize,
    /// From this one's images to the other's of other seeds.
    pub distance: f64,
    /// From the other's images of this one's seeds to the same: the noise floor.
    pub floor: f64,
    /// From this one's images to as many real ones, where there are any; and from the other's.
    pub data: Option<[f64; 2]>,
}

impl Subject<'_> {
    /// Draws `count` images in `steps` DDIM steps, and twice as many of `other` in `their_steps`, and measures how far they are apart.
    /// `progress` is told of each network call of a batch.
    ///
    /// # Errors
    /// Of kind `Usage` for fewer than 2 images, of another shape, or steps that a schedule does not have.
    pub fn distances(
        &self,
        other: &Self,
        [steps, their_steps]: [usize; 2],
        count: usize,
        data: Option<&Discrete>,
        progress: &dyn Fn(u64),
    ) -> Result<Distances, Error> {
        if self.shape() != other.shape() {
            let (own, theirs) = (self.shape(), other.shape());
            return Err(Error::usage(format_args!(
                "images of {own:?} and of {theirs:?} (channel, row, col) have no distance"
            ))
            .help("give a checkpoint of the same images"));
        }
        if !(2..=MOST_VECTORS as usize).contains(&count) {
            return Err(Error::usage(format_args!("distances of {count} images")).help("give --count of at least 2"));
        }
        let own = self.sums(steps, count, 0, progress)?;
        let theirs = other.sums(their_steps, count, 0, progress)?;
        let apart = other.sums(their_steps, count, APART, progress)?;
        let distance = |one: &Sums, other: &Sums| one.moments().distance(&other.moments());
        let real = data.map(|data| {
            let mut sums = Sums::new(self.dims());
            (0..data.len()).for_each(|i| sums.add(&data.scaled(i)));
            [distance(&own, &sums), distance(&theirs, &sums)]
        });
        Ok(Distances {
            images: count,
            steps,
            their_steps,
            distance: distance(&own, &apart),
            floor: distance(&theirs, &apart),
            data: real,
        })
    }

    fn dims(&self) -> usize {
        self.shape().iter().product()
    }

    /// Sums over `count` images of the seeds from `first` on.
    fn sums(&self, steps: usize, count: usize, first: u64, progress: &dyn Fn(u64)) -> Result<Sums, Error> {
        let mut sums = Sums::new(self.dims());
        for begin in (0..count).step_by(BATCH) {
            let run = Run::of_seeds(self, first + begin as u64, BATCH.min(count - begin), steps, progress)?;
            sums.add(&run.ddim(run.noise(0), 0.0)?);
        }
        Ok(sums)
    }

    /// Network calls of [`Subject::distances`], a batch counted once.
    #[must_use]
    pub fn calls_of_distances([steps, their_steps]: [usize; 2], count: usize) -> u64 {
        (count.div_ceil(BATCH) * (steps + 2 * their_steps)) as u64
    }
}
