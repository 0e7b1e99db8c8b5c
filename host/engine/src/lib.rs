//! The fast engine for desktops: the runtime's operators with kernels for this processor, bit for bit the same.
//!
//! [`Engine::prepare`] repacks a model's weights once for the best [`Family`] of instructions that is here; a [`Worker`] has the
//! memory of one thread and runs network calls over the same arena as the runtime ([`Network`]), so the sampler, observers and
//! snapshots work with either. What has no kernel here (f16 models, small vectors, Q24 inputs) runs in the runtime's own.
//!
//! - [`family`]: the instruction sets, and what a family must supply.
//! - `source`, `window`, `split`: how inputs are read: joined, widened, padded, in halves of a factor.
//! - `again`: results that an earlier operator has made already.
//! - `conv`, `norm`, `attention`: the operators, in plain Rust that the compiler vectorizes for each family.
//! - `amx`, `avx512`, `avx2`: the inner loops in intrinsics and assembly; the only unsafe code of this engine.
//!
//! What only runs model files on a desktop is here too:
//!
//! - [`calibrate`]: what activations look like along sampling trajectories; [`record`]: some of them in full.
//! - [`memory`]: aligned bytes for models and arenas.
//!
//! Exactness needs no care about order: every sum is an integer sum with a proven bound (`NUMERICS.md`).

// Other processors have no family yet.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

mod again;
#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod calibrate;
mod conv;
pub mod family;
pub mod memory;
mod norm;
pub mod record;
mod source;
mod split;
mod window;

pub use family::Family;

use attention::Attention;
use conv::Conv;
use family::Simd;
use memory::AlignedBytes;
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::blob::op::{GroupNorm, Op};
use mote_runtime::blob::tensor::{TENSOR_ALIGN, Tensor};
use mote_runtime::exec::{Call, forward, run_op};
use mote_runtime::kernels::view::View;
use mote_runtime::{Model, Network, Observer, RunError};
use norm::Norm;
use source::Source;
use std::collections::BTreeSet;

/// A model's operators, prepared for a family. Shared by the threads that run it.
#[derive(Debug)]
pub struct Engine<'m> {
    model: &'m Model<'m>,
    family: Family,
    steps: Vec<Step>,
    /// Bytes of the arena with what lies behind it; 0 where nothing does.
    memory_bytes: usize,
}

#[derive(Debug)]
struct Step {
    op: Op,
    out: Tensor,
    kernel: Kernel,
    /// Where its output is kept for [`Kernel::Again`].
    keep: Option<usize>,
}

/// What runs an operator.
#[derive(Debug)]
enum Kernel {
    Conv(Box<Conv>),
    Norm(Box<Norm>),
    /// The second reads what the first leaves behind the arena.
    NormConv(Box<(Norm, Conv)>),
    Attention(Attention),
    /// What an earlier operator's output was, which is kept there.
    Again(usize),
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
        let steps = if family == Family::Portable || model.header().arithmetic != Arithmetic::Integer {
            vec![]
        } else {
            let repeats = again::repeats(model);
            let kept: BTreeSet<usize> = repeats.values().copied().collect();
            let place = |index: usize| kept.iter().position(|&kept| kept == index);
            let steps = model.ops().enumerate().map(|(index, op)| {
                let out = model.tensor(op.io().out())?;
                let kernel = match repeats.get(&index).and_then(|&earlier| place(earlier)) {
                    Some(place) => Kernel::Again(place),
                    None => prepared(model, &op, family).unwrap_or(Kernel::Runtime),
                };
                let keep = place(index);
                Some(Step { op, out, kernel, keep })
            });
            steps.collect::<Option<Vec<_>>>().unwrap_or_default()
        };
        let behind = |step: &Step| match step.kernel {
            Kernel::NormConv(_) => step
                .op
                .norm()
                .and_then(|n| whole(model, n))
                .map_or(0, |t| t.range().end),
            _ => 0,
        };
        Self {
            model,
            family,
            memory_bytes: steps.iter().map(behind).max().unwrap_or(0),
            steps,
        }
    }

    /// The family that it was prepared for.
    pub fn family(&self) -> Family {
        self.family
    }

    /// How many operators run in kernels of the engine, of how many.
    pub fn coverage(&self) -> (usize, usize) {
        let own = self.steps.iter().filter(|step| !matches!(step.kernel, Kernel::Runtime));
        (own.count(), self.model.ops().count())
    }

    /// How many operators' results are copies of what an earlier one made.
    pub fn repeats(&self) -> usize {
        let again = self.steps.iter().filter(|step| matches!(step.kernel, Kernel::Again(_)));
        again.count()
    }

    fn run(&self, kernel: &Kernel, activations: &mut [u8], work: &mut Workspace) -> Option<()> {
        match self.family {
            #[cfg(target_arch = "x86_64")]
            Family::Amx => run(kernel, avx512::Avx512::found_with_tiles()?, activations, work),
            #[cfg(target_arch = "x86_64")]
            Family::Avx512 => run(kernel, avx512::Avx512::found()?, activations, work),
            #[cfg(target_arch = "x86_64")]
            Family::Avx2 => run(kernel, avx2::Avx2::found()?, activations, work),
            _ => None,
        }
    }

    /// The memory of one thread.
    pub fn worker(&self) -> Worker<'_> {
        Worker {
            engine: self,
            work: Workspace::default(),
            memory: AlignedBytes::zeroed(self.memory_bytes),
        }
    }
}

fn prepared(model: &Model<'_>, op: &Op, family: Family) -> Option<Kernel> {
    let bytes = family.multiplies_bytes();
    match op {
        Op::Conv(c) => {
            let conv = Conv::prepare(model, c, Source::new(model, &c.source)?, bytes)?;
            Some(Kernel::Conv(Box::new(conv)))
        }
        Op::GroupNorm(n) => Some(Kernel::Norm(Box::new(Norm::prepare(model, n, model.tensor(n.out)?)?))),
        Op::Attention(a) => Attention::prepare(model, a).map(Kernel::Attention),
        Op::NormConv(both) => {
            let whole = whole(model, &both.norm)?;
            let norm = Norm::prepare(model, &both.norm, whole)?;
            let conv = Conv::prepare(model, &both.conv, Source::one(whole), bytes)?;
            Some(Kernel::NormConv(Box::new((norm, conv))))
        }
        _ => None,
    }
}

/// All rows of what a window holds a few of, behind the arena: here memory is not what is short.
fn whole(model: &Model<'_>, norm: &GroupNorm) -> Option<Tensor> {
    Some(Tensor {
        rows: model.tensor(norm.source.first)?.rows,
        offset: model.header().arena_bytes.next_multiple_of(TENSOR_ALIGN),
        ..model.tensor(norm.out)?
    })
}

/// Runs network calls of one prepared model on one thread.
#[derive(Debug)]
pub struct Worker<'e> {
    engine: &'e Engine<'e>,
    work: Workspace,
    /// In place of the arena where that is too small.
    memory: AlignedBytes,
}

/// Buffers that operators share; each grows to the largest that is asked for.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    /// The padded input of a convolution.
    window: Vec<family::Line>,
    /// Inputs as int16.
    buffers: source::Buffers,
    /// A convolution's addend: a tensor as int16, or a requantized vector.
    addend: Vec<i16>,
    vector: Vec<i32>,
    norm: norm::Scratch,
    attention: attention::Scratch,
    /// Outputs that later operators have again.
    kept: Vec<Vec<u8>>,
}

impl Workspace {
    fn keep(&mut self, place: usize, bytes: &[u8]) {
        self.kept.resize(self.kept.len().max(place + 1), vec![]);
        self.kept[place].clear();
        self.kept[place].extend_from_slice(bytes);
    }

    /// What was kept, as an output of the same shape.
    fn again(&self, place: usize, out: &Tensor, activations: &mut [u8]) -> Option<()> {
        let to = activations.get_mut(out.range())?;
        let from = self.kept.get(place).filter(|from| from.len() == to.len())?;
        to.copy_from_slice(from);
        Some(())
    }
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
        if engine.steps.is_empty() || model.crc() != engine.model.crc() {
            return forward(model, call, activations, observer);
        }
        self.work.buffers.begin_call();
        if engine.memory_bytes == 0 {
            return engine.steps(call, activations, &mut self.work, observer);
        }
        let memory = self.memory.bytes_mut();
        engine.steps(call, memory, &mut self.work, observer)?;
        let missing = RunError::Memory {
            op: model.header().op_count,
        };
        let output = model.tensor(model.header().output).ok_or(missing)?.range();
        let (from, to) = (memory.get(output.clone()), activations.get_mut(output));
        to.ok_or(missing)?.copy_from_slice(from.ok_or(missing)?);
        Ok(())
    }
}

impl Engine<'_> {
    fn steps(
        &self,
        call: &Call<'_>,
        activations: &mut [u8],
        work: &mut Workspace,
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        for (index, step) in self.steps.iter().enumerate() {
            let index = index as u16;
            let missing = RunError::Memory { op: index };
            observer.before(index, &step.op);
            let done = match &step.kernel {
                Kernel::Runtime => run_op(self.model, call, &step.op, activations).map(drop),
                Kernel::Again(place) => work.again(*place, &step.out, activations),
                kernel => self.run(kernel, activations, work),
            };
            done.ok_or(missing)?;
            let bytes = activations.get(step.out.range()).ok_or(missing)?;
            if let Some(place) = step.keep {
                work.keep(place, bytes);
            }
            let view = View::new(&step.out, bytes).ok_or(missing)?;
            observer.after(index, &step.op, &view);
        }
        Ok(())
    }
}

fn run(kernel: &Kernel, simd: impl Simd, activations: &mut [u8], work: &mut Workspace) -> Option<()> {
    match kernel {
        Kernel::Conv(conv) => conv.run(simd, activations, work),
        Kernel::Norm(norm) => norm.run(simd, activations, work),
        Kernel::NormConv(both) => {
            both.0.run(simd, activations, work)?;
            both.1.run(simd, activations, work)
        }
        Kernel::Attention(attention) => attention.run(simd, activations, work),
        Kernel::Again(_) | Kernel::Runtime => None,
    }
}
