//! The outermost layer of the file: versions, section table, checksums.

use core::ops::Range;

use super::crc::{crc32, joined};
use crate::error::{ParseError, Refusal, Section};
use crate::features::Feature;
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
/// Where the length of the whole file stands in it.
pub(super) const LENGTH_AT: usize = 8;
/// Bytes before the section table.
pub const PREFIX_BYTES: usize = 16;
/// Bytes of one entry of the section table.
pub const ENTRY_BYTES: usize = 16;
/// Bytes before the first section.
const TABLE_END: usize = PREFIX_BYTES + SECTIONS.len() * ENTRY_BYTES;
/// The section behind [`SECTIONS`] that a file has where it holds a decoder: a whole model file.
#[cfg(feature = "decoder")]
pub const DECODER: usize = SECTIONS.len();

/// The sections of a file, which are found by its table.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'a> {
    /// What stands before the section table, then its entries.
    table: &'a [Entry; 1 + SECTIONS.len()],
    /// All but the checksum.
    body: &'a [u8],
    /// The file's own CRC-32, which identifies it.
    pub crc: u32,
}

/// Kind, offset, length and CRC-32 of a section.
type Entry = [u32; ENTRY_BYTES / 4];

impl<'a> Sections<'a> {
    /// Opens a file. `file` must start at a multiple of 16. Versions, bounds and every checksum are checked; of a file that is
    /// `trusted`, which was accepted before, only versions and that it is unchanged since.
    #[inline(never)]
    pub(super) fn open(file: &'a [u8], trusted: bool, refusal: &mut Refusal) -> Option<Self> {
        if !(file.as_ptr() as usize).is_multiple_of(ALIGN) {
            return refusal.with(ParseError::Misaligned(ALIGN as u32));
        }
        if read_u32(file, 0) != u32::from_le_bytes(MAGIC) {
            return refusal.with(ParseError::NotAModel);
        }
        let found = file.len() as u32;
        let table = file.first_chunk::<TABLE_END>();
        let Some(table) = table.and_then(|table| bytemuck::try_from_bytes(table).ok()) else {
            let expected = TABLE_END as u32;
            return refusal.with(ParseError::Length { expected, found });
        };
        let [prefix, ..]: &[Entry; 1 + SECTIONS.len()] = table;
        let (format, numeric) = (prefix[1] as u16, (prefix[1] >> 16) as u16);
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
        let expected = prefix[2];
        let (body, crc) = match file.split_last_chunk() {
            Some((body, crc)) if body.len() >= TABLE_END && expected == found => (body, u32::from_le_bytes(*crc)),
            _ => return refusal.with(ParseError::Length { expected, found }),
        };
        let sections = Self { table, body, crc };
        #[cfg(feature = "decoder")]
        let known = sections.has_decoder();
        #[cfg(not(feature = "decoder"))]
        let known = false;
        if prefix[3] != SECTIONS.len() as u32 && !known {
            return refusal.with(ParseError::Section(Section::Header));
        }
        if trusted {
            sections.whole(refusal)?;
        } else {
            sections.parts(refusal)?;
        }
        Some(sections)
    }

    /// Bytes of the whole file.
    pub(super) fn bytes(&self) -> u32 {
        let [[_, _, bytes, _], ..] = self.table;
        *bytes
    }

    /// The decoder's entry, where there is one.
    #[cfg(feature = "decoder")]
    fn decoder(&self) -> Option<&'a Entry> {
        let [prefix, ..] = self.table;
        let entry = self.body.get(TABLE_END..TABLE_END + ENTRY_BYTES)?;
        let entry = bytemuck::try_from_bytes(entry).ok()?;
        Some(entry).filter(|_| prefix[3] as usize == 1 + DECODER)
    }

    /// Whether there is a decoder's section.
    #[cfg(feature = "decoder")]
    pub(super) fn has_decoder(&self) -> bool {
        self.decoder().is_some()
    }

    /// The sections of a file whose bytes were found whole before: a decoder's, inside a model's.
    #[cfg(feature = "decoder")]
    pub(super) fn again(file: &'a [u8]) -> Option<Self> {
        let (body, crc) = file.split_last_chunk()?;
        let table: &[u8; TABLE_END] = body.first_chunk()?;
        let table = bytemuck::try_from_bytes(table).ok()?;
        let crc = u32::from_le_bytes(*crc);
        Some(Self { table, body, crc })
    }

    /// The bytes of a section, by position in [`SECTIONS`].
    #[inline(never)]
    pub fn content(&self, index: usize) -> &'a [u8] {
        let entry = self.table.get(1 + index);
        #[cfg(feature = "decoder")]
        let entry = if index == DECODER { self.decoder() } else { entry };
        let Some(&[_, offset, len, _]) = entry else {
            return &[];
        };
        let from = self.body.split_at_checked(offset as usize);
        from.and_then(|(_, from)| from.get(..len as usize)).unwrap_or_default()
    }

    /// Whether no byte was changed.
    fn whole(&self, refusal: &mut Refusal) -> Option<()> {
        if crc32(self.body) == self.crc {
            Some(())
        } else {
            refusal.with(ParseError::Checksum(None))
        }
    }

    /// Whether the sections lie as the table must say and have the checksums that it says, and all bytes theirs.
    fn parts(&self, refusal: &mut Refusal) -> Option<()> {
        // Up to here every byte has been seen, and these have this checksum.
        let (mut crc, mut end) = (0, 0);
        let mut floor = TABLE_END;
        let [_, entries @ ..] = self.table;
        let entries = entries.iter();
        #[cfg(feature = "decoder")]
        let entries = {
            floor += self.decoder().map_or(0, size_of_val);
            entries.chain(self.decoder())
        };
        for (index, &[kind, offset, len, own]) in entries.enumerate() {
            let (offset, bytes) = (offset as usize, self.content(index));
            let ordered = kind == index as u32 + 1 && offset.is_multiple_of(ALIGN) && offset >= floor;
            if !ordered || offset > self.body.len() || bytes.len() != len as usize {
                self.whole(refusal)?;
                return refusal.with(ParseError::SectionTable(index as u16));
            }
            floor = offset + bytes.len();
            let found = crc32(bytes);
            if found != own {
                return refusal.with(ParseError::Checksum(SECTIONS.get(index).copied()));
            }
            if Feature::Fast.is_built() {
                crc = joined(after(crc, self.body, end..offset), found, bytes.len());
                end = floor;
            }
        }
        // Each byte is read once, or twice with less code.
        if !Feature::Fast.is_built() {
            self.whole(refusal)
        } else if after(crc, self.body, end..self.body.len()) == self.crc {
            Some(())
        } else {
            refusal.with(ParseError::Checksum(None))
        }
    }
}

/// CRC-32 with the bytes of `range` after those of CRC-32 `crc`.
#[inline(never)]
fn after(crc: u32, body: &[u8], range: Range<usize>) -> u32 {
    let bytes = body.get(range).unwrap_or_default();
    joined(crc, crc32(bytes), bytes.len())
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
    let rest = bytes.split_at_checked(at).map(|(_, rest)| rest);
    rest.and_then(<[u8]>::first_chunk).map_or(0, |b| u32::from_le_bytes(*b))
}

/// Little-endian u64 at `at`; 0 past the end.
#[inline(never)]
pub fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(read_u32(bytes, at)) | u64::from(read_u32(bytes, at.saturating_add(4))) << 32
}
