//! Repeated results. A file has some operators twice, so that a device need not keep the first result. Here memory is not what is short:
//! the first result is kept and copied.

use crate::ops::conv::same_weights;
use mote_runtime::Model;
use mote_runtime::internals::ops::{Conv, Input, Op, Source};
use mote_runtime::internals::tensor::{Tensor, TensorId};
use std::collections::BTreeMap;

/// Of each operator that computes what an earlier one has, which one that is. Within a call a tensor is written once, and the
/// network's input and the timestep do not change.
pub(crate) fn repeats(model: &Model<'_>) -> BTreeMap<usize, usize> {
    let (mut found, mut seen) = (BTreeMap::new(), Vec::<(usize, Op, TensorId)>::new());
    // By output, the first of those that hold the same.
    let mut first = BTreeMap::new();
    for (index, op) in model.ops().enumerate() {
        let out = op.slots().out();
        if let Some(op) = rule(&op, &first) {
            let earlier = seen
                .iter()
                .find(|(_, other, other_out)| same(model, (other, *other_out), (&op, out)));
            if let Some(&(earlier, _, other_out)) = earlier {
                found.insert(index, earlier);
                first.insert(out, other_out);
            }
            seen.push((index, op, out));
        }
    }
    found
}

/// What an operator does, without where to, its inputs named by the first that hold the same; `None` for kinds that are not repeated.
fn rule(op: &Op, first: &BTreeMap<TensorId, TensorId>) -> Option<Op> {
    let nowhere = TensorId(u16::MAX);
    match *op {
        Op::Input(Input {
            requant,
            offset,
            scale,
            shift,
            ..
        }) => Some(Op::Input(Input {
            requant,
            offset,
            scale,
            shift,
            out: nowhere,
        })),
        Op::Conv(c) if c.source.second.is_none() && c.addend.is_none() => {
            let source = Source {
                first: first.get(&c.source.first).copied().unwrap_or(c.source.first),
                ..c.source
            };
            Some(Op::Conv(Conv {
                source,
                out: nowhere,
                scratch: nowhere,
                ..c
            }))
        }
        // No other kind is repeated: it is computed as often as the file has it.
        _ => None,
    }
}

/// Whether two operators, which [`rule`] made comparable, give the same output.
fn same(model: &Model<'_>, (a, a_out): (&Op, TensorId), (b, b_out): (&Op, TensorId)) -> bool {
    let Some((a_out, b_out)) = model.tensor(a_out).zip(model.tensor(b_out)) else {
        return false;
    };
    let equal = match (a, b) {
        (Op::Conv(a), Op::Conv(b))
            if Conv {
                weights: b.weights,
                ..*a
            } == *b =>
        {
            model
                .tensor(a.source.first)
                .is_some_and(|input| same_weights(model, a, b, &input, &a_out))
        }
        _ => a == b,
    };
    equal && shape(a_out) == shape(b_out)
}

/// Everything but where it lies.
fn shape(tensor: Tensor) -> Tensor {
    Tensor {
        offset: 0,
        def: 0,
        last: 0,
        ..tensor
    }
}
