//! Statistics as a file, and the parts of a run's statistics to those of all of it.
//!
//! An archive for NumPy with an array a space and set, `pixels.model` for one, beside `run` and `ranges`.

use super::cover::{Piece, cover};
use super::part::ShardPart;
use super::run::Run;
use crate::Error;
use crate::files::OutputFile;
use crate::images::npz::{MOST_BYTES, Npz};
use crate::validate::statistics::{MADE, SETS, SPACES, SpaceSums, Statistics};
use mote_graph::frechet::sums::{MOST_VECTORS, Sums};
use std::io;
use std::ops::Range;

/// Most numbers of a vector: sums of more of them fit no archive.
const MOST_DIMENSIONS: u64 = 1 << 14;

impl Statistics {
    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// Of kind `Output`; of kind `Usage` where the model's samples are so large that their products fit no archive.
    pub fn write(&self, out: &OutputFile) -> Result<(), Error> {
        let pairs = |space: &SpaceSums| (space.sets.len() * Sums::len_of(space.dimensions)) as u64;
        let numbers: u64 = self.spaces.iter().map(pairs).sum();
        let dimensions = self
            .spaces
            .iter()
            .map(|space| space.dimensions as u64)
            .max()
            .unwrap_or(0);
        if dimensions > MOST_DIMENSIONS || 16 * numbers > MOST_BYTES {
            return Err(Error::usage(format_args!(
                "the products of vectors of {dimensions} numbers do not fit one archive of 4 GiB"
            ))
            .help("leave --out and --shard out: the distances are computed at once"));
        }
        out.write_with(|to| {
            let written = self.fill(&mut Npz::new(to));
            written.map_err(|error| {
                Error::output(format_args!("cannot write {}: {error}", out.shown()))
                    .help("free space or choose another folder")
            })
        })
    }

    fn fill<W: io::Write + io::Seek>(&self, npz: &mut Npz<W>) -> io::Result<()> {
        let run = self.run.text();
        npz.array("run", "|u1", &[run.len()], |to| to.write_all(&run))?;
        let ranges = [self.images.start, self.images.end, self.real.start, self.real.end];
        npz.array("ranges", "<u8", &[2, 2], |to| {
            to.write_all(&ranges.map(u64::to_le_bytes).concat())
        })?;
        for space in &self.spaces {
            for (set, sums) in SETS.iter().zip(&space.sets) {
                let shape = [Sums::len_of(space.dimensions), 2];
                npz.array(&format!("{}.{set}", space.name), "<u8", &shape, |to| {
                    let bytes: Vec<u8> = sums.words().flatten().flat_map(u64::to_le_bytes).collect();
                    to.write_all(&bytes)
                })?;
            }
        }
        npz.finish()
    }
}

/// What the name of a run says of its arrays.
struct Layout {
    count: u64,
    /// Real images of a half.
    half: u64,
    batch: usize,
    dimensions: Vec<usize>,
}

impl Layout {
    fn of(run: &Run) -> Result<Self, String> {
        let dimensions = run.numbers("dimensions")?;
        let known = (1..=SPACES.len()).contains(&dimensions.len());
        if !known || dimensions.iter().any(|d| !(1..=MOST_DIMENSIONS).contains(d)) {
            return Err("is damaged: its run has other spaces than pixels and bottleneck".into());
        }
        let (count, half) = (run.number("count")?, run.number("half")?);
        if count.max(half) > MOST_VECTORS {
            return Err(format!("is damaged: its run has more than {MOST_VECTORS} images"));
        }
        Ok(Self {
            count,
            half,
            batch: run.number("batch")? as usize,
            dimensions: dimensions.into_iter().map(|d| d as usize).collect(),
        })
    }

    fn sets(&self) -> usize {
        if self.half > 0 { SETS.len() } else { MADE }
    }
}

/// Joins `parts`, which are of `run`, where they are all of it.
pub fn merge(parts: &[ShardPart], run: &Run) -> Result<Statistics, Error> {
    let layout = Layout::of(run).map_err(|problem| parts[0].wrong(problem))?;
    let (mut images, mut real) = (vec![], vec![]);
    for part in parts {
        let [of_images, of_real] = ranges(part, &layout)?;
        let piece = |range| Piece {
            file: part.shown(),
            range,
        };
        images.push(piece(of_images));
        real.push(piece(of_real));
    }
    cover(&images, layout.count, layout.batch, "images")?;
    cover(&real, layout.half, layout.batch, "real images")?;
    let empty = |(name, dimensions): (&'static str, &usize)| SpaceSums {
        name,
        dimensions: *dimensions,
        sets: (0..layout.sets()).map(|_| Sums::new(*dimensions)).collect(),
    };
    let mut whole = Statistics {
        run: run.clone(),
        images: 0..layout.count,
        real: 0..layout.half,
        spaces: SPACES.into_iter().zip(&layout.dimensions).map(empty).collect(),
    };
    for ((part, images), real) in parts.iter().zip(images).zip(real) {
        whole.join(&read(part, run, &layout, [images.range, real.range])?);
    }
    Ok(whole)
}

fn ranges(part: &ShardPart, layout: &Layout) -> Result<[Range<u64>; 2], Error> {
    let words = part.words("ranges", 4)?;
    let ranges = words.as_chunks::<2>().0;
    match ranges {
        [[a, b], [c, d]] if a <= b && *b <= layout.count && c <= d && *d <= layout.half => Ok([*a..*b, *c..*d]),
        _ => Err(part.wrong("is damaged: its ranges are none of its run")),
    }
}

/// The sums of a part; the shapes of its arrays are looked at before they are read.
fn read(part: &ShardPart, run: &Run, layout: &Layout, [images, real]: [Range<u64>; 2]) -> Result<Statistics, Error> {
    let sums = |space: &str, dimensions: usize, place: usize| -> Result<Sums, Error> {
        let name = format!("{space}.{}", SETS[place]);
        let pairs = Sums::len_of(dimensions);
        if part.shape(&name, "u8")? != [pairs, 2] {
            return Err(part.wrong(format_args!(
                "is damaged: its array {name} has another shape than [{pairs}, 2]"
            )));
        }
        let expected = if place < MADE { &images } else { &real };
        let sums = Sums::of_words(&part.words(&name, 2 * pairs)?, dimensions);
        let whole = sums.filter(|sums| sums.vectors() == expected.end - expected.start);
        whole.ok_or_else(|| {
            part.wrong(format_args!(
                "is damaged: no images of its range have the sums of {name}"
            ))
        })
    };
    let space = |(name, dimensions): (&'static str, &usize)| -> Result<SpaceSums, Error> {
        let sets = (0..layout.sets()).map(|place| sums(name, *dimensions, place));
        Ok(SpaceSums {
            name,
            dimensions: *dimensions,
            sets: sets.collect::<Result<_, _>>()?,
        })
    };
    Ok(Statistics {
        run: run.clone(),
        spaces: SPACES
            .into_iter()
            .zip(&layout.dimensions)
            .map(space)
            .collect::<Result<_, _>>()?,
        images: images.clone(),
        real: real.clone(),
    })
}
