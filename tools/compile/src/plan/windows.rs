//! Normalizations that are made inside the convolution that reads them.
//!
//! A group normalization before a 3x3 convolution is as large as its input, and in a U-Net's last resnets, where skips are joined, it is
//! the largest activation there is. The convolution looks at three rows of it at a time. So it gets a window of as many, where that
//! makes the arena smaller.

use mote_runtime::internals::family::COLUMNS;
use mote_runtime::internals::tensor::Dtype;

use super::buffers::{last_reads, slot_buffers};
use super::live_bytes;
use super::scratch::{Arena, least_scratch_bytes, with_scratch};
use crate::ops::Kind;
use crate::program::{FusedOp, Program};

/// Where a normalization is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Index of the convolution.
    pub conv: usize,
    /// Rows that are there at a time.
    pub rows: usize,
}

/// What windows must save in all, bytes: their code takes half a KiB of stack and three of flash.
const WORTH: usize = 1024;

/// The windows of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows(Vec<Option<Window>>);

impl Windows {
    /// Every normalization on its own, as in f16 models.
    pub fn none(program: &Program) -> Self {
        Self(vec![None; program.ops.len()])
    }

    /// All that are possible in an integer model.
    pub fn all(program: &Program) -> Self {
        let last = last_reads(program);
        Self((0..last.len()).map(|i| possible(program, i, last[i])).collect())
    }

    /// Those of an integer model with these formats: the fewest that it needs for its smallest arena, none in the large one.
    pub fn of(program: &Program, dtypes: &[Dtype], arena: Arena) -> Self {
        match arena {
            Arena::Fast | Arena::Small => Self::fewest(program, dtypes),
            Arena::Large => Self::none(program),
        }
    }

    fn fewest(program: &Program, dtypes: &[Dtype]) -> Self {
        let all = Self::all(program);
        let mut chosen = Self::none(program);
        loop {
            let live = chosen.live(program, dtypes);
            let Some((at, _)) = live.iter().enumerate().max_by_key(|(i, bytes)| (**bytes, *i)) else {
                break;
            };
            // What is normalized and there at the fullest moment, the largest first.
            let there = |i: &usize| {
                let window = all.0[*i].filter(|w| (*i..=w.conv).contains(&at));
                window.filter(|_| chosen.0[*i].is_none()).map(|w| (*i, w))
            };
            let mut tries: Vec<(usize, Window)> = (0..chosen.0.len()).filter_map(|i| there(&i)).collect();
            tries.sort_by_key(|(i, _)| std::cmp::Reverse(program.slots[*i].len()));
            let trials = tries.into_iter().map(|(i, window)| chosen.with(i, Some(window)));
            match trials.into_iter().find(|w| w.live(program, dtypes)[at] < live[at]) {
                Some(more) => chosen = more,
                None => break,
            }
        }
        let bound = chosen.bound(program, dtypes);
        let alone = Self::none(program);
        if alone.bound(program, dtypes) < bound + WORTH {
            return alone;
        }
        // Some of them may have made a moment smaller that another is now fuller than.
        for i in 0..chosen.0.len() {
            let fewer = chosen.with(i, None);
            if chosen.0[i].is_some() && fewer.bound(program, dtypes) <= bound {
                chosen = fewer;
            }
        }
        chosen
    }

    /// Whether `other` has all of them.
    pub fn are_among(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(own, other)| own.is_none() || own == other)
    }

    /// Where an operator is made, if inside another.
    pub fn of_norm(&self, op: usize) -> Option<Window> {
        self.0[op]
    }

    /// The normalization inside an operator.
    pub fn inside(&self, op: usize) -> Option<usize> {
        self.0.iter().position(|w| w.is_some_and(|w| w.conv == op))
    }

    fn with(&self, op: usize, window: Option<Window>) -> Self {
        let mut changed = self.clone();
        changed.0[op] = window;
        changed
    }

    fn live(&self, program: &Program, dtypes: &[Dtype]) -> Vec<usize> {
        let slots = slot_buffers(program, dtypes, self);
        live_bytes(&with_scratch(&slots, &least_scratch_bytes(program, self, false)))
    }

    fn bound(&self, program: &Program, dtypes: &[Dtype]) -> usize {
        self.live(program, dtypes).into_iter().max().unwrap_or(0)
    }
}

/// The window of a normalization that only one convolution reads, and that it reads row by row.
fn possible(program: &Program, index: usize, last: usize) -> Option<Window> {
    let (Kind::Norm(norm), out) = (&program.ops[index].kind, program.ops[index].out) else {
        return None;
    };
    let next = program.ops.get(last)?;
    let conv = next.kind.conv()?;
    let reads = |op: &&FusedOp| op.inputs().contains(&out);
    let only = program.ops.iter().filter(reads).count() == 1 && conv.source == [out];
    let ([_, extent, _], [_, _, cols]) = (program.slot(out).shape, program.slot(next.out).shape);
    let rows = conv.window_rows(cols, COLUMNS)?;
    (only && norm.fits_in_window() && rows < extent).then_some(Window { conv: last, rows })
}
