//! Many samples: into a folder of PNG files or an archive for NumPy, some at a time.

use super::npz::{MOST_BYTES, Npz, npz_tail};
use super::{Picture, Shape, Signal, encode};
use crate::Error;
use crate::backend::{Backend, OpenModel, Sampling, Trace};
use crate::files::{Format, Inputs, OutputFile, folder, folder_name, replace};
use crate::shard::{Run, Shard};
use mote_runtime::internals::digest::Digest;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Where many images go.
#[derive(Debug)]
pub enum ImageSink {
    /// A PNG file an image, named by its seed, and `digests.txt`; of images between two seeds by the first seed and their place.
    Folder(PathBuf),
    /// `images` (sample, row, col, channel) as u8, `seeds` and `digests` as u64, `run` as the bytes of a text that names the run.
    Archive(OutputFile),
    /// Signals: `samples` (sample, channel, time) as f32, `seeds`, `digests` and `run` as in an archive.
    Signals(OutputFile, Signal),
    /// Signals as one JSON object.
    Json(OutputFile, Signal),
}

/// What was made, in the order of the seeds.
#[derive(Debug, Default)]
pub struct Made {
    /// Seed and digest of every image.
    pub digests: Vec<(u64, u64)>,
}

impl Made {
    /// Digest of all digests.
    pub fn digest(&self) -> u64 {
        let halves = |(_, digest): &(u64, u64)| [*digest as u32 as i32, (*digest >> 32) as u32 as i32];
        Digest::of(self.digests.iter().flat_map(halves)).0
    }
}

impl ImageSink {
    /// Refuses a name that is neither an archive's nor a folder's, and a folder for a shard; needs no model.
    ///
    /// # Errors
    /// Of kind `Usage`.
    pub fn check_name(path: &Path, shard: Shard) -> Result<(), Error> {
        if is_archive(path) {
            return Ok(());
        }
        if !is_json(path) {
            folder_name(path)?;
        }
        if shard.is_whole() {
            return Ok(());
        }
        Err(Error::usage(format_args!(
            "a shard is written as one archive, and {} is none",
            path.display()
        ))
        .help("give --out FILE.npz"))
    }

    /// Checks that `count` samples can be written to `path`: an archive where it ends in `.npz`, one object where it ends in `.json`, a
    /// folder otherwise. `signal` is that of a model whose samples are no pictures: they have no folder of them.
    pub fn prepare(
        path: &Path,
        inputs: &[&Path],
        count: usize,
        shape: Shape,
        signal: Option<Signal>,
    ) -> Result<Self, Error> {
        Self::check_name(path, Shard::WHOLE)?;
        if let Some(signal) = signal {
            return Self::of_signals(path, inputs, count, signal);
        }
        if is_json(path) {
            return Err(
                Error::usage("a sample of this model is a picture, which is not written as JSON")
                    .help("give a file that ends in .npz, or a folder"),
            );
        }
        if !is_archive(path) {
            Inputs::of(inputs.iter().copied()).spare_folder(path, is_written)?;
            folder(path)?;
            return Ok(Self::Folder(path.to_owned()));
        }
        let bytes = count as u64 * (shape.len() as u64 + 16);
        if bytes > MOST_BYTES {
            let most = MOST_BYTES / (shape.len() as u64 + 16);
            return Err(
                Error::usage(format_args!("{count} images do not fit one archive of 4 GiB"))
                    .help(format_args!("give --count up to {most}, and further seeds with --seed")),
            );
        }
        OutputFile::prepare(path, Format::Npz, inputs).map(Self::Archive)
    }

    fn of_signals(path: &Path, inputs: &[&Path], count: usize, signal: Signal) -> Result<Self, Error> {
        if count > MOST_SIGNALS {
            return Err(
                Error::usage(format_args!("{count} samples are more than {MOST_SIGNALS} in one file"))
                    .help("give a smaller --count, and further seeds with --seed"),
            );
        }
        if is_json(path) {
            return Ok(Self::Json(OutputFile::prepare(path, Format::Json, inputs)?, signal));
        }
        if !is_archive(path) {
            return Err(signal.no_picture());
        }
        Ok(Self::Signals(OutputFile::prepare(path, Format::Npz, inputs)?, signal))
    }

    /// As the user gave it.
    pub fn shown(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Archive(file) | Self::Signals(file, _) | Self::Json(file, _) => file.shown(),
        }
    }

    /// Makes the images of one shard of `sampling` and writes them as they come; `progress` is called after each step.
    pub fn write(
        &self,
        backend: Backend,
        opened: OpenModel<'_>,
        (sampling, shard): (&Sampling, Shard),
        shape: Shape,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Made, Error> {
        let mut made = Made::default();
        let run = Run::of_images(opened, sampling).text();
        let part = sampling.part(shard.range(sampling.images.len()));
        let sampling = &part;
        match self {
            Self::Folder(path) => {
                // Digests of a run before would stand beside this run's images.
                let list = path.join(DIGESTS);
                match std::fs::remove_file(&list) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(&list, &error)),
                    _ => {}
                }
                // Images between two seeds have the first in common: each has its place as well.
                let shared = sampling.images.windows(2).any(|pair| pair[0].seed == pair[1].seed);
                let name = |seed: u64, place: usize| match shared {
                    true => format!("{seed}-{place}"),
                    false => seed.to_string(),
                };
                let mut places = 0..;
                let put = |trace: &Trace| {
                    let png = encode(&Picture::of_sample(&trace.pixels, shape)).map_err(io::Error::other)?;
                    let own = name(trace.seed, places.next().unwrap_or_default());
                    replace(&path.join(format!("{own}.png")), &png)
                };
                let written = each(backend, opened, sampling, &mut made, progress, put)?;
                let line =
                    |(place, (seed, digest)): (usize, &(u64, u64))| format!("{} {digest:016x}\n", name(*seed, place));
                let lines = made.digests.iter().enumerate().map(line);
                // Also of those that were finished before the disk was full.
                let listed = replace(&list, lines.collect::<String>().as_bytes());
                written.map_err(|error| refused(path, &error))?;
                listed.map_err(|error| refused(&list, &error))?;
            }
            Self::Signals(file, signal) => {
                let traces = all(backend, opened, sampling, &mut made, progress)?;
                file.write_with(|to| {
                    let written = signal.write_npz(to, &traces, &run);
                    written.map_err(|error| refused(Path::new(&file.shown()), &error))
                })?;
            }
            Self::Json(file, signal) => {
                let traces = all(backend, opened, sampling, &mut made, progress)?;
                file.write(format!("{:#}\n", signal.json(&traces)).as_bytes())?;
            }
            Self::Archive(file) => file.write_with(|to| {
                let mut npz = Npz::new(to);
                let extents = [sampling.images.len(), shape.rows, shape.cols, shape.channels];
                let mut done = Ok(());
                let mut write = || {
                    npz.array("images", "|u1", &extents, |to| {
                        let put = |trace: &Trace| to.write_all(&trace.pixels);
                        match each(backend, opened, sampling, &mut made, progress, put) {
                            Ok(written) => written,
                            Err(failure) => {
                                done = Err(failure);
                                Ok(())
                            }
                        }
                    })?;
                    npz_tail(&mut npz, &made.digests, &run)
                };
                let written = write();
                done?;
                written.map_err(|error| refused(Path::new(&file.shown()), &error))
            })?,
        }
        Ok(made)
    }
}

fn is_archive(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("npz"))
        && !path.is_dir()
}

fn is_json(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"))
        && !path.is_dir()
}

/// Signals in one file: all are held at once.
const MOST_SIGNALS: usize = 100_000;

/// Every sample of a sampling, in memory.
fn all(
    backend: Backend,
    opened: OpenModel<'_>,
    sampling: &Sampling,
    made: &mut Made,
    progress: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, Error> {
    let mut traces = Vec::new();
    let keep = |trace: &Trace| {
        traces.push(trace.clone());
        Ok(())
    };
    each(backend, opened, sampling, made, progress, keep)?.map_err(Error::new)?;
    Ok(traces)
}

/// The list of a folder's digests.
const DIGESTS: &str = "digests.txt";

/// Whether a folder of images can get a file of that name.
fn is_written(name: &str) -> bool {
    let seed = name.strip_suffix(".png");
    let seed = seed.map(|seed| seed.split_once('-').map_or(seed, |(seed, _)| seed));
    name == DIGESTS || seed.is_some_and(|seed| seed.parse::<u64>().is_ok())
}

/// Makes the images and puts each where it goes, until the disk refuses one: what the backend said, and what the disk said.
fn each(
    backend: Backend,
    opened: OpenModel<'_>,
    sampling: &Sampling,
    made: &mut Made,
    progress: &(dyn Fn() + Sync),
    mut put: impl FnMut(&Trace) -> Result<(), io::Error>,
) -> Result<io::Result<()>, Error> {
    let mut written = Ok(());
    if sampling.images.is_empty() {
        return Ok(written);
    }
    backend.stream_with(opened, sampling, progress, &mut |traces| {
        for trace in &traces {
            written = put(trace);
            if written.is_err() {
                return ControlFlow::Break(());
            }
            made.digests.push((trace.seed, trace.digest()));
        }
        ControlFlow::Continue(())
    })?;
    Ok(written)
}

fn refused(path: &Path, error: &io::Error) -> Error {
    Error::output(format_args!("cannot write {}: {error}", path.display())).help("free space or choose another folder")
}
