//! Files that are read and written: whole or not at all, and named in every error.

mod output;
mod regular;

pub use output::{Format, OutputFile, folder, folder_name};
pub use regular::{SMALL, read, text};

use crate::Error;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Larger than any model file: offsets in it have 32 bits.
const MAX_BYTES: u64 = 1 << 32;

/// The whole of the file `path`; `what` it should be is said in errors, such as "a model file".
///
/// # Errors
/// Of kind `Input` where it cannot be read, is no regular file, or is larger than 4 GiB.
pub fn read_file(path: &Path, what: &str) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| {
        let shown = path.display();
        Error::input(format_args!("cannot read {shown}: {error}")).help(format_args!("give the path of {what}"))
    };
    read(path, MAX_BYTES).map_err(failed)
}

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
