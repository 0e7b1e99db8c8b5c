//! The address of every refusal: a number that never changes its meaning, with a section of `docs/errors.md`.
//!
//! Numbers below 1000 are the runtime's, the same as in `mote.h`. From 1000 on they are the tools': a kind, or a variant of a stage's
//! error. `codes!` gives each variant its number, its cause and its remedy in one place, so that one without does not compile.

use std::fmt;

/// What an error is, as a number: `MOTE-1101`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl Code {
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// What is told of it.
    #[must_use]
    pub fn entry(self) -> Option<&'static Entry> {
        let mut all = groups().into_iter().flat_map(|group| group.entries);
        all.find(|entry| entry.code == self)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MOTE-{}", self.0)
    }
}

/// What is told of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The code.
    pub code: Code,
    /// Its name in the source, or in `mote.h`.
    pub name: &'static str,
    /// What went wrong.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Codes of one stage.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// In the order of their numbers.
    pub entries: &'static [Entry],
}

/// An error that has a code.
pub trait Coded {
    /// Its code.
    fn code(&self) -> Code;
}

/// Gives a type of errors its codes: `Variant number "cause" "remedy"`, and after `through` the variants that hold an error with a code of
/// its own.
macro_rules! codes {
    ($error:ty, $entries:ident: $($variant:ident $number:literal $cause:literal $remedy:literal)* ; through $($inner:ident)*) => {
        impl $crate::error::code::Coded for $error {
            fn code(&self) -> $crate::error::code::Code {
                match self {
                    $(Self::$variant { .. } => $crate::error::code::Code($number),)*
                    $(Self::$inner(inner) => inner.code(),)*
                }
            }
        }

        pub(super) const $entries: &[$crate::error::code::Entry] = &[
            $($crate::error::code::Entry {
                code: $crate::error::code::Code($number),
                name: stringify!($variant),
                cause: $cause,
                remedy: $remedy,
            },)*
        ];
    };
}

/// Gives an error without variants its code.
macro_rules! code {
    ($error:ty, $entry:ident: $name:ident $number:literal $cause:literal $remedy:literal) => {
        impl $crate::error::code::Coded for $error {
            fn code(&self) -> $crate::error::code::Code {
                $crate::error::code::Code($number)
            }
        }

        pub(super) const $entry: &[$crate::error::code::Entry] = &[$crate::error::code::Entry {
            code: $crate::error::code::Code($number),
            name: stringify!($name),
            cause: $cause,
            remedy: $remedy,
        }];
    };
}

mod backends;
mod convert;
mod data;
mod device;
mod import;
mod kinds;
mod list;
mod schedule;

pub use list::groups;
