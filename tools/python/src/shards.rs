//! Parts of runs: made by a model, and merged.

use crate::error::exception;
use crate::model::Model;
use crate::options::{self, Beginning, Steps, conditions};
use crate::work::run;
use mote_tools::data::{Split, measured};
use mote_tools::files::{Format, OutputFile};
use mote_tools::images::{ImageSink, Signal};
use mote_tools::validate::Survey;
use mote_tools::{Backend, Checkpoint, Error, FloatDevice, Merged, Request, Shard, merge as merged};
use pyo3::prelude::*;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Joins parts; what the command prints, as JSON.
#[pyfunction]
#[pyo3(signature = (parts, out=None))]
pub fn merge(py: Python<'_>, parts: Vec<PathBuf>, out: Option<PathBuf>) -> PyResult<String> {
    let object = run(py, None, move |_| {
        let count = parts.len();
        Ok(match merged(&parts, out.as_deref())? {
            Merged::Images {
                file,
                count: images,
                digest,
            } => {
                json!({ "file": file, "parts": count, "count": images, "digest": format!("{digest:016x}") })
            }
            Merged::Statistics { file, statistics } => {
                let spread = statistics.distribution();
                json!({ "file": file, "parts": count, "held": spread.held(), "distribution": spread })
            }
            _ => json!({ "parts": count }),
        })
    })?;
    Ok(object.to_string())
}

/// What parts of a run have in common, and which of them is made: the keyword arguments of `sample_part` and `statistics`.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct ShardPart {
    out: PathBuf,
    count: usize,
    shard: (u32, u32),
    seed: u64,
    label: Option<u16>,
    guidance: Option<f64>,
    condition: Option<Vec<Vec<f64>>>,
    backend: String,
}

impl ShardPart {
    fn request(&mut self, steps: &Steps) -> Result<(Request, Shard, Backend), Error> {
        let request = Request {
            run: steps.options()?,
            class: self.label,
            guidance: self.guidance,
            seed: self.seed,
            count: Some(self.count),
            condition: conditions(self.condition.take())?,
            ..Request::default()
        };
        let backend = options::backend(&self.backend)?;
        backend.available().map_err(Error::from)?;
        Ok((request, Shard::new(self.shard.0, self.shard.1)?, backend))
    }
}

/// Writes the archive of a shard's images; gives their number.
#[pyfunction]
pub fn sample_part(
    py: Python<'_>,
    model: &Bound<'_, Model>,
    mut part: ShardPart,
    steps: Steps,
    beginning: Beginning<'_>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<usize> {
    let file = Arc::clone(model.get().file());
    let asked = part
        .request(&steps)
        .and_then(|(request, shard, backend)| Ok((beginning.begin(file.shape(), request)?, shard, backend)));
    let (request, shard, backend) = asked.map_err(|error| exception(py, &error))?;
    run(py, progress, move |watch| {
        ImageSink::check_name(&part.out, shard)?;
        let sampling = request.sampling(file.model())?;
        let images = shard.range(sampling.images.len()).len();
        let signal = Signal::of(file.model().header());
        let sink = ImageSink::prepare(&part.out, &[file.path()], images, file.shape(), signal)?;
        sink.write(backend, file.opened(), (&sampling, shard), file.shape(), &|| {
            watch.count()
        })?;
        Ok(images)
    })
}

/// Writes the statistics of a shard's images; gives the range of the images.
#[pyfunction]
pub fn statistics(
    py: Python<'_>,
    model: &Bound<'_, Model>,
    checkpoint: PathBuf,
    mut part: ShardPart,
    steps: Steps,
    network: &str,
    data: Option<PathBuf>,
) -> PyResult<(u64, u64)> {
    let (request, shard, backend) = part.request(&steps).map_err(|error| exception(py, &error))?;
    let device = FloatDevice::parse(network).map_err(options::choice);
    let device = device.map_err(|error| exception(py, &error))?;
    let file = Arc::clone(model.get().file());
    run(py, None, move |_| {
        device.available()?;
        let inputs = [Some(checkpoint.as_path()), data.as_deref()];
        let inputs: Vec<&Path> = inputs.into_iter().flatten().collect();
        let out = OutputFile::prepare(&part.out, Format::Moments, &inputs)?;
        let checkpoint = Checkpoint::open(&checkpoint)?;
        let shape = checkpoint.graph.sample_shape();
        let read = |path: &PathBuf| measured(path, Split::Train, 2 * part.count, shape);
        let data = data.as_ref().map(read).transpose()?;
        let survey = Survey {
            opened: file.opened(),
            checkpoint: &checkpoint,
            config: &request.config(file.model())?,
            count: part.count,
            backend,
            device,
            data: data.as_ref(),
        };
        let statistics = survey.statistics(shard, &|_| ())?;
        statistics.write(&out)?;
        Ok((statistics.images().start, statistics.images().end))
    })
}
