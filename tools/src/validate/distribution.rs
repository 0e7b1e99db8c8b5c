//! Whether samples of a model are distributed as the float network's: Fréchet distances with their noise floor.
//!
//! Three sets of the same size: the model's images, the float network's of the same seeds, and the float network's of other seeds.
//! Both of the first are compared with the third. What the float network itself is away from it is the noise floor: sampling, not
//! number formats. No other network is asked: the spaces are the pixels, and the float network's own bottleneck.

use super::float::{FloatError, Twin};
use super::frechet::Moments;
use super::side::{FloatDevice, Side};
use crate::backend::{Backend, BackendError, Job, Target};
use crate::import::Checkpoint;
use crate::tensors::{from_q24, to_chw};
use mote_runtime::Config;
use serde::Serialize;
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
}

/// Compares `seeds.len()` images of `target`, made by `backend`, with as many of `checkpoint`, made by `device`.
pub fn distribution(
    target: Target<'_>,
    checkpoint: &Checkpoint,
    config: &Config,
    seeds: &[u64],
    (backend, device): (Backend, FloatDevice),
    on_images: &(dyn Fn(u64) + Sync),
) -> Result<Distribution, DistributionError> {
    let twin = Twin::new(target, checkpoint, config)?;
    let side = Side::new(&checkpoint.graph, device)?;
    let channels = target.model.header().channels.into();
    let mut model = Vec::new();
    backend.stream(target, &Job::of_seeds(*config, seeds.iter().copied()), &mut |traces| {
        for trace in &traces {
            let image: Vec<f64> = trace.state.iter().copied().map(from_q24).collect();
            model.extend(to_chw(&image, channels));
        }
        on_images(traces.len() as u64);
    })?;
    let float = |apart: u64| -> Result<Vec<f64>, FloatError> {
        let seeds: Vec<u64> = seeds.iter().map(|seed| seed ^ apart).collect();
        side.batches(&seeds, 1, |network, seeds| {
            let images = twin.images(network, config, seeds)?;
            on_images(seeds.len() as u64);
            Ok(images)
        })
    };
    let (same, other) = (float(0)?, float(OTHER)?);
    let len = target.model.header().sample_len();
    let mut spaces = vec![Space::of("pixels", len, [&model, &same, &other])];
    if let Some(width) = twin.bottleneck_width(side.network(), config)? {
        let features =
            |images: &[f64]| side.batches(images, len, |network, images| twin.bottleneck(network, config, images));
        let sets = [features(&model)?, features(&same)?, features(&other)?];
        spaces.push(Space::of("bottleneck", width, [&sets[0], &sets[1], &sets[2]]));
    }
    Ok(Distribution {
        images: seeds.len(),
        backend: backend.to_string(),
        network: device.to_string(),
        spaces,
    })
}

impl Space {
    fn of(name: &'static str, dimensions: usize, sets: [&[f64]; 3]) -> Self {
        let [model, same, other] = sets.map(|set| Moments::of(set, dimensions));
        Self {
            name,
            dimensions,
            model: model.distance(&other),
            floor: same.distance(&other),
        }
    }
}
