//! The part of the ZIP format (PKWARE APPNOTE 6.3) that archives of NumPy and PyTorch use: stored and deflated files, below 4 GiB.

#[cfg(test)]
pub(crate) mod archive;

use flate2::read::DeflateDecoder;
use std::io::Read;

/// Signatures of the end of the central directory, of its entries and of a file.
const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const FILE: [u8; 4] = *b"PK\x03\x04";
/// Sizes of these records without what varies.
const END_BYTES: usize = 22;
const ENTRY_BYTES: usize = 46;
/// Bytes of a file's header, without its name.
pub const FILE_BYTES: usize = 30;
/// Methods of compression.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// A flag of a file.
const ENCRYPTED: usize = 1;
/// Stands for a number that only ZIP64's extra field holds.
const BEYOND: usize = u32::MAX as usize;
/// Longest comment after the end record.
const MAX_COMMENT: usize = 1 << 16;
/// Bytes at the end of an archive among which its end record begins.
pub const MOST_END: usize = END_BYTES + MAX_COMMENT;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Bytes of its contents.
    pub size: usize,
    flags: usize,
    method: u16,
    /// Of its contents.
    pub crc: u32,
    packed: usize,
    offset: usize,
}

impl Entry {
    /// The name of the array in it.
    #[must_use]
    pub fn array(&self) -> &str {
        self.name.strip_suffix(".npy").unwrap_or(&self.name)
    }

    /// Where its header begins and the bytes of its contents, which lie there as they are; or why they do not.
    pub fn stored(&self) -> Result<(u64, u64), String> {
        self.readable()?;
        if self.method != STORED || self.packed != self.size {
            return Err("is compressed".into());
        }
        Ok((self.offset as u64, self.size as u64))
    }

    /// Whether what is asked of an archive is what is read.
    fn readable(&self) -> Result<(), String> {
        if self.flags & ENCRYPTED != 0 {
            return Err("is encrypted: save the archive without a password".into());
        }
        if !matches!(self.method, STORED | DEFLATED) {
            return Err(format!(
                "is compressed by method {}; stored and deflated ones are read",
                self.method
            ));
        }
        if [self.packed, self.size, self.offset].contains(&BEYOND) {
            return Err("is larger than 4 GiB, or its archive is: save less in it".into());
        }
        Ok(())
    }
}

/// Bytes before the contents of a file whose header is `header`; `None` where it is none.
#[must_use]
pub fn skipped(header: &[u8]) -> Option<u64> {
    let names = half(header, 26)? + half(header, 28)?;
    header.starts_with(&FILE).then_some((FILE_BYTES + names) as u64)
}

/// Whether the record of an archive's end lies in `bytes`, the last [`MOST_END`] of a file or fewer.
#[must_use]
pub fn ends(bytes: &[u8]) -> bool {
    end_record(bytes).is_some()
}

fn end_record(bytes: &[u8]) -> Option<usize> {
    let first = bytes.len().saturating_sub(MOST_END);
    (first..=bytes.len().checked_sub(END_BYTES)?)
        .rev()
        .find(|at| bytes[*at..].starts_with(&END))
}

/// The files of the archive `bytes`; `None` where it is none, or damaged.
#[must_use]
pub fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    entries_at(bytes, 0)
}

/// The same of an archive whose end is `bytes`, with so many before them; `None` also where the directory begins before them.
#[must_use]
pub fn entries_at(bytes: &[u8], before: usize) -> Option<Vec<Entry>> {
    let end = end_record(bytes)?;
    let mut at = word(bytes, end + 16)?.checked_sub(before)?;
    let mut entries = Vec::new();
    for _ in 0..half(bytes, end + 10)? {
        if !bytes.get(at..)?.starts_with(&ENTRY) {
            return None;
        }
        let length = half(bytes, at + 28)?;
        let name = bytes.get(at + ENTRY_BYTES..at + ENTRY_BYTES + length)?;
        entries.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            flags: half(bytes, at + 8)?,
            method: half(bytes, at + 10)? as u16,
            crc: word(bytes, at + 16)? as u32,
            packed: word(bytes, at + 20)?,
            size: word(bytes, at + 24)?,
            offset: word(bytes, at + 42)?,
        });
        at += ENTRY_BYTES + length + half(bytes, at + 30)? + half(bytes, at + 32)?;
    }
    Some(entries)
}

/// The first `most` bytes of `entry`, or all where it has fewer; nothing is checked yet.
pub fn head(bytes: &[u8], entry: &Entry, most: usize) -> Result<Vec<u8>, String> {
    let packed = packed(bytes, entry)?;
    unpacked(packed, entry, most).ok_or_else(|| "is damaged".into())
}

/// The contents of `entry`, or what is wrong with them.
pub fn contents(bytes: &[u8], entry: &Entry) -> Result<Vec<u8>, String> {
    let packed = packed(bytes, entry)?;
    // Not more than was promised, however small the packed bytes are.
    let contents =
        unpacked(packed, entry, entry.size.saturating_add(1)).filter(|contents| contents.len() == entry.size);
    let contents = contents.ok_or("is damaged")?;
    let crc = crc32fast::hash(&contents);
    if crc != entry.crc {
        let promised = entry.crc;
        return Err(format!(
            "is damaged: its CRC-32 is {crc:08x}, and the archive says {promised:08x}; copy the file again"
        ));
    }
    Ok(contents)
}

/// The bytes of `entry` as they lie in the archive.
fn packed<'a>(bytes: &'a [u8], entry: &Entry) -> Result<&'a [u8], String> {
    entry.readable()?;
    lying(bytes, entry).ok_or_else(|| "is damaged".into())
}

fn lying<'a>(bytes: &'a [u8], entry: &Entry) -> Option<&'a [u8]> {
    let at = entry.offset;
    if !bytes.get(at..)?.starts_with(&FILE) {
        return None;
    }
    let named = half(bytes, at + 26)?;
    // The directory and the file agree on whose contents these are.
    let name = bytes.get(at + FILE_BYTES..at + FILE_BYTES + named)?;
    if String::from_utf8_lossy(name) != entry.name {
        return None;
    }
    let start = at + FILE_BYTES + named + half(bytes, at + 28)?;
    bytes.get(start..start.checked_add(entry.packed)?)
}

fn unpacked(packed: &[u8], entry: &Entry, most: usize) -> Option<Vec<u8>> {
    if entry.method == STORED {
        return Some(packed[..packed.len().min(most)].to_vec());
    }
    let mut contents = Vec::new();
    DeflateDecoder::new(packed)
        .take(most as u64)
        .read_to_end(&mut contents)
        .ok()?;
    Some(contents)
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes).into())
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::archive::archive;
    use super::*;

    #[test]
    fn stored_and_deflated_files_come_out() {
        let long = [7; 5000];
        let bytes = archive(&[("a", b"abc"), ("b", &long)]);
        let entries = entries(&bytes).unwrap();
        assert_eq!(entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(contents(&bytes, &entries[0]).unwrap(), b"abc");
        assert_eq!(contents(&bytes, &entries[1]).unwrap(), long);
    }

    /// A bit of the contents, in a stored file and in a deflated one, and a bit of the checksum.
    #[test]
    fn checksums_are_checked() {
        let whole = archive(&[("a", b"abc"), ("b", &[7; 500])]);
        let of = |bytes: &[u8], index: usize| contents(bytes, &entries(bytes).unwrap()[index]);
        let a = whole.windows(3).position(|three| three == b"abc").unwrap();
        let mut flipped = whole.clone();
        flipped[a] ^= 64;
        let error = of(&flipped, 0).unwrap_err();
        assert!(error.contains("its CRC-32 is "), "{error}");
        assert!(
            error.contains(&format!("the archive says {:08x}", crc32fast::hash(b"abc"))),
            "{error}"
        );
        assert!(of(&flipped, 1).is_ok());
        let directory = whole.windows(4).position(|four| four == ENTRY).unwrap();
        let mut checksum = whole.clone();
        checksum[directory + 16] ^= 1;
        assert!(of(&checksum, 0).unwrap_err().contains("CRC-32"));
        let mut encrypted = whole.clone();
        encrypted[directory + 8] |= 1;
        assert!(of(&encrypted, 0).unwrap_err().contains("encrypted"));
        // The directory has another name for it than the file itself.
        let mut named = whole.clone();
        named[30] = b'c';
        assert!(of(&named, 0).unwrap_err().contains("damaged"));
        let mut huge = whole;
        huge[directory + 20..directory + 24].fill(0xFF);
        assert!(of(&huge, 0).unwrap_err().contains("4 GiB"));
    }

    #[test]
    fn damaged_archives_are_refused() {
        let whole = archive(&[("a", b"abc"), ("b", &[7; 500])]);
        for len in 0..whole.len() {
            assert!(entries(&whole[..len]).is_none(), "{len}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xFF;
            for entry in entries(&bytes).unwrap_or_default() {
                let _ = contents(&bytes, &entry);
                let _ = head(&bytes, &entry, 100);
            }
        }
    }
}
