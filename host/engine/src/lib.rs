//! The fast engine for desktops: the runtime's operators with kernels for this processor, bit for bit the same.
//!
//! [`Engine::prepare`] repacks a model's weights once for the best [`Family`] of instructions that is here. A [`Worker`] has the
//! memory of one thread and runs network calls over the same arena as the runtime ([`Network`]), so the sampler, observers and
//! snapshots work with either. What has no kernel here (Q24 inputs, and every operator that is not [`ACCELERATED`] or, in an f16 model,
//! [`ACCELERATED_F16`]) runs in the runtime's own.
//!
//! - [`family`]: the instruction sets.
//! - `ops`: the operators that are accelerated, in plain Rust that the compiler vectorizes for each family.
//! - `source`, `window`, `split`: how inputs are read: joined, widened, padded, in halves of a factor.
//! - `threads`: how many threads a call has, and helpers that stay awake for it.
//! - `repeats`: operators whose result an earlier one has made already.
//! - `known`: operators that the state has no part in, and what they gave.
//! - `x86`: inner loops in intrinsics and assembly; the only unsafe code of this engine.
//!
//! What only runs model files on a desktop is here too:
//!
//! - [`calibrate`]: what activations look like along sampling trajectories; [`record`]: some of them in full.
//! - [`memory`]: aligned bytes for models and arenas.
//! - [`Steps`]: steps of a run, compiled with this crate's optimization.
//!
//! Integer sums need no care about order: each has a proven bound (`NUMERICS.md`). Sums of f16 models run in the contract's order, a lane a sum.

// Other processors have no family yet.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

pub mod calibrate;
pub mod family;
mod known;
pub mod memory;
mod ops;
pub mod picture;
pub mod record;
mod repeats;
mod source;
mod split;
mod step;
mod threads;
mod window;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use family::Family;
pub use ops::{ACCELERATED, ACCELERATED_F16};
pub use step::Steps;

use core::ops::Range;
use known::Known;
use memory::AlignedBytes;
use mote_runtime::internals::model::exec::{Call, forward, run_op};
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::Tensor;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Model, Network, Observer, RunError};
use ops::{Kernel, Workspace};
use std::collections::BTreeSet;
use threads::Running;

/// A model's operators, prepared for a family. Shared by the threads that run it.
#[derive(Debug)]
pub struct Engine<'m> {
    model: &'m Model<'m>,
    family: Family,
    /// The operators in order; none where all run in the runtime.
    prepared: Vec<Prepared>,
    /// Bytes of the arena with what lies behind it; 0 where nothing does.
    memory_bytes: usize,
    /// Bytes of the outputs that are [`Prepared::known`].
    known_bytes: usize,
    running: Running,
}

/// An operator of the model.
#[derive(Debug)]
struct Prepared {
    op: Op,
    out: Tensor,
    /// Where its output lies.
    range: Range<usize>,
    body: Body,
    /// Place in [`Worker::kept`] where its output is kept for a [`Body::Repeat`].
    keep: Option<usize>,
    /// Where its output lies among those that the state has no part in, if it has none.
    known: Option<Range<usize>>,
}

/// What runs an operator.
#[derive(Debug)]
enum Body {
    /// A kernel of the engine.
    Engine(Kernel),
    /// Its result is what an earlier operator made, which is kept at this place.
    Repeat(usize),
    /// The runtime's own body.
    Runtime,
}

impl<'m> Engine<'m> {
    /// Prepares `model` for the best family of this processor.
    pub fn prepare(model: &'m Model<'m>) -> Self {
        Self::prepare_for(model, Family::best())
    }

    /// Prepares `model` for a family; [`Family::Portable`] where this processor does not have it.
    pub fn prepare_for(model: &'m Model<'m>, family: Family) -> Self {
        let family = if family.is_here() { family } else { Family::Portable };
        let prepared = if family != Family::Portable {
            prepared(model, family)
        } else {
            None
        }
        .unwrap_or_default();
        let memory_bytes = prepared.iter().map(|prepared| match &prepared.body {
            Body::Engine(kernel) => kernel.memory_bytes(),
            Body::Repeat(_) | Body::Runtime => 0,
        });
        let known = prepared.iter().filter_map(|prepared| prepared.known.as_ref());
        Self {
            model,
            family,
            memory_bytes: memory_bytes.max().unwrap_or(0),
            known_bytes: known.map(|range| range.end).max().unwrap_or(0),
            prepared,
            running: Running::default(),
        }
    }

    /// The family that it was prepared for.
    pub fn family(&self) -> Family {
        self.family
    }

    /// How many operators run in kernels of the engine, of how many.
    pub fn coverage(&self) -> (usize, usize) {
        let all = self.model.ops().count();
        (all - self.in_runtime().count(), all)
    }

    /// Kinds of the operators that run in the runtime's own bodies, in order.
    pub fn in_runtime(&self) -> impl Iterator<Item = &'static str> + '_ {
        let own = |index: &usize| {
            let prepared = self.prepared.get(*index);
            prepared.is_some_and(|prepared| !matches!(prepared.body, Body::Runtime))
        };
        let ops = self.model.ops().enumerate();
        ops.filter(move |(index, _)| !own(index)).map(|(_, op)| op.kind())
    }

    /// How many operators' results are copies of what an earlier one made.
    pub fn repeats(&self) -> usize {
        let repeated = |prepared: &&Prepared| matches!(prepared.body, Body::Repeat(_));
        self.prepared.iter().filter(repeated).count()
    }

    /// The memory of one thread.
    pub fn worker(&self) -> Worker<'_> {
        Worker {
            engine: self,
            work: Workspace::default(),
            kept: vec![],
            known: Known::default(),
            memory: AlignedBytes::zeroed(self.memory_bytes),
        }
    }

    fn run(&self, kernel: &Kernel, activations: &mut [u8], work: &mut Workspace) -> Option<()> {
        match self.family {
            #[cfg(target_arch = "x86_64")]
            Family::Amx => kernel.run(x86::avx512::Avx512::found_with_tiles()?, activations, work),
            #[cfg(target_arch = "x86_64")]
            Family::Avx512 => kernel.run(x86::avx512::Avx512::found()?, activations, work),
            #[cfg(target_arch = "x86_64")]
            Family::Avx2 => kernel.run(x86::avx2::Avx2::found()?, activations, work),
            #[cfg(not(target_arch = "x86_64"))]
            Family::Amx | Family::Avx512 | Family::Avx2 => None,
            Family::Portable => None,
        }
    }
}

/// Every operator; `None` where one names a tensor that is not there.
fn prepared(model: &Model<'_>, family: Family) -> Option<Vec<Prepared>> {
    let repeats = repeats::repeats(model);
    let kept: BTreeSet<usize> = repeats.values().copied().collect();
    let place = |index: usize| kept.iter().position(|&kept| kept == index);
    let apart = known::apart_from_state(model);
    let mut known_bytes = 0;
    let prepared = model.ops().enumerate().map(|(index, op)| {
        let body = match repeats.get(&index).and_then(|&earlier| place(earlier)) {
            Some(place) => Body::Repeat(place),
            None => Kernel::prepare(model, &op, family).map_or(Body::Runtime, Body::Engine),
        };
        let out = model.tensor(op.slots().out())?;
        let known = apart.get(index).is_some_and(|&apart| apart).then(|| {
            let first = known_bytes;
            known_bytes += out.range().len();
            first..known_bytes
        });
        Some(Prepared {
            range: out.range(),
            out,
            op,
            body,
            keep: place(index),
            known,
        })
    });
    prepared.collect()
}

/// Runs network calls of one prepared model on one thread.
#[derive(Debug)]
pub struct Worker<'e> {
    engine: &'e Engine<'e>,
    work: Workspace,
    /// Outputs that later operators repeat.
    kept: Vec<Vec<u8>>,
    /// Outputs of earlier calls that the state had no part in.
    known: Known,
    /// In place of the arena where that is too small.
    memory: AlignedBytes,
}

impl Network for Worker<'_> {
    fn forward(
        &mut self,
        model: &Model<'_>,
        call: &Call<'_>,
        activations: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        let engine = self.engine;
        // The weights were taken from `engine.model`: another model, like one that was not prepared, runs in the runtime.
        if engine.prepared.is_empty() || model.crc() != engine.model.crc() {
            return forward(model, call, activations, observer);
        }
        self.work.buffers.begin_call();
        let Self { work, kept, known, .. } = self;
        let mut run = |activations: &mut [u8]| {
            engine.running.run(model.header().macs, |threads| {
                work.threads = threads;
                call_network(engine, call, activations, (work, kept, known), observer)
            })
        };
        if engine.memory_bytes == 0 {
            return run(activations);
        }
        let memory = self.memory.bytes_mut();
        run(memory)?;
        let missing = RunError::Memory {
            op: model.header().op_count,
        };
        let output = model.tensor(model.header().output).ok_or(missing)?.range();
        let (from, to) = (memory.get(output.clone()), activations.get_mut(output));
        to.ok_or(missing)?.copy_from_slice(from.ok_or(missing)?);
        Ok(())
    }
}

/// One network call over `activations`.
fn call_network(
    engine: &Engine<'_>,
    call: &Call<'_>,
    activations: &mut [u8],
    (work, kept, known): (&mut Workspace, &mut Vec<Vec<u8>>, &mut Known),
    observer: &mut impl Observer,
) -> Result<(), RunError> {
    let found = known.find(call);
    let mut fresh = vec![0; if found.is_some() { 0 } else { engine.known_bytes }];
    for (index, prepared) in engine.prepared.iter().enumerate() {
        let index = index as u16;
        let missing = RunError::Memory { op: index };
        observer.before(index, &prepared.op);
        let done = match (found.zip(prepared.known.clone()), &prepared.body) {
            (Some((known, range)), _) => copy(known.get(range), activations.get_mut(prepared.range.clone())),
            (None, Body::Runtime) => run_op(engine.model, call, &prepared.op, activations).map(drop),
            (None, Body::Repeat(place)) => copy(
                kept.get(*place).map(Vec::as_slice),
                activations.get_mut(prepared.range.clone()),
            ),
            (None, Body::Engine(kernel)) => engine.run(kernel, activations, work),
        };
        done.ok_or(missing)?;
        let bytes = activations.get(prepared.range.clone()).ok_or(missing)?;
        if let Some(place) = prepared.keep {
            keep(kept, place, bytes);
        }
        if let (None, Some(range)) = (found, prepared.known.clone()) {
            fresh[range].copy_from_slice(bytes);
        }
        let view = View::new(&prepared.out, bytes).ok_or(missing)?;
        observer.after(index, &prepared.op, &view);
    }
    if found.is_none() && engine.known_bytes > 0 {
        known.keep(call, fresh);
    }
    Ok(())
}

/// Keeps an output for a later operator.
fn keep(kept: &mut Vec<Vec<u8>>, place: usize, bytes: &[u8]) {
    kept.resize(kept.len().max(place + 1), vec![]);
    kept[place].clear();
    kept[place].extend_from_slice(bytes);
}

/// Copies what was kept to an output of the same shape.
fn copy(from: Option<&[u8]>, to: Option<&mut [u8]>) -> Option<()> {
    let to = to?;
    to.copy_from_slice(from.filter(|from| from.len() == to.len())?);
    Some(())
}
