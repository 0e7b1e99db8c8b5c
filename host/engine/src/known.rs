//! What a call's timestep, label and condition alone decide: the embeddings, and every vector that is made of them. Many images ask for the
//! same; a worker keeps what it has computed.

use mote_runtime::Model;
use mote_runtime::internals::model::exec::Call;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::TensorId;
use mote_runtime::internals::tensor::slots::slot;
use std::collections::BTreeSet;

/// Bytes of outputs that a worker keeps; with more it begins anew.
const MOST_BYTES: usize = 1 << 20;

/// Of each operator, in order, whether the state has no part in its output. Within a call a tensor is written once.
pub(crate) fn apart_from_state(model: &Model<'_>) -> Vec<bool> {
    let mut apart = BTreeSet::<TensorId>::new();
    let ops = model.ops().map(|op| {
        let slots = op.slots();
        let mut inputs = [slot::FIRST, slot::SECOND, slot::THIRD]
            .into_iter()
            .filter_map(|slot| slots.tensors[slot])
            .peekable();
        let found = match op {
            Op::TimeProj(_) | Op::ClassEmbed(_) | Op::Condition(_) => true,
            // What else reads no activation is the state, or a table.
            _ => inputs.peek().is_some() && inputs.all(|input| apart.contains(&input)),
        };
        if found {
            apart.insert(slots.out());
        }
        found
    });
    ops.collect()
}

/// Outputs by call.
#[derive(Debug, Default)]
pub(crate) struct Known {
    entries: Vec<Entry>,
    /// Where the next call is looked for first: runs ask in the same order.
    next: usize,
}

/// The outputs of a call, one after the other.
#[derive(Debug)]
struct Entry {
    time_q16: u32,
    class: u16,
    given: Option<Vec<i32>>,
    outputs: Vec<u8>,
}

impl Known {
    /// The outputs of an equal call, if there was one.
    pub fn find(&mut self, call: &Call<'_>) -> Option<&[u8]> {
        let (later, earlier) = (self.next..self.entries.len(), 0..self.next.min(self.entries.len()));
        let place = later.chain(earlier).find(|&place| self.entries[place].is_of(call))?;
        self.next = place + 1;
        Some(&self.entries[place].outputs)
    }

    /// Keeps the outputs of a call.
    pub fn keep(&mut self, call: &Call<'_>, outputs: Vec<u8>) {
        let each = outputs.len().max(1);
        if (self.entries.len() + 1) * each > MOST_BYTES {
            self.entries.clear();
        }
        self.entries.push(Entry {
            time_q16: call.time_q16,
            class: call.class,
            given: call.given.vector().map(<[i32]>::to_vec),
            outputs,
        });
        self.next = 0;
    }
}

impl Entry {
    fn is_of(&self, call: &Call<'_>) -> bool {
        (self.time_q16, self.class) == (call.time_q16, call.class) && self.given.as_deref() == call.given.vector()
    }
}
