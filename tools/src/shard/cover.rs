//! Whether ranges are all of a run, and nothing twice.

use super::Shard;
use crate::Error;
use std::ops::Range;

/// The images that a file holds.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The file.
    pub file: String,
    /// Its images, counted from 0.
    pub range: Range<u64>,
}

/// Most shards that a missing range is looked for among.
const MOST_GUESSED: u32 = 1024;

/// The order of `pieces` in which they are `what` (as "images") 0 to `count`. Ranges are those of shards in whole batches of `batch` images.
///
/// # Errors
/// Of kind `Input`: images that are in two files, or in none, with files and range.
pub fn cover(pieces: &[Piece], count: u64, batch: usize, what: &str) -> Result<Vec<usize>, Error> {
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    // Empty ones come first, where they overlap nothing.
    order.sort_by_key(|i| (pieces[*i].range.start, pieces[*i].range.end));
    let mut end = 0;
    let mut last: Option<&Piece> = None;
    for piece in order
        .iter()
        .map(|i| &pieces[*i])
        .filter(|piece| !piece.range.is_empty())
    {
        if let Some(last) = last.filter(|last| piece.range.start < last.range.end) {
            let twice = piece.range.start..piece.range.end.min(last.range.end);
            let files = match (last.file.as_str(), piece.file.as_str()) {
                (one, other) if one == other => format!("{one} is given twice: it holds"),
                (one, other) => format!("{one} and {other} both hold"),
            };
            return Err(Error::input(format_args!("{files} {}", shown(what, &twice, count)))
                .help("give every part once: leave one of the two out"));
        }
        if piece.range.start > end {
            return Err(missing(what, end..piece.range.start, pieces, (count, batch)));
        }
        end = piece.range.end;
        last = Some(piece);
    }
    if end < count {
        return Err(missing(what, end..count, pieces, (count, batch)));
    }
    Ok(order)
}

fn shown(what: &str, range: &Range<u64>, count: u64) -> String {
    let (first, last) = (range.start, range.end.saturating_sub(1));
    format!("{what} {first} to {last} of {count}, counted from 0")
}

fn missing(what: &str, gap: Range<u64>, pieces: &[Piece], (count, batch): (u64, usize)) -> Error {
    let found = pieces.len();
    let error = Error::input(format_args!(
        "none of the {found} files holds {}",
        shown(what, &gap, count)
    ));
    let shards = (1..=MOST_GUESSED).find_map(|of| shards(&gap, pieces, count, (of, batch)));
    match shards {
        Some(shards) => error.help(format_args!(
            "give the part of --shard {}, or make it",
            shards.join(" and of ")
        )),
        None => error.help("give the part that holds them, or make it: run its --shard again"),
    }
}

/// The shards of `of` that the gap is made of, where every piece is a shard of `of`.
fn shards(gap: &Range<u64>, pieces: &[Piece], count: u64, (of, batch): (u32, usize)) -> Option<Vec<String>> {
    let range = |index: u32| {
        let range = Shard { index, of }.batches(count as usize, batch);
        range.start as u64..range.end as u64
    };
    let ranges: Vec<Range<u64>> = (0..of).map(range).collect();
    let known = |piece: &Piece| piece.range.is_empty() || ranges.contains(&piece.range);
    let within = |range: &Range<u64>| !range.is_empty() && range.start >= gap.start && range.end <= gap.end;
    let filled: u64 = ranges
        .iter()
        .filter(|range| within(range))
        .map(|range| range.end - range.start)
        .sum();
    if filled < gap.end - gap.start || !pieces.iter().all(known) {
        return None;
    }
    let inside = ranges.iter().zip(0u32..).filter(|(range, _)| within(range));
    Some(inside.map(|(_, index)| Shard { index, of }.to_string()).collect())
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of ranges may hold one")]
mod tests {
    use super::*;

    fn pieces(ranges: &[Range<u64>]) -> Vec<Piece> {
        let named = |(i, range): (usize, &Range<u64>)| Piece {
            file: format!("part-{i}"),
            range: range.clone(),
        };
        ranges.iter().enumerate().map(named).collect()
    }

    #[test]
    fn any_order_is_put_right() {
        let order = cover(&pieces(&[5..10, 0..0, 0..5, 5..5, 10..11]), 11, 1, "images").unwrap();
        let starts: Vec<usize> = order.into_iter().filter(|i| ![1, 3].contains(i)).collect();
        assert_eq!(starts, [2, 0, 4]);
        assert!(cover(&pieces(&[0..0]), 0, 1, "images").is_ok());
    }

    #[test]
    fn what_is_missing_or_there_twice_is_named() {
        let message = |ranges: &[Range<u64>]| {
            let error = cover(&pieces(ranges), 10, 1, "images").unwrap_err();
            format!("{error} ({})", error.advice().unwrap())
        };
        for (ranges, words) in [
            (
                &[0..5][..],
                "holds images 5 to 9 of 10, counted from 0 (give the part of --shard 1/2, or",
            ),
            (
                &[5..10],
                "holds images 0 to 4 of 10, counted from 0 (give the part of --shard 0/2, or",
            ),
            (
                &[0..2, 6..8],
                "holds images 2 to 5 of 10, counted from 0 (give the part of --shard 1/5 and of 2/5",
            ),
            (
                &[0..3, 4..10],
                "holds images 3 to 3 of 10, counted from 0 (give the part that holds them",
            ),
            (&[0..6, 5..10], "part-0 and part-1 both hold images 5 to 5 of 10"),
            (&[0..10, 2..4], "part-0 and part-1 both hold images 2 to 3 of 10"),
        ] {
            let found = message(ranges);
            assert!(found.contains(words), "{found}");
        }
        let mut twice = pieces(&[0..10, 0..10]);
        twice[1].file = twice[0].file.clone();
        let error = cover(&twice, 10, 1, "images").unwrap_err();
        assert!(error.to_string().contains("part-0 is given twice"), "{error}");
    }
}
