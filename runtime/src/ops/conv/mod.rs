//! Convolution over `(row, col, channel)`; a linear layer is one with a kernel of 1.

pub mod float;
pub mod grouped;
pub mod halves;
pub mod integer;
pub mod proof;
pub(crate) mod rows;
mod sides;
#[cfg(feature = "streamed")]
pub(crate) mod streamed;

pub use sides::{Extent, Sides};

use crate::ops::{Call, Context};
use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::{At, Operator};
use crate::error::Fault;
use crate::family::{Addition, Filter, InputPart};
use crate::family::{Layout, padded};
use crate::features::Feature;
#[cfg(doc)]
use crate::numeric::requant::WideRequant;
use crate::numeric::requant::{Requant, SmallRequant};
use crate::tensor::int4;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::View;
use crate::tensor::{Tensor, TensorId};

/// One or two tensors read as the channels of one (a concatenation that is never copied).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The first channels.
    pub first: TensorId,
    /// The channels after them, with the factors that bring both to one int16 scale.
    pub second: Option<(TensorId, [Requant; 2])>,
}

impl Source {
    pub(super) const EMPTY: Self = Self {
        first: TensorId(0),
        second: None,
    };

    /// The tensors that are read.
    #[inline(always)]
    pub(super) fn slots(&self, slots: &mut Slots) {
        slots.tensors[slot::FIRST] = Some(self.first);
        slots.tensors[slot::SECOND] = self.second.map(|(id, _)| id);
    }
}

/// Weights of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Weights {
    /// int8 with int32 accumulators. At `requant`: multipliers (i32 a channel), then shifts (u8 a channel).
    W8 {
        /// i8 `(out, row, col, in)`.
        data: At,
        /// i32 `(out)`.
        bias: At,
        /// i32 `(out)` then u8 `(out)`.
        requant: At,
    },
    /// int16 with int64 accumulators.
    W16 {
        /// i16 `(out, row, col, in)`.
        data: At,
        /// i64 `(out)`.
        bias: At,
        /// i32 `(out)` then u8 `(out)`, as [`WideRequant`].
        requant: At,
    },
    /// f16 with f32 arithmetic.
    F16 {
        /// f16 `(row, col, in, out)`.
        data: At,
        /// f32 `(out)`.
        bias: At,
    },
    /// int4 with int32 accumulators: nibbles that count 16 times their value.
    W4 {
        /// u32 `(out, word)`, each word eight taps of `(row, col, in)`, see [`int4`].
        data: At,
        /// i32 `(out)`.
        bias: At,
        /// i32 `(out)` then u8 `(out)`.
        requant: At,
    },
}

/// A term added to a convolution's output before its one rounding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Addend {
    /// Of the output's shape, or a vector over channels.
    pub tensor: TensorId,
    /// Brings it to the output's scale with `ADD_GUARD_BITS` more (integer models).
    pub requant: Requant,
    /// Factor (f16 models).
    pub factor: f32,
}

/// A convolution over `(row, col, channel)`; a linear layer is `kernel = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Input.
    pub source: Source,
    /// Output.
    pub out: TensorId,
    /// Scratch: one im2col column.
    pub scratch: TensorId,
    /// Weights, biases, multipliers.
    pub weights: Weights,
    /// Sides of the kernel, 1 to 15.
    pub kernel: Sides,
    /// Steps between outputs, 1 to 15.
    pub stride: Sides,
    /// Zeros at top, left, bottom, right.
    pub pad: [u8; 4],
    /// Reads the input through a nearest-neighbour x2.
    pub upsample: bool,
    /// Residual or timestep term.
    pub addend: Option<Addend>,
}

/// Scratch bytes of a convolution: `columns` (1, or a block of [`COLUMNS`](crate::family::COLUMNS)) of
/// `area * channels` int16, padded, where `area` is the kernel's; or one of f32, with an f32 accumulator an output channel.
pub fn conv_scratch_bytes(float: bool, area: usize, channels: usize, outs: usize, columns: usize) -> usize {
    let taps = area * channels;
    if float {
        (taps + outs) * 4
    } else {
        Layout::elements(columns, taps) * 2
    }
}

/// Channels of what an operator reads, those of a concatenation together.
#[inline(always)]
pub(super) fn joined_channels(tensors: &[Tensor; slot::COUNT]) -> usize {
    usize::from(tensors[slot::FIRST].channels) + usize::from(tensors[slot::SECOND].channels)
}

impl Conv {
    /// Whether the kernel is a square, with one stride of 1 or 2 for both axes.
    pub fn is_square(&self) -> bool {
        self.kernel.is_square() && self.stride.is_square() && self.stride.cols() <= 2
    }

    /// Sides of the kernel.
    #[inline(always)]
    pub fn kernel(&self) -> Extent {
        self.kernel.into()
    }

    /// Before anything is known: zeros, which take no place in flash.
    pub(super) const EMPTY: Self = Self {
        source: Source::EMPTY,
        out: TensorId(0),
        scratch: TensorId(0),
        weights: Weights::W8 {
            data: At(0),
            bias: At(0),
            requant: At(0),
        },
        kernel: Sides::square(0),
        stride: Sides::square(0),
        pad: [0; 4],
        upsample: false,
        addend: None,
    };

    /// Its checks, where the first tensor read stands for the joined input and there are weights of so many groups.
    #[inline(never)]
    pub(super) fn check_joined(&self, checker: &Checker<'_, '_>, groups: u16) -> Check {
        let [out, _, _, source, _, addend] = &checker.tensors;
        checker.ensure(self.window_in_range(), Fault::Parameter)?;
        self.check_extent(checker, 0, source.rows, out.rows);
        self.check_extent(checker, 1, source.cols, out.cols);
        if let Some(Addend { requant, factor, .. }) = self.addend {
            if addend.positions() != 1 {
                checker.alike(out, addend);
            }
            checker.same(out.channels.into(), addend.channels.into());
            checker.finite(factor);
            checker.requant(requant);
        }
        let float = matches!(self.weights, Weights::F16 { .. });
        checker.ensure(float == checker.context.is_float(), Fault::Dtype)?;
        proof::conv(checker, self, source, usize::from(out.channels) * usize::from(groups))
    }

    /// Whether kernel, stride and padding are what they can be. Without the part `rectangles`, that is a square and a stride of 1 or 2.
    #[inline(always)]
    fn window_in_range(&self) -> bool {
        let (kernel, stride) = (self.kernel, self.stride);
        if Feature::Rectangles.is_built() {
            let padded = |axis: usize| self.pad[axis].max(self.pad[axis + 2]) < kernel.axis(axis);
            return stride.cols() > 0 && padded(0) && padded(1);
        }
        let side = kernel.cols();
        (1..=15).contains(&side) && (1..=2).contains(&stride.cols()) && self.pad.iter().all(|&p| p < side)
    }

    /// Checks that an input of `size` rows (axis 0) or columns (axis 1) makes an output of `out`.
    #[inline(never)]
    fn check_extent(&self, checker: &Checker<'_, '_>, axis: usize, size: u16, out: u16) -> Check {
        let padded =
            (u32::from(size) << u32::from(self.upsample)) + u32::from(self.pad[axis]) + u32::from(self.pad[axis + 2]);
        let span = padded.checked_sub(self.kernel.axis(axis).into());
        let stride = self.stride.axis(axis);
        let steps = |span| {
            if Feature::Rectangles.is_built() {
                span / u32::from(stride)
            } else {
                // It is 1 or 2.
                span >> (stride - 1)
            }
        };
        checker.same(span.map_or(0, |span| steps(span) + 1), out.into())
    }
}

/// Reads the record to where it is wanted.
#[inline(never)]
pub(super) fn read(r: &mut Reader<'_>, conv: &mut Conv) {
    conv.source = source(r);
    conv.out = r.tensor();
    conv.scratch = r.tensor();
    conv.weights = weights(r);
    conv.kernel = Sides(r.u8());
    conv.stride = Sides(r.u8());
    conv.pad.iter_mut().for_each(|pad| *pad = r.u8());
    conv.upsample = r.flag();
    conv.addend = if r.flag() { Some(addend(r)) } else { None };
}

#[inline(never)]
fn addend(r: &mut Reader<'_>) -> Addend {
    Addend {
        tensor: r.tensor(),
        requant: r.requant(),
        factor: r.f32(),
    }
}

#[inline(never)]
fn weights(r: &mut Reader<'_>) -> Weights {
    let variant = r.variant(4);
    let (data, bias) = (r.at(), r.at());
    if variant == 2 {
        return Weights::F16 { data, bias };
    }
    let requant = r.at();
    match variant {
        0 => Weights::W8 { data, bias, requant },
        1 => Weights::W16 { data, bias, requant },
        _ => Weights::W4 { data, bias, requant },
    }
}

#[inline(never)]
pub(super) fn source(r: &mut Reader<'_>) -> Source {
    Source {
        first: r.tensor(),
        second: if r.flag() {
            Some((r.tensor(), [r.requant(), r.requant()]))
        } else {
            None
        },
    }
}

impl Operator for Conv {
    const NAME: &'static str = "conv";

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        let mut conv = Self::EMPTY;
        read(r, &mut conv);
        conv
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        self.source.slots(slots);
        slots.tensors[slot::OUT] = Some(self.out);
        slots.tensors[slot::SCRATCH] = Some(self.scratch);
        slots.tensors[slot::THIRD] = self.addend.map(|addend| addend.tensor);
        slots.in_place = slot::THIRD;
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        checker.join(&self.source)?;
        self.check_joined(checker, 1)
    }

    #[inline(always)]
    fn scratch_bytes(&self, float: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
        let outs = tensors[slot::OUT].channels.into();
        conv_scratch_bytes(float, self.kernel().area(), joined_channels(tensors), outs, 1)
    }

    #[inline(always)]
    fn needs(&self, feature: Feature) -> bool {
        match self.weights {
            _ if feature == Feature::Rectangles => !self.is_square(),
            Weights::W16 { .. } => feature == Feature::W16,
            Weights::W4 { .. } => feature == Feature::W4,
            Weights::W8 { .. } | Weights::F16 { .. } => false,
        }
    }

    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        run_integer(context, self, Rows::ALL, r)
    }

    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        run_float(context, self, Rows::ALL, r)
    }

    #[inline(always)]
    fn conv(&self) -> Option<&Conv> {
        Some(self)
    }
}

/// Which rows of a convolution's tables it uses.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    /// Group of timesteps.
    pub group: usize,
    /// Number of groups.
    pub groups: usize,
}

impl Rows {
    /// Those of a convolution that has no others.
    pub(crate) const ALL: Self = Self { group: 0, groups: 1 };

    /// The group's `count` of a table that has as many for each.
    fn table<'m, T: bytemuck::AnyBitPattern>(self, context: &Context<'m>, at: At, count: usize) -> Option<&'m [T]> {
        let skipped = self.group * count * size_of::<T>();
        context.table(At(at.0.checked_add(skipped as u32)?), count)
    }
}

/// Shapes of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Geometry {
    /// Rows and columns of the stored input (before any x2).
    pub input: [usize; 2],
    /// Rows and columns of the output.
    pub output: [usize; 2],
    /// Output channels, or as many as are computed of them.
    pub outs: usize,
    /// Elements from a position of the output to the next: output channels, also where not all of them are computed.
    #[cfg(feature = "streamed")]
    pub pitch: usize,
    /// Sides of the kernel.
    pub kernel: Extent,
    /// Steps.
    pub stride: Extent,
    /// Zeros at the top and at the left.
    pub pad: [usize; 2],
    /// Reads through a nearest-neighbour x2.
    pub upsample: bool,
}

impl Geometry {
    /// Of a convolution of `input` to `out`.
    #[inline(always)]
    pub fn of(c: &Conv, input: &Tensor, out: &Tensor) -> Self {
        Self {
            input: [input.rows.into(), input.cols.into()],
            output: [out.rows.into(), out.cols.into()],
            outs: out.channels.into(),
            #[cfg(feature = "streamed")]
            pitch: out.channels.into(),
            kernel: c.kernel.into(),
            stride: c.stride.into(),
            pad: [c.pad[0].into(), c.pad[1].into()],
            upsample: c.upsample,
        }
    }

    /// Elements from a position of the output to the next.
    #[inline(always)]
    pub fn pitch(&self) -> usize {
        #[cfg(feature = "streamed")]
        return self.pitch;
        #[cfg(not(feature = "streamed"))]
        self.outs
    }
}

/// Shapes of a convolution from the records.
pub(super) fn geometry(c: &Conv, r: &Regions<'_, '_>) -> Geometry {
    Geometry::of(c, &r.tensor(slot::FIRST), &r.out())
}

/// Runs an integer convolution.
#[inline(never)]
pub(super) fn run_integer(context: &Context<'_>, c: &Conv, rows: Rows, r: &mut Regions<'_, '_>) -> Option<()> {
    let g = geometry(c, r);
    let mut parts = NO_PARTS;
    let count = self::parts(&mut parts, &c.source, r)?;
    let channels = parts[0].channels + parts[1].channels;
    let parts = parts.get(..count)?;
    // Borrowed, not moved: a copy would take stack.
    let (Some(filter), add) = (&filter(context, c, rows, &g, channels), addition(c, r)?) else {
        return None;
    };
    integer::conv(parts, &g, filter, add, r.scratch()?, &mut r.output()?);
    Some(())
}

/// The weights of a convolution of `channels` in all.
#[inline(never)]
pub(super) fn filter<'m>(
    context: &Context<'m>,
    c: &Conv,
    rows: Rows,
    g: &Geometry,
    channels: usize,
) -> Option<Filter<'m>> {
    // Their rows are not there: `streamed` has those that are.
    if context.apart().is_some() {
        return None;
    }
    let taps = g.kernel.area() * channels;
    let weights = padded(taps) * g.outs;
    let (data, bias, requant) = match c.weights {
        Weights::W8 { data, bias, requant }
        | Weights::W16 { data, bias, requant }
        | Weights::W4 { data, bias, requant } => (data, bias, requant),
        Weights::F16 { .. } => return None,
    };
    let mult = rows.table(context, requant, g.outs)?;
    let shift = rows.table(context, At(requant.0 + (rows.groups * g.outs) as u32 * 4), g.outs)?;
    Some(match c.weights {
        Weights::W16 { .. } if Feature::W16.is_built() => Filter::W16 {
            // Rows are whole words.
            data: bytemuck::cast_slice(rows.table::<i32>(context, data, weights / 2)?),
            bias: rows.table::<i32>(context, bias, 2 * g.outs)?.as_chunks().0,
            mult,
            shift,
        },
        Weights::W4 { .. } if Feature::W4.is_built() => Filter::W4 {
            data: rows.table(context, data, int4::row_words(taps) * g.outs)?,
            bias: rows.table(context, bias, g.outs)?,
            mult,
            shift,
        },
        Weights::W8 { .. } => Filter::W8 {
            data: rows.table(context, data, weights)?,
            bias: rows.table(context, bias, g.outs)?,
            mult,
            shift,
        },
        _ => return None,
    })
}

/// The term that a convolution adds; the outer `None` where its memory does not fit.
pub(super) fn addition<'a>(c: &Conv, r: &mut Regions<'_, 'a>) -> Option<Option<Addition<'a>>> {
    Some(match &c.addend {
        None => None,
        Some(a) => Some(Addition {
            operand: r.operand(slot::THIRD)?,
            requant: SmallRequant::new(a.requant),
            broadcast: is_vector(r),
        }),
    })
}

/// Whether an addend is one value a channel: it has one position where the output has more.
fn is_vector(r: &Regions<'_, '_>) -> bool {
    r.tensor(slot::THIRD).positions() == 1
}

/// Parts of nothing, to be filled in where they are.
pub(super) const NO_PARTS: [InputPart<'static>; 2] = [InputPart {
    view: View::I16(&[]),
    channels: 0,
    requant: None,
}; 2];

/// Finds the parts of a source, and how many there are.
#[inline(never)]
pub(super) fn parts<'a>(parts: &mut [InputPart<'a>; 2], source: &Source, r: &mut Regions<'_, 'a>) -> Option<usize> {
    let requants = source.second.as_ref().map(|(_, requants)| requants);
    let count = 1 + usize::from(requants.is_some());
    for (i, part) in parts.iter_mut().enumerate().take(count) {
        part.channels = r.tensor(slot::FIRST + i).channels.into();
        part.view = r.view(slot::FIRST + i)?;
        if let Some(requants) = requants {
            part.requant = Some(SmallRequant::new(requants[i]));
        }
    }
    Some(count)
}

/// Runs a convolution in f16.
pub(super) fn run_float(context: &Context<'_>, c: &Conv, rows: Rows, r: &mut Regions<'_, '_>) -> Option<()> {
    run_float_with(context, c, rows, None, r)
}

/// Runs a convolution in f16, with these weights or those of its record.
#[inline(always)]
fn run_float_with(
    context: &Context<'_>,
    c: &Conv,
    rows: Rows,
    read: Option<&[u16]>,
    r: &mut Regions<'_, '_>,
) -> Option<()> {
    let g = geometry(c, r);
    let parts = &float_parts(&c.source, r)?;
    let taps = g.kernel.area() * parts.iter().map(|p| p.channels).sum::<usize>();
    let Weights::F16 { data, bias } = c.weights else {
        return None;
    };
    let weights = match read {
        Some(read) => read.get(..taps * g.outs)?,
        None if context.apart().is_some() => return None,
        None => rows.table(context, data, taps * g.outs)?,
    };
    let bias = rows.table(context, bias, g.outs)?;
    let add = match c.addend {
        None => None,
        Some(a) => Some(float::Addition {
            operand: r.operand(slot::THIRD)?,
            factor: a.factor,
            broadcast: is_vector(r),
        }),
    };
    let scratch = r.scratch()?.get_mut(..taps + g.outs)?;
    float::conv(parts, &g, weights, bias, add, scratch, &mut r.output()?);
    Some(())
}

/// The parts of a source of f16.
pub(super) fn float_parts<'a>(source: &Source, r: &mut Regions<'_, 'a>) -> Option<Vec<float::InputPart<'a>, 2>> {
    let mut parts = Vec::new();
    for slot in slot::FIRST..=slot::FIRST + usize::from(source.second.is_some()) {
        let channels = r.tensor(slot).channels.into();
        let data = r.view(slot)?;
        parts.push(float::InputPart { data, channels }).ok()?;
    }
    Some(parts)
}
