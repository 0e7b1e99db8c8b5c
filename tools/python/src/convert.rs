//! `convert` and `boards`.

use crate::error::exception;
use crate::model::Model;
use crate::options::choice;
use crate::work::run;
use mote_tools::convert::held::Held;
use mote_tools::{Checkpoint, Conversion, Error, Progress, Scheme, board_named};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Converts the checkpoint in a folder; `progress` is called with the share of calibration that is done, in thousandths.
#[pyfunction]
#[pyo3(signature = (source, scheme, board=None, name=None, progress=None))]
pub fn convert(
    py: Python<'_>,
    source: PathBuf,
    scheme: &str,
    board: Option<&str>,
    name: Option<String>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Model> {
    let checked = || -> Result<Conversion, Error> {
        let scheme = scheme.parse::<Scheme>().map_err(choice)?;
        let conversion = Conversion::new(scheme);
        Ok(match board {
            Some(board) => conversion.for_board(board_named(board).map_err(choice)?),
            None => conversion,
        })
    };
    let conversion = checked().map_err(|error| exception(py, &error))?;
    let (file, held) = run(py, progress, move |watch| {
        let mut checkpoint = Checkpoint::open(source)?;
        if let Some(name) = name {
            checkpoint.name = name;
        }
        let told = |progress: Progress| {
            let (Progress::Calibrating(done, of) | Progress::Measuring(done, of)) = progress;
            watch.set(1000 * done as u64 / of.max(1) as u64);
        };
        let converted = conversion.convert_with(&checkpoint, &told)?;
        // A model that cannot follow its weights is a model all the same.
        Ok((converted.file()?, Held::of(&converted)))
    })?;
    Ok(Model::of(file).holding(held))
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
