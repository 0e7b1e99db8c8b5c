//! One network call: the operators in order, each decoded as it runs, over one arena.

pub(crate) mod regions;

use crate::blob::model::Model;
use crate::blob::tensor::Tensor;
use crate::error::RunError;
use crate::kernels::view::View;
use crate::ops::Op;
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
    let mut reader = model.ops().reader;
    for index in 0..model.header().op_count {
        let op = &Op::read(&mut reader);
        if reader.failed() {
            return Err(RunError::Memory { op: index });
        }
        observer.before(index, op);
        let Some(output) = run_op(model, call, op, activations) else {
            return Err(RunError::Memory { op: index });
        };
        let bytes = activations.get(output.range());
        if let Some(view) = bytes.and_then(|bytes| View::new(&output, bytes)) {
            observer.after(index, op, &view);
        }
    }
    Ok(())
}

/// Runs one operator; gives its output's record, and `None` when its memory does not fit `activations`.
pub fn run_op(model: &Model<'_>, call: &Call<'_>, op: &Op, activations: &mut [u8]) -> Option<Tensor> {
    let mut regions = Regions::NONE;
    let regions = &mut regions;
    regions.find(model, op, activations);
    if model.is_float() {
        op.run_f16(model, call, regions)?;
    } else {
        op.run_integer(model, call, regions)?;
    }
    Some(regions.out())
}
