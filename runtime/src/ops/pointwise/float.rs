//! The f16 body: f32 arithmetic in the order that it is written in.

use super::{Beside, Pointwise};
use crate::numeric::float::{load, store, to_q24};
use crate::ops::Context;
use crate::tensor::regions::Regions;
use crate::tensor::slots::slot;
use crate::tensor::view::{View, ViewMut};

/// Ends of segments over the lower 15 bits of f16: of positive, then of negative numbers.
struct Segments<'a> {
    halves: [&'a [f32]; 2],
    bits: u32,
}

impl Segments<'_> {
    /// `left + (right - left) * part`, linear within a segment.
    fn value(&self, bits: u16) -> f32 {
        let ends = self.halves[usize::from(bits >> 15)];
        let magnitude = u32::from(bits & 0x7FFF);
        let i = (magnitude >> self.bits) as usize;
        let within = magnitude & ((1 << self.bits) - 1);
        let unit = f32::from_bits((127 - self.bits) << 23);
        ends[i] + (ends[i + 1] - ends[i]) * (within as f32 * unit)
    }
}

/// Where an element of a tensor beside the output lies.
fn index(beside: Option<Beside>, i: usize, channels: usize) -> usize {
    match beside {
        Some(Beside::Channels) => i % channels,
        Some(Beside::Positions) => i / channels,
        Some(Beside::Whole) | None => i,
    }
}

/// `None` where the memory does not fit.
pub fn pointwise(op: &Pointwise, context: &Context<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
    let (mut out, src, tensor) = (r.output()?, r.operand(slot::FIRST)?, r.out());
    let channels = usize::from(tensor.channels);
    let segments = match op.table {
        Some(table) => {
            let count = (1 << 15 >> table.segment_bits) + 1;
            let (positive, negative) = context.table::<f32>(table.at, 2 * count)?.split_at(count);
            Some(Segments {
                halves: [positive, negative],
                bits: table.segment_bits.into(),
            })
        }
        None => None,
    };
    let beside = |slot, there: bool| there.then(|| Beside::of(&r.tensor(slot), &tensor)).flatten();
    let (mut factor, mut addend, mut places) = (None, None, [None; 2]);
    if let Some(affine) = &op.affine {
        places = [
            beside(slot::SECOND, affine.factor.is_some()),
            beside(slot::THIRD, affine.addend.is_some()),
        ];
        if affine.is_modulation() {
            places = [Some(Beside::Channels); 2];
        }
        if affine.factor.is_some() {
            factor = Some(r.view(slot::SECOND)?);
        }
        addend = match affine.addend {
            Some(of) if of.tensor.is_some() => Some(r.view(slot::THIRD)?),
            Some(_) => factor.map(|vector| vector.part(channels..2 * channels)),
            None => None,
        };
    }
    let element = |view: View<'_>, place: Option<Beside>, i| load(view.get(index(place, i, channels)) as u16);
    for i in 0..out.len() {
        let bits = src.get(&out, i) as u16;
        let mut v = segments
            .as_ref()
            .map_or_else(|| load(bits), |segments| segments.value(bits));
        if let Some(affine) = &op.affine {
            v *= match factor {
                Some(factor) => affine.one_float + element(factor, places[0], i),
                None => affine.one_float,
            };
            if let (Some(view), Some(of)) = (addend, affine.addend) {
                v += element(view, places[1], i) * of.mult_float;
            }
        }
        put(&mut out, i, v);
    }
    Some(())
}

/// Stores a value in the output's format.
fn put(out: &mut ViewMut<'_>, i: usize, v: f32) {
    let v = match out {
        ViewMut::Q24(_) => to_q24(v),
        _ => store(v),
    };
    out.set(i, v);
}
