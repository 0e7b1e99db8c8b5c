//! Files that are read: bounded, regular, held to their form, and named in every error.

mod form;
mod regular;

pub use form::Form;
pub use regular::{SMALL, open, read, read_as, room, text};

use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    sha256_of([bytes])
}

/// SHA-256 of parts, one after the other, in lower-case hexadecimal.
#[must_use]
pub fn sha256_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    parts.into_iter().for_each(|part| digest.update(part));
    hex(digest)
}

/// What a digest has come to, in lower-case hexadecimal.
#[must_use]
pub fn hex(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
