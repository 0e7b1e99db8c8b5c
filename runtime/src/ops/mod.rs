//! Operators: what a network is made of. Each has one home here, a file or a folder: its record in the model file, the tensors that it
//! touches, its checks, the part of the runtime that it belongs to, and what it computes in either arithmetic.
//!
//! [`list`] names them all. A new operator is a struct that implements [`Operator`] and one line there; the compiler asks for the rest.

pub mod attention;
pub mod band;
pub mod check;
pub mod class_embed;
pub mod condition;
pub mod constant;
pub mod context;
pub mod conv;
pub mod input;
pub mod list;
pub mod norm;
pub mod norm_conv;
pub mod pointwise;
pub mod pool;
pub mod reader;
pub mod readout;
pub mod rearrange;
pub mod silu;
pub mod softmax;
pub mod time_proj;
pub mod upsample;
pub mod windows;

pub use attention::{Attention, CrossAttention, LinearAttention};
pub use band::Band;
pub use class_embed::ClassEmbed;
pub use condition::{Condition, Given};
pub use constant::Constant;
pub use context::{Call, Context};
pub use conv::grouped::Grouped;
pub use conv::{Addend, Conv, Source, Weights};
pub use input::Input;
pub use list::Op;
pub use norm::{GroupNorm, Norm};
pub use norm_conv::NormConv;
pub use pointwise::Pointwise;
pub use pool::AvgPool;
pub use readout::Readout;
pub use rearrange::Rearrange;
pub use silu::Silu;
pub use softmax::Softmax;
pub use time_proj::TimeProj;
pub use upsample::Upsample;
pub use windows::Pool;

use serde::{Deserialize, Serialize};

use crate::features::Feature;
use crate::tensor::Tensor;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::view::ViewMut;
use check::{Check, Checker};
use reader::Reader;

/// A byte offset into the weights section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At(pub u32);

/// An operator: its record, and all that the runtime does with it.
///
/// The record's fields are written by postcard in their order; [`Operator::read`] reads them in that order.
pub trait Operator: Sized {
    /// Name of the kind, for reports.
    const NAME: &'static str;

    /// The part of the runtime that it belongs to; `None` where every model may need it.
    const FEATURE: Option<Feature> = None;

    /// Whether it runs in the frame that small operators share: one of its own would be code, and under a convolution stack.
    const SMALL: bool = false;

    /// Its record. The reader fails where there is none.
    fn read(r: &mut Reader<'_>) -> Self;

    /// The tensors that it reads and writes, by [`slot`].
    fn slots(&self, slots: &mut Slots);

    /// Everything about it that slots, lifetimes and memory do not say.
    fn check(&self, checker: &mut Checker<'_, '_>) -> Check;

    /// Scratch bytes without which it cannot run; `tensors` are its own by [`slot`].
    #[inline(always)]
    fn scratch_bytes(&self, _float: bool, _tensors: &[Tensor; slot::COUNT]) -> usize {
        0
    }

    /// Whether it needs a part of the runtime.
    #[inline(always)]
    fn needs(&self, feature: Feature) -> bool {
        Self::FEATURE == Some(feature)
    }

    /// Runs it in integers; `None` where its memory does not fit, which a validated model rules out.
    #[inline(always)]
    fn run_integer(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
        const { assert!(Self::SMALL, "an operator that is not small says how it runs") }
        let out = &mut r.output()?;
        self.write_integer(context, call, r, out)
    }

    /// The same of a small one, whose output is found for it.
    #[inline(always)]
    fn write_integer(
        &self,
        context: &Context<'_>,
        call: &Call<'_>,
        r: &mut Regions<'_, '_>,
        out: &mut ViewMut<'_>,
    ) -> Option<()> {
        const { assert!(!Self::SMALL, "a small operator says how it writes") }
        let _ = (context, call, r, out);
        None
    }

    /// Runs it in f16; `None` where its memory does not fit.
    fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()>;

    /// The convolution in it.
    #[inline(always)]
    fn conv(&self) -> Option<&Conv> {
        None
    }

    /// Whether its output may be the network's, in Q24.
    #[inline(always)]
    fn gives_output(&self) -> bool {
        self.conv().is_some()
    }

    /// Whether it only moves its input's elements: it may move what becomes the network's output, in Q24.
    #[inline(always)]
    fn moves(&self) -> bool {
        false
    }

    /// The group normalization in it.
    #[inline(always)]
    fn norm(&self) -> Option<&GroupNorm> {
        None
    }
}

/// Whether this build has an operator. A constant, so that nothing of one that is left out is linked.
#[inline(always)]
pub(crate) const fn is_built<O: Operator>() -> bool {
    match O::FEATURE {
        Some(feature) => feature.is_built(),
        None => true,
    }
}
