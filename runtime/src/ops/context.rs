//! What an operator is given beside its record and its memory.

use super::{At, Given};
use crate::features::Feature;
use crate::tensor::{Record, Tensor, TensorId, record};

/// What operators know of the file that they stand in.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Records of the activations.
    pub(crate) tensors: &'a [Record],
    /// The weights section.
    pub(crate) weights: &'a [u8],
    /// Whether numbers are floats; [`Context::is_float`].
    pub(crate) float: bool,
    /// Whether the weights of convolutions lie in another file; [`Context::apart`].
    #[cfg(feature = "streamed")]
    pub(crate) apart: bool,
}

impl<'a> Context<'a> {
    /// Whether numbers are floats; a constant where the other arithmetic is left out.
    #[inline(always)]
    pub(crate) fn is_float(&self) -> bool {
        Feature::F16.is_built() && (!Feature::Integer.is_built() || self.float)
    }

    /// Bytes and CRC-32 of the file of weights, where those of convolutions lie in another file: the first words of the weights section. A
    /// constant where no build has such models.
    #[inline(always)]
    pub(crate) fn apart(&self) -> Option<[u32; 2]> {
        #[cfg(feature = "streamed")]
        if self.apart {
            let words = self.table(At(0), 2).and_then(<[u32]>::first_chunk);
            return Some(words.copied().unwrap_or_default());
        }
        None
    }

    /// One activation's record.
    #[inline(always)]
    pub(crate) fn record(&self, id: Option<TensorId>) -> Option<&'a Record> {
        record(self.tensors, id)
    }

    /// One activation; one of nothing where there is no such.
    #[inline(always)]
    pub(crate) fn known(&self, id: TensorId) -> Tensor {
        Tensor::known(self.record(Some(id)).unwrap_or(&Tensor::NONE))
    }

    /// `count` values of `T` from the weights section; `None` when out of bounds or misaligned.
    pub fn table<T: bytemuck::AnyBitPattern>(&self, at: At, count: usize) -> Option<&'a [T]> {
        bytemuck::try_cast_slice(self.span(at, count.checked_mul(size_of::<T>())?)?).ok()
    }

    #[inline(never)]
    fn span(&self, at: At, len: usize) -> Option<&'a [u8]> {
        self.weights.split_at_checked(at.0 as usize)?.1.get(..len)
    }
}

/// What the network is called with.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// x_t in Q24, `(row, col, channel)`.
    pub x_q24: &'a [i32],
    /// The network sees the state times this, Q30, at most 1.
    pub input_q30: i32,
    /// Training timestep, Q16.
    pub time_q16: u32,
    /// Class label; read only by conditional models.
    pub class: u16,
    /// Condition vector; read only by models that take one.
    pub given: Given<'a>,
}

impl<'a> Call<'a> {
    /// With the state as it is, at a training timestep.
    pub const fn at(x_q24: &'a [i32], timestep: u32, class: u16) -> Self {
        Self {
            x_q24,
            input_q30: 1 << 30,
            time_q16: timestep << 16,
            class,
            given: Given::NONE,
        }
    }

    /// With a condition vector, in the model's fixed point.
    #[must_use]
    pub const fn with_condition(self, vector: &'a [i32]) -> Self {
        Self {
            given: Given::of(vector),
            ..self
        }
    }

    /// The whole part of its timestep.
    #[inline(always)]
    pub const fn timestep(&self) -> u32 {
        self.time_q16 >> 16
    }

    /// The elements that the network sees: rounded half up where the state is scaled.
    #[inline(always)]
    pub(crate) fn input(&self) -> impl Iterator<Item = i32> + use<'a> {
        let factor_q30 = i64::from(self.input_q30);
        self.x_q24.iter().map(move |&x_q24| {
            if Feature::Continuous.is_built() {
                ((i64::from(x_q24) * factor_q30 + (1 << 29)) >> 30) as i32
            } else {
                x_q24
            }
        })
    }
}
