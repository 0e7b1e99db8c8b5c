//! The outermost layer of the file: versions, section table, checksums.

use super::crc::{crc32, joined};
use crate::error::{ParseError, Refusal, Section};
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
    pub(super) const EMPTY: Self = Self {
        content: [&[]; SECTIONS.len()],
        crc: 0,
    };

    /// Splits a file. `bytes` must start at a multiple of 16.
    #[inline(never)]
    pub(super) fn parse(&mut self, bytes: &'a [u8], refusal: &mut Refusal) -> Option<()> {
        let file = File::new(bytes, refusal)?;
        self.crc = file.crc;
        if self.split(&file, refusal).is_none() {
            let error = refusal.0;
            file.whole(refusal)?;
            return refusal.with(error);
        }
        self.checked(&file, refusal)
    }

    /// Splits a file that [`Sections::parse`] has accepted before, if it is unchanged since.
    #[inline(never)]
    pub(super) fn again(&mut self, bytes: &'a [u8], refusal: &mut Refusal) -> Option<()> {
        let file = File::new(bytes, refusal)?;
        self.crc = file.crc;
        file.whole(refusal)?;
        self.split(&file, refusal)
    }

    #[inline(never)]
    fn split(&mut self, file: &File<'a>, refusal: &mut Refusal) -> Option<()> {
        let mut floor = PREFIX_BYTES + file.table.len();
        for (index, slot) in self.content.iter_mut().enumerate() {
            let at = index * ENTRY_BYTES;
            let (kind, offset, len) = (
                read_u32(file.table, at),
                read_u32(file.table, at + 4) as usize,
                read_u32(file.table, at + 8) as usize,
            );
            let ordered = kind == index as u32 + 1 && offset.is_multiple_of(ALIGN) && offset >= floor;
            let bytes = file.body.get(offset..).and_then(|bytes| bytes.get(..len));
            match bytes {
                Some(bytes) if ordered => *slot = bytes,
                _ => return refusal.with(ParseError::SectionTable(index as u16)),
            }
            floor = offset + len;
        }
        Some(())
    }

    /// Whether the sections have the checksums that the table says, and all bytes theirs; every byte is read once.
    fn checked(&self, file: &File<'_>, refusal: &mut Refusal) -> Option<()> {
        let (mut crc, mut at) = (0, 0);
        for (i, bytes) in self.content.iter().enumerate() {
            let offset = read_u32(file.table, i * ENTRY_BYTES + 4) as usize;
            let found = crc32(bytes);
            if found != read_u32(file.table, i * ENTRY_BYTES + 12) {
                return refusal.with(ParseError::Checksum(SECTIONS.get(i).copied()));
            }
            crc = file.after(crc, at, offset);
            crc = joined(crc, found, bytes.len());
            at = offset + bytes.len();
        }
        if file.after(crc, at, file.body.len()) == file.crc {
            Some(())
        } else {
            refusal.with(ParseError::Checksum(None))
        }
    }
}

/// A file whose first bytes are those of this version, and whose length is what it says.
struct File<'a> {
    /// All but the checksum.
    body: &'a [u8],
    table: &'a [u8],
    /// The checksum that it says.
    crc: u32,
}

impl<'a> File<'a> {
    #[inline(never)]
    fn new(bytes: &'a [u8], refusal: &mut Refusal) -> Option<Self> {
        if !(bytes.as_ptr() as usize).is_multiple_of(ALIGN) {
            return refusal.with(ParseError::Misaligned(ALIGN as u32));
        }
        if read_u32(bytes, 0) != u32::from_le_bytes(MAGIC) {
            return refusal.with(ParseError::NotAModel);
        }
        let found = bytes.len() as u32;
        let table_end = PREFIX_BYTES + SECTIONS.len() * ENTRY_BYTES;
        let Some((prefix, table)) = bytes.get(..table_end).and_then(|b| b.split_at_checked(PREFIX_BYTES)) else {
            let expected = table_end as u32;
            return refusal.with(ParseError::Length { expected, found });
        };
        let (format, numeric) = (read_u16(prefix, 4), read_u16(prefix, 6));
        if format != FORMAT_VERSION {
            return refusal.with(ParseError::FormatVersion {
                found: format,
                supported: FORMAT_VERSION,
            });
        }
        if numeric != NUMERIC_VERSION {
            return refusal.with(ParseError::NumericVersion {
                found: numeric,
                supported: NUMERIC_VERSION,
            });
        }
        let expected = read_u32(prefix, 8);
        if expected != found || bytes.len() < table_end + 4 {
            return refusal.with(ParseError::Length { expected, found });
        }
        if read_u32(prefix, 12) != SECTIONS.len() as u32 {
            return refusal.with(ParseError::Section(Section::Header));
        }
        let (body, trailer) = bytes.split_at_checked(bytes.len() - 4)?;
        let crc = read_u32(trailer, 0);
        Some(Self { body, table, crc })
    }

    /// Whether no byte was changed.
    fn whole(&self, refusal: &mut Refusal) -> Option<()> {
        if crc32(self.body) == self.crc {
            Some(())
        } else {
            refusal.with(ParseError::Checksum(None))
        }
    }

    /// CRC-32 with the bytes from `at` to `end` after those of CRC-32 `crc`.
    #[inline(never)]
    fn after(&self, crc: u32, at: usize, end: usize) -> u32 {
        let bytes = self.body.get(at..end).unwrap_or_default();
        joined(crc, crc32(bytes), bytes.len())
    }
}

/// Little-endian u16 at `at`; 0 past the end.
#[inline(never)]
pub fn read_u16(bytes: &[u8], at: usize) -> u16 {
    bytes
        .get(at..at + 2)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u16::from_le_bytes)
}

/// Little-endian u32 at `at`; 0 past the end.
#[inline(never)]
pub fn read_u32(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_le_bytes)
}

/// Little-endian u64 at `at`; 0 past the end.
#[inline(never)]
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}
