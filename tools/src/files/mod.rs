//! Files that are read and written: bounded, whole or not at all, never both at once, and named in every error.

mod around;
mod input;
mod output;
mod temporary;

pub use around::{Found, look_around};
pub use input::{Expected, HEAD_BYTES, Inputs, read_file};
pub use mote_import::files::{Form, SMALL, read, read_as, sha256, text};
pub use output::{Format, OutputFile, folder, folder_name};
pub use temporary::{remove_temporaries, replace};
