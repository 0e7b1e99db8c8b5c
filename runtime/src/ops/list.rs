//! The list of operators: from it follow the enum, the decoder, and every dispatch. An operator's place in it is its number in a file.

use crate::ops::{Call, Context};
use serde::{Deserialize, Serialize};

use super::check::{Check, Checker};
use super::reader::Reader;
use super::{
    Attention, AvgPool, Band, ClassEmbed, Condition, Constant, Conv, CrossAttention, GroupNorm, Grouped, Input,
    LinearAttention, Norm, NormConv, Operator, Pointwise, Pool, Readout, Rearrange, Silu, Softmax, TimeProj, Upsample,
    is_built,
};
use crate::error::Fault;
use crate::features::Feature;
use crate::tensor::regions::Regions;
use crate::tensor::slots::{Slots, slot};
use crate::tensor::{Tensor, TensorId};

// An operator that is listed with `in` and its part is no variant of a build without it, where no dispatch has a place for it: not a byte
// is linked for it.
macro_rules! operators {
    ($($(#[$doc:meta])* $name:ident $(in $part:literal)?,)*) => {
        /// One operator.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        pub enum Op {
            $($(#[$doc])* $(#[cfg(feature = $part)])? $name($name),)*
        }

        /// The operators' numbers in a file: their places in the list.
        #[allow(non_upper_case_globals, reason = "named like the operators")]
        mod number {
            enum Place {
                $($name,)*
            }
            $(pub const $name: u32 = Place::$name as u32;)*
        }

        impl Op {
            /// Names of all kinds, by their numbers in a file.
            pub const KINDS: &'static [&'static str] = &[$($name::NAME,)*];

            /// Name of the kind, for reports.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(_) => $name::NAME,)*
                }
            }

            /// The next operator of a file. The reader fails at the end, where there is none, and where it needs what is not built
            /// ([`Op::missing`]).
            #[inline(never)]
            pub fn read(r: &mut Reader<'_>) -> Self {
                match r.u32() {
                    $($(#[cfg(feature = $part)])? number::$name if is_built::<$name>() => Self::$name($name::read(r)),)*
                    _ => {
                        r.fail();
                        Self::none()
                    }
                }
            }

            /// What the next operator of a file needs and this build does not have.
            pub fn missing(mut r: Reader<'_>) -> Option<Feature> {
                let feature = match r.u32() {
                    $(number::$name => $name::FEATURE?,)*
                    _ => return None,
                };
                Some(feature).filter(|feature| !feature.is_built())
            }

            /// The convolution in it, if there is one.
            #[inline(always)]
            pub fn conv(&self) -> Option<&Conv> {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => op.conv(),)*
                }
            }

            /// Whether its output may be the network's.
            #[inline(always)]
            pub(crate) fn gives_output(&self) -> bool {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => is_built::<$name>() && op.gives_output(),)*
                }
            }

            /// Whether it may read Q24.
            #[inline(always)]
            pub(crate) fn moves(&self) -> bool {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => is_built::<$name>() && op.moves(),)*
                }
            }

            /// The group normalization in it, if there is one.
            #[inline(always)]
            pub fn norm(&self) -> Option<&GroupNorm> {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => op.norm(),)*
                }
            }

            /// Whether it needs a part of the runtime.
            #[inline(always)]
            pub fn needs(&self, feature: Feature) -> bool {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => op.needs(feature),)*
                }
            }

            // Of what is not built no operator is decoded: nothing below is linked for it.

            /// Apart, so that each tensor is stored where it belongs and no other is looked at.
            #[inline(never)]
            fn touched(&self, slots: &mut Slots) {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => if is_built::<$name>() { op.slots(slots) },)*
                }
            }

            /// [`Operator::check`].
            #[inline(never)]
            pub(crate) fn check(&self, checker: &mut Checker<'_, '_>) -> Check {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => if is_built::<$name>() {
                        op.check(checker)
                    } else {
                        checker.fail(Fault::Decode)
                    },)*
                }
            }

            /// [`Operator::scratch_bytes`].
            #[inline(always)]
            pub(crate) fn scratch_needed(&self, float: bool, tensors: &[Tensor; slot::COUNT]) -> usize {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => if is_built::<$name>() { op.scratch_bytes(float, tensors) } else { 0 },)*
                }
            }

            /// [`Operator::run_integer`].
            pub(crate) fn run_integer(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => if $name::SMALL {
                        self.run_small(context, call, r)
                    } else if is_built::<$name>() {
                        op.run_integer(context, call, r)
                    } else {
                        None
                    },)*
                }
            }

            /// [`Operator::run_integer`] of the small ones. Apart from the others, whose stack it would enlarge.
            #[inline(never)]
            fn run_small(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
                let out = &mut r.output()?;
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => if $name::SMALL && is_built::<$name>() {
                        op.write_integer(context, call, r, out)
                    } else {
                        None
                    },)*
                }
            }

            /// [`Operator::run_f16`].
            pub(crate) fn run_f16(&self, context: &Context<'_>, call: &Call<'_>, r: &mut Regions<'_, '_>) -> Option<()> {
                match self {
                    $($(#[cfg(feature = $part)])? Self::$name(op) => if is_built::<$name>() { op.run_f16(context, call, r) } else { None },)*
                }
            }
        }
    };
}

operators! {
    /// The sampler's x_t brought to the network's input format.
    Input,
    /// Sinusoidal timestep features.
    TimeProj,
    /// A row of a class embedding table.
    ClassEmbed,
    /// SiLU alone.
    Silu,
    /// Convolution, or a linear layer.
    Conv,
    /// Group normalization.
    GroupNorm,
    /// Attention.
    Attention,
    /// Nearest-neighbour x2, where no convolution absorbs it.
    Upsample,
    /// Mean over 2x2 windows.
    AvgPool,
    /// A group normalization inside the one convolution that reads it (integer models).
    NormConv,
    /// A convolution with weights by timestep.
    Readout,
    /// Softmax over the channels of each position.
    Softmax,
    /// A normalization over the channels of each position, or one that is not centred.
    Norm,
    /// A function of every element, a factor, an addend.
    Pointwise,
    /// The vector that a run is given.
    Condition in "condition",
    /// Elements in other places.
    Rearrange in "rearrange",
    /// Attention whose cost grows with the number of positions.
    LinearAttention in "linear-attention",
    /// Attention over other positions, and over constant rows.
    CrossAttention in "cross-attention",
    /// Means and maxima over windows.
    Pool in "pool",
    /// A table of the file, alone or added to an activation.
    Constant in "constant",
    /// Some rows of an activation, or of two that follow each other.
    Band in "decoder",
    /// A convolution in groups, depthwise included.
    Grouped in "grouped",
}

impl Op {
    /// What stands where no operator could be read. Not a constant: all its bytes would be in flash.
    #[inline(always)]
    fn none() -> Self {
        Self::Upsample(Upsample {
            src: TensorId(0),
            out: TensorId(0),
        })
    }

    /// The tensors that it reads and writes.
    #[inline(never)]
    pub fn slots(&self) -> Slots {
        let mut slots = Slots::NONE;
        self.touched(&mut slots);
        slots
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::numeric::philox::philox4x32;
    use std::vec::Vec;

    fn encoded(record: &impl serde::Serialize) -> Vec<u8> {
        let mut buffer = [0; 256];
        postcard::to_slice(record, &mut buffer)
            .expect("records are short")
            .to_vec()
    }

    /// Bytes of which most are small, as in records, and some continue a number or are whatever.
    pub(crate) fn bytes(seed: u32) -> Vec<u8> {
        let word = |i: u32| philox4x32([i, 0, 0, 0], [seed, 0]);
        let byte = |i: u32| match word(i) {
            [kind, byte, ..] if kind % 16 == 0 => byte as u8,
            [kind, byte, ..] if kind % 16 < 3 => byte as u8 | 0x80,
            [kind, byte, ..] if kind % 16 == 3 => byte as u8 & 3,
            [_, byte, ..] => byte as u8 & 1,
        };
        // One more than there are.
        let kind = word(1000)[0] as u8 % (Op::KINDS.len() as u8 + 1);
        core::iter::once(kind).chain((0..140).map(byte)).collect()
    }

    #[test]
    fn operators_are_read_as_postcard_reads_them() {
        let mut read = [0; Op::KINDS.len()];
        let mut refused = 0;
        for seed in 0..200_000 {
            let bytes = bytes(seed);
            // All of them, and cut anywhere.
            for bytes in [&bytes[..], &bytes[..seed as usize % bytes.len()]] {
                let expected = postcard::take_from_bytes::<Op>(bytes).ok();
                let mut reader = Reader::new(bytes);
                let found = Op::read(&mut reader);
                let found = (!reader.failed()).then(|| (found, reader.rest()));
                // By their bytes, so that a float that is no number equals itself.
                let whole = |(op, rest): (Op, &[u8])| (encoded(&op), rest.len());
                assert_eq!(found.map(whole), expected.map(whole), "{bytes:x?}");
                match expected {
                    Some(_) => read[usize::from(bytes[0])] += 1,
                    None => refused += 1,
                }
            }
        }
        assert!(read.iter().all(|&n| n > 1000) && refused > 1000, "{read:?}, {refused}");
    }
}
