//! One network call: the operators in order, each decoded as it runs, over one arena.

use super::Model;
use crate::error::RunError;
use crate::features::Feature;
pub use crate::ops::Call;
use crate::ops::Op;
use crate::ops::reader::Reader;
use crate::tensor::Tensor;
use crate::tensor::regions::Regions;
use crate::tensor::view::View;

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
/// `activations` has at least the header's `arena_bytes`, aligned to 4. The errors are [`RunError::Class`] for a
/// label that the model does not have, [`RunError::Condition`] for a
/// condition vector that is missing or of another length, and [`RunError::Memory`], which a parsed model and a large enough arena never give.
#[inline(never)]
pub fn forward(
    model: &Model<'_>,
    call: &Call<'_>,
    activations: &mut [u8],
    observer: &mut impl Observer,
) -> Result<(), RunError> {
    let classes = model.header().classes;
    if Feature::Class.is_built() && classes > 0 && call.class >= classes {
        let found = call.class;
        return Err(RunError::Class { found, classes });
    }
    let mut reader = model.ops().reader;
    for index in 0..model.header().op_count {
        next_op(model, call, (index, &mut reader), activations, observer)?;
    }
    Ok(())
}

/// Runs the operator of that index, which the reader is at.
#[inline(always)]
fn next_op(
    model: &Model<'_>,
    call: &Call<'_>,
    (index, reader): (u16, &mut Reader<'_>),
    activations: &mut [u8],
    observer: &mut impl Observer,
) -> Result<(), RunError> {
    let op = &Op::read(reader);
    if reader.failed() {
        return Err(RunError::Memory { op: index });
    }
    observer.before(index, op);
    let Some(output) = run_op(model, call, op, activations) else {
        return Err(failed(model, call, op, index));
    };
    let bytes = activations.get(output.range());
    if let Some(view) = bytes.and_then(|bytes| View::new(&output, bytes)) {
        observer.after(index, op, &view);
    }
    Ok(())
}

/// Where a network call is between two of its operators. The first place is before all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The operator that runs next.
    next: u16,
    /// Bytes of the operator list that were read.
    read: u32,
}

impl Place {
    /// Whether every operator has run.
    pub fn is_end(&self, model: &Model<'_>) -> bool {
        self.next >= model.header().op_count
    }

    /// Runs the next operator of a call that [`forward`] would run, whose label the model has. The call and `activations` are those of
    /// the operators before. Nothing happens at the end.
    ///
    /// # Errors
    /// Those of [`forward`].
    pub fn run_next(&mut self, model: &Model<'_>, call: &Call<'_>, activations: &mut [u8]) -> Result<(), RunError> {
        if self.is_end(model) {
            return Ok(());
        }
        let all = model.ops().reader.rest();
        let mut reader = Reader::new(all.get(self.read as usize..).unwrap_or_default());
        next_op(model, call, (self.next, &mut reader), activations, &mut Unobserved)?;
        self.read = (all.len() - reader.rest().len()) as u32;
        self.next += 1;
        Ok(())
    }
}

/// Why operator `index` did not run: its memory, or a condition vector of another length than the model's.
#[cold]
#[inline(always)]
fn failed(model: &Model<'_>, call: &Call<'_>, op: &Op, index: u16) -> RunError {
    #[cfg(feature = "condition")]
    if let Op::Condition(condition) = op {
        return RunError::Condition {
            expected: model.known(condition.out).channels.into(),
            found: call.given.vector().map_or(0, <[i32]>::len) as u32,
        };
    }
    let _ = (model, call, op);
    RunError::Memory { op: index }
}

/// Runs one operator; gives its output's record, and `None` when its memory does not fit `activations`.
pub fn run_op(model: &Model<'_>, call: &Call<'_>, op: &Op, activations: &mut [u8]) -> Option<Tensor> {
    let mut regions = Regions::NONE;
    let regions = &mut regions;
    let context = &model.context;
    regions.find(context.tensors, &op.slots(), activations);
    if context.is_float() {
        op.run_f16(context, call, regions)?;
    } else {
        op.run_integer(context, call, regions)?;
    }
    Some(regions.out())
}
