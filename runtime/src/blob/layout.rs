//! The outermost layer of the file: versions, section table, checksums.

use super::crc::{crc32, joined};
use crate::error::{ParseError, Section};
use crate::numeric::NUMERIC_VERSION;

/// First four bytes of a model file.
pub const MAGIC: [u8; 4] = *b"MOTE";
/// Version of the file layout.
pub const FORMAT_VERSION: u16 = 2;
/// Alignment of the file in memory and of each section in the file, bytes.
pub const ALIGN: usize = 16;
/// The sections, in file order; an entry's kind is its index plus one.
pub const SECTIONS: [Section; 7] = [
    Section::Header,
    Section::Tensors,
    Section::Ops,
    Section::Weights,
    Section::Schedule,
    Section::Names,
    Section::Provenance,
];
/// Bytes before the section table.
pub const PREFIX_BYTES: usize = 16;
/// Bytes of one entry of the section table.
pub const ENTRY_BYTES: usize = 16;

/// The sections' bytes, after every check on versions, bounds and checksums.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'a> {
    /// Content by position in [`SECTIONS`].
    pub content: [&'a [u8]; SECTIONS.len()],
    /// The file's own CRC-32, which identifies it.
    pub crc: u32,
}

impl<'a> Sections<'a> {
    /// Splits a file. `bytes` must start at a multiple of 16.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if !(bytes.as_ptr() as usize).is_multiple_of(ALIGN) {
            return Err(ParseError::Misaligned(ALIGN as u32));
        }
        if bytes.get(..4) != Some(&MAGIC) {
            return Err(ParseError::NotAModel);
        }
        let found = bytes.len() as u32;
        let table_end = PREFIX_BYTES + SECTIONS.len() * ENTRY_BYTES;
        let Some((prefix, table)) = bytes.get(..table_end).and_then(|b| b.split_at_checked(PREFIX_BYTES)) else {
            return Err(ParseError::Length {
                expected: table_end as u32,
                found,
            });
        };
        let format = read_u16(prefix, 4);
        if format != FORMAT_VERSION {
            return Err(ParseError::FormatVersion {
                found: format,
                supported: FORMAT_VERSION,
            });
        }
        let numeric = read_u16(prefix, 6);
        if numeric != NUMERIC_VERSION {
            return Err(ParseError::NumericVersion {
                found: numeric,
                supported: NUMERIC_VERSION,
            });
        }
        let expected = read_u32(prefix, 8);
        if expected != found || bytes.len() < table_end + 4 {
            return Err(ParseError::Length { expected, found });
        }
        if read_u32(prefix, 12) != SECTIONS.len() as u32 {
            return Err(ParseError::Section(Section::Header));
        }
        let (body, trailer) = bytes.split_at(bytes.len() - 4);
        let crc = read_u32(trailer, 0);
        let found = match split(body, table) {
            Ok(content) => Self {
                content,
                crc: checked(body, &content, table)?,
            },
            Err(_) if crc32(body) != crc => return Err(ParseError::Checksum(None)),
            Err(error) => return Err(error),
        };
        if found.crc == crc {
            Ok(found)
        } else {
            Err(ParseError::Checksum(None))
        }
    }
}

fn split<'a>(body: &'a [u8], table: &[u8]) -> Result<[&'a [u8]; SECTIONS.len()], ParseError> {
    let mut content: [&[u8]; SECTIONS.len()] = [&[]; SECTIONS.len()];
    let mut floor = PREFIX_BYTES + table.len();
    for (index, slot) in content.iter_mut().enumerate() {
        let malformed = ParseError::SectionTable(index as u16);
        let at = index * ENTRY_BYTES;
        let (kind, offset, len) = (
            read_u32(table, at),
            read_u32(table, at + 4) as usize,
            read_u32(table, at + 8) as usize,
        );
        if kind != index as u32 + 1 || !offset.is_multiple_of(ALIGN) || offset < floor {
            return Err(malformed);
        }
        let end = offset.checked_add(len).ok_or(malformed)?;
        *slot = body.get(offset..end).ok_or(malformed)?;
        floor = end;
    }
    Ok(content)
}

/// CRC-32 of the body, whose sections have the checksums that the table says; every byte is read once.
fn checked(body: &[u8], content: &[&[u8]; SECTIONS.len()], table: &[u8]) -> Result<u32, ParseError> {
    let (mut crc, mut at) = (0, 0);
    for (i, bytes) in content.iter().enumerate() {
        let (offset, found) = (read_u32(table, i * ENTRY_BYTES + 4) as usize, crc32(bytes));
        if found != read_u32(table, i * ENTRY_BYTES + 12) {
            return Err(ParseError::Checksum(Some(SECTIONS[i])));
        }
        let before = body.get(at..offset).unwrap_or_default();
        crc = joined(crc, crc32(before), before.len());
        crc = joined(crc, found, bytes.len());
        at = offset + bytes.len();
    }
    let after = body.get(at..).unwrap_or_default();
    Ok(joined(crc, crc32(after), after.len()))
}

/// Little-endian u16 at `at`; 0 past the end.
pub fn read_u16(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

/// Little-endian u32 at `at`; 0 past the end.
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// Little-endian u64 at `at`; 0 past the end.
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}
