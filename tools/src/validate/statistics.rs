//! What distances of distributions are computed of: exact sums over a run's images, which parts of a run can gather apart.
//!
//! The float network runs in whole batches, counted from image 0: its last bits may depend on the images that are computed beside one, and
//! so every sharding has the same batches.

use super::device::{FloatDevice, PlacedNetwork};
use super::distribution::{Distribution, DistributionError, OTHER, Space, halves};
use super::float::{FloatError, FloatRuns};
use crate::backend::{Backend, OpenModel, Sampling};
use crate::data::Discrete;
use crate::import::Checkpoint;
use crate::lower::deployed_as;
use crate::shard::{Run, Shard};
use crate::tensors::{from_q24, to_chw};
use mote_graph::frechet::sums::{MOST_VECTORS, Sums};
use mote_runtime::Config;
use std::ops::{ControlFlow, Range};

/// Images whose numbers are in memory at once.
const TOGETHER: usize = 256;

/// What is compared: a model's images from `count` seeds with the float network's.
#[derive(Debug, Clone, Copy)]
pub struct Survey<'a> {
    /// The model.
    pub opened: OpenModel<'a>,
    /// What it was converted from.
    pub checkpoint: &'a Checkpoint,
    /// How images are made, and the first seed.
    pub config: &'a Config,
    /// Images of a set.
    pub count: usize,
    /// What runs the model.
    pub backend: Backend,
    /// What runs the float network.
    pub device: FloatDevice,
    /// Real images, of which two halves are compared.
    pub data: Option<&'a Discrete>,
}

/// Sums of the sets of images in the spaces in which they are compared, over all images of a [`Survey`] or a shard of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    pub(crate) run: Run,
    /// The images of the model and of the float network, counted from 0.
    pub(crate) images: Range<u64>,
    /// Those of each half of the data.
    pub(crate) real: Range<u64>,
    pub(crate) spaces: Vec<SpaceSums>,
}

/// The sets of a space: the model, the float network, the same from other seeds; two halves of the data, where there are any.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpaceSums {
    pub name: &'static str,
    pub dimensions: usize,
    pub sets: Vec<Sums>,
}

/// Names of the spaces.
pub(crate) const SPACES: [&str; 2] = ["pixels", "bottleneck"];
/// Names of the sets.
pub(crate) const SETS: [&str; 5] = ["model", "float", "other", "half", "rest"];
/// Those of them that are of images that are made.
pub(crate) const MADE: usize = 3;

impl Survey<'_> {
    /// Makes the images of one shard and sums them up. `on_images` is told how many were made: three times those of the shard in all.
    ///
    /// # Errors
    /// As [`distribution`](super::distribution()).
    pub fn statistics(&self, shard: Shard, on_images: &(dyn Fn(u64) + Sync)) -> Result<Statistics, DistributionError> {
        let seeds: Vec<u64> = (0..self.count as u64)
            .map(|i| self.config.seed.wrapping_add(i))
            .collect();
        self.of_seeds(&seeds, shard, on_images)
    }

    /// The same for these seeds.
    pub(super) fn of_seeds(
        &self,
        seeds: &[u64],
        shard: Shard,
        on_images: &(dyn Fn(u64) + Sync),
    ) -> Result<Statistics, DistributionError> {
        if self.opened.model.condition_len() > 0 {
            return Err(DistributionError::Conditioned);
        }
        let count = seeds.len();
        if !(2..=MOST_VECTORS).contains(&(count as u64)) {
            return Err(DistributionError::Count { count });
        }
        let checkpoint = &*deployed_as(self.checkpoint, self.opened.model).map_err(FloatError::from)?;
        let runs = FloatRuns::new(self.opened, checkpoint, self.config)?;
        let placed = PlacedNetwork::new(&checkpoint.graph, self.device)?;
        let shape = self.checkpoint.graph.sample_shape();
        let real = self.data.map(|data| halves(data, shape)).transpose()?;
        let len = self.opened.model.header().sample_len();
        let gatherer = Gatherer {
            survey: self,
            placed: &placed,
            len,
            width: runs.bottleneck_width(placed.network(), self.config)?,
            runs,
        };
        let half = real.as_ref().map_or(0, |[half, _]| half.len() / len.max(1));
        let images = shard.batches(seeds.len(), placed.batch());
        let of_half = shard.batches(half, placed.batch());
        let mut sets = vec![
            gatherer.of_model(&seeds[images.clone()], on_images)?,
            gatherer.of_float(&seeds[images.clone()], 0, on_images)?,
            gatherer.of_float(&seeds[images.clone()], OTHER, on_images)?,
        ];
        for half in real.iter().flatten() {
            sets.push(gatherer.of_images(&half[of_half.start * len..of_half.end * len])?);
        }
        let widths: Vec<usize> = [len].into_iter().chain(gatherer.width).collect();
        let mut by_set = sets.into_iter().map(Vec::into_iter).collect::<Vec<_>>();
        let spaces = SPACES.into_iter().zip(&widths).map(|(name, dimensions)| SpaceSums {
            name,
            dimensions: *dimensions,
            sets: by_set.iter_mut().filter_map(Iterator::next).collect(),
        });
        let spaces: Vec<SpaceSums> = spaces.collect();
        Ok(Statistics {
            run: Run::of_statistics(self, placed.batch(), half, &widths),
            images: images.start as u64..images.end as u64,
            real: of_half.start as u64..of_half.end as u64,
            spaces,
        })
    }
}

/// Makes sets of images, and sums them in every space.
struct Gatherer<'a> {
    survey: &'a Survey<'a>,
    runs: FloatRuns<'a>,
    placed: &'a PlacedNetwork<'a>,
    /// Numbers of an image, and of its bottleneck.
    len: usize,
    width: Option<usize>,
}

impl Gatherer<'_> {
    fn empty(&self) -> Vec<Sums> {
        [self.len].into_iter().chain(self.width).map(Sums::new).collect()
    }

    /// Images that are taken at once: whole batches.
    fn together(&self) -> usize {
        TOGETHER.next_multiple_of(self.placed.batch())
    }

    /// Adds images, `(channel, row, col)`, of which all but the last are whole batches.
    fn add(&self, sums: &mut [Sums], images: &[f64]) -> Result<(), FloatError> {
        let [pixels, rest @ ..] = sums else { return Ok(()) };
        pixels.add(images);
        let (runs, config) = (&self.runs, self.survey.config);
        for bottleneck in rest {
            let features = self.placed.batches(images, self.len, |network, images| {
                runs.bottleneck(network, config, images)
            })?;
            bottleneck.add(&features);
        }
        Ok(())
    }

    fn of_images(&self, images: &[f64]) -> Result<Vec<Sums>, FloatError> {
        let mut sums = self.empty();
        for some in images.chunks(self.together() * self.len.max(1)) {
            self.add(&mut sums, some)?;
        }
        Ok(sums)
    }

    fn of_float(&self, seeds: &[u64], apart: u64, on_images: &(dyn Fn(u64) + Sync)) -> Result<Vec<Sums>, FloatError> {
        let mut sums = self.empty();
        let (runs, config) = (&self.runs, self.survey.config);
        for some in seeds.chunks(self.together()) {
            let seeds: Vec<u64> = some.iter().map(|seed| seed ^ apart).collect();
            let images = self.placed.batches(&seeds, 1, |network, seeds| {
                let images = runs.images(network, config, seeds)?;
                on_images(seeds.len() as u64);
                Ok(images)
            })?;
            self.add(&mut sums, &images)?;
        }
        Ok(sums)
    }

    fn of_model(&self, seeds: &[u64], on_images: &(dyn Fn(u64) + Sync)) -> Result<Vec<Sums>, DistributionError> {
        let Survey { opened, config, .. } = self.survey;
        let (mut sums, mut images) = (self.empty(), Vec::new());
        if seeds.is_empty() {
            return Ok(sums);
        }
        let mut added = Ok(());
        let sampling = Sampling::of_seeds(**config, seeds.iter().copied());
        self.survey.backend.stream(*opened, &sampling, &mut |traces| {
            for trace in &traces {
                let image: Vec<f64> = trace.state.iter().copied().map(from_q24).collect();
                images.extend(to_chw(&image, opened.model.header().channels.into()));
                if images.len() == self.together() * self.len {
                    added = self.add(&mut sums, &images);
                    images.clear();
                }
                if added.is_err() {
                    return ControlFlow::Break(());
                }
            }
            on_images(traces.len() as u64);
            ControlFlow::Continue(())
        })?;
        added?;
        self.add(&mut sums, &images)?;
        Ok(sums)
    }
}

impl Statistics {
    /// The images of the model and of the float network that it is of, counted from 0.
    #[must_use]
    pub fn images(&self) -> Range<u64> {
        self.images.clone()
    }

    /// The distances.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        Distribution {
            images: (self.images.end - self.images.start) as usize,
            backend: self.run.word("backend"),
            network: self.run.word("network"),
            spaces: self.spaces.iter().map(Space::of_sums).collect(),
        }
    }

    /// Adds what another shard of the same run gathered.
    pub(crate) fn join(&mut self, other: &Self) {
        for (space, other) in self.spaces.iter_mut().zip(&other.spaces) {
            space
                .sets
                .iter_mut()
                .zip(&other.sets)
                .for_each(|(set, other)| set.join(other));
        }
    }
}
