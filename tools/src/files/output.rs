//! Files that are written: whole or not at all.

use crate::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use super::input::Inputs;
use super::temporary::{Temporary, followed, replace};

/// What is written into a file, which its name's ending must not contradict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A model file.
    Model,
    /// A picture in pixels.
    Png,
    /// A drawing.
    Svg,
    /// A page.
    Html,
    /// Arrays for NumPy.
    Npz,
    /// Statistics of a run, which can be merged.
    Moments,
    /// One object of numbers.
    Json,
    /// The weights of a model file that was cut.
    Weights,
}

impl Format {
    /// The ending of its files' names.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Model => "mote",
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Html => "html",
            Self::Npz => "npz",
            Self::Moments => "moments",
            Self::Json => "json",
            Self::Weights => "weights",
        }
    }

    /// Refuses a name that ends otherwise; a name without an ending is anything's.
    fn check(self, path: &Path) -> Result<(), Error> {
        let ending = self.ending();
        match path.extension() {
            Some(found) if !found.eq_ignore_ascii_case(ending) => Err(Error::usage(format_args!(
                "{} ends in .{}, but what is written is .{ending}",
                path.display(),
                found.to_string_lossy()
            ))
            .help(format_args!("give a name that ends in .{ending}"))),
            _ => Ok(()),
        }
    }
}

/// Endings of files: a folder of such a name is a mistake.
const FILE_ENDINGS: [&str; 18] = [
    "csv",
    "gif",
    "gz",
    "html",
    "jpeg",
    "jpg",
    "json",
    "moments",
    "mote",
    "npy",
    "npz",
    "png",
    "pt",
    "safetensors",
    "svg",
    "tar",
    "weights",
    "zip",
];

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
    /// Checks that `path` can be written, has no ending of another format, and is none of `inputs`, nor a file of a folder among them.
    ///
    /// # Errors
    /// Of kind `Usage` or `Output`, before anything is written.
    pub fn prepare(path: &Path, format: Format, inputs: &[&Path]) -> Result<Self, Error> {
        let shown = path.display();
        let refuse = |why: &dyn std::fmt::Display| {
            Error::output(format_args!("cannot write {shown}: {why}"))
                .help("give the path of a file in a folder that can be written")
        };
        let real = followed(path);
        if path.as_os_str().is_empty() || path.is_dir() || path.file_name().is_none() {
            return Err(refuse(&"it is a folder"));
        }
        Inputs::of(inputs.iter().copied()).spare(path)?;
        format.check(path)?;
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
            Temporary::beside(&file.path).map_err(|error| refuse(&plain(&error)))?;
        }
        Ok(file)
    }

    /// Writes `bytes`: to a temporary file in the same folder, which then takes the name. A file that was there stays whole until
    /// the new one is.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let refuse = |error: std::io::Error| {
            Error::output(format_args!("cannot write {}: {}", self.shown.display(), plain(&error)))
                .help("nothing was replaced; free space or choose another folder")
        };
        if self.special {
            return OpenOptions::new()
                .write(true)
                .open(&self.path)
                .and_then(|mut file| file.write_all(bytes))
                .map_err(refuse);
        }
        replace(&self.path, bytes).map_err(refuse)
    }

    /// Writes what `fill` writes, in the same way. A file that cannot be replaced, such as `/dev/null`, gets a copy at the end.
    pub fn write_with(&self, fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), Error>) -> Result<(), Error> {
        let refuse = |error: std::io::Error| {
            Error::output(format_args!("cannot write {}: {}", self.shown.display(), plain(&error)))
                .help("nothing was replaced; free space or choose another folder")
        };
        if self.special {
            let mut made = tempfile::tempfile().map_err(refuse)?;
            filled(&mut made, fill, refuse)?;
            made.rewind().map_err(refuse)?;
            let mut to = OpenOptions::new().write(true).open(&self.path).map_err(refuse)?;
            return std::io::copy(&mut made, &mut to).map(|_| ()).map_err(refuse);
        }
        let mut temporary = Temporary::beside(&self.path).map_err(refuse)?;
        filled(temporary.file(), fill, refuse)?;
        temporary.persist(&self.path).map_err(refuse)
    }

    /// As the user gave it.
    pub fn shown(&self) -> String {
        self.shown.display().to_string()
    }

    /// Whether both are one file.
    fn is(&self, other: &Self) -> bool {
        let real = |path: &Path| {
            let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok();
            folder.map(|folder| folder.join(path.file_name().unwrap_or_default()))
        };
        !self.special && real(&self.path).is_some_and(|path| real(&other.path) == Some(path))
    }

    /// Refuses two outputs of one work that are one file.
    ///
    /// # Errors
    /// Of kind `Usage`, with the name.
    pub fn apart(&self, other: &Self) -> Result<(), Error> {
        if self.is(other) {
            return Err(Error::usage(format_args!("{} would be written twice", self.shown())).help("give two names"));
        }
        Ok(())
    }
}

/// Has `fill` write into `file`.
fn filled(
    file: &mut File,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> Result<(), Error>,
    refuse: impl Fn(std::io::Error) -> Error,
) -> Result<(), Error> {
    let mut buffered = BufWriter::new(file);
    fill(&mut buffered)?;
    buffered.flush().map_err(refuse)
}

/// An error without the temporary file's name, which says nothing to a user.
fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" at path ").next().unwrap_or(&text).to_owned()
}

/// Refuses a name for a folder that ends as a file's does, unless a folder of that name is there.
///
/// # Errors
/// Of kind `Usage`.
pub fn folder_name(path: &Path) -> Result<(), Error> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    match ending.filter(|ending| FILE_ENDINGS.contains(&ending.as_str()) && !path.is_dir()) {
        Some(ending) => Err(Error::usage(format_args!(
            "{} ends in .{ending}, but what is written is a folder",
            path.display()
        ))
        .help("give the name of a folder")),
        None => Ok(()),
    }
}

/// Makes the folder `path`, where it is not there.
///
/// # Errors
/// As [`folder_name`]; of kind `Output` where it cannot be made.
pub fn folder(path: &Path) -> Result<(), Error> {
    folder_name(path)?;
    std::fs::create_dir_all(path).map_err(|error| {
        Error::output(format_args!("cannot make the folder {}: {error}", path.display()))
            .help("give a folder that can be written")
    })
}
