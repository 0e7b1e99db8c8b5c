//! One network call: the operators in order, each decoded as it runs, over one arena.

use core::ops::Range;

use super::Model;
use crate::error::RunError;
use crate::features::Feature;
pub use crate::ops::Call;
use crate::ops::conv::rows;
use crate::ops::reader::Reader;
use crate::ops::{Conv, Op};
use crate::tensor::regions::Regions;
use crate::tensor::view::View;
use crate::tensor::{Tensor, TensorId};

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
    class_exists(model, call)?;
    let mut reader = model.ops().reader;
    for index in 0..model.header().op_count {
        let op = &Op::read(&mut reader);
        if reader.failed() {
            return Err(RunError::Memory { op: index });
        }
        observer.before(index, op);
        let Some(output) = run_op(model, call, op, activations) else {
            return Err(failed(model, call, op, index));
        };
        show(observer, index, op, &output, activations);
    }
    Ok(())
}

/// Shows what an operator has written.
#[inline(always)]
pub(super) fn show(observer: &mut impl Observer, index: u16, op: &Op, output: &Tensor, activations: &[u8]) {
    let bytes = activations.get(output.range());
    if let Some(view) = bytes.and_then(|bytes| View::new(output, bytes)) {
        observer.after(index, op, &view);
    }
}

/// Whether the model has the call's label.
#[inline(always)]
pub(super) fn class_exists(model: &Model<'_>, call: &Call<'_>) -> Result<(), RunError> {
    let classes = model.header().classes;
    if Feature::Class.is_built() && classes > 0 && call.class >= classes {
        let found = call.class;
        return Err(RunError::Class { found, classes });
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
    /// Rows of that operator's output that are there.
    rows: u16,
    /// What they have left behind for the next ([`NormConv::run_rows`](crate::ops::NormConv)).
    left: Option<bool>,
}

impl Place {
    /// Whether every operator has run.
    pub fn is_end(&self, model: &Model<'_>) -> bool {
        self.next >= model.header().op_count
    }

    /// Runs the next `count` operators of a call that [`forward`] would run, whose label the model has; gives how many have run. Of a convolution
    /// with more than `most` multiply-accumulates as many rows of its output as have no more, at least one, count as an operator. The call
    /// and `activations` are those of the operators before. Nothing happens at the end.
    ///
    /// # Errors
    /// Those of [`forward`].
    #[inline(always)]
    pub fn run(
        &mut self,
        model: &Model<'_>,
        call: &Call<'_>,
        activations: &mut [u8],
        most: u32,
        count: u16,
    ) -> Result<u16, RunError> {
        let all = model.ops().reader.rest();
        let mut reader = Reader::new(all.get(self.read as usize..).unwrap_or_default());
        let mut ran = 0;
        while ran < count && !self.is_end(model) {
            let begins = reader.clone();
            let op = &Op::read(&mut reader);
            let missing = RunError::Memory { op: self.next };
            if reader.failed() {
                return Err(missing);
            }
            ran += 1;
            let cut = if most < u32::MAX {
                piece(model, op, self.rows.into(), most)
            } else {
                None
            };
            if let Some((end, rows)) = cut {
                let from = self.rows.into();
                let left =
                    run_rows(model, op, from..end, self.left.filter(|_| from > 0), activations).ok_or(missing)?;
                if end < rows {
                    (self.rows, self.left) = (end as u16, Some(left));
                    reader = begins;
                    continue;
                }
                (self.rows, self.left) = (0, None);
            } else if run_op(model, call, op, activations).is_none() {
                return Err(failed(model, call, op, self.next));
            }
            self.next += 1;
            self.read = (all.len() - reader.rest().len()) as u32;
        }
        Ok(ran)
    }
}

/// The convolution of an operator that can be run by rows of its output; `None` of other operators and of networks in f16.
#[inline(always)]
pub(super) fn by_rows<'o>(model: &Model<'_>, op: &'o Op) -> Option<&'o Conv> {
    match op {
        _ if model.context.is_float() || model.context.apart().is_some() => None,
        Op::Conv(conv) => Some(conv),
        Op::NormConv(both) if Feature::NormConv.is_built() => Some(&both.conv),
        _ => None,
    }
}

/// Where the piece of a convolution ends that begins at row `from` of its output and has at most `most` multiply-accumulates, and how many
/// rows there are; `None` of what is run whole: other operators, convolutions with fewer, and those in f16.
#[inline(never)]
fn piece(model: &Model<'_>, op: &Op, from: usize, most: u32) -> Option<(usize, usize)> {
    let conv = by_rows(model, op)?;
    let channels = |id: Option<TensorId>| id.map_or(0, |id| usize::from(model.known(id).channels));
    let out = model.known(conv.out);
    let inputs = channels(Some(conv.source.first)) + channels(conv.source.second.map(|(id, _)| id));
    let row = usize::from(out.cols) * usize::from(out.channels) * conv.kernel().area() * inputs;
    // A normalization inside it is an eighth more.
    let row = row + if matches!(op, Op::Conv(_)) { 0 } else { row / 8 };
    let (rows, most) = (usize::from(out.rows), most as usize);
    if from == 0 && rows.checked_mul(row)? <= most {
        return None;
    }
    // Pieces of about the same size.
    let pieces = rows.div_ceil((most / row.max(1)).max(1));
    let end = from + rows.div_ceil(pieces.max(1));
    let stride = conv.stride.rows().into();
    Some((
        rows::begins(conv.upsample, stride, conv.pad[0].into(), end).min(rows),
        rows,
    ))
}

/// Runs some rows of a convolution; `None` where its memory does not fit.
#[inline(never)]
fn run_rows(
    model: &Model<'_>,
    op: &Op,
    rows: Range<usize>,
    before: Option<bool>,
    activations: &mut [u8],
) -> Option<bool> {
    let mut regions = Regions::NONE;
    let regions = &mut regions;
    let context = &model.context;
    regions.find(context.tensors, &op.slots(), activations);
    match op {
        Op::Conv(conv) => rows::run(context, conv, rows, regions).map(|()| false),
        Op::NormConv(both) if Feature::NormConv.is_built() => both.run_rows(context, rows, before, regions),
        _ => None,
    }
}

/// Why operator `index` did not run: its memory, or a condition vector of another length than the model's.
#[cold]
#[inline(always)]
pub(super) fn failed(model: &Model<'_>, call: &Call<'_>, op: &Op, index: u16) -> RunError {
    #[cfg(feature = "streamed")]
    if model.context.apart().is_some() && op.conv().is_some() {
        return RunError::Apart;
    }
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
