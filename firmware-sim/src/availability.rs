//! Whether a board can be run here.

use crate::boards::Board;
use crate::error::SimError;
use crate::toolchain::{Toolchain, on_path};

/// Whether a board can be run here, and what to do if not.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Availability {
    /// Everything is here.
    Ok,
    /// Something is missing.
    Missing {
        /// What, by name.
        what: Vec<String>,
        /// How to install it, one command or choice for each.
        how: Vec<String>,
    },
}

impl Availability {
    /// Whether everything is here.
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }
}

impl Board {
    /// Looks for the simulator, a compiler for the core and a linker.
    pub fn available(&self) -> Availability {
        let findings = [emulator(self).err(), Toolchain::find(self.core.target).err()];
        let missing = findings.into_iter().flatten().map(|error| match error {
            SimError::Missing { what, how } => (what, how),
            other => (other.to_string(), "run .ci/setup".into()),
        });
        let (what, how): (Vec<_>, Vec<_>) = missing.unzip();
        if what.is_empty() {
            Availability::Ok
        } else {
            Availability::Missing { what, how }
        }
    }
}

/// The simulator's program.
///
/// # Errors
/// `Missing` where it is not in `PATH`.
pub(crate) fn emulator(board: &Board) -> Result<std::path::PathBuf, SimError> {
    let program = board.emulator.program();
    on_path(program).ok_or_else(|| SimError::Missing {
        what: program.into(),
        how: format!("apt-get install {} (or run .ci/setup)", board.emulator.package()),
    })
}
