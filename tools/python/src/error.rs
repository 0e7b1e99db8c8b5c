//! Errors of the library as exceptions: a class a kind, with what to do about it.

use mote_tools::{Error, ErrorKind};
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::PyType;

create_exception!(
    mote,
    MoteError,
    PyException,
    "What could not be done. `advice` says what to do about it, or is None; `code` names its section of docs/errors.md."
);
create_exception!(
    mote,
    UsageError,
    MoteError,
    "The request cannot be, whatever the files hold."
);
create_exception!(
    mote,
    InputError,
    MoteError,
    "A file that was read is missing, damaged or not supported."
);
create_exception!(mote, OutputError, MoteError, "A file or a folder cannot be written.");
create_exception!(
    mote,
    RefusedError,
    MoteError,
    "The model and the request do not go together."
);
create_exception!(mote, TooLargeError, MoteError, "The model is too large for the board.");
create_exception!(
    mote,
    UnavailableError,
    MoteError,
    "A backend cannot run here: a tool or a device is missing."
);
create_exception!(mote, FailedError, MoteError, "The work itself failed.");

/// Makes the classes names of the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let all: [(&str, Bound<'_, PyType>); 8] = [
        ("MoteError", py.get_type::<MoteError>()),
        ("UsageError", py.get_type::<UsageError>()),
        ("InputError", py.get_type::<InputError>()),
        ("OutputError", py.get_type::<OutputError>()),
        ("RefusedError", py.get_type::<RefusedError>()),
        ("TooLargeError", py.get_type::<TooLargeError>()),
        ("UnavailableError", py.get_type::<UnavailableError>()),
        ("FailedError", py.get_type::<FailedError>()),
    ];
    all.into_iter().try_for_each(|(name, class)| module.add(name, class))
}

/// The exception of an error: its text is what the command prints.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    let text = match error.advice() {
        Some(advice) => format!("{error}\nhelp: {advice}"),
        None => error.to_string(),
    };
    let raised = match error.kind() {
        ErrorKind::Usage => UsageError::new_err(text),
        ErrorKind::Input => InputError::new_err(text),
        ErrorKind::Output => OutputError::new_err(text),
        ErrorKind::Refused => RefusedError::new_err(text),
        ErrorKind::TooLarge => TooLargeError::new_err(text),
        ErrorKind::Unavailable => UnavailableError::new_err(text),
        _ => FailedError::new_err(text),
    };
    let value = raised.value(py);
    let told = value.setattr("advice", error.advice());
    match told.and_then(|()| value.setattr("code", error.code().to_string())) {
        Ok(()) => raised,
        Err(other) => other,
    }
}
