//! A policy's control loop, as the library reads it.

use crate::error::exception;
use mote_tools::policy_loop::PolicyLoop;
use pyo3::prelude::*;
use std::path::PathBuf;

/// The loop of a checkpoint at a path, or of the text of its `config.json`, as JSON.
#[pyfunction]
#[pyo3(signature = (path=None, text=None))]
pub fn policy(py: Python<'_>, path: Option<PathBuf>, text: Option<&str>) -> PyResult<String> {
    let found = match (path, text) {
        (Some(path), _) => PolicyLoop::read(&path),
        (None, text) => PolicyLoop::of_text(text.unwrap_or_default()),
    };
    let found = found.map_err(|error| exception(py, &error))?;
    Ok(serde_json::to_string(&found).unwrap_or_default())
}
