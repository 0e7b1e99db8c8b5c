//! Codes of the kinds: of errors that no stage has a variant for. Their message says the rest.

use super::{Code, Coded, Entry};
use crate::ErrorKind;

impl Coded for ErrorKind {
    fn code(&self) -> Code {
        Code(match self {
            Self::Usage => 1000,
            Self::Input => 1001,
            Self::Output => 1002,
            Self::Refused => 1003,
            Self::TooLarge => 1004,
            Self::Unavailable => 1005,
            Self::Failed => 1006,
        })
    }
}

const fn entry(number: u16, name: &'static str, cause: &'static str, remedy: &'static str) -> Entry {
    Entry {
        code: Code(number),
        name,
        cause,
        remedy,
    }
}

pub(super) const KINDS: &[Entry] = &[
    entry(
        1000,
        "usage",
        "The request cannot be: an option is unknown, outside its range, would do nothing, or excludes another.",
        "The message names the option and what it takes; `--help` of the command lists all. The exit status is 2.",
    ),
    entry(
        1001,
        "input",
        "A file that was read is missing, damaged, or not what it should be.",
        "The message names the file and what is expected of it. Check the path, or write the file again.",
    ),
    entry(
        1002,
        "output",
        "A file or a folder cannot be written.",
        "Choose a place that exists and may be written, with room. No half-written file is left.",
    ),
    entry(
        1003,
        "refused",
        "The model and the request do not go together.",
        "The message says which part of the request; leave it out, or take a model that has it.",
    ),
    entry(
        1004,
        "too large",
        "The model takes more flash or RAM than the board has.",
        "Take a narrower `--scheme`, a smaller network, or a larger board; `mote inspect --board` says what is short.",
    ),
    entry(
        1005,
        "unavailable",
        "A tool or a device that this needs is not here.",
        "`mote doctor` lists what is here and how to get the rest. Another backend gives the same bits.",
    ),
    entry(
        1006,
        "failed",
        "The work itself failed, for a reason that the message says.",
        "Where it names no file and no option, it is a fault of Mote: report it with the command and the message.",
    ),
];
