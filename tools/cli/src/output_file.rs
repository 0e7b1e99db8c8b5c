//! Files that a command writes: whole or not at all.

use super::failure::Failure;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file to be written at the end of the work; that it can be written is known from the start.
#[derive(Debug)]
pub struct OutputFile {
    /// As the user gave it.
    shown: PathBuf,
    /// Links followed.
    path: PathBuf,
    /// Not a file that could be replaced, such as `/dev/null`: written in place.
    special: bool,
}

impl OutputFile {
    /// Checks that `path` can be written, and is none of `inputs`.
    pub fn prepare(path: &Path, inputs: &[&Path]) -> Result<Self, Failure> {
        let shown = path.display();
        let refuse = |why: &dyn std::fmt::Display| {
            Failure::new(format_args!("cannot write {shown}: {why}"))
                .help("give the path of a file in a folder that can be written")
        };
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.as_os_str().is_empty() || path.is_dir() || path.file_name().is_none() {
            return Err(refuse(&"it is a folder"));
        }
        if inputs
            .iter()
            .any(|input| input.canonicalize().is_ok_and(|input| input == real))
        {
            return Err(Failure::usage(format_args!("{shown} is both input and output")).help("give another output"));
        }
        let existing = std::fs::metadata(&real).ok();
        if existing.as_ref().is_some_and(|found| found.permissions().readonly()) {
            return Err(refuse(&"it is read-only"));
        }
        let file = Self {
            shown: path.to_owned(),
            path: real,
            special: existing.is_some_and(|found| !found.is_file()),
        };
        if !file.special {
            file.temporary().map_err(|error| refuse(&plain(&error)))?;
        }
        Ok(file)
    }

    /// Writes `bytes`: to a temporary file in the same folder, which then takes the name. A file that was there stays whole until
    /// the new one is.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let refuse = |error: std::io::Error| {
            Failure::new(format_args!("cannot write {}: {}", self.shown.display(), plain(&error)))
                .help("nothing was replaced; free space or choose another folder")
        };
        if self.special {
            return std::fs::OpenOptions::new()
                .write(true)
                .open(&self.path)
                .and_then(|mut file| file.write_all(bytes))
                .map_err(refuse);
        }
        let mut temporary = self.temporary().map_err(refuse)?;
        temporary.write_all(bytes).map_err(refuse)?;
        temporary.as_file().sync_all().map_err(refuse)?;
        temporary.persist(&self.path).map_err(|error| refuse(error.error))?;
        Ok(())
    }

    /// Writes what `fill` writes, in the same way. A file that cannot be replaced, such as `/dev/null`, gets a copy at the end.
    pub fn write_with(
        &self,
        fill: impl FnOnce(&mut std::io::BufWriter<&mut std::fs::File>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let refuse = |error: std::io::Error| {
            Failure::new(format_args!("cannot write {}: {}", self.shown.display(), plain(&error)))
                .help("nothing was replaced; free space or choose another folder")
        };
        let mut temporary = if self.special {
            tempfile::NamedTempFile::new().map_err(refuse)?
        } else {
            self.temporary().map_err(refuse)?
        };
        let mut buffered = std::io::BufWriter::new(temporary.as_file_mut());
        fill(&mut buffered)?;
        buffered.flush().map_err(refuse)?;
        drop(buffered);
        if self.special {
            let made = std::fs::read(temporary.path()).map_err(refuse)?;
            return self.write(&made);
        }
        temporary.as_file().sync_all().map_err(refuse)?;
        temporary.persist(&self.path).map_err(|error| refuse(error.error))?;
        Ok(())
    }

    /// As the user gave it.
    pub fn shown(&self) -> String {
        self.shown.display().to_string()
    }

    fn temporary(&self) -> std::io::Result<tempfile::NamedTempFile> {
        let folder = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".mote-").suffix(".tmp");
        #[cfg(unix)]
        {
            // What a plain file would get: the process's mask still applies.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        builder.tempfile_in(folder)
    }
}

/// An error without the temporary file's name, which says nothing to a user.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" at path ").next().unwrap_or(&text).to_owned()
}

/// Makes the folder `path`, where it is not there.
pub fn folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|error| {
        Failure::new(format_args!("cannot make the folder {}: {error}", path.display()))
            .help("give a folder that can be written")
    })
}
