//! Where a project finds Mote: a checkout, until its packages are published.

use crate::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// A checkout of Mote.
#[derive(Debug)]
pub struct Checkout {
    path: String,
}

/// What a project uses of it.
const NEEDED: [&str; 4] = [
    "runtime/store/Cargo.toml",
    "runtime/Cargo.toml",
    "runtime/c/Cargo.toml",
    "tools/build/Cargo.toml",
];

impl Checkout {
    /// The checkout at `named`, or the one that this was built from.
    ///
    /// # Errors
    /// Of kind `Usage` where `named` is none or has a path that a manifest cannot hold, `Unavailable` where the one it was built from
    /// is gone.
    pub fn find(named: Option<&Path>) -> Result<Self, Error> {
        let built_from = || Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let path = named.map_or_else(built_from, Path::to_owned);
        let lacks = NEEDED.into_iter().find(|file| !path.join(file).is_file());
        let path: PathBuf = match (lacks, path.canonicalize()) {
            (None, Ok(path)) => path,
            _ if named.is_some() => {
                let lacks = lacks.unwrap_or_default();
                return Err(Error::usage(format_args!(
                    "{} is no checkout of Mote: it has no {lacks}",
                    path.display()
                ))
                .help("give --mote the folder of a checkout"));
            }
            _ => {
                let why = "the checkout that this command was built from is not there any more";
                return Err(Error::of(ErrorKind::Unavailable, why).help("give --mote the folder of a checkout"));
            }
        };
        let text = path
            .to_str()
            .filter(|text| !text.contains(['"', '\\', '$', '\n', '\'', ';', '@']));
        let refuse = || {
            Error::usage(format_args!(
                "the path {} has letters that a project's manifest cannot hold",
                path.display()
            ))
            .help("move the checkout, or give --mote another")
        };
        Ok(Self {
            path: text.ok_or_else(refuse)?.to_owned(),
        })
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How a manifest of Cargo names a package of it.
    pub fn dependency(&self, folder: &str) -> String {
        format!("path = \"{}/{folder}\"", self.path)
    }
}
