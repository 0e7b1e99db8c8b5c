//! Runs a graph on candle, a batch at a time.

use super::ops as tensors;
use super::time::features;
use super::{FloatError, Real, TimeFeatures};
use crate::graph::{Graph, Op, ValueId, ops};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;

/// One call's inputs: `n` samples, each at its own timestep.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `(n, channel, row, col)`, of the executor's type.
    pub x: Tensor,
    /// `n` timesteps.
    pub timesteps: Vec<usize>,
    /// `n` class labels; empty for an unconditional network.
    pub labels: Vec<usize>,
}

/// A graph with its parameters loaded as tensors of one type.
#[derive(Debug)]
pub struct Executor<'g> {
    graph: &'g Graph,
    params: BTreeMap<String, Tensor>,
    dtype: DType,
    device: Device,
    time: TimeFeatures,
    /// For each node, the values that nothing reads after it.
    dead_after: Vec<Vec<ValueId>>,
}

impl<'g> Executor<'g> {
    /// Loads `graph` on the CPU in `dtype` ([`DType::F32`] or [`DType::F64`]). Timestep features follow the type:
    /// see [`Executor::with_time_features`].
    pub fn new(graph: &'g Graph, dtype: DType) -> Result<Self, FloatError> {
        let device = Device::Cpu;
        let mut params = BTreeMap::new();
        for (key, param) in &graph.params {
            let tensor = Tensor::from_slice(&param.data, param.shape.as_slice(), &device)?.to_dtype(dtype)?;
            params.insert(key.clone(), tensor);
        }
        Self::with_params(graph, params, dtype)
    }

    /// Runs `graph` with tensors of the caller's own, variables of a training run for one. Every key of
    /// [`Graph::params`] must be there, all of type `dtype` and on one device.
    pub fn with_params(graph: &'g Graph, params: BTreeMap<String, Tensor>, dtype: DType) -> Result<Self, FloatError> {
        graph.check()?;
        if !matches!(dtype, DType::F32 | DType::F64) {
            return Err(input("the executor's type", "F32 or F64", format!("{dtype:?}")));
        }
        if let Some(key) = graph.params.keys().find(|key| !params.contains_key(*key)) {
            return Err(input("parameters", "every key of the graph", format!("no `{key}`")));
        }
        let device = params
            .values()
            .next()
            .map_or(Device::Cpu, |tensor| tensor.device().clone());
        let time = if dtype == DType::F64 {
            TimeFeatures::F64
        } else {
            TimeFeatures::F32
        };
        Ok(Self {
            graph,
            params,
            dtype,
            device,
            time,
            dead_after: dead_after(graph),
        })
    }

    /// Chooses the arithmetic of the timestep features apart from the network's type.
    #[must_use]
    pub fn with_time_features(mut self, time: TimeFeatures) -> Self {
        self.time = time;
        self
    }

    /// The graph that is run.
    #[must_use]
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The parameters as loaded, by key.
    #[must_use]
    pub fn params(&self) -> &BTreeMap<String, Tensor> {
        &self.params
    }

    /// The type that it runs in.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The network's output, `(n, channel, row, col)`.
    pub fn forward(&self, batch: &Batch) -> Result<Tensor, FloatError> {
        self.forward_observed(batch, |_, _| Ok(()))
    }

    /// [`Executor::forward`], showing `observe` every value as it is written.
    pub fn forward_observed(
        &self,
        batch: &Batch,
        observe: impl FnMut(ValueId, &Tensor) -> Result<(), FloatError>,
    ) -> Result<Tensor, FloatError> {
        let times: Vec<f64> = batch.timesteps.iter().map(|t| *t as f64).collect();
        self.pass(&batch.x, &times, &batch.labels, observe)
    }

    /// [`Executor::forward`] at `times` between the training timesteps, one a sample: what an ODE solver visits.
    pub fn forward_at(&self, x: &Tensor, times: &[f64], labels: &[usize]) -> Result<Tensor, FloatError> {
        self.pass(x, times, labels, |_, _| Ok(()))
    }

    fn pass(
        &self,
        x: &Tensor,
        times: &[f64],
        labels: &[usize],
        mut observe: impl FnMut(ValueId, &Tensor) -> Result<(), FloatError>,
    ) -> Result<Tensor, FloatError> {
        self.check(x, times, labels)?;
        let mut live: Vec<Option<Tensor>> = vec![None; self.graph.values.len()];
        for (node, dead) in self.graph.nodes.iter().zip(&self.dead_after) {
            let inputs: Vec<&Tensor> = node.inputs.iter().filter_map(|id| live[id.0].as_ref()).collect();
            let value = match &node.op {
                Op::Sample(_) => Ok(x.clone()),
                Op::TimeProj(_) => self.time_features(&node.op, times),
                Op::ClassEmbed(ops::ClassEmbed { weight }) => self.class_rows(weight, labels),
                op => tensors::apply(op, &inputs, &self.params),
            }
            .map_err(|source| FloatError::Node {
                node: node.name.clone(),
                source,
            })?;
            observe(node.output, &value)?;
            live[node.output.0] = Some(value);
            for id in dead {
                live[id.0] = None;
            }
        }
        let output = self.graph.output.and_then(|id| live[id.0].take());
        output.ok_or(FloatError::Graph(crate::graph::GraphError::NoOutput))
    }

    /// [`Executor::forward`] on plain vectors: `x` holds `timesteps.len()` samples one after the other.
    pub fn run<T: Real>(&self, x: &[T], timesteps: &[usize], labels: &[usize]) -> Result<Vec<T>, FloatError> {
        let batch = self.batch(x, timesteps, labels)?;
        Ok(self.forward(&batch)?.flatten_all()?.to_dtype(T::DTYPE)?.to_vec1()?)
    }

    /// A batch from plain vectors; see [`Executor::run`].
    pub fn batch<T: Real>(&self, x: &[T], timesteps: &[usize], labels: &[usize]) -> Result<Batch, FloatError> {
        let [c, h, w] = self.graph.sample_shape();
        let n = timesteps.len();
        if x.len() != n * c * h * w {
            return Err(input(
                "the sample's element count",
                format!("{n} x {c} x {h} x {w}"),
                x.len(),
            ));
        }
        let x = Tensor::from_slice(x, (n, c, h, w), &self.device)?.to_dtype(self.dtype)?;
        Ok(Batch {
            x,
            timesteps: timesteps.to_vec(),
            labels: labels.to_vec(),
        })
    }

    fn check(&self, x: &Tensor, times: &[f64], labels: &[usize]) -> Result<(), FloatError> {
        let [c, h, w] = self.graph.sample_shape();
        let n = times.len();
        if x.dims() != [n, c, h, w] || n == 0 {
            return Err(input(
                "the batch's shape",
                format!("[n, {c}, {h}, {w}]"),
                format!("{:?}", x.dims()),
            ));
        }
        match self.graph.classes {
            None if !labels.is_empty() => Err(input("labels", "none: the network is unconditional", "some")),
            Some(_) if labels.len() != n => Err(input("labels", format!("{n} of them"), labels.len())),
            Some(classes) => match labels.iter().find(|label| **label >= classes) {
                Some(label) => Err(input("a class label", format!("below {classes}"), label)),
                None => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn time_features(&self, op: &Op, times: &[f64]) -> candle_core::Result<Tensor> {
        let Op::TimeProj(ops::TimeProj {
            dim,
            flip_sin_to_cos,
            freq_shift,
            max_period,
        }) = op
        else {
            candle_core::bail!("not a time projection")
        };
        let rows: Vec<f64> = times
            .iter()
            .flat_map(|t| features(*t, *dim, *flip_sin_to_cos, *freq_shift, *max_period, self.time))
            .collect();
        Tensor::from_vec(rows, (times.len(), *dim, 1, 1), &self.device)?.to_dtype(self.dtype)
    }

    fn class_rows(&self, weight: &str, labels: &[usize]) -> candle_core::Result<Tensor> {
        let Some(table) = self.params.get(weight) else {
            candle_core::bail!("parameter `{weight}` is missing")
        };
        let index: Vec<u32> = labels.iter().map(|label| *label as u32).collect();
        let rows = table.index_select(&Tensor::from_vec(index, labels.len(), &self.device)?, 0)?;
        rows.reshape((labels.len(), table.dim(1)?, 1, 1))
    }
}

fn input(what: &'static str, expected: impl ToString, found: impl ToString) -> FloatError {
    FloatError::Input {
        what,
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

/// For each node, the values it is the last to read (or to write, when nothing reads them), the output excepted.
fn dead_after(graph: &Graph) -> Vec<Vec<ValueId>> {
    let mut last: Vec<Option<usize>> = vec![None; graph.values.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for id in node.inputs.iter().chain([&node.output]) {
            last[id.0] = Some(i);
        }
    }
    let mut dead = vec![Vec::new(); graph.nodes.len()];
    for (value, last) in last.into_iter().enumerate() {
        if let Some(node) = last.filter(|_| graph.output != Some(ValueId(value))) {
            dead[node].push(ValueId(value));
        }
    }
    dead
}
