//! The first line of a generated file, by which a test finds it older than its source.

use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// `// source HASH`, with the SHA-256 of names and contents of `paths`, in the order of their names. The scripts that generate compute the same.
pub fn source_line(mut paths: Vec<PathBuf>) -> String {
    paths.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let mut digest = Sha256::new();
    for path in &paths {
        digest.update(path.file_name().expect("a file").as_encoded_bytes());
        digest.update([0]);
        digest.update(std::fs::read(path).expect("a readable file"));
        digest.update([0]);
    }
    let hash: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("// source {hash}")
}
