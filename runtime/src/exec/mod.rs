//! One network call: the operators in order, each decoded as it runs, over one arena.

mod float;
mod integer;
mod regions;
mod shared;

use crate::blob::header::Arithmetic;
use crate::blob::model::Model;
use crate::blob::op::Op;
use crate::blob::tensor::Tensor;
use crate::error::RunError;
use crate::features::Feature;
use crate::kernels::view::View;
use regions::Regions;

/// What the network is called with.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// x_t in Q24, `(row, col, channel)`.
    pub x_q24: &'a [i32],
    /// Training timestep.
    pub timestep: u32,
    /// Class label; read only by conditional models.
    pub class: u16,
}

/// Sees every operator: to profile it, to digest or record its output.
pub trait Observer {
    /// Before operator `index` runs.
    fn before(&mut self, index: u16, op: &Op) {
        let _ = (index, op);
    }

    /// After operator `index` has written `output`.
    fn after(&mut self, index: u16, op: &Op, output: &View<'_>) {
        let _ = (index, op, output);
    }
}

/// Sees nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// Runs a network call: the runtime's own kernels, or an engine with faster ones and the same bits.
pub trait Network {
    /// As [`forward`]: the output is then at the header's `output` tensor in `activations`.
    fn forward(
        &mut self,
        model: &Model<'_>,
        call: &Call<'_>,
        activations: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), RunError>;
}

/// The runtime's own kernels: what a device runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Portable;

impl Network for Portable {
    fn forward(
        &mut self,
        model: &Model<'_>,
        call: &Call<'_>,
        activations: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        forward(model, call, activations, observer)
    }
}

/// Runs the network once; its output is then at the header's `output` tensor in `activations`.
///
/// `activations` has at least the header's `arena_bytes`, aligned to 4. The only error is [`RunError::Memory`], which a
/// parsed model and a large enough arena never give.
pub fn forward(
    model: &Model<'_>,
    call: &Call<'_>,
    activations: &mut [u8],
    observer: &mut impl Observer,
) -> Result<(), RunError> {
    let mut ops = model.ops();
    for index in 0..model.header().op_count {
        // Looked at where it was decoded: a copy would lie on the stack beside it.
        let Some(op) = &ops.next() else {
            return Err(RunError::Memory { op: index });
        };
        observer.before(index, op);
        let output = run_op(model, call, op, activations);
        let view = output.and_then(|out| View::new(&out, activations.get(out.range())?));
        observer.after(index, op, &view.ok_or(RunError::Memory { op: index })?);
    }
    Ok(())
}

/// Runs one operator; gives its output's record, and `None` when its memory does not fit `activations`.
pub fn run_op(model: &Model<'_>, call: &Call<'_>, op: &Op, activations: &mut [u8]) -> Option<Tensor> {
    let io = op.io();
    let Some(regions) = &mut Regions::new(model, &io, activations) else {
        return None;
    };
    match model.header().arithmetic {
        Arithmetic::Integer if Feature::Integer.is_built() => integer::run(model, call, op, regions)?,
        Arithmetic::F16 if Feature::F16.is_built() => float::run(model, call, op, regions)?,
        Arithmetic::Integer | Arithmetic::F16 => return None,
    }
    Some(regions.out_tensor)
}
