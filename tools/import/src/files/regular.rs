//! Files that a user names, read whole: regular files, not larger than what they should be.

use super::form::Form;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a configuration.
pub const SMALL: u64 = 16 << 20;

/// The file `path`, opened, with its length. Anything else than a regular file is refused before it is opened: opening a pipe waits for
/// who writes into it, and what a pipe or a device would give has no end.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    let found = std::fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
    }
    if !found.is_file() {
        let problem = format!("it is no regular file but {}", kind(&found));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok((File::open(path)?, found.len()))
}

/// What is no regular file.
fn kind(found: &Metadata) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = found.file_type();
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    let _ = found;
    "something else"
}

/// The bytes of the file `path`, of which there are at most `most`.
///
/// # Errors
/// The system's, and what keeps the file from being read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_as(path, most, Form::Any)
}

/// [`read`] of a file that should have `form`: one that does not begin or end like it is refused before the rest is read.
///
/// # Errors
/// As [`read`]; of kind `InvalidData` where the file has another form.
pub fn read_as(path: &Path, most: u64, form: Form) -> io::Result<Vec<u8>> {
    let (mut file, len) = open(path)?;
    let too_large = |bytes: u64| {
        let problem = format!("it has {bytes} bytes, more than the {most} that are read");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, problem))
    };
    if len > most {
        return too_large(len);
    }
    form.check(&mut file, len)?;
    let mut bytes = room(len)?;
    file.take(most + 1).read_to_end(&mut bytes)?;
    // It may have grown since.
    if bytes.len() as u64 > most {
        return too_large(bytes.len() as u64);
    }
    Ok(bytes)
}

/// Memory for `len` bytes: where there is too little of it, that is an error and no end of the program.
pub fn room(len: u64) -> io::Result<Vec<u8>> {
    let short = || {
        let problem = format!("its {len} bytes do not fit this machine's memory");
        io::Error::new(io::ErrorKind::OutOfMemory, problem)
    };
    let mut bytes = Vec::new();
    let len = usize::try_from(len).map_err(|_| short())?;
    bytes.try_reserve_exact(len).map_err(|_| short())?;
    Ok(bytes)
}

/// [`read`], as UTF-8 text.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    let not_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text");
    String::from_utf8(read(path, most)?).map_err(not_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(text(&path, 4).unwrap(), "four");
        for (error, expected) in [
            (read(&path, 3).unwrap_err(), "it has 4 bytes, more than the 3"),
            (read(dir.path(), 9).unwrap_err(), "it is a folder"),
            #[cfg(unix)]
            (read(Path::new("/dev/zero"), 9).unwrap_err(), "it is no regular file"),
        ] {
            assert!(error.to_string().contains(expected), "{error}");
        }
        std::fs::write(&path, [0xFF]).unwrap();
        assert!(text(&path, 4).unwrap_err().to_string().contains("UTF-8"));
    }
}
