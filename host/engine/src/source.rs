//! What an operator reads: one activation, or two whose channels follow each other.

use crate::family::Simd;
use crate::split::Split;
use crate::window::copy;
use mote_runtime::Model;
use mote_runtime::internals::numeric::requant::Requant;
use mote_runtime::internals::ops as op;
use mote_runtime::internals::tensor::{Dtype, Tensor};

/// What integer activations are stored as: i8 or i16.
pub(crate) trait Stored: bytemuck::Pod + Into<i32> + Sync {}

impl Stored for i8 {}
impl Stored for i16 {}

/// Elements as an operator reads them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'b> {
    /// As they are stored, with their zero point.
    Bytes(&'b [i8], i8),
    /// Zero points removed.
    Words(&'b [i16]),
}

/// Where a part's channels lie in a row of a concatenation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub first: usize,
    pub own: usize,
    pub all: usize,
}

/// An activation, with its factor where it is part of a concatenation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SourcePart {
    pub tensor: Tensor,
    pub requant: Option<Requant>,
}

/// One activation, or two joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Source {
    pub first: SourcePart,
    pub second: Option<SourcePart>,
}

impl Source {
    /// `None` for number formats that the engine does not read.
    pub fn new(model: &Model<'_>, source: &op::Source) -> Option<Self> {
        let part = |id, requant| {
            let tensor = model.tensor(id)?;
            matches!(tensor.dtype, Dtype::I8 | Dtype::I16).then_some(SourcePart { tensor, requant })
        };
        Some(match source.second {
            None => Self {
                first: part(source.first, None)?,
                second: None,
            },
            Some((id, [a, b])) => Self {
                first: part(source.first, Some(a))?,
                second: Some(part(id, Some(b))?),
            },
        })
    }

    /// One activation.
    pub fn one(tensor: Tensor) -> Self {
        let first = SourcePart { tensor, requant: None };
        Self { first, second: None }
    }

    /// Channels of both.
    pub fn channels(&self) -> usize {
        let second = self.second.map_or(0, |part| usize::from(part.tensor.channels));
        usize::from(self.first.tensor.channels) + second
    }

    /// Elements of both.
    pub fn len(&self) -> usize {
        self.first.tensor.positions() * self.channels()
    }

    /// Every element, in memory of its own: outputs may lie where inputs do.
    #[inline(always)]
    pub fn read<'b>(&self, simd: impl Join, arena: &[u8], buffers: &'b mut Buffers) -> Option<Input<'b>> {
        let tensor = &self.first.tensor;
        if self.second.is_some() {
            return self.joined(simd, arena, buffers).map(Input::Words);
        }
        if tensor.dtype == Dtype::I8 {
            grow(&mut buffers.bytes, self.len());
            let to = buffers.bytes.get_mut(..self.len())?;
            to.copy_from_slice(bytemuck::try_cast_slice(arena.get(tensor.range())?).ok()?);
            return Some(Input::Bytes(to, tensor.zero_point));
        }
        grow(&mut buffers.flat, self.len());
        self.first.read(arena, &mut buffers.flat)?;
        buffers.flat.get(..self.len()).map(Input::Words)
    }

    /// A concatenation, brought to its common scale. The normalization and the shortcut of a block read the same one; within a call
    /// a tensor is written once.
    #[inline(always)]
    pub fn joined<'b>(&self, simd: impl Join, arena: &[u8], buffers: &'b mut Buffers) -> Option<&'b [i16]> {
        let second = self.second.as_ref()?;
        if buffers.held != Some(*self) {
            buffers.held = None;
            grow(&mut buffers.joined, self.len());
            let all = self.channels();
            for (part, first) in [(&self.first, 0), (second, usize::from(self.first.tensor.channels))] {
                let own = usize::from(part.tensor.channels);
                let to = buffers.joined.get_mut(..self.len())?;
                let columns = Columns { first, own, all };
                let zero = part.tensor.zero_point.into();
                let split = part.requant.and_then(|factor| Split::of(factor, zero));
                if let (Dtype::I8, Some(split)) = (part.tensor.dtype, &split) {
                    let from = bytemuck::try_cast_slice(arena.get(part.tensor.range())?).ok()?;
                    simd.join(from, split, to, columns);
                    continue;
                }
                grow(&mut buffers.flat, part.tensor.len());
                part.read(arena, &mut buffers.flat)?;
                let rows = to.chunks_exact_mut(all).zip(buffers.flat.chunks_exact(own));
                for (to, from) in rows {
                    copy(to.get_mut(first..first + own)?, from, &|q| q);
                }
            }
            buffers.held = Some(*self);
        }
        buffers.joined.get(..self.len())
    }
}

/// The inner loop of a concatenation.
pub(crate) trait Join: Simd {
    /// A part of a concatenation, brought to the common scale and put in its columns of `to`.
    #[inline]
    fn join(self, from: &[i8], factor: &Split, to: &mut [i16], columns: Columns) {
        self.vectorize(
            #[inline(always)]
            || join(from, factor, to, columns),
        );
    }
}

/// The plain form of [`Join::join`].
#[inline(always)]
fn join(from: &[i8], factor: &Split, to: &mut [i16], columns: Columns) {
    let rows = from.chunks_exact(columns.own).zip(to.chunks_exact_mut(columns.all));
    for (from, to) in rows {
        let to = &mut to[columns.first..columns.first + columns.own];
        copy(to, from, &|q| {
            let v = factor.apply(i32::from(q));
            v.clamp(i16::MIN.into(), i16::MAX.into()) as i16
        });
    }
}

/// Memory for what is read.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// One activation.
    pub flat: Vec<i16>,
    /// The same as it is stored.
    bytes: Vec<i8>,
    /// A concatenation, and which one of this call it is.
    joined: Vec<i16>,
    held: Option<Source>,
}

impl Buffers {
    /// Forgets what an earlier call left.
    pub fn begin_call(&mut self) {
        self.held = None;
    }
}

impl SourcePart {
    /// Writes every element to the front of `to`.
    #[inline(always)]
    pub fn read(&self, arena: &[u8], to: &mut [i16]) -> Option<()> {
        let bytes = arena.get(self.tensor.range())?;
        let to = to.get_mut(..self.tensor.len())?;
        let zero = i32::from(self.tensor.zero_point);
        match (self.tensor.dtype, self.requant) {
            (Dtype::I8, None) => {
                let zero = zero as i16;
                each(to, bytemuck::try_cast_slice::<u8, i8>(bytes).ok()?, |q| {
                    i16::from(q) - zero
                });
            }
            (Dtype::I16, None) => to.copy_from_slice(bytemuck::try_cast_slice(bytes).ok()?),
            (Dtype::I8, Some(r)) => {
                each(to, bytemuck::try_cast_slice::<u8, i8>(bytes).ok()?, |q| {
                    common(r, i32::from(q) - zero)
                });
            }
            (Dtype::I16, Some(r)) => {
                each(to, bytemuck::try_cast_slice::<u8, i16>(bytes).ok()?, |q| {
                    common(r, q.into())
                });
            }
            _ => return None,
        }
        Some(())
    }
}

/// To the common scale of a concatenation: the factor's result saturated to 16 bits.
#[inline(always)]
fn common(r: Requant, q: i32) -> i16 {
    let v = (i64::from(q) * i64::from(r.mult) + (1 << (r.shift - 1))) >> r.shift;
    v.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[inline(always)]
fn each<S: Copy>(to: &mut [i16], from: &[S], f: impl Fn(S) -> i16) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f(from);
    }
}

/// Makes `buffer` hold at least `len` elements.
#[inline(always)]
pub(crate) fn grow<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
}
