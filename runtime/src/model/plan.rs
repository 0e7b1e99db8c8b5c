//! Files that hold the rows of one run in place of the schedule: the device computes no timestep and no coefficient.
//!
//! The header says which run ([`Plan`]). The schedule section then has no cumulative alphas but a [`StoredRow`] a network call of the run
//! (not counting those of guidance). A sampler with two calls a step has two rows a step; the last step has the second only where the run
//! goes to another timestep. A row is nine little-endian words:
//!
//! | word | what |
//! |---|---|
//! | 0 | the timestep (bits 0..16), the fraction bits of x0's form (16..24) and of the next state's (24..32) |
//! | 1, 2 | mantissas of x0's form, i32 |
//! | 3..7 | mantissas of the next state's form, i32 |
//! | 7, 8 | the shares of an image and of its noise at the timestep, Q30 |
//!
//! Of samplers on continuous noise levels it is eleven:
//!
//! | word | what |
//! |---|---|
//! | 9 | the timestep, Q16; bits 0..16 of word 0 are zeros |
//! | 10 | the factor of the network's input, Q30 |
//!
//! `NUMERICS.md` says what they are computed from.

use serde::{Deserialize, Serialize};

use super::Model;
use super::sampling::{Method, PrevRule, Spacing};
use crate::features::Feature;
use crate::ops::reader::Reader;

/// A run whose steps a file holds. Its clipping is the header's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Number of steps.
    pub steps: u32,
    /// DDIM's stochasticity, Q16.
    pub eta_q16: u32,
    /// Spacing (bits 0..2), rule of the timestep after a timestep (bit 2) and sampler (from bit 3) by their numbers.
    choice: u8,
}

/// A network call of a planned run, where it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRow<'a> {
    words: &'a [u32; WORDS],
    /// The words of continuous levels; empty for others.
    more: &'a [u32],
}

/// What a row holds, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowValues {
    /// Training timestep, Q16.
    pub time_q16: u32,
    /// Factor of the network's input, Q30.
    pub input_q30: i32,
    /// Mantissas of x0's form, and its fraction bits.
    pub sample: ([i32; 2], u8),
    /// Mantissas of the next state's form, and its fraction bits.
    pub step: ([i32; 4], u8),
    /// The shares of an image and of its noise at this level, Q30.
    pub noising_q30: (i32, i32),
}

const WORDS: usize = 9;
const CONTINUOUS_WORDS: usize = 11;
/// More than any file holds.
const ROWS_MAX: usize = 1 << 20;
/// 1.0 as a factor of the network's input.
const ONE_Q30: i32 = 1 << 30;

impl Plan {
    /// Of a run.
    pub const fn new(steps: u32, spacing: Spacing, prev: PrevRule, eta_q16: u32, method: Method) -> Self {
        Self {
            steps,
            eta_q16,
            choice: spacing as u8 | (prev as u8) << 2 | method.entry().number << 3,
        }
    }

    /// How the steps are spread.
    pub const fn spacing(self) -> Spacing {
        // A list of them would be in flash.
        match self.choice & 3 {
            0 => Spacing::Leading,
            1 => Spacing::Trailing,
            2 => Spacing::Linspace,
            _ => Spacing::Quadratic,
        }
    }

    /// What the timestep after a timestep is.
    pub const fn prev(self) -> PrevRule {
        if self.choice & 4 == 0 {
            PrevRule::List
        } else {
            PrevRule::Diffusers
        }
    }

    /// The sampler.
    pub const fn method(self) -> Method {
        match Method::numbered((self.choice >> 3) as u32) {
            Some(method) => method,
            // No file that was parsed.
            None => Method::Ddim,
        }
    }

    /// Whether its rows have the words of continuous levels.
    #[inline(always)]
    const fn is_continuous(self) -> bool {
        Feature::Continuous.is_built() && self.method().entry().levels.are_continuous()
    }

    /// Words of a row.
    #[inline(always)]
    const fn row_words(self) -> usize {
        if self.is_continuous() { CONTINUOUS_WORDS } else { WORDS }
    }

    /// Bytes of a row in the file.
    pub const fn row_bytes(self) -> usize {
        4 * self.row_words()
    }

    /// The row of call `call` of step `step` in a schedule section; `None` past its end.
    #[inline(always)]
    pub fn row(self, section: &[u8], step: u32, call: u32) -> Option<StoredRow<'_>> {
        StoredRow::first(self.words(section, step, call)?, self.is_continuous())
    }

    /// The words from that row on.
    #[inline(never)]
    fn words(self, section: &[u8], step: u32, call: u32) -> Option<&[u32]> {
        let calls = if Method::BUILT.two_calls {
            self.method().calls()
        } else {
            1
        };
        let index = (step.saturating_mul(calls).saturating_add(call) as usize).min(ROWS_MAX);
        let words: &[u32] = bytemuck::try_cast_slice(section).ok()?;
        words.get(index * self.row_words()..)
    }

    /// The rows of a schedule section, from the first on.
    pub fn rows(self, section: &[u8]) -> impl Iterator<Item = StoredRow<'_>> {
        let words: &[u32] = bytemuck::try_cast_slice(section).unwrap_or(&[]);
        let rows = words.chunks_exact(self.row_words());
        rows.map_while(move |words| StoredRow::first(words, self.is_continuous()))
    }

    /// A row as it stands in the file.
    pub fn row_as_bytes(self, row: &RowValues) -> impl Iterator<Item = u8> {
        let forms = u32::from(row.sample.1) << 16 | u32::from(row.step.1) << 24;
        let whole = if self.is_continuous() { 0 } else { row.time_q16 >> 16 };
        let (signal, noise) = row.noising_q30;
        let words = [(whole | forms) as i32]
            .into_iter()
            .chain(row.sample.0)
            .chain(row.step.0)
            .chain([signal, noise])
            .chain([row.time_q16 as i32, row.input_q30]);
        words.take(self.row_words()).flat_map(i32::to_le_bytes)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        Self {
            steps: r.u32(),
            eta_q16: r.u32(),
            choice: r.u8(),
        }
    }
}

impl<'a> StoredRow<'a> {
    /// Bytes of a row in the file, of samplers on cumulative alphas.
    pub const BYTES: usize = 4 * WORDS;

    #[inline(always)]
    fn first(words: &'a [u32], continuous: bool) -> Option<Self> {
        let (row, rest) = words.split_first_chunk()?;
        let more = if continuous {
            rest.get(..CONTINUOUS_WORDS - WORDS)?
        } else {
            &[]
        };
        Some(Self { words: row, more })
    }

    /// The words of continuous levels: known to be none where those are not built.
    #[inline(always)]
    const fn more(self) -> &'a [u32] {
        if Feature::Continuous.is_built() { self.more } else { &[] }
    }

    /// Training timestep that the network is asked about, Q16.
    #[inline(always)]
    pub const fn time_q16(self) -> u32 {
        match self.more() {
            [time_q16, ..] => *time_q16,
            [] => self.words[0] << 16,
        }
    }

    /// The shares of an image and of its noise at the timestep, Q30.
    pub const fn noising_q30(self) -> (i32, i32) {
        (self.words[7] as i32, self.words[8] as i32)
    }

    /// What it holds.
    #[inline(always)]
    pub const fn values(self) -> RowValues {
        let [forms, p, q, a, b, c, d, _, _] = *self.words;
        RowValues {
            time_q16: self.time_q16(),
            input_q30: match self.more() {
                [_, input_q30, ..] => *input_q30 as i32,
                _ => ONE_Q30,
            },
            sample: ([p as i32, q as i32], (forms >> 16) as u8),
            step: ([a as i32, b as i32, c as i32, d as i32], (forms >> 24) as u8),
            noising_q30: self.noising_q30(),
        }
    }

    /// Whether its timestep is at most `highest_q16`, its forms' fractions and sums are in range (of the two mantissas of x0's form any sum
    /// is), and so is the input's factor.
    fn holds(self, highest_q16: u32) -> bool {
        let [forms, _, _, step @ .., _, _] = self.words;
        let forms = *forms;
        let fraction = |at: u32| (1..=40).contains(&((forms >> at) as u8));
        let quarters: u32 = step.iter().map(|mant| (*mant as i32).unsigned_abs() >> 2).sum();
        let more = match *self.more() {
            [_, input_q30, ..] => forms & 0xFFFF == 0 && (1..=1 << 30).contains(&input_q30),
            _ => true,
        };
        // The magnitudes of the step's mantissas sum to at most 2^32 + 16.
        self.time_q16() <= highest_q16 && fraction(16) && fraction(24) && quarters <= (1 << 30) + 1 && more
    }
}

/// Whether every step of `plan` has its rows, there is nothing behind them, their timesteps are the model's and none is above the one
/// before.
#[inline(never)]
pub(super) fn holds(model: &Model<'_>, plan: &Plan) -> bool {
    // The noisiest of continuous levels is at T itself, which is then below 2^16.
    let mut highest_q16 = (model.header.train_steps - u32::from(!plan.is_continuous())) << 16;
    let (mut count, mut rest) = (0, bytemuck::try_cast_slice(model.schedule()).unwrap_or(&[0]));
    while let Some(row) = StoredRow::first(rest, plan.is_continuous()) {
        if !row.holds(highest_q16) {
            return false;
        }
        highest_q16 = row.time_q16();
        count += 1;
        rest = &rest[plan.row_words()..];
    }
    // Of two calls a step the last may have one.
    let number = u32::from(plan.choice >> 3);
    let second = Method::TWO_CALLS >> number & 1;
    let whole = rest.is_empty() && (count + second) >> second == plan.steps;
    whole && number < Method::ALL.len() as u32
}
