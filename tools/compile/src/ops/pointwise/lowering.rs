//! Which nodes become a pointwise operator, and which join one.

use mote_graph::graph::{Node, Op, ValueId};

use super::table::Scalar;
use super::{Addend, Pointwise};
use crate::lower::{LowerError, Lowered, Lowering, Next, View, refuse};
use crate::ops::Kind;
use crate::program::SlotId;

impl Pointwise {
    /// A function on its own, once for each input. The parts of a concatenation are computed each alone.
    pub(in crate::ops) fn lower_function(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        match step_of(&node.op) {
            Some(step) => Self::function(step, node, lowering),
            None => Err(refuse(node, "it is no function of one value")),
        }
    }

    fn function(step: Scalar, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        let view = lowering.view(node, 0)?;
        if view.upsample {
            return Err(refuse(node, "a function of an upsampled value"));
        }
        let kinds: Vec<Kind> = view.slots.iter().map(|slot| Self::with(*slot, step).into()).collect();
        let done: Vec<Option<SlotId>> = kinds.iter().map(|kind| lowering.done(kind)).collect();
        if let Some(slots) = done.iter().copied().collect() {
            return Ok(Lowered::View(View { slots, upsample: false }));
        }
        Ok(match <[Kind; 1]>::try_from(kinds) {
            Ok([kind]) => Lowered::Operator(kind),
            Err(kinds) => Lowered::Parts(kinds.into_iter().zip(view.slots).collect()),
        })
    }

    fn with(src: SlotId, step: Scalar) -> Self {
        Self {
            function: vec![step],
            ..Self::of(src)
        }
    }

    /// A sum, a product or a modulation that follows nothing that could absorb it.
    pub(in crate::ops) fn lower_pair(node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        if let (Some(step), [first, second]) = (of_itself(&node.op), &node.inputs[..])
            && first == second
        {
            return Self::function(step, node, lowering);
        }
        let input = main_input(node, lowering);
        let mut op = Self::of(lowering.slot(node, input)?);
        op.join(node, input, lowering)?;
        Ok(Lowered::Operator(op.into()))
    }

    /// Whether the only node that reads its value can be a part of it.
    pub(super) fn joins(&self, next: &Next<'_>) -> bool {
        let node = next.node;
        let free = match &node.op {
            Op::Pointwise(_) | Op::Silu(_) | Op::Affine(_) => return self.is_function(),
            Op::Add(add) => self.addend.is_none() && (self.factor.is_none() || add.divisor == 1.0),
            Op::AddChannel(_) => self.addend.is_none(),
            Op::Modulate(_) | Op::ScaleShift(_) | Op::Multiply(_) => self.factor.is_none() && self.addend.is_none(),
            _ => false,
        };
        let Some(other) = other_input(next).filter(|_| free) else {
            return false;
        };
        // A value that was there before must be one tensor, and another one than is read already. Of two that are made
        // to wait for each other the later one has the sum, unless that is a convolution.
        match next.lowering.view_of(other) {
            Some(view) => matches!(view.slots[..], [slot] if !view.upsample && !self.reads(slot)),
            None => !next.lowering.is_waiting(other) && is_vector_of(node, next, other),
        }
    }

    fn reads(&self, slot: SlotId) -> bool {
        self.src == slot || self.factor == Some(slot) || self.addend_slot() == Some(slot)
    }

    /// Takes over a node that reads its value as this input.
    pub(super) fn join(&mut self, node: &Node, input: usize, lowering: &Lowering<'_>) -> Result<(), LowerError> {
        if let Some(step) = step_of(&node.op) {
            self.function.push(step);
            return Ok(());
        }
        let other = lowering.slot(node, 1 - input)?;
        if self.reads(other) {
            return Err(refuse(node, "it reads a tensor twice"));
        }
        let is_first = input == 0 || lowering.shape(node.inputs[0]) == lowering.shape(node.inputs[1]);
        match &node.op {
            Op::Add(add) => {
                self.one /= add.divisor;
                self.addend = Some(Addend::Slot(other, 1.0 / add.divisor));
            }
            Op::AddChannel(_) if is_first => self.addend = Some(Addend::Slot(other, 1.0)),
            Op::Multiply(_) if is_first => (self.one, self.factor) = (0.0, Some(other)),
            Op::Modulate(modulate) if input == 0 => self.modulate(modulate.one, other),
            Op::ScaleShift(_) if input == 0 => self.modulate(true, other),
            _ => return Err(refuse(node, "it cannot join a pointwise operator")),
        }
        Ok(())
    }

    fn modulate(&mut self, one: bool, vector: SlotId) {
        self.one = f64::from(u8::from(one));
        (self.factor, self.addend) = (Some(vector), Some(Addend::Modulation));
    }
}

/// The function that a node with one input computes.
fn step_of(op: &Op) -> Option<Scalar> {
    match op {
        Op::Pointwise(op) => Some(Scalar::Function(op.function)),
        Op::Silu(_) => Some(Scalar::Function(mote_graph::ops::Function::Silu)),
        Op::Affine(op) => Some(Scalar::Affine {
            scale: op.scale,
            shift: op.shift,
        }),
        _ => None,
    }
}

/// The function that a node of two inputs computes where both are the same value.
fn of_itself(op: &Op) -> Option<Scalar> {
    match op {
        Op::Add(add) => Some(Scalar::Affine {
            scale: 2.0 / add.divisor,
            shift: 0.0,
        }),
        Op::Multiply(_) => Some(Scalar::Square),
        _ => None,
    }
}

/// The input of a sum or product that is overwritten: the first that nobody else reads. Of what is not symmetric it is the first.
fn main_input(node: &Node, lowering: &Lowering<'_>) -> usize {
    let symmetric = match &node.op {
        Op::Add(_) => true,
        Op::Multiply(_) => lowering.shape(node.inputs[0]) == lowering.shape(node.inputs[1]),
        _ => false,
    };
    let alone = |value: &ValueId| lowering.readers(*value).count() == 1;
    if symmetric {
        node.inputs.iter().position(alone).unwrap_or(0)
    } else {
        0
    }
}

/// The other input of a node that reads the value once; of what is not symmetric only where the value is the first.
fn other_input(next: &Next<'_>) -> Option<ValueId> {
    let [first, second] = next.node.inputs[..] else {
        return None;
    };
    let symmetric = match next.node.op {
        Op::Add(_) => true,
        Op::Multiply(_) => next.lowering.shape(first) == next.lowering.shape(second),
        _ => false,
    };
    match next.value {
        _ if first == second => None,
        value if value == first => Some(second),
        value if value == second && symmetric => Some(first),
        _ => None,
    }
}

/// Whether a value that is not there yet is a vector that only repeats beside `next.value`: then its operator does not take the node.
fn is_vector_of(node: &Node, next: &Next<'_>, other: ValueId) -> bool {
    let shape = |value| next.lowering.shape(value);
    node.inputs[0] == next.value && shape(other) != shape(next.value)
}
