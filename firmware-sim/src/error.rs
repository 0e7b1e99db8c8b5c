//! What can go wrong, with what to do about it.

use std::path::PathBuf;

/// A board's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Code and model.
    Flash,
    /// Stack, statics and arena.
    Ram,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Flash => "flash",
            Self::Ram => "RAM",
        })
    }
}

/// Why a simulation gave no report.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// Model and code, or arena, statics and the smallest stack, are more than the board has.
    #[error("{board}: {memory} needs {needed} bytes, board has {available} ({parts})")]
    DoesNotFit {
        /// The board's name.
        board: &'static str,
        /// Which of its memories.
        memory: Memory,
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        available: u64,
        /// What the needed bytes are.
        parts: String,
    },
    /// A program or compiler that this needs is not here.
    #[error("{what} is missing: {how}")]
    Missing {
        /// What is not here.
        what: String,
        /// What to do.
        how: String,
    },
    /// The model file was refused before anything was built.
    #[error("the model was refused: {0}")]
    Model(String),
    /// The request cannot be put to the firmware.
    #[error("bad request: {0}")]
    Request(String),
    /// The firmware's source is not where it was when this program was built.
    #[error("no firmware source in {}: set MOTE_FIRMWARE_DIR to the folder firmware-sim/firmware of the Mote sources", .0.display())]
    NoSource(PathBuf),
    /// The firmware did not compile or link.
    #[error("{step} of the firmware for {target} failed:\n{output}")]
    Build {
        /// Which step.
        step: &'static str,
        /// For which Rust target.
        target: &'static str,
        /// The end of what the tool said.
        output: String,
    },
    /// The firmware ran longer than allowed and was stopped.
    #[error("{board}: stopped after {seconds} s, the time limit of the request; its last lines:\n{log}")]
    Timeout {
        /// The board's name.
        board: &'static str,
        /// The limit.
        seconds: f64,
        /// The last log lines.
        log: String,
    },
    /// The firmware refused its work, panicked or faulted.
    #[error("{board}: the firmware failed: {why}; its last lines:\n{log}")]
    Failed {
        /// The board's name.
        board: &'static str,
        /// The error that it logged, or how it ended.
        why: String,
        /// The last log lines.
        log: String,
    },
    /// The firmware ended well but its report is not complete.
    #[error("{board}: the report cannot be read: {what}")]
    Report {
        /// The board's name.
        board: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A file or process operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, and on which file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SimError {
    /// For `map_err`: an I/O error with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
