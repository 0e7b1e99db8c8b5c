//! `.npz`: NumPy's archive of arrays, whose names say what they are.

use super::npy::{self, Array};
use super::{DataError, Images, Raw, bytes, content, planes, whole};
use crate::files::Form;
use mote_graph::config::printable;
use mote_import::zip::{self, Entry};
use std::path::Path;

/// Names of an array of images and of its labels, best first.
type Names = [&'static [&'static str]; 2];
/// To train on.
const TRAIN: Names = [
    &["train_x", "x_train", "train_images"],
    &["train_y", "y_train", "train_labels"],
];
/// Held out.
const TEST: Names = [
    &["test_x", "x_test", "test_images"],
    &["test_y", "y_test", "test_labels"],
];
/// Either.
const ALL: Names = [&["images", "x", "arr_0"], &["labels", "y", "arr_1"]];

/// Reads images and labels by the names of the arrays.
pub fn read(path: &Path) -> Result<Raw, DataError> {
    let file = bytes(path, Form::NumPy)?;
    let entries = zip::entries(&file).ok_or_else(|| content(path, "is not a whole NumPy archive (.npz)"))?;
    let archive = Archive { file: &file, entries };
    archive.raw().map_err(|problem| content(path, problem))
}

/// An array's name, its extents and its numbers.
pub type Named = (String, Vec<usize>, Vec<f32>);

/// The array of that name in the archive or `.npy` file `path`; without one, the first that has a name of `known`, or the only one.
pub fn array(path: &Path, name: Option<&str>, known: &[&str]) -> Result<Named, DataError> {
    let file = bytes(path, Form::NumPy)?;
    let fail = |problem: String| content(path, problem);
    let Some(entries) = zip::entries(&file) else {
        let array = npy::parse(&file).map_err(|problem| fail(format!("is no NumPy archive or array: it {problem}")))?;
        return match name {
            None => Ok(("array".into(), array.shape, array.data)),
            Some(name) => Err(fail(format!(
                "is a single array, and has none called {}",
                printable(name)
            ))),
        };
    };
    let archive = Archive { file: &file, entries };
    let names: Vec<&str> = archive.entries.iter().map(Entry::array).collect();
    let wanted = match name {
        Some(name) => names.iter().find(|found| **found == name),
        None => known
            .iter()
            .find_map(|known| names.iter().find(|found| *found == known))
            .or(names.first().filter(|_| names.len() == 1)),
    };
    let Some(wanted) = wanted else {
        let shown = printable(&names[..names.len().min(20)].join(", "));
        return Err(fail(match name {
            Some(name) => format!("holds no array {} ({shown})", printable(name)),
            None if names.is_empty() => "holds no array: save it by numpy.savez".to_owned(),
            None => format!("holds several arrays ({shown}): name one, as FILE.npz:ARRAY"),
        }));
    };
    let array = archive.read(wanted).map_err(fail)?;
    Ok(((*wanted).to_owned(), array.shape, array.data))
}

/// An archive's bytes and what they hold.
struct Archive<'a> {
    file: &'a [u8],
    entries: Vec<Entry>,
}

impl Archive<'_> {
    fn raw(&self) -> Result<Raw, String> {
        let train = self.images(TRAIN)?;
        let test = self.images(TEST)?;
        // What no name says more about.
        let all = if train.is_none() { self.images(ALL)? } else { None };
        let found: Vec<&Found> = [&train, &all, &test].into_iter().flatten().collect();
        let shape = match found[..] {
            [] => {
                let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).take(20).collect();
                let (wanted, names) = (TRAIN[0][0], printable(&names.join(", ")));
                return Err(format!("holds no array of images ({names}): name it {wanted}"));
            }
            [first, held_out] if first.shape != held_out.shape => {
                return Err(format!(
                    "images held out have shape {:?}, those to train on {:?}",
                    held_out.shape, first.shape
                ));
            }
            // Bytes and parts of one in a set would be brought to one range, which is right for one of them alone.
            [first, held_out] if first.bytes != held_out.bytes && (first.is_broken() || held_out.is_broken()) => {
                return Err("images to train on and those held out have different types, bytes and parts of one: save both in one type".into());
            }
            [first, ..] => first.shape,
        };
        let bytes = found.iter().all(|images| images.bytes);
        let range = bytes.then(|| {
            let values = found.iter().flat_map(|images| &images.part.pixels);
            let top = values.fold(0f32, |m, v| m.max(*v));
            // Bytes that stay far below 255 have a scale of their own.
            [0.0, if top > 127.0 { 255.0 } else { top.max(1.0) }]
        });
        let part = |found: Option<Found>| found.map(|images| images.part);
        Ok(Raw {
            shape,
            train: part(train),
            test: part(test),
            all: part(all),
            range,
        })
    }

    fn images(&self, [images, labels]: Names) -> Result<Option<Found>, String> {
        let Some((name, array)) = self.first(images)? else {
            return Ok(None);
        };
        let (shape, channels_last) = shape(&array.shape).ok_or_else(|| {
            let found = &array.shape;
            format!(
                "the array {name} has shape {found:?}: expected (n, row, col), (n, row, col, channel) or (n, channel, row, col)"
            )
        })?;
        let labels = match self.first(labels)? {
            Some((name, labels)) => {
                let (found, count) = (&labels.shape, array.shape.first().unwrap_or(&0));
                if labels.data.len() != *count {
                    return Err(format!(
                        "the array {name} must hold a label an image: it has shape {found:?} for {count} images"
                    ));
                }
                whole(&labels.data).map_err(|(i, label)| {
                    format!(
                        "the array {name} holds the label {label} of image {i}, expected whole numbers from 0 to 65535"
                    )
                })?
            }
            None => vec![],
        };
        let pixels = if channels_last {
            planes(array.data, shape)
        } else {
            array.data
        };
        Ok(Some(Found {
            shape,
            bytes: array.bytes,
            part: Images { pixels, labels },
        }))
    }

    /// The first array that is there.
    fn first(&self, names: &[&'static str]) -> Result<Option<(&'static str, Array)>, String> {
        let found = names
            .iter()
            .find_map(|name| self.entries.iter().any(|entry| entry.array() == *name).then_some(*name));
        let Some(name) = found else { return Ok(None) };
        self.read(name).map(|array| Some((name, array)))
    }

    /// The array of that name, which is there: of two the later, as NumPy has it.
    fn read(&self, name: &str) -> Result<Array, String> {
        let entry = self.entries.iter().rfind(|entry| entry.array() == name);
        let entry = entry.ok_or_else(|| format!("holds no array {}", printable(name)))?;
        // What it says of itself is looked at before all of it is unpacked.
        let whole = zip::head(self.file, entry, npy::HEAD)
            .and_then(|head| npy::check(&head, entry.size))
            .and_then(|()| zip::contents(self.file, entry));
        whole
            .and_then(|contents| npy::parse(&contents))
            .map_err(|problem| format!("the array {} {problem}", printable(name)))
    }
}

/// Images of one array, and their labels.
struct Found {
    shape: [usize; 3],
    bytes: bool,
    part: Images,
}

impl Found {
    /// Whether some value is no whole number.
    fn is_broken(&self) -> bool {
        self.part.pixels.iter().any(|value| value.fract() != 0.0)
    }
}

/// Channels, rows and columns, and whether the array has the channels last.
fn shape(extents: &[usize]) -> Option<([usize; 3], bool)> {
    match *extents {
        [_, rows, cols] => Some(([1, rows, cols], false)),
        [_, rows, cols, channels @ (1 | 3)] => Some(([channels, rows, cols], true)),
        // 2 or 4 are channels where the other candidate has too many to be: gray and RGB with transparency.
        [_, rows, cols, channels @ (2 | 4)] if rows > 4 => Some(([channels, rows, cols], true)),
        [_, channels, rows, cols] => Some(([channels, rows, cols], false)),
        // Flat rows of square images, as scikit-learn has them.
        [_, len] if len.isqrt().pow(2) == len => Some(([1, len.isqrt(), len.isqrt()], false)),
        _ => None,
    }
}
