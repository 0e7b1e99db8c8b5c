//! Operators whose outputs each come from a few inputs: one kernel for all of them, a thread an element.

use mote_graph::graph::ops;

use super::{NetworkOp, OnGpu};
use crate::CudaError;
use crate::network::fuse::KernelWork;
use crate::network::launches::Kernel;
use crate::network::program::{Features, Writing};
use crate::records::records;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $name:literal,)*) => {
        /// Kinds of the pointwise kernel.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Pointwise {
            $($(#[doc = $doc])* $kind,)*
        }

        impl Pointwise {
            /// Their names in C, by number.
            const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

kinds! {
    /// The state.
    Sample = "SAMPLE",
    /// Features of the timestep.
    Features = "FEATURES",
    /// A row of the class table.
    Label = "LABEL",
    /// A factor and an offset.
    Affine = "AFFINE",
    /// SiLU.
    Silu = "SILU",
    /// A sum, divided.
    Add = "ADD",
    /// A vector added to every position.
    AddChannel = "ADD_CHANNEL",
    /// A vector of scales, then shifts, for every position.
    ScaleShift = "SCALE_SHIFT",
    /// Into some channels of the output.
    Copy = "COPY",
    /// Each position four times.
    Upsample = "UPSAMPLE",
    /// Means of four positions.
    AvgPool = "AVG_POOL",
    /// To the outputs of the evaluation.
    Output = "OUTPUT",
}

records! {
    /// Of features and of the evaluation's outputs: where a sample's begin. Of a copy: the first channel that is written.
    Place in C "NetworkPlace" {
        /// Its number.
        first: u32,
    }

    /// Of a row of the class table.
    Table in C "NetworkTable" {
        /// f32 (class, channel).
        rows: u32,
    }

    /// Of a factor and an offset.
    Line in C "NetworkLine" {
        /// Multiplies first.
        factor: f32,
        /// Added after it.
        offset: f32,
    }

    /// Of a sum.
    Sum in C "NetworkSum" {
        /// What it is divided by.
        divisor: f32,
    }
}

/// The kinds and their records in C.
pub(super) fn in_c() -> String {
    let kinds = Pointwise::NAMES.join(", ");
    let records = [Place::in_c(), Table::in_c(), Line::in_c(), Sum::in_c()];
    format!(
        "// Kinds of the pointwise kernel.\nenum Pointwise {{ {kinds} }};\n\n{}",
        records.join("\n")
    )
}

/// Writes value `first` to the outputs of the evaluation, from number `place` of a sample on.
pub(in crate::network) fn output(first: super::NetworkTensor, place: u32, to: &mut Writing<'_>) {
    let op = NetworkOp {
        first,
        ..NetworkOp::default()
    };
    to.push(
        Kernel::Pointwise(first.len()),
        kind(Pointwise::Output, op.with(&Place { first: place })),
    );
}

fn kind(kind: Pointwise, op: NetworkOp) -> NetworkOp {
    NetworkOp {
        kind: kind as u32,
        ..op
    }
}

/// Over the elements of the output.
fn over_output(of: Pointwise, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
    to.push(Kernel::Pointwise(op.out.len()), kind(of, op));
    Ok(())
}

impl OnGpu for ops::Sample {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        over_output(Pointwise::Sample, op, to)
    }
}

impl OnGpu for ops::TimeProj {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let first = to.features(Features {
            dim: self.dim,
            flip: self.flip_sin_to_cos,
            freq_shift: self.freq_shift,
            max_period: self.max_period,
        });
        over_output(Pointwise::Features, op.with(&Place { first }), to)
    }
}

impl OnGpu for ops::ClassEmbed {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let rows = to.vector(Some(&self.weight), 0);
        over_output(Pointwise::Label, op.with(&Table { rows }), to)
    }
}

impl OnGpu for ops::Affine {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let line = Line {
            factor: self.scale as f32,
            offset: self.shift as f32,
        };
        over_output(Pointwise::Affine, op.with(&line), to)
    }
}

impl OnGpu for ops::Silu {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        over_output(Pointwise::Silu, op, to)
    }
}

impl OnGpu for ops::Add {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let divisor = self.divisor as f32;
        over_output(Pointwise::Add, op.with(&Sum { divisor }), to)
    }
}

impl OnGpu for ops::AddChannel {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        over_output(Pointwise::AddChannel, op, to)
    }
}

impl OnGpu for ops::ScaleShift {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        over_output(Pointwise::ScaleShift, op, to)
    }
}

impl OnGpu for ops::Concat {
    /// A copy an input, over what is copied: the output is wider.
    fn write(&self, step: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        let mut channels = 0;
        for id in &step.inputs {
            let first = to.tensor(*id);
            let copy = NetworkOp { first, ..op }.with(&Place { first: channels });
            to.push(Kernel::Pointwise(first.len()), kind(Pointwise::Copy, copy));
            channels += first.channels;
        }
        Ok(())
    }
}

impl OnGpu for ops::Upsample2 {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        over_output(Pointwise::Upsample, op, to)
    }
}

impl OnGpu for ops::AvgPool2 {
    fn write(&self, _: &KernelWork<'_>, op: NetworkOp, to: &mut Writing<'_>) -> Result<(), CudaError> {
        over_output(Pointwise::AvgPool, op, to)
    }
}
