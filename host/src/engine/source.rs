//! What an operator reads: one activation, or two whose channels follow each other.

use super::window::copy;
use mote_runtime::Model;
use mote_runtime::blob::op;
use mote_runtime::blob::tensor::{Dtype, Tensor};
use mote_runtime::numeric::requant::Requant;

/// An activation, with its factor where it is part of a concatenation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Part {
    pub tensor: Tensor,
    pub requant: Option<Requant>,
}

/// One activation, or two joined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Source {
    pub first: Part,
    pub second: Option<Part>,
}

impl Source {
    /// `None` for number formats that the engine does not read.
    pub fn new(model: &Model<'_>, source: &op::Source) -> Option<Self> {
        let part = |id, requant| {
            let tensor = model.tensor(id)?;
            matches!(tensor.dtype, Dtype::I8 | Dtype::I16).then_some(Part { tensor, requant })
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
        let first = Part { tensor, requant: None };
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

    /// Every element, zero points removed, concatenations brought to their common scale and joined.
    #[inline(always)]
    pub fn read<'b>(&self, arena: &[u8], buffers: &'b mut Buffers) -> Option<&'b [i16]> {
        let Some(second) = &self.second else {
            grow(&mut buffers.flat, self.len());
            self.first.read(arena, &mut buffers.flat)?;
            return buffers.flat.get(..self.len());
        };
        // The normalization and the shortcut of a block read the same concatenation; within a call a tensor is written once.
        if buffers.held != Some(*self) {
            buffers.held = None;
            grow(&mut buffers.joined, self.len());
            let positions = self.first.tensor.positions();
            for (part, offset) in [(&self.first, 0), (second, usize::from(self.first.tensor.channels))] {
                let own = usize::from(part.tensor.channels);
                grow(&mut buffers.flat, part.tensor.len());
                part.read(arena, &mut buffers.flat)?;
                let to = buffers.joined.chunks_exact_mut(self.channels());
                for (to, from) in to.zip(buffers.flat.chunks_exact(own)).take(positions) {
                    copy(to.get_mut(offset..offset + own)?, from, &|q| q);
                }
            }
            buffers.held = Some(*self);
        }
        buffers.joined.get(..self.len())
    }
}

/// Memory for what is read.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// One activation.
    pub flat: Vec<i16>,
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

impl Part {
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
            // Of the factors of int8: in two steps of 32 bits, which floor as one of 64 does.
            (Dtype::I8, Some(r)) if (17..=30).contains(&r.shift) => {
                let (high, low) = (r.mult >> 16, r.mult & 0xFFFF);
                let (round, shift) = (1 << (r.shift - 1), u32::from(r.shift) - 16);
                each(to, bytemuck::try_cast_slice::<u8, i8>(bytes).ok()?, |q| {
                    let q = i32::from(q) - zero;
                    let v = (q * high + ((q * low + round) >> 16)) >> shift;
                    v.clamp(i16::MIN.into(), i16::MAX.into()) as i16
                });
            }
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
pub(super) fn grow<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
}
