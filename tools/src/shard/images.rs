//! Parts of images to the archive of all of them.

use super::Merged;
use super::cover::{Piece, cover};
use super::part::ShardPart;
use super::run::Run;
use crate::Error;
use crate::files::OutputFile;
use crate::images::Made;
use crate::images::npz::{MOST_BYTES, Npz, npz_tail};
use std::io;
use std::path::Path;

/// Most images of a run.
const MOST_IMAGES: usize = 1 << 24;

/// Name of the array of the samples, its type as it is read and as it is written, and bytes of an element: signals and actions are numbers.
fn array_of(part: &ShardPart) -> (&'static str, &'static str, &'static str, u64) {
    if part.has("samples") {
        ("samples", "f4", "<f4", 4)
    } else {
        ("images", "u1", "|u1", 1)
    }
}

/// Checks that `parts` are all images of `run`, and writes them to `out` in the order of their seeds.
pub fn merge(parts: &[ShardPart], run: &Run, out: &OutputFile) -> Result<Merged, Error> {
    let first = &parts[0];
    let number = |key| run.number(key).map_err(|problem| first.wrong(problem));
    let (count, first_seed) = (number("count")?, number("first_seed")?);
    let (name, kind, descr, width) = array_of(first);
    let mut pieces = Vec::with_capacity(parts.len());
    let mut digests = Vec::with_capacity(parts.len());
    let mut extents: Vec<usize> = vec![];
    for part in parts {
        let seeds = part.words("seeds", MOST_IMAGES)?;
        let of_part = part.words("digests", MOST_IMAGES)?;
        let shape = part.shape(name, kind)?;
        let [images, sample @ ..] = &shape[..] else {
            return Err(part.wrong("is damaged: its images have no extents"));
        };
        if [seeds.len(), of_part.len()] != [*images; 2] {
            return Err(part.wrong("is damaged: images, seeds and digests are not as many"));
        }
        if extents.is_empty() {
            extents = sample.to_vec();
        }
        if extents != sample {
            let problem = format!("has images of shape {sample:?}, {} of {extents:?}", first.shown());
            return Err(part.wrong(problem));
        }
        pieces.push(piece(part, &seeds, first_seed, count)?);
        digests.push(seeds.into_iter().zip(of_part).collect::<Vec<_>>());
    }
    let order = cover(&pieces, count, 1, "images")?;
    let bytes = extents
        .iter()
        .fold(width * count, |bytes, extent| bytes.saturating_mul(*extent as u64));
    if bytes.saturating_add(16 * count) > MOST_BYTES {
        return Err(
            Error::usage(format_args!("{count} images do not fit one archive of 4 GiB"))
                .help("keep the parts: each is an archive of its own"),
        );
    }
    let made = Made {
        digests: order.iter().flat_map(|i| digests[*i].iter().copied()).collect(),
    };
    let shape = [&[count as usize][..], &extents].concat();
    out.write_with(|to| {
        let mut npz = Npz::new(to);
        let mut read = Ok(());
        let mut write = || -> io::Result<()> {
            npz.array(name, descr, &shape, |to| {
                for part in order.iter().map(|i| &parts[*i]) {
                    match part.copy(name, kind, &mut |some| to.write_all(some)) {
                        Ok(written) => written?,
                        Err(error) => {
                            read = Err(error);
                            break;
                        }
                    }
                }
                Ok(())
            })?;
            npz_tail(&mut npz, &made.digests, &run.text())
        };
        let written = write();
        read?;
        written.map_err(|error| refused(Path::new(&out.shown()), &error))
    })?;
    Ok(Merged::Images {
        file: out.shown(),
        count,
        digest: made.digest(),
    })
}

/// The range of a part, whose seeds follow each other.
fn piece(part: &ShardPart, seeds: &[u64], first_seed: u64, count: u64) -> Result<Piece, Error> {
    let start = seeds.first().map_or(0, |seed| seed.wrapping_sub(first_seed));
    let end = start.saturating_add(seeds.len() as u64);
    let follow = seeds
        .iter()
        .zip(0u64..)
        .all(|(seed, i)| seed.wrapping_sub(first_seed) == start.wrapping_add(i));
    if !follow || end > count {
        return Err(part.wrong(format_args!(
            "holds other seeds than {count} that count up from {first_seed}"
        )));
    }
    Ok(Piece {
        file: part.shown(),
        range: start..end,
    })
}

fn refused(path: &Path, error: &io::Error) -> Error {
    Error::output(format_args!("cannot write {}: {error}", path.display())).help("free space or choose another folder")
}
