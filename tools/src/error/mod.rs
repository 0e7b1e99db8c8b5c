//! The one error of the library's face: what went wrong, of which kind it is, and what to do.

pub mod code;
mod from;

use code::{Code, Coded};
use std::fmt;

/// What kind of thing went wrong, for a program that decides what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be, whatever the files hold: an option outside its range, or two that exclude each other.
    Usage,
    /// A file that was read is missing, damaged, not what it should be, or not supported.
    Input,
    /// A file or a folder cannot be written.
    Output,
    /// The model and the request do not go together.
    Refused,
    /// The model is too large for the board.
    TooLarge,
    /// A backend cannot run here: a tool or a device is missing.
    Unavailable,
    /// The work itself failed.
    Failed,
}

impl ErrorKind {
    /// Its name, for programs: one lower-case word or two.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Input => "input",
            Self::Output => "output",
            Self::Refused => "refused",
            Self::TooLarge => "too large",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}

/// Why something could not be done. `Display` gives the message; [`Error::advice`] says what to do.
///
/// ```
/// use mote_tools::{Checkpoint, Error, ErrorKind};
///
/// let error = Error::from(Checkpoint::open("no-such-folder").unwrap_err());
/// assert_eq!(error.kind(), ErrorKind::Input);
/// assert!(error.to_string().contains("no-such-folder") && error.advice().is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    code: Code,
    message: String,
    help: Option<String>,
}

impl Error {
    /// The work failed.
    pub fn new(message: impl fmt::Display) -> Self {
        Self::of(ErrorKind::Failed, message)
    }

    /// An error of `kind` that says `message`. Control characters are escaped: a message may quote what a file holds.
    pub fn of(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            code: kind.code(),
            message: escaped(&message.to_string()),
            help: None,
        }
    }

    /// An error of `kind` with the message and the code of a stage's own.
    pub fn coded(kind: ErrorKind, error: impl Coded + fmt::Display) -> Self {
        Self {
            code: error.code(),
            ..Self::of(kind, error)
        }
    }

    /// The same with the code of a stage's error, whose message is said in other words.
    pub(crate) fn with_code_of(self, error: &impl Coded) -> Self {
        Self {
            code: error.code(),
            ..self
        }
    }

    /// The request cannot be.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::of(ErrorKind::Usage, message)
    }

    /// A file that was read is not what it should be.
    pub fn input(message: impl fmt::Display) -> Self {
        Self::of(ErrorKind::Input, message)
    }

    /// A file cannot be written.
    pub fn output(message: impl fmt::Display) -> Self {
        Self::of(ErrorKind::Output, message)
    }

    /// Model and request do not go together.
    pub fn refused(message: impl fmt::Display) -> Self {
        Self::of(ErrorKind::Refused, message)
    }

    /// The same of `what`, such as a file, whose name stands before the message.
    #[must_use]
    pub fn about(self, what: impl fmt::Display) -> Self {
        Self {
            message: format!("{}: {}", escaped(&what.to_string()), self.message),
            ..self
        }
    }

    /// The same with advice: what to do about it.
    #[must_use]
    pub fn help(self, help: impl fmt::Display) -> Self {
        Self {
            help: Some(escaped(&help.to_string())),
            ..self
        }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Its code, which has a section of `docs/errors.md`.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What to do about it: what whoever made the error says, or what its code says of all that have it.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        let of_kind = self.code == self.kind.code();
        let of_code = || self.code.entry().filter(|_| !of_kind).map(|entry| entry.remedy);
        self.help.as_deref().or_else(of_code)
    }
}

/// `text` without characters that a terminal would obey; lines stay lines.
#[must_use]
pub fn escaped(text: &str) -> String {
    let shown = |c: char| -> String {
        if c.is_control() && c != '\n' {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(shown).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_does_not_reach_a_terminal_as_it_is() {
        let error = Error::input("layer \u{1b}[2J\u{7}x").help("a\tb");
        assert_eq!(error.to_string(), "layer \\u{1b}[2J\\u{7}x");
        assert_eq!(error.advice(), Some("a\\tb"));
    }
}
