//! Whether samples of a model are distributed as the float network's: Fréchet distances with their noise floor.
//!
//! Three sets of the same size: the model's images, the float network's of the same seeds, and the float network's of other seeds.
//! Both of the first are compared with the third. What the float network itself is away from it is the noise floor: sampling, not
//! number formats. No other network is asked: the spaces are the pixels, and the float network's own bottleneck.
//!
//! With real images both of the first are compared with half of these as well, and the floor there is the distance of the other half. A
//! Fréchet distance grows as its sets get smaller, so only those of sets of the same size can be compared.

use super::device::FloatDevice;
use super::float::FloatError;
use super::statistics::{SpaceSums, Survey};
use crate::backend::{Backend, BackendError, OpenModel};
use crate::data::Discrete;
use crate::import::Checkpoint;
use crate::shard::Shard;
use mote_graph::frechet::Moments;
use mote_graph::frechet::sums::{MOST_VECTORS, Sums};
use mote_runtime::Config;
use serde::Serialize;
use thiserror::Error;

/// Sets the seeds of the third set apart from the others'.
pub(super) const OTHER: u64 = 1 << 63;

/// Why distributions cannot be compared.
#[derive(Debug, Error)]
pub enum DistributionError {
    /// The float network.
    #[error(transparent)]
    Float(#[from] FloatError),
    /// The backend that runs the model.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A model whose images follow a vector.
    #[error(
        "distributions are compared of models without a condition vector: what is the same in all images of one condition says nothing of another"
    )]
    Conditioned,
    /// Too few images for a covariance, or more than sums hold.
    #[error("distributions of {count} images: from 2 to {MOST_VECTORS} can be compared")]
    Count {
        /// Images of a set.
        count: usize,
    },
    /// Real images of another shape, or too few of them.
    #[error(
        "the data has {found} images of shape {shape:?} (channel, row, col): at least 4 of shape {wanted:?} are needed for two halves of them"
    )]
    Data {
        /// Images found.
        found: usize,
        /// Their shape.
        shape: [usize; 3],
        /// The model's.
        wanted: [usize; 3],
    },
}

/// Distances in every space. Keys of `validate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distribution {
    /// Images of each set.
    pub images: usize,
    /// The backend that ran the model.
    pub backend: String,
    /// What ran the float network: `cpu`, `cuda` or `cuda:f16`.
    pub network: String,
    /// A distance a space.
    pub spaces: Vec<Space>,
}

impl Distribution {
    /// Whether every distance is a number.
    #[must_use]
    pub fn held(&self) -> bool {
        let finite = |space: &Space| {
            let data = space
                .data
                .as_ref()
                .map_or([0.0; 3], |data| [data.model, data.float, data.floor]);
            [space.model, space.floor].iter().chain(&data).all(|v| v.is_finite())
        };
        self.spaces.iter().all(finite)
    }
}

/// Distances in a space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Space {
    /// `pixels`: the image, -1 to 1. `bottleneck`: the float network's mid-block at timestep 0, averaged over positions.
    pub name: &'static str,
    /// Numbers of a vector.
    pub dimensions: usize,
    /// From the model's images to the float network's of other seeds.
    pub model: f64,
    /// The same of the float network's images of the model's seeds: the noise floor.
    pub floor: f64,
    /// Distances to real images, where there are any.
    pub data: Option<ToData>,
}

/// Distances in a space to one half of some real images.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToData {
    /// Real images of a half.
    pub images: usize,
    /// From the model's images.
    pub model: f64,
    /// From the float network's images of the same seeds.
    pub float: f64,
    /// From the other half: the noise floor.
    pub floor: f64,
}

/// Compares `seeds.len()` images of `opened`, made by `backend`, with as many of `checkpoint`, made by `device`, and with half of
/// `data`.
pub fn distribution(
    opened: OpenModel<'_>,
    checkpoint: &Checkpoint,
    config: &Config,
    seeds: &[u64],
    (backend, device): (Backend, FloatDevice),
    data: Option<&Discrete>,
    on_images: &(dyn Fn(u64) + Sync),
) -> Result<Distribution, DistributionError> {
    let survey = Survey {
        opened,
        checkpoint,
        config,
        count: seeds.len(),
        backend,
        device,
        data,
    };
    Ok(survey.of_seeds(seeds, Shard::WHOLE, on_images)?.distribution())
}

impl Space {
    /// Of the sums of its sets.
    pub(super) fn of_sums(space: &SpaceSums) -> Self {
        let moments: Vec<Moments> = space.sets.iter().map(Sums::moments).collect();
        let distance = |one: usize, other: usize| match (moments.get(one), moments.get(other)) {
            (Some(one), Some(other)) => one.distance(other),
            _ => f64::NAN,
        };
        let [model, float, other, half, rest] = [0, 1, 2, 3, 4];
        let data = space.sets.get(half).map(|real| ToData {
            images: real.vectors() as usize,
            model: distance(model, half),
            float: distance(float, half),
            floor: distance(rest, half),
        });
        Self {
            name: space.name,
            dimensions: space.dimensions,
            model: distance(model, other),
            floor: distance(float, other),
            data,
        }
    }
}

/// Every other image, and the rest, of the same number.
pub(super) fn halves(data: &Discrete, wanted: [usize; 3]) -> Result<[Vec<f64>; 2], DistributionError> {
    let (found, shape) = (data.len(), data.shape);
    if found < 4 || shape != wanted {
        return Err(DistributionError::Data { found, shape, wanted });
    }
    let half = |first: usize| {
        let images = (first..found / 2 * 2).step_by(2);
        images.flat_map(|i| data.scaled(i)).collect()
    };
    Ok([half(0), half(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_take_every_other_image_and_are_of_the_same_number() {
        let data = |pixels: &[u16]| Discrete {
            shape: [1, 1, 1],
            levels: 3,
            pixels: pixels.to_vec(),
            labels: vec![],
        };
        let found = halves(&data(&[0, 1, 2, 1, 0]), [1, 1, 1]).unwrap();
        assert_eq!(found, [vec![-1.0, 1.0], vec![0.0, 0.0]]);
        assert!(halves(&data(&[0, 1, 2]), [1, 1, 1]).is_err());
        assert!(halves(&data(&[0, 1, 2, 1]), [1, 1, 2]).is_err());
    }

    #[test]
    fn a_set_is_as_far_from_data_as_it_is_from_itself_moved() {
        // One dimension: only the means differ, by 2 and by 3.
        let set = |by: f64| vec![by - 1.0, by, by + 1.0];
        let (zero, two, three) = (set(0.0), set(2.0), set(3.0));
        let sums = |set: &Vec<f64>| {
            let mut sums = Sums::new(1);
            sums.add(set);
            sums
        };
        let space = Space::of_sums(&SpaceSums {
            name: "pixels",
            dimensions: 1,
            sets: [&two, &zero, &zero, &zero, &three].map(sums).to_vec(),
        });
        let data = space.data.unwrap();
        for (found, expected) in [
            (data.model, 4.0),
            (data.float, 0.0),
            (data.floor, 9.0),
            (space.model, 4.0),
        ] {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
        assert_eq!(data.images, 3);
    }
}
