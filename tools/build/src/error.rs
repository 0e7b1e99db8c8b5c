//! Why a model cannot be put into a firmware.

use std::fmt;
use std::path::{Path, PathBuf};

use mote_runtime::{ParseError, RunError};

/// Why a model cannot be put into a firmware.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read or written.
    Io {
        /// What was done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// This was no build script: Cargo sets the variable.
    Outside(&'static str),
    /// The file is no sound model of this version.
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ParseError,
    },
    /// The model cannot be run so.
    Run {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: RunError,
    },
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            why: error.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, path, why } => write!(
                f,
                "{doing} {}: {why} (the path is relative to the folder of Cargo.toml)",
                path.display()
            ),
            Self::Outside(variable) => write!(f, "{variable} is not set: call this from build.rs"),
            Self::Model { path, error } => {
                let help = match error {
                    ParseError::NotAModel => "give a file that `mote convert` wrote",
                    _ => "copy it again, or convert the checkpoint again",
                };
                write!(f, "{}: {error} ({help})", path.display())
            }
            Self::Run { path, error } => write!(f, "{}: {error} (change the run in build.rs)", path.display()),
        }
    }
}

impl std::error::Error for Error {}
