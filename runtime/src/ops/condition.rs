//! The vector that a run is given, brought to the network's wide number format.

#[cfg(not(feature = "condition"))]
use core::marker::PhantomData;
use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::{Call, Context, Operator};
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::float::store;
use crate::numeric::requant::Requant;
use crate::tensor::TensorId;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};

/// Most fractional bits of a condition's numbers.
pub const MOST_BITS: u8 = 30;

/// The condition of a run: a vector of fixed-point numbers, as many as the output has channels.
///
/// A number that is given stands for itself times `2^-bits`. One outside the range is clamped to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Output.
    pub out: TensorId,
    /// From a number to output units (integer models).
    pub requant: Requant,
    /// Fractional bits of a number, at most [`MOST_BITS`].
    pub bits: u8,
    /// The least number.
    pub low: i32,
    /// The largest number.
    pub high: i32,
    /// What stands for every number where the condition is dropped, under guidance; `None` where it cannot be.
    pub null: Option<i32>,
}

impl Condition {
    /// The number as the network sees it.
    #[inline(always)]
    pub fn clamped(&self, number: i32) -> i32 {
        number.max(self.low).min(self.high)
    }

    /// Whether another operator is given the same vector.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.bits, self.low, self.high, self.null) == (other.bits, other.low, other.high, other.null)
    }

    /// Number `i` of a call's vector; that of the null condition where the call has none.
    #[inline(always)]
    fn number(&self, call: &Call<'_>, i: usize) -> Option<i32> {
        let number = match call.given.vector() {
            Some(vector) => *vector.get(i)?,
            None => self.null?,
        };
        Some(self.clamped(number))
    }

    /// Whether a call's vector has `len` numbers, or need have none.
    #[inline(always)]
    fn suits(&self, call: &Call<'_>, len: usize) -> Option<()> {
        let found = call.given.vector().map_or(len, <[i32]>::len);
        if found == len { Some(()) } else { None }
    }
}

impl Operator for Condition {
    const NAME: &'static str = "condition";
    const FEATURE: Option<Feature> = Some(Feature::Condition);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            out: r.tensor(),
            requant: r.requant(),
            bits: r.u8(),
            low: r.i32(),
            high: r.i32(),
            null: if r.flag() { Some(r.i32()) } else { None },
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.write(self.out);
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let out = &checker.tensors[slot::OUT];
        checker.vector(out);
        let null = self.null.is_none_or(|null| self.clamped(null) == null);
        let ranged = self.bits <= MOST_BITS && self.low < self.high && null;
        checker.ensure(ranged, Fault::Parameter)?;
        checker.requant(self.requant)
    }

    #[inline(never)]
    fn run_integer(&self, _: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let mut out = r.output()?;
        self.suits(call, out.len())?;
        for i in 0..out.len() {
            out.put(i, self.requant.times(self.number(call, i)?));
        }
        Some(())
    }

    /// The number's nearest f32 times a power of two, which is exact.
    fn run_f16(&self, _: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        let mut out = r.output()?;
        self.suits(call, out.len())?;
        let unit = f32::from_bits((127 - u32::from(self.bits.min(MOST_BITS))) << 23);
        for i in 0..out.len() {
            out.set(i, store(self.number(call, i)? as f32 * unit));
        }
        Some(())
    }
}

/// The condition vector of a call, or none. Nothing at all in a build without the part.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    #[cfg(feature = "condition")]
    vector: Option<&'a [i32]>,
    #[cfg(not(feature = "condition"))]
    vector: PhantomData<&'a [i32]>,
}

#[cfg(feature = "condition")]
impl<'a> Given<'a> {
    /// No vector: the model takes none, or it is dropped.
    pub const NONE: Self = Self { vector: None };

    /// This vector, in the model's fixed point.
    pub const fn of(vector: &'a [i32]) -> Self {
        Self { vector: Some(vector) }
    }

    /// The vector, if there is one.
    #[inline(always)]
    pub const fn vector(&self) -> Option<&'a [i32]> {
        self.vector
    }
}

#[cfg(not(feature = "condition"))]
impl<'a> Given<'a> {
    /// No vector: the model takes none.
    pub const NONE: Self = Self { vector: PhantomData };

    /// None: this build has no model that reads it.
    pub const fn of(_: &'a [i32]) -> Self {
        Self::NONE
    }

    /// None.
    #[inline(always)]
    pub const fn vector(&self) -> Option<&'a [i32]> {
        None
    }
}
