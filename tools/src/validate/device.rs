//! Where the float network runs: on this machine's processor or on a GPU. Numbers differ in the last places, and in f16 before them.

use super::float::FloatError;
use crate::backend::BackendError;
use mote_cuda::driver::{Device, missing};
use mote_cuda::network::{DeviceNetwork, Precision};
use mote_graph::float::{Conditions, DType, Executor, Observed};
use mote_graph::graph::{Graph, ValueId};
use rayon::prelude::*;
use std::cell::RefCell;
use std::fmt;

/// Images that a processor's network makes at once, each such batch in a thread, and a GPU's.
const BATCH: usize = 16;
const GPU_BATCH: usize = 2048;

/// What runs the float network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FloatDevice {
    /// This machine's processor, in f32.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda(Precision),
}

impl FloatDevice {
    /// The device of that name: `cpu`, `cuda` or `cuda:f16`.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(Precision::F32)),
            "cuda:f16" => Ok(Self::Cuda(Precision::F16)),
            _ => Err(format!("choose cpu, cuda or cuda:f16, not '{name}'")),
        }
    }

    /// Whether it can run here; otherwise what is missing.
    pub fn available(self) -> Result<(), BackendError> {
        match (self, missing()) {
            (Self::Cuda(_), Some((what, _))) => Err(BackendError::Unavailable {
                name: format!("the float network on {self}"),
                what: format!("missing {what}"),
                how: "use --float cpu: the same network, slower".into(),
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for FloatDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda(Precision::F32) => "cuda",
            Self::Cuda(Precision::F16) => "cuda:f16",
        })
    }
}

/// A float network that can be asked.
pub(super) trait FloatNetwork {
    /// Its output for samples `(channel, row, col)` one after the other, each at its own timestep, which may lie between two.
    fn output(&self, x: &[f32], times: &[f64], given: Conditions<'_>) -> Result<Vec<f32>, FloatError>;

    /// Its mid-block, averaged over positions; empty where it has none.
    fn bottleneck(&self, x: &[f32], times: &[f64], given: Conditions<'_>) -> Result<Vec<f64>, FloatError>;
}

fn middle(graph: &Graph) -> Option<ValueId> {
    graph
        .taps
        .iter()
        .find(|(name, _)| name == "mid_block")
        .map(|(_, id)| *id)
}

impl FloatNetwork for Executor<'_> {
    fn output(&self, x: &[f32], times: &[f64], given: Conditions<'_>) -> Result<Vec<f32>, FloatError> {
        Ok(self.run(x, times, given)?)
    }

    fn bottleneck(&self, x: &[f32], times: &[f64], given: Conditions<'_>) -> Result<Vec<f64>, FloatError> {
        let Some(middle) = middle(self.graph()) else {
            return Ok(vec![]);
        };
        let mut features = Vec::new();
        self.run_observed(x, times, given, |id, value| {
            if id == middle {
                features = means(value);
            }
        })?;
        Ok(features)
    }
}

/// Means over positions, `(sample, channel)`.
fn means(value: &Observed<'_>) -> Vec<f64> {
    let [_, rows, cols] = value.shape();
    let mean = |plane: &[f64]| plane.iter().sum::<f64>() / (rows * cols) as f64;
    value.to_vec().chunks_exact((rows * cols).max(1)).map(mean).collect()
}

/// A network on a GPU, and once more as far as its mid-block.
pub(super) struct Gpu {
    output: RefCell<DeviceNetwork<Device>>,
    /// With the positions that its features are averaged over.
    middle: Option<(RefCell<DeviceNetwork<Device>>, usize)>,
}

impl Gpu {
    fn new(graph: &Graph, precision: Precision) -> Result<Self, FloatError> {
        let network = |id: ValueId| -> Result<_, FloatError> {
            Ok(RefCell::new(DeviceNetwork::new(
                Device::open(0)?,
                graph,
                precision,
                &[id],
                GPU_BATCH,
            )?))
        };
        let positions = |id: ValueId| graph.values[id.0].shape[1..].iter().product();
        let output = graph.output.ok_or(mote_cuda::CudaError::Model)?;
        Ok(Self {
            output: network(output)?,
            middle: middle(graph)
                .map(|id| Ok::<_, FloatError>((network(id)?, positions(id))))
                .transpose()?,
        })
    }
}

fn first(mut values: Vec<Vec<f32>>) -> Vec<f32> {
    values.pop().unwrap_or_default()
}

impl FloatNetwork for Gpu {
    fn output(&self, x: &[f32], times: &[f64], given: Conditions<'_>) -> Result<Vec<f32>, FloatError> {
        Ok(first(self.output.borrow_mut().run(x, times, given.labels)?))
    }

    fn bottleneck(&self, x: &[f32], times: &[f64], given: Conditions<'_>) -> Result<Vec<f64>, FloatError> {
        let Some((network, positions)) = &self.middle else {
            return Ok(vec![]);
        };
        let values = first(network.borrow_mut().run(x, times, given.labels)?);
        let mean = |plane: &[f32]| plane.iter().map(|v| f64::from(*v)).sum::<f64>() / *positions as f64;
        Ok(values.chunks_exact((*positions).max(1)).map(mean).collect())
    }
}

/// The network on its device.
pub(super) enum PlacedNetwork<'g> {
    Cpu(Box<Executor<'g>>),
    Gpu(Box<Gpu>),
}

impl<'g> PlacedNetwork<'g> {
    pub fn new(graph: &'g Graph, device: FloatDevice) -> Result<Self, FloatError> {
        Ok(match device {
            FloatDevice::Cpu => Self::Cpu(Box::new(Executor::new(graph, DType::F32)?)),
            FloatDevice::Cuda(precision) => Self::Gpu(Box::new(Gpu::new(graph, precision)?)),
        })
    }

    pub fn network(&self) -> &dyn FloatNetwork {
        match self {
            Self::Cpu(executor) => &**executor,
            Self::Gpu(gpu) => &**gpu,
        }
    }

    /// Images that its network makes at once, where there are so many.
    pub fn batch(&self) -> usize {
        match self {
            Self::Cpu(_) => BATCH,
            Self::Gpu(_) => GPU_BATCH,
        }
    }

    /// Images that are best followed step by step at once: many by a GPU, one by a processor.
    pub fn followed(&self) -> usize {
        match self {
            Self::Cpu(_) => 1,
            Self::Gpu(_) => 256,
        }
    }

    /// `each` of `items`, `len` of them an image, in batches; what they give, one after the other.
    pub fn batches<T: Sync>(
        &self,
        items: &[T],
        len: usize,
        each: impl Fn(&dyn FloatNetwork, &[T]) -> Result<Vec<f64>, FloatError> + Sync,
    ) -> Result<Vec<f64>, FloatError> {
        let made: Result<Vec<_>, _> = match self {
            Self::Cpu(executor) => items
                .par_chunks(BATCH * len)
                .map(|some| each(&**executor, some))
                .collect(),
            Self::Gpu(gpu) => items.chunks(GPU_BATCH * len).map(|some| each(&**gpu, some)).collect(),
        };
        Ok(made?.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["cpu", "cuda", "cuda:f16"] {
            assert_eq!(FloatDevice::parse(name).unwrap().to_string(), name);
        }
        assert!(FloatDevice::parse("gpu").unwrap_err().contains("cuda:f16"));
    }
}
