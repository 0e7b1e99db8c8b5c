//! Files that are read: bounded, regular, held to their form, and named in every error.

mod form;
mod regular;

pub use form::Form;
pub use regular::{SMALL, open, read, read_as, room, text};

use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
