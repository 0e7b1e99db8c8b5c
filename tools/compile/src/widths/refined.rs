//! `--refine`: which activations have 16 bits, where no arena may grow.
//!
//! [`eight_bit`](super::eight_bit) gives them by what reads an activation. Here measured error does: from its choice on, activations are
//! widened, the most harmful first, alone, with the one that they are made in place of, or in exchange for a less harmful one.

use super::auto::{Search, Sensitivity, Subject, subjects};
use super::trial::{Progress, QuantizeError, Trials};
use crate::ops::OutputFormat;
use crate::plan::{Arena, Windows, lower_bound_bytes, planned_bytes};
use crate::program::{Program, SlotId};
use crate::quantize::scheme::{Assignment, Bits};

/// An activation that makes less than this share of the whole error stays: 16 bits cost instructions on some cores.
const LEAST_SHARE: f64 = 0.002;
/// Assignments that are looked at, at most.
const MOST_LOOKS: usize = 6_000;

/// `assignment` with more activations in 16 bits, in arenas as large as before. Also gives the sensitivities that were measured.
pub fn widened(
    trials: &Trials<'_>,
    assignment: Assignment,
    arena: Arena,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Assignment, Vec<Sensitivity>), QuantizeError> {
    if assignment.activations.iter().all(|bits| *bits == Bits::Sixteen) {
        return Ok((assignment, vec![]));
    }
    let program = trials.program;
    let followed = |slot: usize| {
        let follows = |input: SlotId| input.0 == slot;
        let formats = program.ops.iter().map(|op| op.kind.operator().output_format());
        formats
            .into_iter()
            .any(|format| matches!(format, OutputFormat::SameAs(input) if follows(input)))
    };
    let mut asked = subjects(program);
    asked.retain(|(op, subject)| *subject == Subject::Activation && !followed(*op));
    let mut measured = Search::new(trials, Arena::Fast)?.measure(&asked, Bits::Eight, progress)?;
    let errors: Vec<(usize, f64)> = measured.iter().map(|s| (s.op, s.error)).collect();
    let chosen = Exchange::new(program, assignment, arena, &errors).best();
    measured.iter_mut().for_each(|s| s.chosen = chosen.activations[s.op]);
    Ok((chosen, measured))
}

/// Widths that are exchanged.
struct Exchange<'a> {
    program: &'a Program,
    now: Assignment,
    /// Arenas, what each may take, and the normalizations that may be made inside convolutions, which costs instructions.
    limits: Vec<(Arena, usize, Windows)>,
    /// Error by slot; 0 where the width is fixed.
    error: Vec<f64>,
    /// Slots whose width is free, the most harmful first.
    order: Vec<usize>,
    looks: usize,
}

impl<'a> Exchange<'a> {
    fn new(program: &'a Program, now: Assignment, arena: Arena, errors: &[(usize, f64)]) -> Self {
        // The fast arena holds the same model as the small one.
        let arenas: &[Arena] = match arena {
            Arena::Fast | Arena::Small => &[Arena::Fast, Arena::Small],
            Arena::Large => &[Arena::Large],
        };
        let dtypes = now.dtypes();
        let limit = |arena: &Arena| {
            let windows = Windows::of(program, &dtypes, *arena);
            (*arena, planned_bytes(program, &dtypes, *arena), windows)
        };
        let mut error = vec![0.0; program.ops.len()];
        errors.iter().for_each(|(slot, e)| error[*slot] = *e);
        let mut order: Vec<usize> = errors.iter().map(|(slot, _)| *slot).collect();
        order.sort_by(|a, b| error[*b].total_cmp(&error[*a]).then(a.cmp(b)));
        Self {
            program,
            limits: arenas.iter().map(limit).collect(),
            now,
            error,
            order,
            looks: 0,
        }
    }

    fn best(mut self) -> Assignment {
        let least = self.error.iter().sum::<f64>() * LEAST_SHARE;
        let mut changed = true;
        while std::mem::take(&mut changed) {
            for slot in self.order.clone() {
                let worth = self.error[slot] > least && self.error[slot] > 0.0;
                if worth && self.now.activations[slot] == Bits::Eight && self.looks < MOST_LOOKS {
                    changed |= self.widen(slot);
                }
            }
        }
        self.now
    }

    /// Gives `slot` 16 bits where that can be; whether it could.
    fn widen(&mut self, slot: usize) -> bool {
        let mut tries = vec![vec![slot]];
        tries.extend(self.in_place_of(slot).into_iter().map(|other| vec![slot, other]));
        for wide in tries {
            let gain: f64 = wide.iter().map(|slot| self.error[*slot]).sum();
            let mut trial = self.now.clone();
            wide.iter().for_each(|slot| trial.activations[*slot] = Bits::Sixteen);
            if self.take(trial.clone()) {
                return true;
            }
            // For the least harmful one that makes the room.
            for other in self.order.clone().into_iter().rev() {
                let less = self.error[other] < gain * 0.8 && !wide.contains(&other);
                if less && trial.activations[other] == Bits::Sixteen && self.looks < MOST_LOOKS {
                    trial.activations[other] = Bits::Eight;
                    if self.take(trial.clone()) {
                        return true;
                    }
                    trial.activations[other] = Bits::Sixteen;
                }
            }
        }
        false
    }

    /// Slots of 8 bits that this one takes the place of, and that take its place.
    fn in_place_of(&self, slot: usize) -> Vec<usize> {
        let ops = &self.program.ops;
        let place = |i: usize| ops[i].kind.operator().in_place().map(|id| id.0);
        let after = (0..ops.len()).filter(|i| place(*i) == Some(slot));
        let free = |i: &usize| self.order.contains(i) && self.now.activations[*i] == Bits::Eight;
        place(slot).into_iter().chain(after).filter(free).collect()
    }

    /// Goes over to `trial` where no arena grows.
    fn take(&mut self, trial: Assignment) -> bool {
        self.looks += 1;
        let dtypes = trial.dtypes();
        let may = |(arena, most, windows): &(Arena, usize, Windows)| {
            lower_bound_bytes(self.program, &dtypes, *arena) <= *most
                && Windows::of(self.program, &dtypes, *arena).are_among(windows)
        };
        // A plan may lie above its bound, and takes longer to find.
        let does = |(arena, most, _): &(Arena, usize, Windows)| planned_bytes(self.program, &dtypes, *arena) <= *most;
        let fits = self.limits.iter().all(may) && self.limits.iter().all(does);
        if fits {
            self.now = trial;
        }
        fits
    }
}
