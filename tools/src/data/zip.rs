//! The part of the ZIP format (PKWARE APPNOTE 6.3) that NumPy archives use: stored and deflated files, below 4 GiB.

use flate2::read::DeflateDecoder;
use std::io::Read;

/// Signatures of the end of the central directory, of its entries and of a file.
const END: [u8; 4] = *b"PK\x05\x06";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const FILE: [u8; 4] = *b"PK\x03\x04";
/// Sizes of these records without what varies.
const END_BYTES: usize = 22;
const ENTRY_BYTES: usize = 46;
const FILE_BYTES: usize = 30;
/// Methods of compression.
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Longest comment after the end record.
const MAX_COMMENT: usize = 1 << 16;

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    method: u16,
    packed: usize,
    size: usize,
    offset: usize,
}

/// The files of the archive `bytes`; `None` where it is none, or damaged.
#[must_use]
pub fn entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    let first = bytes.len().saturating_sub(END_BYTES + MAX_COMMENT);
    let end = (first..=bytes.len().checked_sub(END_BYTES)?)
        .rev()
        .find(|at| bytes[*at..].starts_with(&END))?;
    let mut at = word(bytes, end + 16)?;
    let mut entries = Vec::new();
    for _ in 0..half(bytes, end + 10)? {
        if !bytes.get(at..)?.starts_with(&ENTRY) {
            return None;
        }
        let length = half(bytes, at + 28)?;
        let name = bytes.get(at + ENTRY_BYTES..at + ENTRY_BYTES + length)?;
        entries.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            method: half(bytes, at + 10)? as u16,
            packed: word(bytes, at + 20)?,
            size: word(bytes, at + 24)?,
            offset: word(bytes, at + 42)?,
        });
        at += ENTRY_BYTES + length + half(bytes, at + 30)? + half(bytes, at + 32)?;
    }
    Some(entries)
}

/// The contents of `entry`, or what is wrong with them.
pub fn contents(bytes: &[u8], entry: &Entry) -> Result<Vec<u8>, String> {
    if !matches!(entry.method, STORED | DEFLATED) {
        return Err(format!(
            "is compressed by method {}; stored and deflated ones are read",
            entry.method
        ));
    }
    unpacked(bytes, entry).ok_or_else(|| "is damaged".into())
}

fn unpacked(bytes: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let at = entry.offset;
    if !bytes.get(at..)?.starts_with(&FILE) {
        return None;
    }
    let start = at + FILE_BYTES + half(bytes, at + 26)? + half(bytes, at + 28)?;
    let packed = bytes.get(start..start.checked_add(entry.packed)?)?;
    let contents = match entry.method {
        STORED => packed.to_vec(),
        _ => {
            let mut contents = Vec::new();
            // Not more than was promised, however small the packed bytes are.
            let decoder = DeflateDecoder::new(packed);
            decoder.take(entry.size as u64 + 1).read_to_end(&mut contents).ok()?;
            contents
        }
    };
    (contents.len() == entry.size).then_some(contents)
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
pub(super) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::DeflateEncoder;
    use std::io::Write;

    /// An archive of `files`, every second one deflated.
    pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (i, (name, contents)) in files.iter().enumerate() {
            let method = if i % 2 == 0 { STORED } else { DEFLATED };
            let packed = if method == STORED {
                contents.to_vec()
            } else {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(contents).unwrap();
                encoder.finish().unwrap()
            };
            let mut common = vec![20, 0, 0, 0];
            common.extend(method.to_le_bytes());
            common.extend([0; 8]);
            common.extend((packed.len() as u32).to_le_bytes());
            common.extend((contents.len() as u32).to_le_bytes());
            common.extend((name.len() as u16).to_le_bytes());
            directory.extend(ENTRY);
            directory.extend([20, 0]);
            directory.extend(&common);
            directory.extend([0; 12]);
            directory.extend((bytes.len() as u32).to_le_bytes());
            directory.extend(name.as_bytes());
            bytes.extend(FILE);
            bytes.extend(&common);
            bytes.extend([0; 2]);
            bytes.extend(name.as_bytes());
            bytes.extend(packed);
        }
        let offset = bytes.len() as u32;
        bytes.extend(&directory);
        bytes.extend(END);
        bytes.extend([0; 4]);
        bytes.extend([files.len() as u8, 0, files.len() as u8, 0]);
        bytes.extend((directory.len() as u32).to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend([0; 2]);
        bytes
    }

    #[test]
    fn stored_and_deflated_files_come_out() {
        let long = [7; 5000];
        let bytes = archive(&[("a", b"abc"), ("b", &long)]);
        let entries = entries(&bytes).unwrap();
        assert_eq!(entries.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(contents(&bytes, &entries[0]).unwrap(), b"abc");
        assert_eq!(contents(&bytes, &entries[1]).unwrap(), long);
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
            }
        }
    }
}
