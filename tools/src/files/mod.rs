//! Files that are read and written: bounded, whole or not at all, never both at once, and named in every error.

mod around;
mod input;
mod keyed;
mod output;
mod temporary;
mod whole_folder;

pub use around::{Found, look_around};
pub use input::{Expected, HEAD_BYTES, Inputs, read_file};
pub use keyed::keyed;
pub use mote_import::files::{Form, SMALL, hex, read, read_as, sha256, text};
pub use output::{Format, OutputFile, folder, folder_name};
pub use temporary::{remove_temporaries, replace};
pub use whole_folder::whole_folder;
