//! Condition vectors from files and from the command line.

use super::Conditions;
use crate::data::array;
use crate::files::keyed;
use crate::tensors::TensorFile;
use crate::{Error, ErrorKind};
use mote_graph::config::printable;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Names of an array of conditions, best first, where none is given.
const NAMES: [&str; 4] = ["cond", "condition", "conditions", "global_cond"];

impl Conditions {
    /// What `given` says: numbers with commas between, one row for all images; or `FILE[:KEY]`, an array `(row, ...)` of a `.npz`, `.npy` or
    /// safetensors file. An array of one axis is one row.
    ///
    /// # Errors
    /// Of kind `Input`, with file, key and what is expected.
    pub fn parse(given: impl AsRef<OsStr>) -> Result<Self, Error> {
        match numbers(given.as_ref()) {
            Some(numbers) => Self::new("the condition", numbers.len(), numbers),
            None => {
                list(given.as_ref())?;
                Self::read(given.as_ref())
            }
        }
    }

    /// The file that `given` names, if it names one.
    #[must_use]
    pub fn file_of(given: impl AsRef<OsStr>) -> Option<PathBuf> {
        let given = given.as_ref();
        numbers(given).is_none().then(|| keyed(given).0)
    }

    fn read(given: &OsStr) -> Result<Self, Error> {
        let (path, key) = keyed(given);
        let shown = |key: &str| format!("{}: `{key}`", path.display());
        let (key, shape, data) = if path.extension().is_some_and(|ending| ending == "safetensors") {
            tensor(&path, key.as_deref())?
        } else {
            let (key, shape, data) = array(&path, key.as_deref(), &NAMES)
                .map_err(|error| Error::coded(ErrorKind::Input, error).help("give numbers, or FILE.npz:ARRAY"))?;
            (key, shape, data.into_iter().map(f64::from).collect())
        };
        let width = match shape.as_slice() {
            [] => 1,
            [width] => *width,
            [_, rest @ ..] => rest.iter().product(),
        };
        Self::new(shown(&key), width, data)
    }
}

/// The numbers of a list with commas between; `None` where it is none.
fn numbers(given: &OsStr) -> Option<Vec<f64>> {
    given.to_str()?.split(',').map(|v| v.trim().parse().ok()).collect()
}

/// Refuses a list with commas between that holds something else than numbers, by its place; what is the name of a file passes.
fn list(given: &OsStr) -> Result<(), Error> {
    let Some(text) = given.to_str().filter(|text| text.contains(',')) else {
        return Ok(());
    };
    let number = |item: &str| item.trim().parse::<f64>().is_ok();
    let mut items = text.split(',').enumerate();
    if !text.split(',').any(number) || keyed(given).0.exists() {
        return Ok(());
    }
    match items.find(|(_, item)| !number(item)) {
        None => Ok(()),
        Some((index, item)) => {
            let item = printable(item);
            Err(Error::input(format_args!(
                "number {index} of the condition is `{item}`, which is no number"
            ))
            .help("give numbers with commas between, such as 0.5,-1,0, or FILE.npz:ARRAY"))
        }
    }
}

fn tensor(path: &Path, key: Option<&str>) -> Result<(String, Vec<usize>, Vec<f64>), Error> {
    let help =
        |error| Error::coded(ErrorKind::Input, error).help("give numbers, FILE.npz:ARRAY or FILE.safetensors:KEY");
    let file = TensorFile::read(path).map_err(help)?;
    let keys = file.keys();
    let known = || NAMES.iter().find(|name| keys.iter().any(|key| key == *name));
    let key = key.or_else(|| known().copied());
    if key.is_none() && keys.len() > 1 {
        let shown = printable(&keys[..keys.len().min(20)].join(", "));
        let problem = format_args!(
            "{} holds several tensors ({shown}), none of them `{}`",
            path.display(),
            NAMES[0]
        );
        return Err(Error::input(problem).help("name one, as FILE.safetensors:KEY"));
    }
    let key = key.or_else(|| keys.first().map(String::as_str));
    let values = file.floats(key.unwrap_or(NAMES[0])).map_err(help)?;
    Ok((values.key, values.shape, values.data))
}
