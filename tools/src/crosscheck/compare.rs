//! One comparison a key.

use super::given::Given;
use super::keys::{Key, RunPart, Setting, StepTable, Table};
use super::report::{Comparison, Report, TimeType};
use super::runs::{Run, Runs, TIMES, rule};
use super::vectors::Vectors;
use super::{CrosscheckError, Dtype, Quantity, Reference, tolerance};
use crate::import::Checkpoint;
use mote_graph::float::samplers::sigmas;
use mote_graph::float::{Observed, Real, TimeFeatures};
use mote_graph::graph::{Graph, Op, ValueId};
use mote_graph::schedule::{Precision, Schedule};
use std::collections::BTreeMap;
use std::time::Instant;

/// Compares every key that is known and that `dtype` can be held to.
pub(super) fn compare<T: Real>(
    checkpoint: &Checkpoint,
    vectors: &Vectors,
    dtype: Dtype,
    progress: &dyn Fn(usize, usize),
) -> Result<Report, CrosscheckError> {
    let start = Instant::now();
    let mut compare = Compare::<T> {
        checkpoint,
        vectors,
        runs: Runs::new(checkpoint, vectors)?,
        layers: None,
        rows: Vec::new(),
    };
    let features = compare.features_of_references(dtype)?;
    let mut unused = vectors.unread.clone();
    for (done, name) in vectors.tensors.keys().enumerate() {
        progress(done, vectors.tensors.len());
        match Key::parse(name) {
            // In f32 there is nothing to hold against a reference in f64.
            Some(Key::Forward(r) | Key::Run(_, _, r)) if dtype == Dtype::F32 && r != Reference::F32 => {}
            Some(key) => {
                if !compare.key(name, &key)? {
                    unused.push(name.clone());
                }
            }
            None => unused.push(name.clone()),
        }
    }
    if compare.rows.is_empty() {
        return Err(CrosscheckError::Nothing {
            path: vectors.path.clone(),
        });
    }
    let order: Vec<String> = checkpoint.graph.taps.iter().map(|(name, _)| name.clone()).collect();
    let seconds = start.elapsed().as_secs_f64();
    let report = Report::new(&checkpoint.name, dtype, compare.rows, &order, unused, seconds);
    Ok(Report {
        time_features: features,
        ..report
    })
}

/// The single passes in f64 throughout.
const PURE: &str = "fwd.out_f64_pure";

struct Compare<'a, T> {
    checkpoint: &'a Checkpoint,
    vectors: &'a Vectors,
    runs: Runs<'a, T>,
    /// The observed pass of `layer.*`: values by name.
    layers: Option<BTreeMap<String, Vec<f64>>>,
    rows: Vec<Comparison>,
}

impl<T: Real> Compare<'_, T> {
    /// Gives false when the key names a layer that the graph does not have.
    fn key(&mut self, name: &str, key: &Key) -> Result<bool, CrosscheckError> {
        match key {
            Key::Input => return Ok(true),
            Key::Forward(reference) => self.forward(name, *reference)?,
            Key::Layer(layer) => return self.layer(name, layer),
            Key::Schedule(table) => self.schedule(name, *table)?,
            Key::Steps(setting, table) => self.steps(name, setting, *table)?,
            Key::Run(setting, part, reference) => {
                let run = self.runs.get(name, setting, *reference)?;
                let found = part_of(run, *part, self.vectors.tensors[name].shape.as_slice());
                let quantity = if *part == RunPart::X0 {
                    Quantity::X0
                } else {
                    Quantity::Trajectory
                };
                let found = found.ok_or_else(|| self.vectors.shape(name, "the run's steps and samples"))?;
                self.row(name, quantity, *reference, &found)?;
            }
        }
        Ok(true)
    }

    /// Finds in which arithmetic the references in f64 have their timestep features, and has them compared so. A network that is turned to
    /// f64 as a whole may still compute its features in f32, as diffusers' do, or not; the file does not say it. Features in f32 are
    /// rounded to the nearest or as PyTorch's x86 builds round them. Only one of all these can meet the single passes, and where the usual
    /// one does, nothing is looked for. `None` where there is nothing to tell.
    fn features_of_references(&mut self, dtype: Dtype) -> Result<Option<TimeType>, CrosscheckError> {
        let Some(expected) = self.vectors.tensors.get(PURE).filter(|_| dtype == Dtype::F64) else {
            return Ok(None);
        };
        let mut best = None;
        for time in TIMES {
            self.runs.with_features(time);
            let found = self.pass(PURE, None, Reference::F64Pure, |_, _| {})?;
            if found.len() != expected.data.len() {
                break;
            }
            let error = found
                .iter()
                .zip(&expected.data)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            if best.is_none_or(|(least, _)| error < least) {
                best = Some((error, time));
            }
            if error <= tolerance(Quantity::Forward, Reference::F64Pure) {
                break;
            }
        }
        let time = best.map_or(TimeFeatures::F64, |(_, time)| time);
        self.runs.with_features(time);
        Ok(match time {
            TimeFeatures::F64 => None,
            TimeFeatures::F32 | TimeFeatures::Library => Some(TimeType::F32),
            TimeFeatures::LibraryRates => Some(TimeType::F32Frequencies),
            TimeFeatures::F64Throughout => Some(TimeType::F64),
        })
    }

    fn forward(&mut self, name: &str, reference: Reference) -> Result<(), CrosscheckError> {
        let out = self.pass(name, None, reference, |_, _| {})?;
        self.row(name, Quantity::Forward, reference, &out)
    }

    /// The reference passes, or one of them, with every value shown to `observe`.
    fn pass(
        &self,
        name: &str,
        only: Option<usize>,
        reference: Reference,
        observe: impl FnMut(ValueId, &Observed<'_>),
    ) -> Result<Vec<f64>, CrosscheckError> {
        let graph = &self.checkpoint.graph;
        let shape = graph.sample_shape();
        let x = self.vectors.need(name, "fwd.x")?;
        let [scale, shift] = own_time(graph);
        let mut t = self.vectors.times(name, "fwd.t", shift < 0.0)?;
        if x.shape.len() != 4 || x.shape[1..] != shape || x.shape[0] != t.len() {
            return Err(self.vectors.shape(
                "fwd.x",
                format!("[{}, {}, {}, {}]", t.len(), shape[0], shape[1], shape[2]),
            ));
        }
        let mut given = Given::of_passes(self.vectors, name, graph, t.len())?;
        let mut x: Vec<T> = x.data.iter().map(|v| T::of(*v)).collect();
        if let Some(i) = only {
            let size = shape.iter().product::<usize>();
            let one = given.only(i, t.len());
            given = one.ok_or_else(|| self.vectors.missing(name, "fwd.x at layer_pair_index"))?;
            x = x[i * size..(i + 1) * size].to_vec();
            t = vec![t[i]];
        }
        // References are of the network as it came: its own time, and the velocity of its own direction.
        if [scale, shift] != [1.0, 0.0] {
            t.iter_mut().for_each(|t| *t = (*t - shift) / scale);
        }
        let sign = if scale < 0.0 { -1.0 } else { 1.0 };
        let executor = self.runs.executor(reference);
        let out = executor.run_observed(&x, &t, given.conditions(), observe)?;
        Ok(out.into_iter().map(|v| sign * v.wide()).collect())
    }

    fn layer(&mut self, name: &str, layer: &str) -> Result<bool, CrosscheckError> {
        if self.layers.is_none() {
            self.layers = Some(self.observe_layers(name)?);
        }
        let reference = &self.vectors.tensors[name];
        let Some(found) = self.layers.as_ref().and_then(|layers| layers.get(layer)) else {
            return Ok(false);
        };
        let mut found = found.clone();
        // With an odd feature count the library appends a zero, which the graph leaves out.
        if layer == "time_proj" && reference.data.len() == found.len() + 1 && reference.data.last() == Some(&0.0) {
            found.push(0.0);
        }
        self.row(name, Quantity::Layer, Reference::F32, &found)?;
        Ok(true)
    }

    fn observe_layers(&self, name: &str) -> Result<BTreeMap<String, Vec<f64>>, CrosscheckError> {
        let pair = self
            .vectors
            .layer_pair
            .ok_or_else(|| self.vectors.missing(name, "layer_pair_index in meta_json"))?;
        let mut taps: BTreeMap<ValueId, Vec<&String>> = BTreeMap::new();
        for (tap, id) in &self.checkpoint.graph.taps {
            taps.entry(*id).or_default().push(tap);
        }
        let mut layers = BTreeMap::new();
        self.pass(name, Some(pair), Reference::F32, |id, value| {
            for tap in taps.get(&id).into_iter().flatten() {
                layers.insert((*tap).clone(), value.to_vec());
            }
        })?;
        Ok(layers)
    }

    fn schedule(&mut self, name: &str, table: Table) -> Result<(), CrosscheckError> {
        let precision = if table == Table::AlphasF64 {
            Precision::F64
        } else {
            Precision::F32
        };
        let schedule = Schedule::new(&self.checkpoint.scheduler, precision)?;
        let (found, reference) = match table {
            Table::BetasF32 => (schedule.betas, Reference::F32),
            Table::AlphasF32 => (schedule.alphas_cumprod, Reference::F32),
            Table::AlphasF64 => (schedule.alphas_cumprod, Reference::F64Pure),
        };
        self.row(name, Quantity::Schedule, reference, &found)
    }

    fn steps(&mut self, name: &str, setting: &Setting, table: StepTable) -> Result<(), CrosscheckError> {
        let config = self.runs.config(setting);
        if table == StepTable::Sigmas {
            let found = sigmas(&config, setting.steps, rule(setting.method))?;
            return self.row(name, Quantity::Schedule, Reference::F64Pure, &found);
        }
        let schedule = Schedule::new(&config, Precision::F32)?;
        let list = config.steps(setting.steps, rule(setting.method))?;
        let stride = (config.num_train_timesteps / setting.steps) as f64;
        let found: Vec<f64> = list
            .iter()
            .map(|step| match table {
                StepTable::Timesteps | StepTable::Sigmas => step.timestep as f64,
                // Before the first timestep the reference keeps counting below zero.
                StepTable::Previous => step.previous.map_or(step.timestep as f64 - stride, |t| t as f64),
                StepTable::Alpha => schedule.alphas(*step).0,
                StepTable::AlphaPrevious => schedule.alphas(*step).1,
            })
            .collect();
        self.row(name, Quantity::Schedule, Reference::F32, &found)
    }

    fn row(
        &mut self,
        name: &str,
        quantity: Quantity,
        reference: Reference,
        found: &[f64],
    ) -> Result<(), CrosscheckError> {
        let expected = &self.vectors.tensors[name];
        if expected.data.len() != found.len() || found.is_empty() {
            return Err(self.vectors.shape(name, format!("{} elements", found.len())));
        }
        self.rows
            .push(Comparison::new(name, quantity, reference, found, &expected.data));
        Ok(())
    }
}

/// The part of a run that a reference of `shape` holds: all samples' final images, or the first samples' trajectory.
fn part_of<T: Real>(run: &Run<T>, part: RunPart, shape: &[usize]) -> Option<Vec<f64>> {
    let trajectory = match part {
        RunPart::X0 => return Some(run.x.last()?.iter().map(|v| v.wide()).collect()),
        RunPart::TrajX => &run.x,
        RunPart::TrajOut => &run.out,
        RunPart::TrajPredX0 => &run.pred_x0,
        RunPart::TrajCond => &run.cond,
        RunPart::TrajUncond => &run.uncond,
    };
    let each = shape.get(1..)?.iter().product::<usize>();
    if shape[0] != trajectory.len() || trajectory.iter().any(|x| each > x.len()) {
        return None;
    }
    Some(
        trajectory
            .iter()
            .flat_map(|x| x[..each].iter().map(|v| v.wide()))
            .collect(),
    )
}

/// `(a, b)` of the network's own time `a t + b` of a model's timestep t. It falls where the network goes from noise to data.
fn own_time(graph: &Graph) -> [f64; 2] {
    let waves = graph.nodes.iter().find_map(|node| match &node.op {
        Op::Waves(waves) => Some(waves.time),
        Op::Curves(curves) => Some(curves.time),
        _ => None,
    });
    waves.unwrap_or([1.0, 0.0])
}
