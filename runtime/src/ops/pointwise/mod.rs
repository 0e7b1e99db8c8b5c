//! A function of every element, from a table of the file, then a factor and an addend: activations, modulation, gates, sums, products.

pub mod float;
pub mod integer;

use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::{At, Call, Context, Operator};
use crate::error::Fault;
use crate::features::Feature;
use crate::numeric::requant::Requant;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::{Dtype, Tensor, TensorId};

/// `store(f(x) * factor + addend)`. Whatever is left out changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pointwise {
    /// Input.
    pub src: TensorId,
    /// Output.
    pub out: TensorId,
    /// The function; the element itself where there is none.
    pub table: Option<Table>,
    /// What the function's value goes through. Where there is nothing the value is stored.
    pub affine: Option<Affine>,
}

/// Values of a function.
///
/// - int8 input: 256 values, by the stored byte.
/// - int16 input: the ends of the segments from -32768 to 32768.
/// - f16 input: the ends of the segments over the 15 lower bits, of positive, then of negative numbers, in f32.
///
/// Values are int16. Where int8 becomes int8 and nothing follows, they are the stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Where they stand.
    pub at: At,
    /// A segment has 2^this inputs: 0 of int8, else 1 to 15.
    pub segment_bits: u8,
}

/// `(t * (one + factor) + addend * mult) * 2^-shift`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// What a factor is added to, or the factor where there is none.
    pub one: i32,
    /// The same in f16 models.
    pub one_float: f32,
    /// Right shift of the sum, 1 to 62.
    pub shift: u8,
    /// A tensor of the output's shape, or one that is repeated: a vector over channels, or one channel.
    pub factor: Option<Factor>,
    /// As the factor; never one channel.
    pub addend: Option<Addend>,
}

/// What is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// The tensor.
    pub tensor: TensorId,
    /// From its unit to that of [`Affine::one`].
    pub requant: Requant,
}

/// What is added.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Addend {
    /// The tensor. `None`: the second half of the factor's, a vector of twice the channels.
    pub tensor: Option<TensorId>,
    /// From its unit to that of the sum.
    pub mult: i32,
    /// The same in f16 models.
    pub mult_float: f32,
}

/// How a tensor lies beside the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// An element for each.
    Whole,
    /// A vector over channels.
    Channels,
    /// One channel.
    Positions,
}

impl Beside {
    /// Of a tensor with the output's shape or one that is repeated; `None` where it has neither.
    fn of(tensor: &Tensor, out: &Tensor) -> Option<Self> {
        if tensor.same_shape(out) {
            Some(Self::Whole)
        } else if tensor.positions() == 1 && tensor.channels == out.channels {
            Some(Self::Channels)
        } else if tensor.channels == 1 && (tensor.rows, tensor.cols) == (out.rows, out.cols) {
            Some(Self::Positions)
        } else {
            None
        }
    }
}

impl Affine {
    /// Whether both come from one vector.
    fn is_modulation(&self) -> bool {
        self.factor.is_some() && self.addend.is_some_and(|addend| addend.tensor.is_none())
    }

    /// How the factor lies beside the output.
    fn factor_beside(&self, factor: &Tensor, out: &Tensor) -> Option<Beside> {
        if self.is_modulation() {
            return Some(Beside::Channels);
        }
        Beside::of(factor, out)
    }

    fn check(&self, checker: &Checker<'_, '_>) -> Check {
        let [out, _, _, _, factor, addend] = &checker.tensors;
        if let Some(of) = self.factor {
            checker.requant(of.requant);
            if self.is_modulation() {
                checker.same(1, factor.positions() as u32);
                checker.same(2 * u32::from(out.channels), factor.channels.into());
            } else {
                let beside = Beside::of(factor, out).is_some();
                checker.ensure(
                    beside,
                    Fault::Shape {
                        expected: out.channels.into(),
                        found: factor.channels.into(),
                    },
                );
            }
        }
        if let Some(of) = self.addend {
            checker.finite(of.mult_float);
            match (of.tensor, self.factor) {
                (Some(_), _) if addend.positions() == 1 => checker.same(out.channels.into(), addend.channels.into())?,
                (Some(_), _) => checker.alike(out, addend)?,
                (None, Some(_)) => {}
                (None, None) => checker.fail(Fault::Parameter)?,
            }
        }
        checker.ensure(
            checker.context.is_float() || (1..=62).contains(&self.shift),
            Fault::Requant,
        );
        checker.finite(self.one_float)
    }
}

impl Table {
    fn check(&self, checker: &Checker<'_, '_>, src: Dtype, stored: bool) -> Check {
        let segments = (1..=15).contains(&self.segment_bits);
        checker.ensure(
            segments != (src == Dtype::I8) && self.segment_bits <= 15,
            Fault::Parameter,
        )?;
        match src {
            Dtype::I8 if stored => checker.table::<i8>(self.at, 256).map(drop),
            Dtype::I8 => checker.table::<i16>(self.at, 256).map(drop),
            Dtype::I16 => checker
                .table::<i16>(self.at, (1 << 16 >> self.segment_bits) + 1)
                .map(drop),
            _ => checker.finite_f32(checker.table(self.at, 2 * ((1 << 15 >> self.segment_bits) + 1))?),
        }
    }
}

impl Operator for Pointwise {
    const NAME: &'static str = "pointwise";
    const FEATURE: Option<Feature> = Some(Feature::Pointwise);

    #[inline(always)]
    fn read(r: &mut Reader<'_>) -> Self {
        Self {
            src: r.tensor(),
            out: r.tensor(),
            table: r.flag().then(|| Table {
                at: r.at(),
                segment_bits: r.u8(),
            }),
            affine: r.flag().then(|| Affine {
                one: r.i32(),
                one_float: r.f32(),
                shift: r.u8(),
                factor: r.flag().then(|| Factor {
                    tensor: r.tensor(),
                    requant: r.requant(),
                }),
                addend: r.flag().then(|| Addend {
                    tensor: r.flag().then(|| r.tensor()),
                    mult: r.i32(),
                    mult_float: r.f32(),
                }),
            }),
        }
    }

    #[inline(always)]
    fn slots(&self, slots: &mut Slots) {
        slots.unary(self.src, self.out);
        if let Some(affine) = &self.affine {
            slots.tensors[slot::SECOND] = affine.factor.map(|factor| factor.tensor);
            slots.tensors[slot::THIRD] = affine.addend.and_then(|addend| addend.tensor);
        }
        slots.in_place = slot::FIRST;
    }

    #[inline(always)]
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
        let [out, _, _, src, ..] = &checker.tensors;
        checker.alike(src, out);
        if let Some(table) = &self.table {
            let stored = self.affine.is_none() && out.dtype == Dtype::I8;
            table.check(checker, src.dtype, stored)?;
        }
        match &self.affine {
            Some(affine) => affine.check(checker),
            // A value of a table is no output of a network.
            None => checker.ensure(self.table.is_some() && out.dtype != Dtype::Q24, Fault::Parameter),
        }
    }

    #[inline(always)]
    fn gives_output(&self) -> bool {
        true
    }

    #[inline(never)]
    fn run_integer(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        integer::pointwise(self, context, r)
    }

    fn run_f16(&self, context: &Context<'_>, _: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        float::pointwise(self, context, r)
    }
}
