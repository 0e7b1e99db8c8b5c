//! Runs a graph, a batch at a time.

use super::network::{PreparedGraph, swap_planes};
use super::tape::Tape;
use super::{FloatError, TimeFeatures};
use crate::graph::{Graph, ValueId};
use crate::ops::{Batch, Conditions, Forward, Operator, Shape};
use crate::{DType, Real, Values};
use rayon::prelude::*;
use std::ops::Range;

/// Elements of scratch memory up to which samples are computed together, so that they stay in a cache.
const SCRATCH: usize = 1 << 19;
/// Most samples that are computed together, whatever their size.
const SAMPLES: usize = 64;

/// A graph with its parameters loaded in one type.
#[derive(Debug)]
pub struct Executor<'g> {
    graph: &'g Graph,
    network: PreparedGraph,
    params: Loaded,
    time: TimeFeatures,
    /// Samples that are computed together.
    shard: usize,
}

#[derive(Debug)]
enum Loaded {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// A value of the graph as a pass writes it.
#[derive(Debug)]
pub struct Observed<'a> {
    samples: usize,
    shape: Shape,
    /// `(channel, sample, row, col)`.
    values: Values<'a>,
}

impl Observed<'_> {
    /// `(channel, row, col)`.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// `(sample, channel, row, col)`.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f64> {
        let [channels, rows, cols] = self.shape;
        let positions = rows * cols;
        let plane = |i: usize| {
            let (sample, channel) = (i / channels, i % channels);
            let first = (channel * self.samples + sample) * positions;
            (first..first + positions).map(|i| self.values.wide(i))
        };
        (0..self.samples * channels).flat_map(plane).collect()
    }
}

impl<'g> Executor<'g> {
    /// Loads `graph` in `dtype`. Timestep features follow the type: see [`Executor::with_time_features`].
    pub fn new(graph: &'g Graph, dtype: DType) -> Result<Self, FloatError> {
        let network = PreparedGraph::new(graph)?.by_sample();
        let scratch = network
            .layers
            .iter()
            .map(|layer| layer.op.scratch_len(&layer.extents(1)));
        let largest = scratch.max().unwrap_or(0).max(1);
        Ok(Self {
            graph,
            params: match dtype {
                DType::F32 => Loaded::F32(network.layout().values_of(graph)),
                DType::F64 => Loaded::F64(network.layout().wide_values_of(graph)),
            },
            network,
            time: TimeFeatures::of(dtype),
            shard: (SCRATCH / largest).clamp(1, SAMPLES),
        })
    }

    /// Chooses the arithmetic of the timestep features apart from the network's type.
    #[must_use]
    pub fn with_time_features(mut self, time: TimeFeatures) -> Self {
        self.time = time;
        self
    }

    /// The same for passes from here on.
    pub fn set_time_features(&mut self, time: TimeFeatures) {
        self.time = time;
    }

    /// The graph that is run.
    #[must_use]
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The type that it runs in.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self.params {
            Loaded::F32(_) => DType::F32,
            Loaded::F64(_) => DType::F64,
        }
    }

    /// The network's output, `(sample, channel, row, col)`, for samples `x` of that order, each at its own timestep; `given` has a class
    /// and a condition vector a sample, where the network takes them. Labels alone may stand for it.
    pub fn run<'a, T: Real>(
        &self,
        x: &[T],
        timesteps: &[impl Time],
        given: impl Into<Conditions<'a>>,
    ) -> Result<Vec<T>, FloatError> {
        self.run_at(x, &times(timesteps), given)
    }

    /// [`Executor::run`] at times between the training timesteps, one a sample: what an ODE solver visits.
    pub fn run_at<'a, T: Real>(
        &self,
        x: &[T],
        times: &[f64],
        given: impl Into<Conditions<'a>>,
    ) -> Result<Vec<T>, FloatError> {
        let given = given.into();
        self.check(x.len(), times.len(), given)?;
        Ok(convert(self.outputs(&convert::<_, f64>(x), times, given)))
    }

    /// What [`Executor::run_at`] gives, of no type parameter: its loops are compiled here and not in crates that are optimized less.
    fn outputs(&self, x: &[f64], times: &[f64], given: Conditions<'_>) -> Vec<f64> {
        match &self.params {
            Loaded::F32(params) => convert(self.in_shards(params, &convert(x), times, given)),
            Loaded::F64(params) => self.in_shards(params, x, times, given),
        }
    }

    /// [`Executor::run`], showing `observe` every value as it is written, of all samples at once.
    pub fn run_observed<'a, T: Real>(
        &self,
        x: &[T],
        timesteps: &[impl Time],
        given: impl Into<Conditions<'a>>,
        mut observe: impl FnMut(ValueId, &Observed<'_>),
    ) -> Result<Vec<T>, FloatError> {
        let given = given.into();
        self.check(x.len(), timesteps.len(), given)?;
        let output = self.observed(&convert::<_, f64>(x), &times(timesteps), given, &mut observe);
        Ok(convert(output))
    }

    /// What [`Executor::run_observed`] gives, of no type parameter.
    fn observed(
        &self,
        x: &[f64],
        times: &[f64],
        given: Conditions<'_>,
        observe: &mut dyn FnMut(ValueId, &Observed<'_>),
    ) -> Vec<f64> {
        match &self.params {
            Loaded::F32(params) => convert(self.pass(params, &convert(x), times, given, observe)),
            Loaded::F64(params) => self.pass(params, x, times, given, observe),
        }
    }

    /// [`Executor::run_at`], and the gradient by `x` of the output's inner product with `direction`, which has the output's size: one pass
    /// forward and one in reverse.
    pub fn run_back<'a, T: Real>(
        &self,
        x: &[T],
        times: &[f64],
        given: impl Into<Conditions<'a>>,
        direction: &[T],
    ) -> Result<(Vec<T>, Vec<T>), FloatError> {
        let given = given.into();
        self.check(x.len(), times.len(), given)?;
        self.network.check_reversible()?;
        let expected = times.len() * self.network.output_len();
        if direction.len() != expected {
            let what = "the direction's element count";
            return Err(FloatError::input(what, expected.to_string(), direction.len()));
        }
        let (y, dx) = self.outputs_back(&convert::<_, f64>(x), times, given, &convert::<_, f64>(direction));
        Ok((convert(y), convert(dx)))
    }

    /// What [`Executor::run_back`] gives, of no type parameter.
    fn outputs_back(&self, x: &[f64], times: &[f64], given: Conditions<'_>, direction: &[f64]) -> (Vec<f64>, Vec<f64>) {
        match &self.params {
            Loaded::F32(params) => {
                let (y, dx) = self.back_in_shards(params, &convert(x), times, given, &convert(direction));
                (convert(y), convert(dx))
            }
            Loaded::F64(params) => self.back_in_shards(params, x, times, given, direction),
        }
    }

    fn check(&self, x: usize, n: usize, given: Conditions<'_>) -> Result<(), FloatError> {
        if n == 0 {
            return Err(FloatError::input("the number of samples", "at least 1".to_string(), n));
        }
        self.network.check(self.network.layout().len(), x, n, given)
    }

    /// A batch's samples in parts.
    fn shards(&self, n: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
        let shard = self.shard;
        let range = move |i: usize| i * shard..((i + 1) * shard).min(n);
        (0..n.div_ceil(shard)).into_par_iter().map(range)
    }

    fn batch<'a, T>(&self, x: &'a [T], times: &'a [f64], given: Conditions<'a>, range: Range<usize>) -> Batch<'a, T> {
        let len = self.network.sample_len();
        let given = given.part(range.clone(), times.len());
        Batch {
            x: &x[range.start * len..range.end * len],
            times: &times[range],
            labels: given.labels,
            condition: given.vectors,
            features: self.time,
        }
    }

    fn in_shards<T: Real>(&self, params: &[T], x: &[T], times: &[f64], given: Conditions<'_>) -> Vec<T> {
        let one = |memory: &mut Memory<T>, range: Range<usize>| {
            let batch = self.batch(x, times, given, range);
            self.forward(params, batch, memory, &mut |_, _, _| ())
        };
        let parts: Vec<Vec<T>> = self.shards(times.len()).map_init(Memory::default, one).collect();
        parts.concat()
    }

    fn pass<T: Real>(
        &self,
        params: &[T],
        x: &[T],
        times: &[f64],
        given: Conditions<'_>,
        observe: &mut dyn FnMut(ValueId, &Observed<'_>),
    ) -> Vec<T> {
        let samples = times.len();
        let batch = self.batch(x, times, given, 0..samples);
        let mut show = |value: usize, shape: Shape, values: &[T]| {
            let values = T::values(values);
            let seen = Observed { samples, shape, values };
            observe(ValueId(value), &seen);
        };
        self.forward(params, batch, &mut Memory::default(), &mut show)
    }

    /// The output of some samples, `(sample, channel, row, col)`. `show` sees every value.
    fn forward<T: Real>(
        &self,
        params: &[T],
        batch: Batch<'_, T>,
        memory: &mut Memory<T>,
        show: &mut dyn FnMut(usize, Shape, &[T]),
    ) -> Vec<T> {
        let n = batch.times.len();
        let network = &self.network;
        memory.live.resize(network.shapes.len(), vec![]);
        for layer in &network.layers {
            let extents = layer.extents(n);
            let mut y = memory.unused.pop().unwrap_or_default();
            y.resize(extents.output_len(), T::ZERO);
            let saved = layer.op.saved_len(&extents);
            memory.saved.resize(saved.max(memory.saved.len()), T::ZERO);
            memory
                .scratch
                .resize(layer.op.scratch_len(&extents).max(memory.scratch.len()), T::ZERO);
            let x: Vec<&[T]> = layer.inputs.iter().map(|i| memory.live[*i].as_slice()).collect();
            let pass = Forward {
                extents,
                batch,
                params: layer.params(params),
                x: &x,
                y: &mut y,
                saved: &mut memory.saved[..saved],
                scratch: &mut memory.scratch,
            };
            T::forward(&layer.op, pass);
            show(layer.output, extents.output, &y);
            memory.live[layer.output] = y;
            for value in &layer.dead {
                memory.unused.push(std::mem::take(&mut memory.live[*value]));
            }
        }
        let output = std::mem::take(&mut memory.live[network.output]);
        let mut to = vec![T::ZERO; output.len()];
        swap_planes([network.shapes[network.output][0], n], &output, &mut to);
        memory.unused.push(output);
        to
    }

    fn back_in_shards<T: Real>(
        &self,
        params: &[T],
        x: &[T],
        times: &[f64],
        given: Conditions<'_>,
        direction: &[T],
    ) -> (Vec<T>, Vec<T>) {
        let len = self.network.output_len();
        let one = |tape: &mut Tape<T>, range: Range<usize>| {
            let mut y = vec![T::ZERO; range.len() * len];
            let slope = &direction[range.start * len..range.end * len];
            tape.forward(&self.network, params, self.batch(x, times, given, range));
            tape.output(&self.network, &mut y);
            tape.backward(&self.network, params, slope);
            (y, tape.by_sample(&self.network))
        };
        let parts: Vec<(Vec<T>, Vec<T>)> = self.shards(times.len()).map_init(Tape::default, one).collect();
        let (y, dx): (Vec<Vec<T>>, Vec<Vec<T>>) = parts.into_iter().unzip();
        (y.concat(), dx.concat())
    }
}

/// What passes use again.
#[derive(Debug)]
struct Memory<T> {
    /// By value; empty where a value is not yet written or not needed any more.
    live: Vec<Vec<T>>,
    unused: Vec<Vec<T>>,
    saved: Vec<T>,
    scratch: Vec<T>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self {
            live: vec![],
            unused: vec![],
            saved: vec![],
            scratch: vec![],
        }
    }
}

/// A timestep that a network can be asked about: a training timestep, or a point between two.
pub trait Time: Copy + PartialEq {
    /// As a number.
    fn value(self) -> f64;
}

impl Time for usize {
    fn value(self) -> f64 {
        self as f64
    }
}

impl Time for f64 {
    fn value(self) -> f64 {
        self
    }
}

fn times(timesteps: &[impl Time]) -> Vec<f64> {
    timesteps.iter().map(|t| t.value()).collect()
}

fn convert<A: Real, B: Real>(values: impl AsRef<[A]>) -> Vec<B> {
    values.as_ref().iter().map(|v| B::of(v.wide())).collect()
}
