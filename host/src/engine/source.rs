//! What an operator reads: one activation, or two whose channels follow each other.

use super::window::copy;
use mote_runtime::Model;
use mote_runtime::blob::op;
use mote_runtime::blob::tensor::{Dtype, Tensor};
use mote_runtime::numeric::requant::Requant;

/// An activation, with its factor where it is part of a concatenation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub tensor: Tensor,
    pub requant: Option<Requant>,
}

/// One activation, or two joined.
#[derive(Debug, Clone, Copy)]
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

    /// Channels of both.
    pub fn channels(&self) -> usize {
        let second = self.second.map_or(0, |part| usize::from(part.tensor.channels));
        usize::from(self.first.tensor.channels) + second
    }

    /// Elements of both.
    pub fn len(&self) -> usize {
        self.first.tensor.positions() * self.channels()
    }

    /// Writes every element to `flat`, zero points removed, concatenations brought to their common scale and joined.
    #[inline(always)]
    pub fn read(&self, arena: &[u8], flat: &mut Vec<i16>, spare: &mut Vec<i16>) -> Option<()> {
        grow(flat, self.len());
        let Some(second) = &self.second else {
            return self.first.read(arena, flat);
        };
        for (part, offset) in [(&self.first, 0), (second, usize::from(self.first.tensor.channels))] {
            let own = usize::from(part.tensor.channels);
            grow(spare, part.tensor.len());
            part.read(arena, spare)?;
            for (to, from) in flat
                .chunks_exact_mut(self.channels())
                .zip(spare.chunks_exact(own))
                .take(part.tensor.positions())
            {
                copy(to.get_mut(offset..offset + own)?, from, &|q| q);
            }
        }
        Some(())
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
