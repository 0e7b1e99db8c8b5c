//! A model file, and what can be asked of it.

use crate::array::{Samples, q24};
use crate::error::exception;
use crate::options::{self, Beginning, Of, Steps, conditions};
use crate::work::run;
use mote_runtime::internals::model::header::Arithmetic;
use mote_tools::backend::predict::Question;
use mote_tools::backend::{Sampling, Trace, pictures};
use mote_tools::condition::FixedPoint;
use mote_tools::convert::held::StandingFormats;
use mote_tools::estimate::Estimate;
use mote_tools::request::between;
use mote_tools::tensors::{from_q24, to_chw};
use mote_tools::{
    Backend, Checkpoint, Conditions, ConversionRequest, Error, FloatDevice, ModelFile, Request, StartFrom, Target,
    Validation,
};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Multiply-accumulates between two looks for Ctrl-C, on this machine: some tenths of a second.
const TOGETHER: u64 = 32_000_000_000;
/// The same of a model in f16, which runs in the runtime's own kernels.
const TOGETHER_F16: u64 = 2_000_000_000;

/// A checked model file.
#[derive(Debug)]
#[pyclass(frozen, module = "mote._mote")]
pub struct Model {
    file: Arc<ModelFile>,
    /// Its number formats where it was converted here, with what was asked, or why none can stand.
    held: Option<Result<Arc<Formats>, Arc<Error>>>,
}

/// The number formats of a conversion, and what was asked of it: other weights are read as the first were.
#[derive(Debug)]
struct Formats {
    held: StandingFormats,
    request: ConversionRequest,
}

/// Bytes of a parameter's numbers (f32): the checkpoint's, the model's, first ones that are rounded to the model's.
type Rounded<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>);

/// Digests, states (f32, `(sample, channel, row, col)`), pixels (`(sample, row, col, channel)`).
type Made<'py> = (Vec<String>, Bound<'py, PyByteArray>, Bound<'py, PyByteArray>);

impl Model {
    /// Of a file.
    pub fn of(file: ModelFile) -> Self {
        Self {
            file: Arc::new(file),
            held: None,
        }
    }

    /// The same, with the formats that it was converted to, as it was asked.
    pub fn holding(self, held: Result<StandingFormats, Error>, request: ConversionRequest) -> Self {
        let formats = held.map(|held| Arc::new(Formats { held, request }));
        Self {
            held: Some(formats.map_err(Arc::new)),
            ..self
        }
    }

    /// The file.
    pub fn file(&self) -> &Arc<ModelFile> {
        &self.file
    }
}

#[pymethods]
impl Model {
    /// From the bytes of a file.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<Self> {
        ModelFile::from_bytes(bytes)
            .map(Self::of)
            .map_err(|error| exception(py, &error))
    }

    /// From a file.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        ModelFile::open(path)
            .map(Self::of)
            .map_err(|error| exception(py, &error))
    }

    /// The file's bytes.
    fn bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.file.bytes())
    }

    /// Writes the file, whole or not at all.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        self.file.write(path).map_err(|error| exception(py, &error))
    }

    /// Channels, rows, columns of a sample.
    fn shape(&self) -> (usize, usize, usize) {
        let shape = self.file.shape();
        (shape.channels, shape.rows, shape.cols)
    }

    /// Channels, rows, columns of what a run ends in: the decoder's picture, or the sample.
    fn picture_shape(&self) -> (usize, usize, usize) {
        let shape = self.file.picture_shape();
        (shape.channels, shape.rows, shape.cols)
    }

    /// Numbers of a condition vector; 0 of a model that takes none.
    fn condition_len(&self) -> usize {
        self.file.model().condition_len()
    }

    /// The least and the largest number of a condition vector.
    fn condition_range(&self) -> Option<[f64; 2]> {
        FixedPoint::of(self.file.model()).map(|point| point.range())
    }

    /// Label that means no class.
    fn null_class(&self) -> Option<u16> {
        self.file.model().header().null_class
    }

    /// Training timesteps.
    fn train_steps(&self) -> u32 {
        self.file.model().header().train_steps
    }

    /// Steps of such a run.
    fn steps(&self, py: Python<'_>, steps: Steps) -> PyResult<u32> {
        let header = self.file.model().header();
        let config = steps.options().and_then(|run| run.config(header));
        config.map(|config| config.steps).map_err(|error| exception(py, &error))
    }

    /// What the file holds, as JSON.
    fn inspect(&self) -> String {
        self.file.inspect().to_string()
    }

    /// What it takes of a board, as JSON.
    fn fit(&self, py: Python<'_>, board: &str) -> PyResult<String> {
        let board = Target::named(board).map_err(|error| exception(py, &error))?;
        let estimate = Estimate::of(&board, self.file.model());
        Ok(json(&(self.file.fit(board), estimate)))
    }

    /// The page about the file.
    fn report(&self) -> String {
        self.file.report("mote.Model.report()")
    }

    /// A few lines of HTML about the file, with samples.
    fn card(&self, py: Python<'_>) -> PyResult<String> {
        let file = Arc::clone(&self.file);
        run(py, None, move |_| Ok(file.card()))
    }

    /// The file with one run planned.
    fn planned(&self, py: Python<'_>, steps: Steps) -> PyResult<Self> {
        let planned = steps.options().and_then(|run| self.file.planned(&run));
        planned.map(Self::of).map_err(|error| exception(py, &error))
    }

    /// Images of these seeds, a label each where labels are given.
    #[pyo3(signature = (seeds, steps, labels, guidance, condition, beginning, backend, progress))]
    #[expect(clippy::too_many_arguments, reason = "the keyword arguments of Python's method")]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        seeds: Vec<u64>,
        steps: Steps,
        labels: Option<Vec<u16>>,
        guidance: Option<f64>,
        condition: Option<Vec<Vec<f64>>>,
        beginning: Beginning<'_>,
        backend: &str,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Made<'py>> {
        let checked = || -> Result<(Backend, Vec<Sampling>), Error> {
            let request = Request {
                run: steps.options()?,
                guidance,
                condition: conditions(condition)?,
                seed: seeds.first().copied().unwrap_or_default(),
                ..Request::default()
            };
            let request = beginning.begin(self.file.shape(), request)?;
            let backend = options::backend(backend)?;
            backend.available().map_err(Error::from)?;
            Ok((backend, self.samplings(&request, &seeds, labels.as_deref(), backend)?))
        };
        let (backend, samplings) = checked().map_err(|error| exception(py, &error))?;
        let file = Arc::clone(&self.file);
        let traces = run(py, progress, move |watch| {
            let mut traces: Vec<Trace> = Vec::new();
            for sampling in &samplings {
                if watch.stopped() {
                    break;
                }
                traces.extend(backend.run(file.opened(), sampling, &|| watch.count())?);
            }
            Ok(traces)
        })?;
        let digests = traces.iter().map(|trace| format!("{:016x}", trace.digest())).collect();
        let states: Vec<&[i32]> = traces.iter().map(|trace| trace.state.as_slice()).collect();
        let pixels = PyByteArray::new_with(py, traces.iter().map(|trace| trace.pixels.len()).sum(), |to| {
            let from = traces.iter().flat_map(|trace| &trace.pixels);
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            Ok(())
        })?;
        Ok((digests, self.floats(py, &states)?, pixels))
    }

    /// The network's output for states (f32, `(sample, channel, row, col)`), each at a timestep, with a label where given. With `between` the
    /// timesteps may be any numbers between those of training.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        states: Samples<'_>,
        timesteps: Vec<f64>,
        labels: Option<Vec<u16>>,
        condition: Option<Vec<Vec<f64>>>,
        between: bool,
    ) -> PyResult<Bound<'py, PyByteArray>> {
        let states = q24(&states, self.file.shape()).map_err(|error| exception(py, &error))?;
        let label = |i: usize| labels.as_ref().and_then(|labels| labels.get(i)).copied();
        let questions: Vec<Question> = states
            .into_iter()
            .zip(timesteps)
            .enumerate()
            .map(|(i, (x_q24, timestep))| Question {
                x_q24,
                timestep,
                class: label(i),
                condition: condition
                    .as_ref()
                    .and_then(|rows| rows.get(i % rows.len().max(1)))
                    .cloned(),
            })
            .collect();
        let file = Arc::clone(&self.file);
        let answers = run(py, None, move |_| match between {
            true => file.predict_between(&questions),
            false => file.predict(&questions),
        })?;
        let states: Vec<&[i32]> = answers.iter().map(Vec::as_slice).collect();
        self.floats(py, &states)
    }

    /// Pictures of latents (f32, `(sample, channel, row, col)`) by the decoder: digests, and pixels `(sample, row, col, channel)`.
    fn decode<'py>(
        &self,
        py: Python<'py>,
        latents: Samples<'_>,
        backend: &str,
    ) -> PyResult<(Vec<String>, Bound<'py, PyByteArray>)> {
        let checked = || -> Result<(Backend, Vec<Vec<i32>>), Error> {
            Ok((options::backend(backend)?, q24(&latents, self.file.shape())?))
        };
        let (backend, latents) = checked().map_err(|error| exception(py, &error))?;
        let file = Arc::clone(&self.file);
        let drawn = run(py, None, move |_| Ok(pictures(file.opened(), backend, &latents)?))?;
        let digests = drawn.iter().map(|one| format!("{:016x}", one.digest)).collect();
        let pixels: Vec<u8> = drawn.iter().flat_map(|one| one.pixels()).collect();
        Ok((digests, PyByteArray::new(py, &pixels)))
    }

    /// Holds backends to the same bits; a JSON list of outcomes.
    fn validate(
        &self,
        py: Python<'_>,
        backends: Vec<String>,
        seeds: usize,
        steps: Steps,
        asked: Of,
    ) -> PyResult<String> {
        let checked = || -> Result<Validation, Error> {
            Ok(Validation {
                request: asked.request(&steps)?,
                seeds,
                backends: backends
                    .iter()
                    .map(|name| options::backend(name))
                    .collect::<Result<_, _>>()?,
                ..Validation::default()
            })
        };
        let validation = checked().map_err(|error| exception(py, &error))?;
        let file = Arc::clone(&self.file);
        Ok(json(&run(py, None, move |_| file.validate(&validation))?))
    }

    /// Distance to the float network of a checkpoint's folder, as JSON.
    fn compare(
        &self,
        py: Python<'_>,
        checkpoint: PathBuf,
        seeds: usize,
        steps: Steps,
        asked: Of,
        network: &str,
    ) -> PyResult<String> {
        let checked = || -> Result<(Request, FloatDevice), Error> {
            let device = FloatDevice::parse(network).map_err(options::choice)?;
            device.available()?;
            Ok((asked.request(&steps)?, device))
        };
        let (request, device) = checked().map_err(|error| exception(py, &error))?;
        let file = Arc::clone(&self.file);
        let compared = run(py, None, move |_| {
            file.compare(&Checkpoint::open(checkpoint)?, &request, seeds, device)
        })?;
        Ok(json(&compared))
    }

    /// The model of the weights in a checkpoint's folder, in this one's number formats.
    fn requantized(&self, py: Python<'_>, checkpoint: PathBuf) -> PyResult<Self> {
        let formats = self.formats().map_err(|error| exception(py, &error))?;
        let same = Arc::clone(&formats);
        let file = run(py, None, move |_| {
            same.held.model(&same.request.checkpoint(&checkpoint)?)
        })?;
        Ok(Self {
            file: Arc::new(file),
            held: Some(Ok(formats)),
        })
    }

    /// Weights of a checkpoint's folder by their name, and what the model makes of them.
    fn rounded<'py>(&self, py: Python<'py>, checkpoint: PathBuf) -> PyResult<BTreeMap<String, Rounded<'py>>> {
        let formats = self.formats().map_err(|error| exception(py, &error))?;
        let found = run(py, None, move |_| {
            formats.held.rounded(&formats.request.checkpoint(&checkpoint)?)
        })?;
        let bytes = |numbers: &[f32]| -> Bound<'py, PyBytes> {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            PyBytes::new(py, &bytes)
        };
        let of = |(name, weight): (String, mote_tools::convert::held::Rounded)| {
            (
                name,
                (bytes(&weight.float), bytes(&weight.rounded), bytes(&weight.first)),
            )
        };
        Ok(found.into_iter().map(of).collect())
    }

    /// For pickles and copies.
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let class = py.get_type::<Self>();
        Ok((class.getattr("from_bytes")?, (self.bytes(py),)))
    }

    fn __sizeof__(&self) -> usize {
        self.file.bytes().len()
    }
}

impl Model {
    fn formats(&self) -> Result<Arc<Formats>, Arc<Error>> {
        let opened = || {
            let error = Error::usage("a model file does not hold what its conversion found out");
            Arc::new(error.help("give what mote.convert returned in this process"))
        };
        self.held.clone().unwrap_or_else(|| Err(opened()))
    }

    /// States, Q24 `(row, col, channel)`, as f32 `(sample, channel, row, col)` in memory that Python may write to, so that arrays of other
    /// libraries can lie in it.
    fn floats<'py>(&self, py: Python<'py>, states: &[&[i32]]) -> PyResult<Bound<'py, PyByteArray>> {
        let channels = self.file.shape().channels;
        let numbers = states.iter().map(|state| state.len()).sum::<usize>();
        PyByteArray::new_with(py, 4 * numbers, |to| {
            let values = states.iter().flat_map(|state| to_chw(state, channels));
            let places = to.as_chunks_mut().0;
            places
                .iter_mut()
                .zip(values)
                .for_each(|(place, value)| *place = (from_q24(value) as f32).to_le_bytes());
            Ok(())
        })
    }

    /// Jobs of few images each, so that Ctrl-C is heard; images of one label follow each other.
    fn samplings(
        &self,
        request: &Request,
        seeds: &[u64],
        labels: Option<&[u16]>,
        backend: Backend,
    ) -> Result<Vec<Sampling>, Error> {
        let header = self.file.model().header();
        let work = match header.arithmetic {
            Arithmetic::Integer => TOGETHER,
            Arithmetic::F16 => TOGETHER_F16,
        };
        let image = header.macs.max(1) * u64::from(request.run.config(header)?.steps.max(1));
        let most = match backend {
            Backend::Cpu | Backend::Portable => (work / image).clamp(8, 4096) as usize,
            Backend::Cuda(_) => 4096,
            Backend::Oracle(_) | Backend::Wasm | Backend::Board(..) => 1,
        };
        let label = |i: usize| labels.and_then(|labels| labels.get(i)).copied();
        // Where an image lies between two seeds follows from its place among all of them.
        let between = match request.start {
            StartFrom::Between { second } => between(second, seeds.len()),
            _ => vec![],
        };
        let mut samplings = Vec::new();
        let mut first = 0;
        while first < seeds.len() {
            let alike = (first..seeds.len())
                .take(most)
                .take_while(|i| label(*i) == label(first));
            let end = first + alike.count();
            let mut part = Request {
                class: label(first),
                ..request.clone()
            };
            if let Some(rows) = request.condition.as_ref().filter(|rows| rows.count() > 1) {
                let numbers = (first..end).flat_map(|i| rows.row(i)).copied().collect();
                part.condition = Some(Conditions::new("the condition", rows.width(), numbers)?);
            }
            if let StartFrom::Noise(noise) = &request.start {
                part.start = StartFrom::Noise(noise.get(first..end).unwrap_or_default().to_vec());
            }
            let mut sampling = part.sampling_of(self.file.model(), &seeds[first..end])?;
            for (image, origin) in sampling.images.iter_mut().zip(between.iter().skip(first)) {
                image.origin = origin.clone();
            }
            samplings.push(sampling);
            first = end;
        }
        Ok(samplings)
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
