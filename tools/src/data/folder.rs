//! A folder of PNG files of one size. Folders in it are classes, in the order of their names.
//!
//! Hidden files and folders are neither: systems and notebooks leave them behind. The number of channels is the set's: 3 where one
//! picture has colours.

use super::{DataError, Images, Raw, bytes, content};
use crate::files::Form;
use crate::images::{Picture, decode};
use crate::tensors::to_chw;
use std::path::{Path, PathBuf};

/// Names that systems give to what they leave in folders, beside those that begin with a dot.
const LEFT_BEHIND: [&str; 6] = [
    "__MACOSX",
    "__pycache__",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
];
/// Endings of pictures that are not read.
const OTHER_PICTURES: [&str; 10] = [
    "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff", "avif", "heic", "jxl",
];
/// Longest list of names in an error.
const SHOWN: usize = 3;

/// Reads every PNG file, for a network of `channels` where that is known.
pub fn read(path: &Path, channels: Option<usize>) -> Result<Raw, DataError> {
    let Listing { pictures, folders, .. } = Listing::of(path)?;
    let mut set = Set::default();
    if pictures.is_empty() {
        let classes: Vec<(&PathBuf, Listing)> = folders
            .iter()
            .map(|folder| Ok((folder, Listing::of(folder)?)))
            .collect::<Result<_, DataError>>()?;
        if let (true, Some((empty, listing))) = (
            classes.iter().any(|(_, class)| !class.pictures.is_empty()),
            classes.iter().find(|(_, class)| class.pictures.is_empty()),
        ) {
            let problem = format!(
                "holds no PNG file{}: a folder beside folders of images is a class; put its images there, or move it away",
                listing.instead()
            );
            return Err(content(empty, problem));
        }
        for (label, (_, class)) in classes.iter().enumerate() {
            for file in &class.pictures {
                set.add(file)?;
                set.labels.push(label);
            }
        }
    } else {
        for folder in &folders {
            if !Listing::of(folder)?.pictures.is_empty() {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                let problem = format!(
                    "holds PNG files beside folders of PNG files, such as {name}: images lie in the folder itself or in a folder for \
                     each class; move the others away"
                );
                return Err(content(path, problem));
            }
        }
        for file in &pictures {
            set.add(file)?;
        }
    }
    if set.pictures.is_empty() {
        let instead = Listing::of(path)?.instead();
        return Err(content(
            path,
            format!("holds no PNG file, nor folders of PNG files{instead}"),
        ));
    }
    Ok(set.raw(channels))
}

/// What lies in a folder, in order of names, without what is hidden.
struct Listing {
    pictures: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    others: Vec<PathBuf>,
}

impl Listing {
    fn of(path: &Path) -> Result<Self, DataError> {
        let failed = |source| DataError::Read {
            path: path.to_owned(),
            source,
        };
        let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
        let mut paths: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|e| e.path()).collect();
        paths.retain(|path| !is_hidden(path));
        paths.sort();
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(|p| p.is_dir());
        let png = |p: &PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
        let (pictures, others): (Vec<PathBuf>, Vec<PathBuf>) = files.into_iter().partition(png);
        // A set that is half read trains another network than was meant.
        let unread: Vec<&PathBuf> = others.iter().filter(|other| is_other_picture(other)).collect();
        if let (false, Some(first)) = (pictures.is_empty(), unread.first()) {
            let name = first.file_name().unwrap_or_default().to_string_lossy();
            let problem = format!(
                "holds {} PNG files, and {} pictures that are not read, such as {name}: save all as PNG, or move the others away",
                pictures.len(),
                unread.len()
            );
            return Err(content(path, problem));
        }
        Ok(Self {
            pictures,
            folders,
            others,
        })
    }

    /// What is there instead of pictures, for an error.
    fn instead(&self) -> String {
        if self.others.is_empty() {
            return String::new();
        }
        let names = self.others.iter().take(SHOWN).filter_map(|other| other.file_name());
        let names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        format!(", but {} other files, such as {}", self.others.len(), names.join(", "))
    }
}

/// Whether a file or folder is no data by its name.
fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || LEFT_BEHIND.iter().any(|left| name.eq_ignore_ascii_case(left))
}

fn is_other_picture(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    OTHER_PICTURES.iter().any(|other| ending.eq_ignore_ascii_case(other))
}

/// The pictures of a set, each with as many channels as its file has.
#[derive(Default)]
struct Set {
    pictures: Vec<Picture>,
    labels: Vec<usize>,
    coloured: bool,
}

impl Set {
    fn add(&mut self, file: &Path) -> Result<(), DataError> {
        let picture = decode(&bytes(file, Form::Png)?).map_err(|error| content(file, error))?;
        if let Some(first) = self.pictures.first()
            && (first.width, first.height) != (picture.width, picture.height)
        {
            let problem = format!(
                "has {} x {} pixels, the files before it {} x {}: all must be alike",
                picture.width, picture.height, first.width, first.height
            );
            return Err(content(file, problem));
        }
        self.coloured |= picture.channels == 3 && picture.data.chunks_exact(3).any(|p| p[0] != p[1] || p[1] != p[2]);
        self.pictures.push(picture);
        Ok(())
    }

    fn raw(self, wanted: Option<usize>) -> Raw {
        let channels = if self.coloured || wanted == Some(3) { 3 } else { 1 };
        let shape = self
            .pictures
            .first()
            .map_or([channels, 0, 0], |first| [channels, first.height, first.width]);
        let pixels = self.pictures.iter().flat_map(|picture| planes(picture, channels));
        Raw {
            shape,
            all: Some(Images {
                pixels: pixels.map(f32::from).collect(),
                labels: self.labels,
            }),
            range: Some([0.0, 255.0]),
            ..Raw::default()
        }
    }
}

/// A picture as `channels` planes. One without colours is one plane, or three that are the same.
fn planes(picture: &Picture, channels: usize) -> Vec<u8> {
    match (picture.channels, channels) {
        (1, 3) => picture.data.repeat(3),
        (3, 1) => picture.data.iter().step_by(3).copied().collect(),
        _ => to_chw(&picture.data, picture.channels),
    }
}
