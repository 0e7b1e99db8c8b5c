//! Many samples: into a folder of PNG files or an archive for NumPy, some at a time.

use super::npz::{MOST_BYTES, Npz, npz_tail};
use super::{Picture, Shape, encode};
use crate::Error;
use crate::backend::{Backend, Job, Target, Trace};
use crate::files::{Format, Inputs, OutputFile, folder, folder_name, replace};
use crate::shard::{Run, Shard};
use mote_runtime::internals::digest::Digest;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Where many images go.
#[derive(Debug)]
pub enum ImageSink {
    /// A PNG file an image, named by its seed, and `digests.txt`.
    Folder(PathBuf),
    /// `images` (sample, row, col, channel) as u8, `seeds` and `digests` as u64, `run` as the bytes of a text that names the run.
    Archive(OutputFile),
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
        folder_name(path)?;
        if shard.is_whole() {
            return Ok(());
        }
        Err(
            Error::usage(format_args!("a shard is written as one archive, and {} is a folder", path.display()))
                .help("give --out FILE.npz"),
        )
    }

    /// Checks that `count` samples can be written to `path`: an archive where it ends in `.npz`, a folder otherwise.
    pub fn prepare(path: &Path, inputs: &[&Path], count: usize, shape: Shape) -> Result<Self, Error> {
        Self::check_name(path, Shard::WHOLE)?;
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

    /// As the user gave it.
    pub fn shown(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Archive(file) => file.shown(),
        }
    }

    /// Makes the images of one shard of `job` and writes them as they come; `progress` is told how many steps are done.
    pub fn write(
        &self,
        backend: Backend,
        target: Target<'_>,
        (job, shard): (&Job, Shard),
        shape: Shape,
        progress: &dyn Fn(u64),
    ) -> Result<Made, Error> {
        let mut made = Made::default();
        let run = Run::of_images(target, job).text();
        let part = job.part(shard.range(job.images.len()));
        let job = &part;
        match self {
            Self::Folder(path) => {
                // Digests of a run before would stand beside this run's images.
                let list = path.join(DIGESTS);
                match std::fs::remove_file(&list) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(&list, &error)),
                    _ => {}
                }
                let put = |trace: &Trace| {
                    let png = encode(&Picture::of_sample(&trace.pixels, shape)).map_err(io::Error::other)?;
                    replace(&path.join(format!("{}.png", trace.seed)), &png)
                };
                let written = each(backend, target, job, &mut made, progress, put)?;
                let lines = made
                    .digests
                    .iter()
                    .map(|(seed, digest)| format!("{seed} {digest:016x}\n"));
                // Also of those that were finished before the disk was full.
                let listed = replace(&list, lines.collect::<String>().as_bytes());
                written.map_err(|error| refused(path, &error))?;
                listed.map_err(|error| refused(&list, &error))?;
            }
            Self::Archive(file) => file.write_with(|to| {
                let mut npz = Npz::new(to);
                let extents = [job.images.len(), shape.rows, shape.cols, shape.channels];
                let mut done = Ok(());
                let mut write = || {
                    npz.array("images", "|u1", &extents, |to| {
                        let put = |trace: &Trace| to.write_all(&trace.pixels);
                        match each(backend, target, job, &mut made, progress, put) {
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

/// The list of a folder's digests.
const DIGESTS: &str = "digests.txt";

/// Whether a folder of images can get a file of that name.
fn is_written(name: &str) -> bool {
    let seed = name.strip_suffix(".png");
    name == DIGESTS || seed.is_some_and(|seed| seed.parse::<u64>().is_ok())
}

/// Makes the images and puts each where it goes, until the disk refuses one: what the backend said, and what the disk said.
fn each(
    backend: Backend,
    target: Target<'_>,
    job: &Job,
    made: &mut Made,
    progress: &dyn Fn(u64),
    mut put: impl FnMut(&Trace) -> Result<(), io::Error>,
) -> Result<io::Result<()>, Error> {
    let mut written = Ok(());
    if job.images.is_empty() {
        return Ok(written);
    }
    backend.stream(target, job, &mut |traces| {
        for trace in &traces {
            written = put(trace);
            if written.is_err() {
                return ControlFlow::Break(());
            }
            progress(trace.steps.len() as u64);
            made.digests.push((trace.seed, trace.digest()));
        }
        ControlFlow::Continue(())
    })?;
    Ok(written)
}

fn refused(path: &Path, error: &io::Error) -> Error {
    Error::output(format_args!("cannot write {}: {error}", path.display())).help("free space or choose another folder")
}
