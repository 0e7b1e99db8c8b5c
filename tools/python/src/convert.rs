//! `convert`, `boards` and what else is asked of a checkpoint's folder.

use crate::error::exception;
use crate::model::Model;
use crate::options::choice;
use crate::work::run;
use mote_tools::convert::held::StandingFormats;
use mote_tools::files::{Format, OutputFile, folder};
use mote_tools::target::{Described, Profile};
use mote_tools::{Arena, Checkpoint, ConversionRequest, Error, Progress, Scheme, Target};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};

/// What is asked of a conversion: the keyword arguments of `convert`.
#[derive(Debug, FromPyObject)]
#[pyo3(from_item_all)]
pub struct Asked {
    scheme: String,
    board: Option<String>,
    flash: Option<String>,
    ram: Option<String>,
    core: Option<String>,
    clock: Option<String>,
    profile: Option<String>,
    arena: Option<String>,
    refine: bool,
    name: Option<String>,
    null_class: Option<usize>,
    labels: Option<usize>,
    calibration: Option<String>,
    condition_range: Option<[f64; 2]>,
    condition_null: Option<f64>,
    latent: Option<[usize; 2]>,
    keep_variances: bool,
    strip: bool,
    report: Option<String>,
    report_folder: Option<PathBuf>,
}

impl Asked {
    /// As the library takes it.
    fn request(self) -> Result<ConversionRequest, Error> {
        let scheme = self.scheme.parse::<Scheme>().map_err(choice)?;
        let arena = self.arena.map(|name| name.parse::<Arena>().map_err(choice));
        let profile = self.profile.map(|name| name.parse::<Profile>());
        let unknown = |advice| Error::usage("unknown profile").help(advice);
        let described = Described {
            flash: self.flash,
            ram: self.ram,
            core: self.core,
            clock: self.clock,
        };
        let request = ConversionRequest {
            board: Target::asked_with(self.board.as_deref(), &described, profile.transpose().map_err(unknown)?)?,
            arena: arena.transpose()?,
            refine: self.refine,
            name: self.name,
            null_class: self.null_class,
            labels: self.labels,
            calibration: self.calibration.map(Into::into),
            condition_range: self.condition_range,
            condition_null: self.condition_null,
            latent: self.latent,
            keep_variances: self.keep_variances,
            strip: self.strip,
            report: self.report,
            ..ConversionRequest::of(scheme)
        };
        request.check()?;
        Ok(request)
    }
}

/// A model, what a user should know of it, and the page of its conversion where that was asked for.
type Made = (Model, Vec<String>, Option<String>);

/// Converts what lies at a path; `progress` is called with the share of calibration that is done, in thousandths.
#[pyfunction]
#[pyo3(signature = (source, asked, progress=None))]
pub fn convert(py: Python<'_>, source: PathBuf, asked: Asked, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Made> {
    let report = asked.report_folder.as_deref().map(report_in).transpose();
    let report = report.map_err(|error| exception(py, &error))?;
    let request = asked.request().map_err(|error| exception(py, &error))?;
    let (made, held, request) = run(py, progress, move |watch| {
        let told = |progress: Progress| {
            let (Progress::Calibrating(done, of) | Progress::Measuring(done, of)) = progress;
            watch.set(1000 * done as u64 / of.max(1) as u64);
        };
        let made = request.convert(&source, &told)?;
        if let (Some(report), Some(page)) = (&report, &made.report) {
            report.write(page.as_bytes())?;
        }
        // A model that cannot follow its weights is a model all the same.
        let held = made.converted.as_ref().map(StandingFormats::of);
        Ok((made, held, request))
    })?;
    let model = match held {
        Some(held) => Model::of(made.file).holding(held, request),
        None => Model::of(made.file),
    };
    Ok((model, made.notes, made.report))
}

/// The report in a folder, which is made.
fn report_in(path: &Path) -> Result<OutputFile, Error> {
    folder(path)?;
    OutputFile::prepare(&path.join("report.html"), Format::Html, &[])
}

/// Writes a page, whole or not at all.
#[pyfunction]
pub fn write_page(py: Python<'_>, path: PathBuf, page: &str) -> PyResult<()> {
    let written = || OutputFile::prepare(&path, Format::Html, &[])?.write(page.as_bytes());
    written().map_err(|error| exception(py, &error))
}

/// Names of the simulated boards.
#[pyfunction]
pub fn boards() -> Vec<&'static str> {
    mote_tools::boards().iter().map(|board| board.name).collect()
}

/// The axes of a sample as the code of the network in a folder orders them: which of channel, row and col each is.
#[pyfunction]
pub fn layout(py: Python<'_>, checkpoint: PathBuf) -> PyResult<Vec<usize>> {
    let found = Checkpoint::open(checkpoint).map_err(|error| exception(py, &error.into()))?;
    Ok(found.layout.order().to_vec())
}
