//! Files that are read and written: whole or not at all, and named in every error.

mod output;

pub use output::{Format, OutputFile, folder, folder_name};

use crate::Error;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Larger than any model file: offsets in it have 32 bits.
const MAX_BYTES: u64 = 1 << 32;

/// The whole of the file `path`; `what` it should be is said in errors, such as "a model file".
///
/// # Errors
/// Of kind `Input` where it cannot be read, is a folder, or is larger than 4 GiB.
pub fn read_file(path: &Path, what: &str) -> Result<Vec<u8>, Error> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        Error::input(format_args!("cannot read {shown}: {error}")).help(format_args!("give the path of {what}"))
    };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(Error::input(format_args!("{shown} is a folder")).help(format_args!("give the path of {what}")));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Error::input(format_args!(
            "{shown} has {} bytes, too many for {what}",
            metadata.len()
        ))
        .help(format_args!("give the path of {what}")));
    }
    std::fs::read(path).map_err(failed)
}

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
