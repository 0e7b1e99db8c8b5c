//! Pictures in bands of rows: the end of a decoder's program, where no operator looks further than some rows, made a few rows at a time.
//!
//! An operator of a band reads the rows that it needs, of which some were made for the band before: those are kept ([`Band`]) and no row is
//! computed twice. (Alwani et al. 2016, "Fused-layer CNN accelerators", reuse model.) Every element is computed from the same numbers as
//! without bands, so its bits are the same. What is zero beyond the picture's edge is so in its first and last band alone.

use mote_runtime::internals::tensor::Dtype;

use super::{Arena, lower_bound_bytes};
use crate::ops::{Band, Conv, Kind};
use crate::program::{FusedOp, Origin, Program, SlotId};

/// Rows of a picture's band that are tried.
const ROWS: [usize; 4] = [32, 16, 8, 4];
/// Operators that a program in bands may have: each has up to two tensors, of which a file has at most 4096.
const MOST_OPERATORS: usize = 1800;

/// A program in bands.
#[derive(Debug, Clone, PartialEq)]
pub struct Banded {
    /// The program. Its last operators write the picture, the rows of [`Program::bands`] from the top.
    pub program: Program,
    /// The slot of the whole program that a slot holds rows of.
    pub origins: Vec<usize>,
}

impl Banded {
    /// The program as it is.
    pub fn whole(program: &Program) -> Self {
        Self {
            program: program.clone(),
            origins: (0..program.slots.len()).collect(),
        }
    }

    /// What is said of the whole program's slots, of these.
    pub fn each<T: Clone>(&self, of_whole: &[T]) -> Vec<T> {
        self.origins.iter().map(|slot| of_whole[*slot].clone()).collect()
    }

    /// Bytes of arena that it needs at least, with these formats of the whole program's slots.
    pub fn bound(&self, dtypes: &[Dtype], arena: Arena) -> usize {
        let mut dtypes = self.each(dtypes);
        let last = self.program.ops.len() - 1;
        let bands = self.program.bands.iter().map(|slot| slot.0).chain([last]);
        bands.for_each(|slot| dtypes[slot] = Dtype::Q24);
        lower_bound_bytes(&self.program, &dtypes, arena)
    }
}

/// The program whose picture needs the smallest arena, or the fewest operators of those that need at most `enough` bytes. The large arena
/// makes the picture whole.
pub fn in_bands(program: &Program, arena: Arena, enough: usize) -> Banded {
    let mut best = Banded::whole(program);
    if arena == Arena::Large {
        return best;
    }
    let dtypes = vec![Dtype::I8; program.slots.len()];
    let mut least = best.bound(&dtypes, Arena::Small);
    for rows in ROWS {
        for from in (1..program.ops.len()).rev() {
            if least <= enough {
                return best;
            }
            if rows_of(program, &program.ops[from]).is_none() {
                break;
            }
            let tried = banded(program, from, rows).filter(|tried| tried.program.ops.len() <= MOST_OPERATORS);
            if let Some(tried) = tried {
                let bound = tried.bound(&dtypes, Arena::Small);
                if bound < least {
                    (best, least) = (tried, bound);
                }
            }
        }
    }
    best
}

/// How an operator's rows follow from those of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// All of a vector over channels.
    Whole,
    /// Row `i` from rows `i - top` to `i - top + span - 1` of the input, each repeated `times` times.
    Rows { span: usize, top: usize, times: usize },
}

const SAME: Reads = Reads::Rows {
    span: 1,
    top: 0,
    times: 1,
};

/// The same of every input in its order; `None` where an operator looks further, or needs what a band has not.
fn rows_of(program: &Program, op: &FusedOp) -> Option<Vec<Reads>> {
    let out = program.slot(op.out);
    let beside = |id: &SlotId| match program.slot(*id) {
        slot if slot.is_vector() => Some(Reads::Whole),
        slot => (slot.shape[1..] == out.shape[1..]).then_some(SAME),
    };
    if out.is_vector() {
        return None;
    }
    match &op.kind {
        Kind::Conv(conv) => {
            let plain = conv.stride == [1; 2] && conv.groups.is_empty() && conv.source.len() == 1;
            let source = Reads::Rows {
                span: conv.kernel[0],
                top: conv.pad[0],
                times: if conv.upsample { 2 } else { 1 },
            };
            let even = conv.upsample && conv.kernel[0].is_multiple_of(2);
            let mut reads = (plain && !even).then_some(vec![source])?;
            if let Some((addend, _)) = &conv.addend {
                reads.push(beside(addend)?);
            }
            Some(reads)
        }
        Kind::Pointwise(_) | Kind::Silu(_) => op.inputs().iter().map(beside).collect(),
        Kind::Upsample(_) => Some(vec![Reads::Rows {
            span: 1,
            top: 0,
            times: 2,
        }]),
        _ => None,
    }
}

/// Rows of a slot that are there: a slot of the program in bands, its first row, and how many.
#[derive(Debug, Clone, Copy)]
struct Piece {
    slot: SlotId,
    start: usize,
    rows: usize,
}

/// What is known of a slot of the whole program while bands are made.
#[derive(Debug, Clone, Default)]
struct Made {
    /// Rows made.
    rows: usize,
    /// Those that are still there, one piece below the other.
    pieces: Vec<Piece>,
}

struct Maker<'p> {
    whole: &'p Program,
    /// The first operator that is made in bands.
    from: usize,
    /// Rows of a band of the picture.
    band: usize,
    /// By operator from `from` on.
    reads: Vec<Vec<Reads>>,
    /// By slot of the whole program.
    made: Vec<Made>,
    to: Program,
    origins: Vec<usize>,
}

/// The program whose operators from `from` on are made in bands, of `band` rows of the picture; `None` where that cannot be.
fn banded(program: &Program, from: usize, band: usize) -> Option<Banded> {
    let reads: Option<Vec<Vec<Reads>>> = program.ops[from..].iter().map(|op| rows_of(program, op)).collect();
    let mut maker = Maker {
        whole: program,
        from,
        band,
        reads: reads?,
        made: vec![Made::default(); program.slots.len()],
        to: Program {
            slots: program.slots[..from].to_vec(),
            ops: program.ops[..from].to_vec(),
            ..program.clone()
        },
        origins: (0..from).collect(),
    };
    for slot in 0..from {
        let rows = program.slots[slot].shape[1];
        maker.made[slot] = Made {
            rows,
            pieces: vec![Piece {
                slot: SlotId(slot),
                start: 0,
                rows,
            }],
        };
    }
    let last = program.ops.len() - 1;
    let height = program.slots[last].shape[1];
    while maker.made[last].rows < height {
        let before: usize = maker.made.iter().map(|made| made.rows).sum();
        maker.next_band()?;
        if maker.made.iter().map(|made| made.rows).sum::<usize>() == before || maker.to.ops.len() > MOST_OPERATORS {
            return None;
        }
    }
    Some(Banded {
        program: maker.to,
        origins: maker.origins,
    })
}

impl Maker<'_> {
    fn height(&self, slot: usize) -> usize {
        self.whole.slots[slot].shape[1]
    }

    /// Rows of every slot that the next band of the picture needs.
    fn needed(&self) -> Vec<usize> {
        let last = self.whole.ops.len() - 1;
        let mut needed = vec![0; self.whole.slots.len()];
        needed[last] = (self.made[last].rows + self.band).min(self.height(last));
        for index in (self.from..=last).rev() {
            let inputs = self.whole.ops[index].inputs();
            for (input, reads) in inputs.iter().zip(&self.reads[index - self.from]) {
                let Reads::Rows { span, top, times } = *reads else {
                    continue;
                };
                let rows = (needed[index] + span - 1).saturating_sub(top).div_ceil(times);
                needed[input.0] = needed[input.0].max(rows.min(self.height(input.0)));
            }
        }
        needed
    }

    /// Rows that operator `index` ends this band with.
    fn end(&self, index: usize, needed: usize) -> usize {
        let (height, last) = (self.height(index), self.whole.ops.len() - 1);
        // No more than a band's share in one go, so that neither the first band nor the last is larger.
        let share = (self.band * height).div_ceil(self.height(last));
        let mut end = needed.min(self.made[index].rows + share).min(height);
        for (input, reads) in self.whole.ops[index]
            .inputs()
            .iter()
            .zip(&self.reads[index - self.from])
        {
            let Reads::Rows { span, top, times } = *reads else {
                continue;
            };
            if times > 1 && end < height {
                // Where a row is repeated, a band begins with the first of its repetitions.
                end += (end + top) % times;
            }
            let there = self.made[input.0].rows;
            if there < self.height(input.0) {
                end = end.min((times * there + top).saturating_sub(span - 1));
            }
        }
        end.min(height).max(self.made[index].rows)
    }

    /// Makes the rows that come next of every operator.
    fn next_band(&mut self) -> Option<()> {
        let needed = self.needed();
        for (index, rows) in needed.into_iter().enumerate().skip(self.from) {
            let end = self.end(index, rows);
            if end > self.made[index].rows {
                self.make(index, end)?;
            }
            let inputs = self.whole.ops[index].inputs();
            for input in inputs {
                if self.last_reader(input) == index {
                    self.keep(input.0);
                }
            }
        }
        Some(())
    }

    fn last_reader(&self, slot: SlotId) -> usize {
        let reads = |index: &usize| self.whole.ops[*index].inputs().contains(&slot);
        (self.from..self.whole.ops.len()).rev().find(reads).unwrap_or(slot.0)
    }

    /// Makes rows `made..end` of operator `index`.
    fn make(&mut self, index: usize, end: usize) -> Option<()> {
        let op = &self.whole.ops[index];
        let begin = self.made[index].rows;
        let mut kind = op.kind.clone();
        let mut slots = vec![];
        for (input, reads) in op.inputs().into_iter().zip(self.reads[index - self.from].clone()) {
            let Reads::Rows { span, top, times } = reads else {
                slots.push(self.made[input.0].pieces.first()?.slot);
                continue;
            };
            let repeated = self.height(input.0) * times;
            let (first, behind) = (begin.saturating_sub(top), end + span - 1 - top);
            if let Kind::Conv(Conv { pad, source, .. }) = &mut kind
                && slots.is_empty()
                && source[0] == input
            {
                (pad[0], pad[2]) = (top.saturating_sub(begin), behind.saturating_sub(repeated));
            }
            let behind = behind.min(repeated);
            if !first.is_multiple_of(times) || !behind.is_multiple_of(times) {
                return None;
            }
            slots.push(self.rows(input.0, first / times, behind / times)?);
        }
        for (to, slot) in kind.operator_mut().inputs_mut().into_iter().zip(slots) {
            *to = slot;
        }
        let slot = self.push(index, end - begin, kind);
        self.made[index].rows = end;
        self.made[index].pieces.push(Piece {
            slot,
            start: begin,
            rows: end - begin,
        });
        if index + 1 == self.whole.ops.len() {
            self.to.bands.push(slot);
        }
        Some(())
    }

    /// Rows `first..behind` of a slot: one of the pieces, or rows of them.
    fn rows(&mut self, of: usize, first: usize, behind: usize) -> Option<SlotId> {
        let mut pieces = self.made[of].pieces.clone();
        pieces.retain(|piece| piece.start < behind && first < piece.start + piece.rows);
        let start = pieces.first()?.start;
        let rows: usize = pieces.iter().map(|piece| piece.rows).sum();
        if pieces.len() > 2 || first < start || behind > start + rows {
            return None;
        }
        if (first, behind, pieces.len()) == (start, start + rows, 1) {
            return Some(pieces[0].slot);
        }
        let source = pieces.iter().map(|piece| piece.slot).collect();
        let from = first - start;
        let slot = self.push(of, behind - first, Band { source, from }.into());
        let all = &mut self.made[of].pieces;
        let ends = [all.first(), all.last()].map(|end| end.map(|piece| (piece.start, piece.rows)));
        if let [Some((least, _)), Some((last, count))] = ends
            && (least, last + count) == (first, behind)
            && of >= self.from
        {
            *all = vec![Piece {
                slot,
                start: first,
                rows: behind - first,
            }];
        }
        Some(slot)
    }

    /// Keeps of a slot what later bands read. What was made whole is there all the time.
    fn keep(&mut self, of: usize) -> Option<()> {
        if of < self.from {
            return Some(());
        }
        let readers = self.from..self.whole.ops.len();
        let first = readers
            .filter(|index| self.made[*index].rows < self.height(*index))
            .flat_map(|index| {
                let inputs = self.whole.ops[index].inputs();
                let reads = inputs.into_iter().zip(&self.reads[index - self.from]);
                let rows = self.made[index].rows;
                reads
                    .filter_map(move |(input, reads)| match *reads {
                        Reads::Rows { top, times, .. } if input.0 == of => Some(rows.saturating_sub(top) / times),
                        _ => None,
                    })
                    .collect::<Vec<_>>()
            });
        let made = self.made[of].rows;
        let first = first.min().unwrap_or(made);
        if first >= made {
            self.made[of].pieces.clear();
            return Some(());
        }
        let slot = self.rows(of, first, made)?;
        self.made[of].pieces = vec![Piece {
            slot,
            start: first,
            rows: made - first,
        }];
        Some(())
    }

    /// Appends an operator that makes `rows` rows of slot `of`. The first of them has the slot's name.
    fn push(&mut self, of: usize, rows: usize, kind: Kind) -> SlotId {
        let (slot, op) = (&self.whole.slots[of], &self.whole.ops[of]);
        let [channels, _, cols] = slot.shape;
        let named = !self.origins.contains(&of);
        let [op_name, slot_name] = [&op.name, &slot.name].map(|name| if named { name.as_str() } else { "" });
        self.origins.push(of);
        self.to
            .push(op_name, slot_name, [channels, rows, cols], kind, Origin::default())
    }
}
