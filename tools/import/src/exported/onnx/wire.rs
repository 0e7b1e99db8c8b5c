//! Messages of Protocol Buffers, field by field, without a copy: where each one lies in the file.

use prost::encoding::{WireType, decode_key, decode_varint};
use std::ops::Range;

/// A problem, in words.
pub(super) type Result<T> = std::result::Result<T, String>;

/// The value of a field.
#[derive(Debug, Clone)]
pub(super) enum Wire {
    /// A number of any length.
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    /// Where a message, a text, or packed numbers lie.
    Bytes(Range<usize>),
}

/// The fields of the message in a part of the file.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    file: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// Those of the message at `range`.
    pub fn new(file: &'a [u8], range: &Range<usize>) -> Self {
        Self {
            file,
            at: range.start,
            end: range.end,
        }
    }

    /// Reads with `read`, of the bytes that are left.
    fn take<T>(&mut self, read: impl FnOnce(&mut &[u8]) -> Option<T>) -> Result<T> {
        let mut rest = &self.file[self.at..self.end];
        let read = read(&mut rest);
        self.at = self.end - rest.len();
        read.ok_or_else(|| format!("it is no message of Protocol Buffers at byte {}", self.at))
    }

    fn field(&mut self) -> Result<(u32, Wire)> {
        let (number, kind) = self.take(|rest| decode_key(rest).ok())?;
        let value = match kind {
            WireType::Varint => Wire::Varint(self.take(|rest| decode_varint(rest).ok())?),
            WireType::ThirtyTwoBit => Wire::Fixed32(self.take(|rest| rest.split_off(..4)?.first_chunk().copied())?),
            WireType::SixtyFourBit => Wire::Fixed64(self.take(|rest| rest.split_off(..8)?.first_chunk().copied())?),
            WireType::LengthDelimited => {
                let length = self.take(|rest| decode_varint(rest).ok())?;
                let left = self.end - self.at;
                let length = usize::try_from(length).ok().filter(|length| *length <= left);
                let length = length.ok_or_else(|| {
                    format!(
                        "it ends within a message, {left} bytes behind byte {}: copy it again",
                        self.at
                    )
                })?;
                self.at += length;
                Wire::Bytes(self.at - length..self.at)
            }
            WireType::StartGroup | WireType::EndGroup => {
                return Err(format!("it holds a group at byte {}, which no ONNX file has", self.at));
            }
        };
        Ok((number, value))
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<(u32, Wire)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.at = self.end;
        }
        Some(field)
    }
}

/// The number of a field that has one.
pub(super) fn integer(wire: &Wire) -> Result<i64> {
    match wire {
        Wire::Varint(value) => Ok(*value as i64),
        _ => Err("a field that is a whole number is none".to_string()),
    }
}

/// Where a message or a text lies.
pub(super) fn bytes(wire: Wire) -> Result<Range<usize>> {
    match wire {
        Wire::Bytes(range) => Ok(range),
        _ => Err("a field that is a message or a text is none".to_string()),
    }
}

/// Whole numbers, packed or one of them, after those in `numbers`; at most `most`.
pub(super) fn integers(file: &[u8], wire: Wire, numbers: &mut Vec<i64>, most: usize) -> Result<()> {
    match wire {
        Wire::Bytes(range) => {
            let mut rest = &file[range];
            while !rest.is_empty() && numbers.len() <= most {
                let number = decode_varint(&mut rest).map_err(|_| "packed numbers end within one".to_string())?;
                numbers.push(number as i64);
            }
        }
        other => numbers.push(integer(&other)?),
    }
    if numbers.len() > most {
        return Err(format!("a list has more than {most} numbers"));
    }
    Ok(())
}

/// A text.
pub(super) fn text(file: &[u8], wire: Wire) -> Result<String> {
    let bytes = &file[bytes(wire)?];
    let text = std::str::from_utf8(bytes).map_err(|_| "a name is no UTF-8".to_string())?;
    Ok(text.to_string())
}
