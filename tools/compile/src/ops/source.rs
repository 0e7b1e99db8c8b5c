//! What convolutions and normalizations read: one slot, or two as the channels of one. A concatenation is never copied.

use mote_graph::graph::Node;
use mote_runtime::internals::ops::Source;

use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, View, refuse};
use crate::program::SlotId;

/// A concatenation: two slots that are read as one.
pub(super) fn lower_concat(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
    let slots: Vec<SlotId> = (0..node.inputs.len())
        .map(|i| lowering.slot(node, i))
        .collect::<Result<_, _>>()?;
    if slots.len() != 2 {
        return Err(refuse(node, "a concatenation of other than two values"));
    }
    Ok(Lowered::View(View { slots, upsample: false }))
}

/// How many times larger than the other half of a concatenation one is whose unit is not that of the other: on one scale of 16 bits the
/// smaller would keep 7 of them.
pub const FAR_APART: f64 = 256.0;

/// The record of a source that is multiplied by weights, and the real value of one unit by slot: two slots far apart keep units of their own,
/// for weights make up for that.
pub(super) fn record_by_slot(slots: &[SlotId], e: &Emitter<'_>) -> (Source, Vec<f64>) {
    let (source, unit) = record(slots, e);
    let largest: Vec<f64> = slots.iter().map(|slot| e.format(*slot).max_abs()).collect();
    let [small, large] = [f64::min, f64::max].map(|pick| largest.iter().copied().fold(largest[0], pick));
    let (Some((second, _)), false) = (source.second, e.is_float() || large <= FAR_APART * small) else {
        return (source, vec![unit; slots.len()]);
    };
    let units: Vec<f64> = largest.iter().map(|largest| largest / 32768.0).collect();
    let factors = [0, 1].map(|i| e.requant(e.scale(slots[i]) / units[i]));
    let second = Some((second, factors));
    (Source { second, ..source }, units)
}

/// The record of a source, and the real value of one unit of what is read from it. Two slots are brought to the int16 scale that holds both.
pub(super) fn record(slots: &[SlotId], e: &Emitter<'_>) -> (Source, f64) {
    let [first, second] = match *slots {
        [first, second, ..] => [first, second],
        _ => {
            let first = e.id(slots[0]);
            return (Source { first, second: None }, e.scale(slots[0]));
        }
    };
    let common = e.format(first).max_abs().max(e.format(second).max_abs()) / 32768.0;
    let factors = [first, second].map(|slot| e.requant(e.scale(slot) / common));
    let source = Source {
        first: e.id(first),
        second: Some((e.id(second), factors)),
    };
    (source, common)
}
