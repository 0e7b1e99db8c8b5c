//! The folder of a run: its own, and one run's at a time.

use super::run::RunError;
use crate::Error;
use crate::files::Inputs;
use crate::import::CHAIN_FILE;
use std::fs::{File, TryLockError};
use std::path::Path;

/// What a run keeps beside its checkpoint. Where it is, the folder is a run's.
pub(super) const TRAINING: &str = "training";

/// What a run trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trains {
    /// A network.
    Network,
    /// A chain of 2015.
    Chain,
}

/// Checks that a run may be written into `folder`: it is none of `inputs` and not inside one, and is new, empty, or such a run's own.
///
/// # Errors
/// Of kind `Usage` or `Output`, with the folder and what it holds.
pub fn check(folder: &Path, inputs: &[&Path], trains: Trains) -> Result<(), Error> {
    Inputs::of(inputs.iter().copied()).spare_folder(folder, |_| true)?;
    let (network, chain) = (folder.join(TRAINING).is_dir(), folder.join(CHAIN_FILE).is_file());
    let (own, other) = match trains {
        Trains::Network => (network, chain.then_some("a chain of 2015")),
        Trains::Chain => (chain, network.then_some("a network's run")),
    };
    if let Some(other) = other {
        let problem = format_args!("{} holds {other}: this run would write over it", folder.display());
        return Err(Error::usage(problem).help("give a new or an empty folder"));
    }
    if own {
        return Ok(());
    }
    let Ok(mut entries) = std::fs::read_dir(folder) else {
        return match folder.symlink_metadata() {
            Ok(_) => Err(
                Error::output(format_args!("{} is no folder that can be read", folder.display()))
                    .help("give a new folder"),
            ),
            Err(_) => Ok(()),
        };
    };
    match entries.next() {
        None => Ok(()),
        Some(entry) => {
            let name = entry.map_or_else(
                |_| "files".into(),
                |entry| entry.file_name().to_string_lossy().into_owned(),
            );
            Err(Error::usage(format_args!(
                "{} holds `{name}` and no run of `mote train`: a run would write over it",
                folder.display()
            ))
            .help("give a new or an empty folder"))
        }
    }
}

/// A run's folder, for as long as this lives: another run that asks for it is refused.
#[derive(Debug)]
pub struct Claim(#[allow(dead_code, reason = "its lock ends with it")] Option<File>);

impl Claim {
    /// Makes the folder's `training/` and locks it.
    ///
    /// # Errors
    /// The folder cannot be made, or another run has it.
    pub(super) fn of(folder: &Path) -> Result<Self, RunError> {
        let own = folder.join(TRAINING);
        let failed = |source| RunError::File {
            path: own.clone(),
            source,
        };
        std::fs::create_dir_all(&own).map_err(failed)?;
        Self::lock(&own, folder)
    }

    /// Locks the folder of a chain, which is there and keeps nothing beside the chain.
    ///
    /// # Errors
    /// Another run has it.
    pub fn of_chain(folder: &Path) -> Result<Self, RunError> {
        Self::lock(folder, folder)
    }

    fn lock(own: &Path, folder: &Path) -> Result<Self, RunError> {
        // Where folders have no locks, runs are told apart by their settings alone.
        let Ok(lock) = File::open(own) else {
            return Ok(Self(None));
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => Err(RunError::Busy(folder.to_owned())),
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self(Some(lock))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_folder_is_taken_where_it_is_new_empty_or_a_runs() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        check(&at("new"), &[], Trains::Network).unwrap();
        for name in ["empty", "run/training", "chain", "ck/unet", "data"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["chain/chain.json", "run/other", "ck/model_index.json", "file"] {
            std::fs::write(at(name), "").unwrap();
        }
        for (name, trains) in [
            ("empty", Trains::Network),
            ("empty", Trains::Chain),
            ("run", Trains::Network),
            ("chain", Trains::Chain),
        ] {
            check(&at(name), &[], trains).unwrap();
        }
        for (name, trains, held) in [
            ("run", Trains::Chain, "holds a network's run"),
            ("chain", Trains::Network, "holds a chain of 2015"),
        ] {
            let error = check(&at(name), &[], trains).unwrap_err();
            assert!(error.to_string().contains(held) && error.advice().is_some(), "{error}");
        }
        let refused = |name: &str, inputs: &[&Path]| {
            let error = check(&at(name), inputs, Trains::Network).unwrap_err();
            (error.kind(), format!("{error}: {}", error.advice().unwrap_or_default()))
        };
        let (kind, text) = refused("ck", &[]);
        assert!(
            kind == ErrorKind::Usage && text.contains("no run of `mote train`") && text.contains("empty folder"),
            "{text}"
        );
        let (_, text) = refused("ck", &[&at("ck")]);
        assert!(text.contains("both input and output"), "{text}");
        let (_, text) = refused("ck/unet", &[&at("ck")]);
        assert!(text.contains("lies in the input"), "{text}");
        let (kind, text) = refused("file", &[]);
        assert!(kind == ErrorKind::Output && text.contains("is no folder"), "{text}");
    }

    #[test]
    #[cfg(unix)]
    fn two_runs_do_not_share_a_folder() {
        let place = tempfile::tempdir().unwrap();
        let first = Claim::of(place.path()).unwrap();
        let error = Claim::of(place.path()).unwrap_err();
        assert!(matches!(error, RunError::Busy(_)), "{error}");
        drop(first);
        Claim::of(place.path()).unwrap();
        let chain = Claim::of_chain(place.path()).unwrap();
        let error = Claim::of_chain(place.path()).unwrap_err();
        assert!(matches!(error, RunError::Busy(_)), "{error}");
        drop(chain);
        Claim::of_chain(place.path()).unwrap();
    }
}
