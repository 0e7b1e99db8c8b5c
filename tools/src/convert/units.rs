//! Units of activations: layers whose values are beyond f16 are held as a power of two times smaller.
//!
//! Convolutions are linear, and a normalization gives the same of values that are all smaller: so the network computes the same function
//! where the weights around such a layer, and the epsilon behind it, are of that unit. Powers of two change no digit.

use crate::ops::{Bound, Conv, Kind, Norm};
use crate::program::{FusedOp, Program, SlotId};

/// Largest magnitude that an f16 model stores: what is beyond becomes it.
pub const LARGEST: f32 = 65504.0;
/// What a layer is made smaller by at once, as an exponent of two.
const STEP: i32 = 6;
/// Room for images that nobody has looked at, as an exponent of two.
const HEADROOM: i32 = 3;

/// Exponents by slot: the values of slot `i` are held times `2^-k[i]`.
pub struct Units {
    exponents: Vec<i32>,
    classes: Classes,
}

impl Units {
    /// Values as they are.
    pub fn of(program: &Program) -> Self {
        Self {
            exponents: vec![0; program.slots.len()],
            classes: Classes::of(program),
        }
    }

    /// Makes the units of these slots larger. Gives those whose unit cannot change.
    pub fn widen(&mut self, slots: &[SlotId]) -> Vec<SlotId> {
        let roots = |slot: &SlotId| self.classes.root(slot.0);
        let (fixed, free): (Vec<SlotId>, Vec<SlotId>) = slots.iter().partition(|slot| self.classes.fixed[roots(slot)]);
        let free: Vec<usize> = free.iter().map(roots).collect();
        for slot in 0..self.exponents.len() {
            if free.contains(&self.classes.root(slot)) {
                self.exponents[slot] += if self.exponents[slot] == 0 {
                    STEP + HEADROOM
                } else {
                    STEP
                };
            }
        }
        fixed
    }

    /// The same function in these units.
    pub fn apply(&self, program: &Program) -> Program {
        let mut scaled = program.clone();
        for op in &mut scaled.ops {
            let (to, name) = (self.exponents[op.out.0], &mut scaled.slots[op.out.0].name);
            if to > 0 {
                // Not the float network's value of that name any more.
                *name = format!("{name} / {}", 1u64 << to.min(63));
            }
            match &mut op.kind {
                Kind::Conv(conv) => self.of_conv(conv, to, program),
                Kind::Norm(norm) => self.of_norm(norm),
                _ => {}
            }
        }
        scaled
    }

    fn of_conv(&self, conv: &mut Conv, to: i32, program: &Program) {
        let from: Vec<i32> = (conv.source.iter())
            .flat_map(|slot| vec![self.exponents[slot.0]; program.slot(*slot).shape[0]])
            .collect();
        let times = |v: &mut f32, exponent: i32| *v = libm::ldexpf(*v, exponent);
        for (i, weight) in conv.weight.iter_mut().enumerate() {
            times(weight, from[i % from.len()] - to);
        }
        conv.bias.iter_mut().for_each(|bias| times(bias, -to));
        if let Some((slot, factor)) = &mut conv.addend {
            times(factor, self.exponents[slot.0] - to);
        }
    }

    fn of_norm(&self, norm: &mut Norm) {
        let exponent = norm.source.first().map_or(0, |slot| self.exponents[slot.0]);
        norm.bound = match norm.bound {
            Bound::Eps(eps) => Bound::Eps(least(libm::ldexp(eps, -2 * exponent))),
            Bound::Floor(floor) => Bound::Floor(least(libm::ldexp(floor, -exponent))),
        };
    }
}

/// An epsilon, or the least above 0 that a model file holds. Values that are stored in f16 spread by 2^-24 or not at all: either is
/// far below that.
fn least(eps: f64) -> f64 {
    eps.max(f64::from(f32::from_bits(1)))
}

/// Slots that have one unit together, and which of them have the unit of one.
struct Classes {
    parents: Vec<usize>,
    /// By root.
    fixed: Vec<bool>,
}

impl Classes {
    fn of(program: &Program) -> Self {
        let slots = program.slots.len();
        let mut classes = Self {
            parents: (0..slots).collect(),
            fixed: vec![false; slots],
        };
        let mut fixed: Vec<SlotId> = program.ops.last().map(|op| op.out).into_iter().collect();
        for op in &program.ops {
            fixed.extend(classes.join(op, program));
        }
        for [first, again] in &program.recomputed {
            classes.unite(*first, *again);
        }
        for slot in fixed {
            let root = classes.root(slot.0);
            classes.fixed[root] = true;
        }
        classes
    }

    /// Joins what an operator reads and writes in one unit. Gives the slots that it takes as they are: all of an operator that is not known.
    fn join(&mut self, op: &FusedOp, program: &Program) -> Vec<SlotId> {
        match &op.kind {
            Kind::Conv(conv) => {
                // Each half of a concatenation has weights of its own, where each output sees every channel.
                if conv.taps() % program.channels(&conv.source).max(1) != 0 {
                    self.unite_all(&conv.source);
                }
                vec![]
            }
            Kind::Norm(norm) => {
                self.unite_all(&norm.source);
                norm.scale_shift.into_iter().chain([op.out]).collect()
            }
            Kind::Upsample(upsample) => {
                self.unite(upsample.src, op.out);
                vec![]
            }
            Kind::AvgPool(pool) => {
                self.unite(pool.src, op.out);
                vec![]
            }
            Kind::Attention(attention) => {
                let [q, k, v] = attention.qkv;
                self.unite(v, op.out);
                vec![q, k]
            }
            _ => op.inputs().into_iter().chain([op.out]).collect(),
        }
    }

    fn unite_all(&mut self, slots: &[SlotId]) {
        for pair in slots.windows(2) {
            self.unite(pair[0], pair[1]);
        }
    }

    fn unite(&mut self, a: SlotId, b: SlotId) {
        let (a, b) = (self.root(a.0), self.root(b.0));
        self.parents[a] = b;
    }

    fn root(&self, mut slot: usize) -> usize {
        while self.parents[slot] != slot {
            slot = self.parents[slot];
        }
        slot
    }
}
