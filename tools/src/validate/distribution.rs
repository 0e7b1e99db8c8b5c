//! Whether samples of a model are distributed as the float network's: Fréchet distances with their noise floor.
//!
//! Three sets of the same size: the model's images, the float network's of the same seeds, and the float network's of other seeds.
//! Both of the first are compared with the third. What the float network itself is away from it is the noise floor: sampling, not
//! number formats. No other network is asked: the spaces are the pixels, and the float network's own bottleneck.
//!
//! With real images both of the first are compared with half of these as well, and the floor there is the distance of the other half. A
//! Fréchet distance grows as its sets get smaller, so only those of sets of the same size can be compared.

use super::device::{FloatDevice, PlacedNetwork};
use super::float::{FloatError, FloatRuns};
use super::frechet::Moments;
use crate::backend::{Backend, BackendError, Job, Target};
use crate::data::Discrete;
use crate::import::Checkpoint;
use crate::tensors::{from_q24, to_chw};
use mote_runtime::Config;
use serde::Serialize;
use std::ops::ControlFlow;
use thiserror::Error;

/// Sets the seeds of the third set apart from the others'.
const OTHER: u64 = 1 << 63;

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
        "distributions are compared of models without a condition vector: what is the same in all images of one condition says nothing          of another"
    )]
    Conditioned,
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

/// Compares `seeds.len()` images of `target`, made by `backend`, with as many of `checkpoint`, made by `device`, and with half of
/// `data`.
pub fn distribution(
    target: Target<'_>,
    checkpoint: &Checkpoint,
    config: &Config,
    seeds: &[u64],
    (backend, device): (Backend, FloatDevice),
    data: Option<&Discrete>,
    on_images: &(dyn Fn(u64) + Sync),
) -> Result<Distribution, DistributionError> {
    if target.model.condition_len() > 0 {
        return Err(DistributionError::Conditioned);
    }
    let float_runs = FloatRuns::new(target, checkpoint, config)?;
    let placed = PlacedNetwork::new(&checkpoint.graph, device)?;
    let real = data
        .map(|data| halves(data, checkpoint.graph.sample_shape()))
        .transpose()?;
    let real = real.as_ref().map(|halves| halves.each_ref().map(Vec::as_slice));
    let channels = target.model.header().channels.into();
    let mut model = Vec::new();
    backend.stream(target, &Job::of_seeds(*config, seeds.iter().copied()), &mut |traces| {
        for trace in &traces {
            let image: Vec<f64> = trace.state.iter().copied().map(from_q24).collect();
            model.extend(to_chw(&image, channels));
        }
        on_images(traces.len() as u64);
        ControlFlow::Continue(())
    })?;
    let float = |apart: u64| -> Result<Vec<f64>, FloatError> {
        let seeds: Vec<u64> = seeds.iter().map(|seed| seed ^ apart).collect();
        placed.batches(&seeds, 1, |network, seeds| {
            let images = float_runs.images(network, config, seeds)?;
            on_images(seeds.len() as u64);
            Ok(images)
        })
    };
    let (same, other) = (float(0)?, float(OTHER)?);
    let len = target.model.header().sample_len();
    let mut spaces = vec![Space::of("pixels", len, [&model, &same, &other], real)];
    if let Some(width) = float_runs.bottleneck_width(placed.network(), config)? {
        let features = |images: &[f64]| {
            placed.batches(images, len, |network, images| {
                float_runs.bottleneck(network, config, images)
            })
        };
        let sets = [features(&model)?, features(&same)?, features(&other)?];
        let real = real.map(|[one, other]| Ok::<_, FloatError>([features(one)?, features(other)?]));
        let real = real.transpose()?;
        let real = real.as_ref().map(|halves| halves.each_ref().map(Vec::as_slice));
        spaces.push(Space::of("bottleneck", width, [&sets[0], &sets[1], &sets[2]], real));
    }
    Ok(Distribution {
        images: seeds.len(),
        backend: backend.to_string(),
        network: device.to_string(),
        spaces,
    })
}

impl Space {
    /// Sets of the model, the float network and the float network from other seeds; two halves of real images.
    fn of(name: &'static str, dimensions: usize, sets: [&[f64]; 3], real: Option<[&[f64]; 2]>) -> Self {
        let [model, same, other] = sets.map(|set| Moments::of(set, dimensions));
        let to_data = |halves: [&[f64]; 2]| {
            let [half, rest] = halves.map(|set| Moments::of(set, dimensions));
            ToData {
                images: halves[0].len() / dimensions.max(1),
                model: model.distance(&half),
                float: same.distance(&half),
                floor: rest.distance(&half),
            }
        };
        Self {
            name,
            dimensions,
            model: model.distance(&other),
            floor: same.distance(&other),
            data: real.map(to_data),
        }
    }
}

/// Every other image, and the rest, of the same number.
fn halves(data: &Discrete, wanted: [usize; 3]) -> Result<[Vec<f64>; 2], DistributionError> {
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
        let space = Space::of("pixels", 1, [&two, &zero, &zero], Some([&zero, &three]));
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
