//! What the number formats cost operator by operator: a model's activations against the float network's values of the same name.
//!
//! The float network is called at the states that the model's own run visits. What an operator's output is away from the float network's
//! is the error of all operators up to it within that call; that of the calls before it is in neither.

use super::float::{FloatError, FloatRuns, decibels, seen_by_network};
use crate::backend::OpenModel;
use crate::condition::Images;
use crate::convert::equalize::of_checkpoint;
use crate::convert::provenance::Provenance;
use crate::import::Checkpoint;
use crate::lower::deployed_as;
use crate::names::{Names, of_value};
use crate::report::dtype_name;
use crate::tensors::{from_q24, to_chw};
use mote_engine::memory::AlignedBytes;
use mote_engine::{Engine, Steps};
use mote_graph::float::{Conditions, DType, Executor};
use mote_graph::graph::{Graph, ValueId};
use mote_runtime::internals::numeric::float as f16;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::Predicted;
use mote_runtime::internals::tensor::Tensor;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Model, Observer, Sampler, Start, StepObserver};
use rayon::prelude::*;
use serde::Serialize;

/// Of every operator whose output the float network has too. Keys of `validate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layers {
    /// Images whose trajectories were followed.
    pub images: usize,
    /// In program order.
    pub operators: Vec<Layer>,
    /// Operators without a value of the float network to compare with.
    pub without_counterpart: usize,
    /// Name of the operator with the lowest mean.
    pub worst: Option<String>,
}

/// An operator. The energies of signal and noise are added over images before their ratio is taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// The operator.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// The float network's value that its output stands for.
    pub value: String,
    /// Number format of its output.
    pub dtype: &'static str,
    /// Signal to noise, dB, mean over steps; 200 stands for equality.
    pub sqnr_db_mean: f64,
    /// In the worst step.
    pub sqnr_db_worst: f64,
    /// Which it is.
    pub worst_step: usize,
    /// Over all steps, with the float value's largest magnitude as the peak.
    pub psnr_db: f64,
}

/// Follows `config` on each of `images`; with guidance the first call of a step, which has the label.
pub fn layers<'i>(
    opened: OpenModel<'_>,
    checkpoint: &Checkpoint,
    config: &Config,
    images: impl Into<Images<'i>>,
    on_image: &(dyn Fn() + Sync),
) -> Result<Layers, FloatError> {
    let checkpoint = &*deployed_as(checkpoint, opened.model)?;
    // Channels of a refined model have grown: so do those of the network beside it.
    let grown = Provenance::is_refined(opened.model).then(|| of_checkpoint(checkpoint));
    let grown = grown
        .transpose()
        .map_err(|error| FloatError::Refined(Box::new(error)))?;
    let checkpoint = grown.as_ref().unwrap_or(checkpoint);
    let float_runs = FloatRuns::new(opened, checkpoint, config)?;
    let executor = Executor::new(&checkpoint.graph, DType::F32)?;
    let pairs = counterparts(opened.model, &checkpoint.graph);
    let images = images.into();
    let engine = Engine::prepare(opened.model);
    let follow = |one: Images<'_>| {
        let mut recorder = Recorder {
            float_runs: &float_runs,
            executor: &executor,
            config: Config {
                seed: one.seeds.first().copied().unwrap_or(0),
                ..*config
            },
            vectors: float_runs.vectors(one),
            pairs: &pairs,
            found: vec![None; pairs.len()],
            sums: vec![vec![]; pairs.len()],
            failed: None,
        };
        let config = recorder.config;
        let mut memory = AlignedBytes::for_run(opened.model, &config);
        let mut arena = Arena::new(memory.bytes_mut())?;
        let mut sampler = Sampler::new(opened.model, &mut arena, &config, &Start::Seed)?;
        if let Some(condition) = one.condition(0) {
            sampler.condition(condition)?;
        }
        let mut worker = engine.worker();
        while recorder.failed.is_none() && worker.step(&mut sampler, Some(&mut recorder))?.is_some() {
            recorder.found.fill(None);
        }
        on_image();
        recorder.failed.map_or(Ok(recorder.sums), Err)
    };
    // Added in the seeds' order: the same sums on any number of threads.
    let each: Vec<Images<'_>> = images.groups(1).collect();
    let runs = each.into_par_iter().map(follow).collect::<Result<Vec<_>, _>>()?;
    let names = Names::of(opened.model);
    let operators: Vec<Layer> = (opened.model.ops().enumerate().zip(&pairs).enumerate())
        .filter_map(|(place, ((index, op), pair))| {
            let pair = pair.as_ref()?;
            let of_runs: Vec<&[Sums]> = runs.iter().map(|run| run[place].as_slice()).collect();
            Some(Layer::of(names.op(index), &op, pair, &checkpoint.graph, &of_runs))
        })
        .collect();
    let worst = operators
        .iter()
        .min_by(|a, b| a.sqnr_db_mean.total_cmp(&b.sqnr_db_mean));
    Ok(Layers {
        images: images.seeds.len(),
        without_counterpart: pairs.iter().filter(|pair| pair.is_none()).count(),
        worst: worst.map(|layer| layer.name.clone()),
        operators,
    })
}

/// An operator's output and the float network's value.
struct Pair {
    tensor: Tensor,
    value: ValueId,
}

/// By operator. A model file and a checkpoint share names alone: slots carry those of the graph's values.
fn counterparts(model: &Model<'_>, graph: &Graph) -> Vec<Option<Pair>> {
    let names = Names::of(model);
    let pair = |op: Op| {
        let out = op.slots().out();
        let (tensor, name) = (model.tensor(out)?, names.tensor(out.0.into()));
        let value = graph.values.iter().position(|value| value.name == of_value(&name))?;
        let [channels, rows, cols] = graph.values[value].shape;
        let same = [tensor.channels, tensor.rows, tensor.cols].map(usize::from) == [channels, rows, cols];
        same.then_some(Pair {
            tensor,
            value: ValueId(value),
        })
    };
    model.ops().map(pair).collect()
}

/// Energies of an operator's output in one step, over its elements.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    signal: f64,
    noise: f64,
    peak: f64,
    count: usize,
}

impl Sums {
    fn of(found: &[f64], expected: &[f64]) -> Self {
        Self {
            signal: expected.iter().map(|v| v * v).sum(),
            // An output that was not seen is all noise.
            noise: if found.len() == expected.len() {
                found.iter().zip(expected).map(|(a, b)| (a - b) * (a - b)).sum()
            } else {
                f64::NAN
            },
            peak: expected.iter().fold(0.0, |most, v| most.max(v.abs())),
            count: expected.len(),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            signal: self.signal + other.signal,
            noise: self.noise + other.noise,
            peak: self.peak.max(other.peak),
            count: self.count + other.count,
        }
    }
}

impl Layer {
    fn of(name: String, op: &Op, pair: &Pair, graph: &Graph, runs: &[&[Sums]]) -> Self {
        let steps = runs.first().map_or(0, |run| run.len());
        let of_step = |step: usize| runs.iter().map(|run| run[step]).fold(Sums::default(), Sums::plus);
        let by_step: Vec<Sums> = (0..steps).map(of_step).collect();
        let sqnr: Vec<f64> = by_step.iter().map(|sums| decibels(sums.signal, sums.noise)).collect();
        let worst = sqnr.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        let all = by_step.iter().copied().fold(Sums::default(), Sums::plus);
        Self {
            name,
            kind: op.kind(),
            value: graph.values[pair.value.0].name.clone(),
            dtype: dtype_name(pair.tensor.dtype),
            sqnr_db_mean: sqnr.iter().sum::<f64>() / steps.max(1) as f64,
            sqnr_db_worst: worst.map_or(200.0, |(_, db)| *db),
            worst_step: worst.map_or(0, |(step, _)| step),
            psnr_db: decibels(all.peak * all.peak * all.count as f64, all.noise),
        }
    }
}

/// Keeps the outputs of a step's first call, and compares them when the step is about to be taken.
struct Recorder<'a> {
    float_runs: &'a FloatRuns<'a>,
    /// The float network on this machine's processor, which shows every value.
    executor: &'a Executor<'a>,
    config: Config,
    /// The image's condition, as the float network takes it.
    vectors: Vec<f64>,
    pairs: &'a [Option<Pair>],
    /// By operator; empty until it has run in this step.
    found: Vec<Option<Vec<f64>>>,
    /// By operator and step.
    sums: Vec<Vec<Sums>>,
    failed: Option<FloatError>,
}

impl Observer for Recorder<'_> {
    fn after(&mut self, index: u16, _op: &Op, output: &View<'_>) {
        let place = usize::from(index);
        let Some(Pair { tensor, .. }) = &self.pairs[place] else {
            return;
        };
        if self.found[place].is_none() {
            let values: Vec<f64> = (0..output.len()).map(|i| real(output, i, tensor)).collect();
            self.found[place] = Some(to_chw(&values, tensor.channels.into()));
        }
    }
}

/// Element `i` as the number that it stands for.
fn real(output: &View<'_>, i: usize, tensor: &Tensor) -> f64 {
    match output {
        View::F16(bits) => f16::load(bits[i]).into(),
        View::Q24(values) => from_q24(values[i]),
        _ => f64::from(output.get(i)) * f64::from(tensor.scale),
    }
}

impl Recorder<'_> {
    /// What the float network makes of the pairs' values in a call that sees `x`, `(channel, row, col)`.
    fn expected(&self, x: &[f64], time: f64) -> Result<Vec<Vec<f64>>, FloatError> {
        let x: Vec<f32> = x.iter().map(|v| *v as f32).collect();
        let labels = self.float_runs.labels(self.config.class, 1);
        let wanted: Vec<ValueId> = self.pairs.iter().flatten().map(|pair| pair.value).collect();
        let mut found = vec![vec![]; wanted.len()];
        let given = Conditions {
            labels: &labels,
            vectors: &self.vectors,
        };
        self.executor.run_observed(&x, &[time], given, |id, value| {
            for (found, _) in found.iter_mut().zip(&wanted).filter(|(_, wanted)| **wanted == id) {
                *found = value.to_vec();
            }
        })?;
        Ok(found)
    }
}

impl StepObserver for Recorder<'_> {
    fn predicted(&mut self, p: &Predicted<'_>) {
        let time = f64::from(p.row.time_q16) / 65536.0;
        match self.expected(
            &seen_by_network(p, self.float_runs.channels(), self.float_runs.gain()),
            time,
        ) {
            Ok(expected) => {
                let places = (0..self.pairs.len()).filter(|place| self.pairs[*place].is_some());
                for (place, expected) in places.zip(expected) {
                    let found = self.found[place].as_deref().unwrap_or(&[]);
                    self.sums[place].push(Sums::of(found, &expected));
                }
            }
            Err(error) => self.failed = Some(error),
        }
    }
}
