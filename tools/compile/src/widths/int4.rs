//! `w4a16` and `w4a8`: which weights have 4 bits, within a share of the memory that 8 bits take.

use super::auto::{Search, Sensitivity, Subject};
use super::trial::{Progress, QuantizeError, Trials};
use crate::ops::Conv;
use crate::plan::Arena;
use crate::program::FusedOp;
use crate::quantize::formats::formats;
use crate::quantize::scheme::{Assignment, Bits};

/// Bytes of the weights section, as a share of what it has with 8-bit weights.
const SHARE: f64 = 0.6;

/// Gives 4 bits to the weights of `assignment` that have 8, but for those that matter most to the image a byte: they stay, as long
/// as the weights section stays within `SHARE`. Also gives the sensitivities that were measured.
pub fn assign(
    trials: &Trials<'_>,
    mut assignment: Assignment,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Assignment, Vec<Sensitivity>), QuantizeError> {
    let program = trials.program;
    let formats = formats(program, trials.stats, &assignment);
    let bytes = |a: &Assignment| Ok::<usize, QuantizeError>(trials.emit(a, &formats, Arena::Fast)?.weight_bytes);
    let limit = (bytes(&assignment)? as f64 * SHARE) as usize;
    let narrow = |(i, op): (usize, &FusedOp)| {
        let eight = op.kind.conv().is_some() && assignment.weights[i] == Bits::Eight;
        eight.then_some((i, Subject::Weight))
    };
    let subjects: Vec<(usize, Subject)> = program.ops.iter().enumerate().filter_map(narrow).collect();
    let mut measured = Search::new(trials, Arena::Fast)?.measure(&subjects, Bits::Four, progress)?;
    for (op, _) in subjects {
        assignment.weights[op] = Bits::Four;
    }
    let conv = |op: usize| program.ops[op].kind.conv();
    let size = |op: usize| conv(op).map_or(1.0, |conv: &Conv| conv.weight.len() as f64);
    let mut order: Vec<usize> = (0..measured.len()).collect();
    let worth = |i: &usize| measured[*i].error / size(measured[*i].op);
    order.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(a.cmp(b)));
    for i in order {
        let op = measured[i].op;
        assignment.weights[op] = Bits::Eight;
        if bytes(&assignment)? > limit {
            assignment.weights[op] = Bits::Four;
        }
        measured[i].chosen = assignment.weights[op];
    }
    Ok((assignment, measured))
}
