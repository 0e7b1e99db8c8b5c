//! Files that are read and written: bounded, whole or not at all, never both at once, and named in every error.

mod around;
mod form;
mod input;
mod keyed;
mod output;
mod regular;
mod temporary;
mod whole_folder;

pub use around::{Found, look_around};
pub use form::Form;
pub use input::{Expected, HEAD_BYTES, Inputs, read_file};
pub use keyed::keyed;
pub use output::{Format, OutputFile, folder, folder_name};
pub use regular::{SMALL, read, read_as, text};
pub use temporary::{remove_temporaries, replace};
pub use whole_folder::whole_folder;

use sha2::{Digest, Sha256};

/// SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
