//! A folder of PNG files of one size. Folders in it are classes, in the order of their names.

use super::{DataError, Part, Raw, bytes, content};
use crate::images::{Picture, decode};
use crate::tensors::to_chw;
use std::path::{Path, PathBuf};

/// Reads every PNG file.
pub fn read(path: &Path) -> Result<Raw, DataError> {
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = listing(path)?.into_iter().partition(|p| p.is_dir());
    let (mut shape, mut all) = (None, Part::default());
    let plain = pictures(files);
    if plain.is_empty() {
        for (label, folder) in folders.iter().enumerate() {
            for file in pictures(listing(folder)?) {
                add(&mut shape, &mut all, &file)?;
                all.labels.push(label);
            }
        }
    }
    for file in plain {
        add(&mut shape, &mut all, &file)?;
    }
    Ok(Raw {
        shape: shape.ok_or_else(|| content(path, "holds no PNG file, nor folders of PNG files"))?,
        all: Some(all),
        range: Some([0.0, 255.0]),
        ..Raw::default()
    })
}

fn listing(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let failed = |source| DataError::Read {
        path: path.to_owned(),
        source,
    };
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|e| e.path()).collect();
    paths.sort();
    Ok(paths)
}

fn pictures(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let png = |p: &PathBuf| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    paths.into_iter().filter(png).collect()
}

fn add(expected: &mut Option<[usize; 3]>, all: &mut Part, file: &Path) -> Result<(), DataError> {
    let picture: Picture = decode(&bytes(file)?).map_err(|error| content(file, error))?;
    let picture = gray(picture);
    let shape = [picture.channels, picture.height, picture.width];
    let [c, h, w] = *expected.get_or_insert(shape);
    if [c, h, w] != shape {
        let problem = format!(
            "is {} x {} with {} channels, the files before it {w} x {h} with {c}: all must be alike",
            picture.width, picture.height, picture.channels
        );
        return Err(content(file, problem));
    }
    let planes = to_chw(&picture.data, picture.channels);
    all.pixels.extend(planes.into_iter().map(f32::from));
    Ok(())
}

/// A picture without colours as one of one channel: palettes are read as colours.
fn gray(picture: Picture) -> Picture {
    let plain = picture.channels == 3 && picture.data.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
    if !plain {
        return picture;
    }
    Picture {
        channels: 1,
        data: picture.data.iter().step_by(3).copied().collect(),
        ..picture
    }
}
