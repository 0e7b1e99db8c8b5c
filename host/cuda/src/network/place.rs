//! Where activations lie in a sample's arena: first fit among what lives at the same time.

use super::fuse::KernelWork;
use mote_graph::graph::ValueId;

/// Activations begin at multiples of this many bytes.
const ALIGN: u64 = 16;

/// Bytes in a sample's arena.
#[derive(Debug)]
pub(super) struct Places {
    /// Of each value its first byte; 0 where it is never written.
    pub offsets: Vec<u64>,
    /// Bytes of the arena.
    pub bytes: u64,
}

/// Places the `bytes[id]` of every value that `steps` write. A value lives from the step that writes it to the last that reads it.
pub(super) fn place(steps: &[KernelWork<'_>], bytes: &[u64]) -> Places {
    let mut last = vec![0; bytes.len()];
    for (i, step) in steps.iter().enumerate() {
        for id in step.reads().chain([step.output]) {
            last[id.0] = i;
        }
    }
    let mut places = Places {
        offsets: vec![0; bytes.len()],
        bytes: ALIGN,
    };
    let mut live: Vec<ValueId> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        live.retain(|id| last[id.0] >= i);
        let size = bytes[step.output.0].next_multiple_of(ALIGN);
        let end = |id: &ValueId| places.offsets[id.0] + bytes[id.0].next_multiple_of(ALIGN);
        let mut starts: Vec<u64> = live.iter().map(end).chain([0]).collect();
        starts.sort_unstable();
        let free = |start: &u64| {
            live.iter()
                .all(|id| end(id) <= *start || places.offsets[id.0] >= start + size)
        };
        // Behind the last one there is always room.
        let start = starts.into_iter().find(free).unwrap_or(0);
        places.offsets[step.output.0] = start;
        places.bytes = places.bytes.max(start + size);
        live.push(step.output);
    }
    places
}
