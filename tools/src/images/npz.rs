//! Arrays for NumPy: a `.npz` file written as the samples are made.
//!
//! A ZIP archive of `.npy` files, stored as they are (ZIP: APPNOTE.TXT 4.3; NPY: numpy.lib.format, version 1.0).

use std::io::{Result, Seek, SeekFrom, Write};

/// Bytes above which an archive would need ZIP64, which is not written.
pub const MOST_BYTES: u64 = u32::MAX as u64 - (1 << 20);

/// An archive that is being written.
#[derive(Debug)]
pub struct Npz<W> {
    file: W,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// Of its local header.
    offset: u32,
    crc: u32,
    len: u32,
}

impl<W: Write + Seek> Npz<W> {
    /// Begins an archive at the beginning of `file`.
    pub fn new(file: W) -> Self {
        Self { file, entries: vec![] }
    }

    /// Adds the array `name` of NumPy's type `descr` (such as `|u1`, `<u8`); `fill` writes its elements, in row-major order.
    pub fn array(
        &mut self,
        name: &str,
        descr: &str,
        shape: &[usize],
        fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let offset = self.file.stream_position()? as u32;
        let mut entry = Entry {
            name: format!("{name}.npy"),
            offset,
            crc: 0,
            len: 0,
        };
        self.file.write_all(&entry.local())?;
        let mut counted = Counted {
            file: &mut self.file,
            crc: crc32fast::Hasher::new(),
            len: 0,
        };
        counted.write_all(&npy_header(descr, shape))?;
        fill(&mut counted)?;
        (entry.crc, entry.len) = (counted.crc.finalize(), counted.len as u32);
        // Now that they are known, checksum and length go into the header.
        self.file.seek(SeekFrom::Start(offset.into()))?;
        self.file.write_all(&entry.local())?;
        self.file.seek(SeekFrom::End(0))?;
        self.entries.push(entry);
        Ok(())
    }

    /// Writes the directory at the end.
    pub fn finish(&mut self) -> Result<()> {
        let start = self.file.stream_position()? as u32;
        for entry in &self.entries {
            self.file.write_all(&entry.central())?;
        }
        let len = self.file.stream_position()? as u32 - start;
        let count = self.entries.len() as u16;
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend(count.to_le_bytes().repeat(2));
        end.extend([len, start].map(u32::to_le_bytes).concat());
        end.extend([0, 0]);
        self.file.write_all(&end)?;
        self.file.flush()
    }
}

/// The end of an archive of images: their seeds and digests, and the text that names their run.
pub fn npz_tail<W: Write + Seek>(npz: &mut Npz<W>, digests: &[(u64, u64)], run: &[u8]) -> Result<()> {
    let words = |pick: fn(&(u64, u64)) -> u64| -> Vec<u8> {
        digests.iter().flat_map(|pair| pick(pair).to_le_bytes()).collect()
    };
    let count = [digests.len()];
    npz.array("seeds", "<u8", &count, |to| to.write_all(&words(|pair| pair.0)))?;
    npz.array("digests", "<u8", &count, |to| to.write_all(&words(|pair| pair.1)))?;
    npz.array("run", "|u1", &[run.len()], |to| to.write_all(run))?;
    npz.finish()
}

/// 1 January 1980 in MS-DOS's format: the same samples give the same file.
const DATE: u16 = 1 << 5 | 1;

impl Entry {
    /// What local and central header share: version 2.0, no flags, stored, time, date, checksum, lengths, length of the name.
    fn fields(&self) -> Vec<u8> {
        let mut bytes = [20u16, 0, 0, 0, DATE].map(u16::to_le_bytes).concat();
        bytes.extend([self.crc, self.len, self.len].map(u32::to_le_bytes).concat());
        bytes.extend([self.name.len() as u16, 0].map(u16::to_le_bytes).concat());
        bytes
    }

    fn local(&self) -> Vec<u8> {
        [b"PK\x03\x04", &*self.fields(), self.name.as_bytes()].concat()
    }

    fn central(&self) -> Vec<u8> {
        // No comment, first disk, no attributes.
        let rest = [0u8; 10];
        let offset = self.offset.to_le_bytes();
        [
            b"PK\x01\x02\x14\0",
            &*self.fields(),
            &rest,
            &offset,
            self.name.as_bytes(),
        ]
        .concat()
    }
}

/// Counts and checks what goes through.
struct Counted<'w, W> {
    file: &'w mut W,
    crc: crc32fast::Hasher,
    len: u64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.file.write(bytes)?;
        self.crc.update(&bytes[..written]);
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

fn npy_header(descr: &str, shape: &[usize]) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let dict = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}",
        extents.trim_end()
    );
    // Magic, version and length take ten bytes; elements begin at a multiple of 64.
    let len = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\0".to_vec();
    header.extend((len as u16).to_le_bytes());
    header.extend(format!("{dict:<0$}\n", len - 1).into_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn an_archive_is_what_the_formats_say() {
        let mut bytes = Cursor::new(Vec::new());
        let mut npz = Npz::new(&mut bytes);
        npz.array("images", "|u1", &[2, 3], |to| to.write_all(&[1, 2, 3, 4, 5, 6]))
            .unwrap();
        npz.array("seeds", "<u8", &[1], |to| to.write_all(&7u64.to_le_bytes()))
            .unwrap();
        npz.finish().unwrap();
        let bytes = bytes.into_inner();
        let name = b"images.npy";
        assert_eq!(&bytes[30..40], name);
        let data = 30 + name.len();
        assert_eq!(&bytes[data..data + 8], b"\x93NUMPY\x01\0");
        let elements = data + 128;
        assert!(bytes[data..elements].windows(13).any(|text| text == b"'shape': (2, "));
        assert_eq!(bytes[elements - 1], b'\n');
        assert_eq!(&bytes[elements..elements + 6], &[1, 2, 3, 4, 5, 6]);
        let crc = crc32fast::hash(&bytes[data..elements + 6]);
        assert_eq!(bytes[14..18], crc.to_le_bytes());
        let end = &bytes[bytes.len() - 22..];
        assert_eq!(&end[..4], b"PK\x05\x06");
        assert_eq!(end[10], 2);
        let start = u32::from_le_bytes([end[16], end[17], end[18], end[19]]) as usize;
        assert_eq!(&bytes[start..start + 4], b"PK\x01\x02");
    }
}
