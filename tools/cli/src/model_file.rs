//! Model files and checkpoints that a command reads.

use super::failure::Failure;
use super::print;
use mote_host::memory::AlignedBytes;
use mote_runtime::{Model, ParseError};
use mote_tools::import::{Checkpoint, import};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Larger than any model file: offsets in it have 32 bits.
const MAX_BYTES: u64 = 1 << 32;

/// A model file in memory.
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    memory: AlignedBytes,
}

impl ModelFile {
    /// Reads `path`; it is checked by [`ModelFile::parse`].
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            path: path.to_owned(),
            memory: AlignedBytes::copy_of(&read_file(path, "a model file")?),
        })
    }

    /// Checks it.
    pub fn parse(&self) -> Result<Model<'_>, Failure> {
        Model::parse(self.memory.bytes()).map_err(|error| {
            let failure = Failure::new(format_args!("{}: {error}", self.path.display()));
            match error {
                ParseError::NotAModel => failure.help("give a file that `mote convert` wrote"),
                _ => failure.help("copy it again, or convert the checkpoint again"),
            }
        })
    }

    /// Its bytes, 16-byte aligned.
    pub fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The whole of a file that a user named; `what` it should be is said in errors.
pub fn read_file(path: &Path, what: &str) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        Failure::new(format_args!("cannot read {shown}: {error}")).help(format_args!("give the path of {what}"))
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Failure::new(format_args!("{shown} is a folder")).help(format_args!("give the path of {what}")));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Failure::new(format_args!(
            "{shown} has {} bytes, too many for {what}",
            metadata.len()
        )));
    }
    std::fs::read(path).map_err(failed)
}

/// Imports a checkpoint, and says what should be known of how it was read.
pub fn checkpoint(path: &Path) -> Result<Checkpoint, Failure> {
    let checkpoint = import(path)
        .map_err(|error| Failure::new(error).help("see `mote convert --help` for what a checkpoint is"))?;
    checkpoint.notes.iter().for_each(print::note);
    Ok(checkpoint)
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the model file says of where it came from; `null` where that is no JSON.
pub fn provenance(model: &Model<'_>) -> serde_json::Value {
    serde_json::from_slice(model.provenance()).unwrap_or_default()
}
