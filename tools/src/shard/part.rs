//! A part that was written: an archive that is read array by array, so that memory holds a piece of one.

use super::run::Run;
use crate::Error;
use crate::data::npy;
use mote_import::zip;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes at an archive's end in which its directory is looked for: that of a part is far smaller.
const TAIL: u64 = 1 << 17;
/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;
/// Most bytes of a run's name.
const MOST_NAME: usize = 1 << 20;

/// An archive, and what its directory says.
#[derive(Debug)]
pub struct ShardPart {
    path: PathBuf,
    entries: Vec<zip::Entry>,
}

/// An array of a part, at its first element.
#[derive(Debug)]
struct Elements {
    shape: Vec<usize>,
    /// What was read already.
    first: Vec<u8>,
    rest: io::Take<File>,
    crc: crc32fast::Hasher,
    promised: u32,
}

impl ShardPart {
    /// Reads the directory of the archive `path`.
    ///
    /// # Errors
    /// Of kind `Input`: it cannot be read, or is no archive.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut part = Self {
            path: path.to_owned(),
            entries: vec![],
        };
        // Looked at before it is opened: opening a pipe waits for who writes into it.
        let found = std::fs::metadata(path).map_err(|error| part.unreadable(&error))?;
        if !found.is_file() {
            return Err(part.wrong("is no regular file"));
        }
        let start = found.len().saturating_sub(TAIL);
        let tail = part
            .bytes_at(start, TAIL as usize)
            .map_err(|error| part.unreadable(&error))?;
        let entries = zip::entries_at(&tail, start as usize);
        part.entries = entries.ok_or_else(|| part.wrong("is not a whole archive"))?;
        Ok(part)
    }

    /// As the user gave it.
    pub fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// That it is not what it should be.
    pub fn wrong(&self, problem: impl std::fmt::Display) -> Error {
        Error::input(format_args!("{} {problem}", self.shown()))
            .help("give files that `mote sample --out` or `mote validate --out` wrote; make the part again")
    }

    fn unreadable(&self, error: &io::Error) -> Error {
        Error::input(format_args!("cannot read {}: {error}", self.shown())).help("give the parts of a run")
    }

    fn bytes_at(&self, start: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether it has an array of that name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.array() == name)
    }

    /// The run that it is of.
    pub fn run(&self) -> Result<Run, Error> {
        if !self.has("run") {
            return Err(self.wrong("does not say which run it is of: it is no part of one"));
        }
        let text = self.bytes("run", "u1", MOST_NAME)?;
        Run::parse(&text).map_err(|problem| self.wrong(problem))
    }

    /// Extents of an array, which has elements of type `kind` (as `u1`).
    pub fn shape(&self, name: &str, kind: &str) -> Result<Vec<usize>, Error> {
        self.elements(name, kind).map(|elements| elements.shape)
    }

    /// The elements of an array of u64, at most `most` of them.
    pub fn words(&self, name: &str, most: usize) -> Result<Vec<u64>, Error> {
        let bytes = self.bytes(name, "u8", most.saturating_mul(8))?;
        Ok(bytes
            .as_chunks()
            .0
            .iter()
            .map(|word| u64::from_le_bytes(*word))
            .collect())
    }

    fn bytes(&self, name: &str, kind: &str, most: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let put = &mut |some: &[u8]| {
            if bytes.len() + some.len() > most {
                return Err(io::Error::other("too long"));
            }
            bytes.extend(some);
            Ok(())
        };
        let read = self.copy(name, kind, put)?;
        read.map_err(|_| self.wrong(format_args!("is damaged: the array {name} has more than {most} bytes")))?;
        Ok(bytes)
    }

    /// Hands the bytes of an array on in their order, until `put` refuses some: what is wrong with the part, and what `put` said. The
    /// checksum is known at the end.
    pub fn copy(
        &self,
        name: &str,
        kind: &str,
        put: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<io::Result<()>, Error> {
        let mut elements = self.elements(name, kind)?;
        if let Err(error) = put(&elements.first) {
            return Ok(Err(error));
        }
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = elements
                .rest
                .read(&mut buffer)
                .map_err(|error| self.unreadable(&error))?;
            if read == 0 {
                break;
            }
            elements.crc.update(&buffer[..read]);
            if let Err(error) = put(&buffer[..read]) {
                return Ok(Err(error));
            }
        }
        let (found, promised) = (elements.crc.finalize(), elements.promised);
        if found != promised {
            return Err(self.wrong(format_args!(
                "is damaged: the CRC-32 of its array {name} is {found:08x}, and the archive says {promised:08x}"
            )));
        }
        Ok(Ok(()))
    }

    fn elements(&self, name: &str, kind: &str) -> Result<Elements, Error> {
        let entry = self.entries.iter().find(|entry| entry.array() == name);
        let entry = entry.ok_or_else(|| self.wrong(format_args!("is no part: it has no array {name}")))?;
        let damaged = |problem: &str| self.wrong(format_args!("is no part: its array {name} {problem}"));
        let (start, len) = entry.stored().map_err(|problem| damaged(&problem))?;
        let header = self
            .bytes_at(start, zip::FILE_BYTES)
            .map_err(|error| self.unreadable(&error))?;
        let skipped = zip::skipped(&header).ok_or_else(|| damaged("is damaged"))?;
        let open = || -> io::Result<io::Take<File>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(start + skipped))?;
            Ok(file.take(len))
        };
        let mut rest = open().map_err(|error| self.unreadable(&error))?;
        let mut first = Vec::new();
        let head = rest.by_ref().take(npy::HEAD as u64).read_to_end(&mut first);
        head.map_err(|error| self.unreadable(&error))?;
        let array = npy::header(&first, usize::MAX).map_err(|problem| damaged(&problem))?;
        if array.kind != kind || array.fortran || array.start.checked_add(array.bytes) != Some(len as usize) {
            return Err(damaged("is not what such an array is"));
        }
        let (shape, begin) = (array.shape, array.start);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&first);
        first.drain(..begin);
        Ok(Elements {
            shape,
            first,
            rest,
            crc,
            promised: entry.crc,
        })
    }
}
