//! Runs on more than one machine: a machine makes a shard, a contiguous range of the run's images, and [`merge`] joins the parts.
//!
//! A part names the run that it is of (`run`), so that parts of other runs are refused, and holds a range, so that `cover` finds
//! what is missing or there twice. What is merged does not tell how it was sharded: it has the bytes of the run on one machine.

mod cover;
mod images;
mod moments;
mod part;
mod run;

pub(crate) use run::Run;

use crate::Error;
use crate::files::{Format, OutputFile};
use crate::validate::Statistics;
use part::ShardPart;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Most shards of a run.
const MOST: u32 = 1_000_000;

/// One of the equal parts of a run: number `index`, from 0, of `of`.
///
/// ```
/// use mote_tools::Shard;
///
/// // 100 images on three machines.
/// let ranges: Vec<_> = (0..3).map(|i| Shard::new(i, 3).map(|shard| shard.range(100))).collect::<Result<_, _>>()?;
/// assert_eq!(ranges, [0..33, 33..66, 66..100]);
/// assert_eq!("1/3".parse(), Shard::new(1, 3));
/// # Ok::<(), mote_tools::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl Shard {
    /// All of it.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Shard `index` of `of`, from 0.
    ///
    /// # Errors
    /// Of kind `Usage` where `index` is not below `of`, or there are none or more than a million.
    pub fn new(index: u32, of: u32) -> Result<Self, Error> {
        if of == 0 || of > MOST {
            return Err(
                Error::usage(format_args!("a run in {of} shards")).help(format_args!("give 1 to {MOST} shards"))
            );
        }
        if index >= of {
            let last = of - 1;
            return Err(Error::usage(format_args!("shard {index} of {of}: shards count from 0"))
                .help(format_args!("give a shard from 0/{of} to {last}/{of}")));
        }
        Ok(Self { index, of })
    }

    /// Its images, of `count`: the first shards have one fewer where `count` is no multiple. It may be none.
    #[must_use]
    pub fn range(self, count: usize) -> Range<usize> {
        self.batches(count, 1)
    }

    /// The same in whole batches of `batch` images, counted from image 0; the last batch of all may be shorter.
    #[must_use]
    pub fn batches(self, count: usize, batch: usize) -> Range<usize> {
        let batch = batch.max(1);
        let batches = count.div_ceil(batch) as u128;
        let begin = |index: u32| {
            let first = batches * u128::from(index) / u128::from(self.of);
            (first as usize).saturating_mul(batch).min(count)
        };
        begin(self.index)..begin(self.index + 1)
    }

    /// Whether it is all of it.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.of == 1
    }
}

impl std::str::FromStr for Shard {
    type Err = Error;

    /// `I/N`, such as `3/16`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let (index, of) = numbers.ok_or_else(|| {
            Error::usage(format_args!("'{text}' is no shard")).help("give I/N: shard I, from 0, of N, such as 3/16")
        })?;
        Self::new(index, of)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// What parts were joined to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Merged {
    /// An archive of images.
    Images {
        /// The file.
        file: String,
        /// Images in it.
        count: u64,
        /// Digest of all digests, as [`Made::digest`](crate::images::Made::digest) gives it.
        digest: u64,
    },
    /// Statistics of all images of a [`Survey`](crate::validate::Survey): [`Statistics::distribution`] are its distances.
    Statistics {
        /// The file, where one was written.
        file: Option<String>,
        /// The sums.
        statistics: Statistics,
    },
}

/// Joins the parts of a run, given in any order, to the bytes that the run writes where it is not sharded.
///
/// # Errors
/// Of kind `Input` for a file that is no part, or damaged, or of another run than the first; where two parts hold the same images, or
/// some are in none: with files and range. Of kind `Usage` or `Output` for `out`, which statistics do without. Nothing is written then.
pub fn merge(paths: &[impl AsRef<Path>], out: Option<&Path>) -> Result<Merged, Error> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
    let inputs: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let parts = paths
        .iter()
        .map(|path| ShardPart::open(path))
        .collect::<Result<Vec<_>, _>>()?;
    let runs = parts.iter().map(ShardPart::run).collect::<Result<Vec<_>, _>>()?;
    let ([part, ..], [run, ..]) = (&parts[..], &runs[..]) else {
        return Err(Error::usage("no file to merge").help("give the parts of a run"));
    };
    for (other, of) in parts.iter().zip(&runs) {
        if let Some(difference) = of.difference(run) {
            return Err(Error::input(format_args!(
                "{} is a part of another run than {}: {difference}",
                other.shown(),
                part.shown()
            ))
            .help("give the parts of one run: the same model, options, first seed and number of images"));
        }
    }
    if run.is_of_images() {
        let out = out.ok_or_else(|| Error::usage("no file to write").help("give -o ALL.npz"))?;
        let out = OutputFile::prepare(out, Format::Npz, &inputs)?;
        return images::merge(&parts, run, &out);
    }
    if run.is_of_statistics() {
        let prepared = out.map(|out| OutputFile::prepare(out, Format::Moments, &inputs));
        let out = prepared.transpose()?;
        let statistics = moments::merge(&parts, run)?;
        out.as_ref().map_or(Ok(()), |out| statistics.write(out))?;
        return Ok(Merged::Statistics {
            file: out.map(|out| out.shown()),
            statistics,
        });
    }
    Err(part.wrong("is of a run that is not known here: this version of Mote is older"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_all_of_it_and_nothing_twice() {
        for (count, batch) in [(0, 1), (1, 1), (10, 1), (100, 16), (33, 16), (1_000_000, 2048)] {
            for of in [1, 2, 5, 16, 1000] {
                let ranges = (0..of).map(|i| Shard::new(i, of).unwrap().batches(count, batch));
                let end = ranges.fold(0, |end, range| {
                    assert_eq!(range.start, end);
                    assert!(range.end == count || range.end % batch == 0);
                    range.end
                });
                assert_eq!(end, count);
            }
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for (text, word) in [
            ("3", "3/16"),
            ("a/2", "3/16"),
            ("-1/2", "3/16"),
            ("2/2", "0/2 to 1/2"),
            ("0/0", "1 to 1000000"),
            ("0/1000001", "1 to 1000000"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.advice().unwrap().contains(word), "{text}: {error}");
        }
        assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
    }
}
