//! A frame's line: its format string with the arguments in their places.

use std::fmt::Write as _;

use defmt_parser::{DisplayHint, Fragment, Parameter, Type};

use super::table::{Format, Table};
use super::{Level, LogLine};

/// Formats within formats: more than any line has.
const DEPTH_MAX: usize = 32;

/// The line of a frame; `None` where it is none.
pub(super) fn line(table: &Table, frame: &[u8]) -> Option<LogLine> {
    let mut arguments = Arguments {
        table,
        bytes: frame,
        text: String::new(),
    };
    let format = arguments.format()?;
    arguments.write(format, None, DEPTH_MAX)?;
    Some(LogLine {
        level: format.level.unwrap_or(Level::Info),
        text: arguments.text,
    })
}

/// The arguments that are left, and what was written of the line.
struct Arguments<'t, 'b> {
    table: &'t Table,
    bytes: &'b [u8],
    text: String,
}

impl<'t, 'b> Arguments<'t, 'b> {
    /// Writes one variant of a format. A hint counts for what is within, too.
    fn write(&mut self, format: &'t Format, around: Option<&DisplayHint>, depth: usize) -> Option<()> {
        let variant = match &format.variants[..] {
            [only] => only,
            variants => {
                let number = match variants.len() - 1 {
                    0..=0xFF => self.number::<1>()?,
                    _ => self.number::<2>()?,
                };
                variants.get(number as usize)?
            }
        };
        for fragment in variant {
            match fragment {
                Fragment::Literal(text) => self.text.push_str(text),
                Fragment::Parameter(parameter) => self.argument(parameter, around, depth)?,
            }
        }
        Some(())
    }

    fn argument(&mut self, parameter: &Parameter, around: Option<&DisplayHint>, depth: usize) -> Option<()> {
        let hint = parameter.hint.as_ref().or(around);
        match parameter.ty {
            Type::U8 => self.unsigned::<1>(hint, around),
            Type::U16 => self.unsigned::<2>(hint, around),
            Type::U32 | Type::Usize => self.unsigned::<4>(hint, around),
            Type::U64 => self.unsigned::<8>(hint, around),
            Type::I8 => self.signed::<1>(hint),
            Type::I16 => self.signed::<2>(hint),
            Type::I32 | Type::Isize => self.signed::<4>(hint),
            Type::I64 => self.signed::<8>(hint),
            Type::Bool => {
                let value = match self.number::<1>()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
                write!(self.text, "{value}").ok()
            }
            Type::Str => {
                let bytes = self.counted()?;
                self.string(std::str::from_utf8(bytes).ok()?, hint);
                Some(())
            }
            Type::IStr => match &self.format()?.variants[..] {
                [variant] => match &variant[..] {
                    [Fragment::Literal(text)] => {
                        self.string(text, hint);
                        Some(())
                    }
                    _ => None,
                },
                _ => None,
            },
            Type::U8Slice => {
                let bytes = self.counted()?;
                let Some(DisplayHint::Hexadecimal { zero_pad, .. }) = hint else {
                    return write!(self.text, "{bytes:?}").ok();
                };
                let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:0zero_pad$x}")).collect();
                write!(self.text, "[{}]", bytes.join(", ")).ok()
            }
            Type::Format => {
                let format = self.format()?;
                // A line is no part of another.
                if format.level.is_some() {
                    return None;
                }
                self.write(format, hint, depth.checked_sub(1)?)
            }
            // An image with any other was refused.
            _ => None,
        }
    }

    fn string(&mut self, text: &str, hint: Option<&DisplayHint>) {
        match hint {
            Some(DisplayHint::Debug) => self.text.push_str(&format!("{text:?}")),
            _ => self.text.push_str(text),
        }
    }

    fn unsigned<const BYTES: usize>(&mut self, hint: Option<&DisplayHint>, around: Option<&DisplayHint>) -> Option<()> {
        let value = self.number::<BYTES>()?;
        // `:?` of a number is the hint around it.
        let hint = match hint {
            Some(DisplayHint::Debug) => around,
            hint => hint,
        };
        match hint {
            Some(DisplayHint::NoHint { zero_pad }) => write!(self.text, "{value:0zero_pad$}"),
            Some(DisplayHint::Hexadecimal { zero_pad, .. }) => write!(self.text, "{value:0zero_pad$x}"),
            _ => write!(self.text, "{value}"),
        }
        .ok()
    }

    fn signed<const BYTES: usize>(&mut self, hint: Option<&DisplayHint>) -> Option<()> {
        let bits = self.number::<BYTES>()?;
        let unused = 64 - 8 * BYTES as u32;
        let value = (bits << unused).cast_signed() >> unused;
        match hint {
            Some(DisplayHint::NoHint { zero_pad }) => write!(self.text, "{value:0zero_pad$}"),
            Some(DisplayHint::Hexadecimal { zero_pad, .. }) => write!(self.text, "{bits:0zero_pad$x}"),
            _ => write!(self.text, "{value}"),
        }
        .ok()
    }

    /// The next format string.
    fn format(&mut self) -> Option<&'t Format> {
        let number = self.number::<2>()?;
        self.table.get(number as u16)
    }

    /// The next number, little-endian.
    fn number<const BYTES: usize>(&mut self) -> Option<u64> {
        let bytes = self.take(BYTES)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    }

    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(taken)
    }

    /// As many bytes as a number before them says.
    fn counted(&mut self) -> Option<&'b [u8]> {
        let count = self.number::<4>()?;
        self.take(usize::try_from(count).ok()?)
    }
}
