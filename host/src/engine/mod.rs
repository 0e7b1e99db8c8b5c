//! The fast engine for desktops: the runtime's operators with kernels for this processor, bit for bit the same.
//!
//! [`Engine::prepare`] repacks a model's weights once for the best [`Family`] of instructions that is here; a [`Worker`] has the
//! memory of one thread and runs network calls over the same arena as the runtime ([`Network`]), so the sampler, observers and
//! snapshots work with either. What has no kernel here (f16 models, small vectors, Q24 inputs) runs in the runtime's own.
//!
//! - [`family`]: the instruction sets, and what a family must supply.
//! - `source`, `window`: how inputs are read: joined, widened, padded.
//! - `conv`, `norm`, `attention`: the operators, in plain Rust that the compiler vectorizes for each family.
//! - `amx`, `avx512`, `avx2`: the inner loops in intrinsics and assembly; the only unsafe code of the engine.
//!
//! Exactness needs no care about order: every sum is an integer sum with a proven bound (`NUMERICS.md`).

// Other processors have no family yet.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod conv;
pub mod family;
mod norm;
mod source;
mod window;

pub use family::Family;

use attention::Attention;
use conv::Conv;
use family::Simd;
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::blob::op::Op;
use mote_runtime::blob::tensor::Tensor;
use mote_runtime::exec::{Call, forward, run_op};
use mote_runtime::kernels::view::View;
use mote_runtime::{Model, Network, Observer, RunError};
use norm::Norm;

/// A model's operators, prepared for a family. Shared by the threads that run it.
#[derive(Debug)]
pub struct Engine<'m> {
    model: &'m Model<'m>,
    family: Family,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    op: Op,
    out: Tensor,
    kernel: Kernel,
}

/// What runs an operator.
#[derive(Debug)]
enum Kernel {
    Conv(Box<Conv>),
    Norm(Box<Norm>),
    Attention(Attention),
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
            let steps = model.ops().map(|op| {
                let out = model.tensor(op.io().out)?;
                let kernel = prepared(model, &op, family).unwrap_or(Kernel::Runtime);
                Some(Step { op, out, kernel })
            });
            steps.collect::<Option<Vec<_>>>().unwrap_or_default()
        };
        Self { model, family, steps }
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
        }
    }
}

fn prepared(model: &Model<'_>, op: &Op, family: Family) -> Option<Kernel> {
    match op {
        Op::Conv(c) => Conv::prepare(model, c, family.multiplies_bytes()).map(|c| Kernel::Conv(Box::new(c))),
        Op::GroupNorm(n) => Norm::prepare(model, n).map(|n| Kernel::Norm(Box::new(n))),
        Op::Attention(a) => Attention::prepare(model, a).map(Kernel::Attention),
        _ => None,
    }
}

/// Runs network calls of one prepared model on one thread.
#[derive(Debug)]
pub struct Worker<'e> {
    engine: &'e Engine<'e>,
    work: Workspace,
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
        for (index, step) in engine.steps.iter().enumerate() {
            let index = index as u16;
            let missing = RunError::Memory { op: index };
            observer.before(index, &step.op);
            let done = match &step.kernel {
                Kernel::Runtime => run_op(model, call, &step.op, activations).map(drop),
                kernel => engine.run(kernel, activations, &mut self.work),
            };
            done.ok_or(missing)?;
            let bytes = activations.get(step.out.range()).ok_or(missing)?;
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
        Kernel::Attention(attention) => attention.run(simd, activations, work),
        Kernel::Runtime => None,
    }
}
