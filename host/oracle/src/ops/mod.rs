//! The operators, a file each: what the record holds, and what it means in integers and in f16.
//!
//! [`KINDS`] is the one list. An operator that is not in it is refused by its name in the file and its number; `tests/tests/coverage.rs`
//! holds the list to the runtime's.

mod attention;
mod avg_pool;
mod band;
mod class_embed;
mod condition;
mod constant;
mod conv;
mod group_norm;
mod grouped;
mod input;
mod linear_attention;
mod norm;
mod norm_conv;
mod pointwise;
mod pool;
mod readout;
mod rearrange;
mod rows;
mod silu;
mod softmax;
mod source;
mod time_proj;
mod upsample;

pub use condition::ConditionShape;

use std::fmt::Debug;

use crate::file::File;
use crate::file::reader::{Factor, Reader};
use crate::file::tensor::{Dtype, Tensor, TensorId};
use crate::planes::Planes;
use crate::scalar::half::load;
use crate::scalar::rounding::{Rounding, saturate};

/// An operator of a model: its record, with what it has in the weights section by value.
pub trait Operator: Debug + Send + Sync {
    /// The activation that it makes.
    fn out(&self) -> TensorId;

    /// Runs it in an integer model, on integers with the zero point removed.
    fn integer(&self, at: &Context<'_>) -> Option<Planes<i64>>;

    /// Runs it in an f16 model: f16 bits in and out, f32 arithmetic in the stated order.
    fn float(&self, at: &Context<'_>) -> Option<Planes<i64>>;

    /// The vector that a run must give it.
    fn condition(&self) -> Option<ConditionShape> {
        None
    }
}

/// A kind of operator.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The name that reports give it.
    pub name: &'static str,
    /// Reads a record; `None` where it is not one that a checked model has.
    pub read: fn(&mut Reader<'_>, &File<'_>) -> Option<Box<dyn Operator>>,
}

/// Every kind, by its number in the file.
pub const KINDS: [Kind; 22] = [
    input::KIND,
    time_proj::KIND,
    class_embed::KIND,
    silu::KIND,
    conv::KIND,
    group_norm::KIND,
    attention::KIND,
    upsample::KIND,
    avg_pool::KIND,
    norm_conv::KIND,
    readout::KIND,
    softmax::KIND,
    norm::KIND,
    pointwise::KIND,
    condition::KIND,
    rearrange::KIND,
    linear_attention::KIND,
    attention::CROSS,
    pool::KIND,
    constant::KIND,
    band::KIND,
    grouped::KIND,
];

/// What the network is called with.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What the network sees, Q24, `(row, col, channel)`.
    pub x_q24: &'a [i32],
    /// Training timestep, Q16.
    pub time_q16: u32,
    /// Row of the class table.
    pub class: u16,
    /// The condition vector; `None` where the model takes none, or where it is dropped.
    pub condition: Option<&'a [i32]>,
}

/// What an operator runs on: the call, the activations that are there, and the record of the one that it makes.
#[derive(Debug)]
pub struct Context<'a> {
    /// Activations by their index.
    pub values: &'a [Option<Planes<i64>>],
    /// The output's record.
    pub out: Tensor,
    /// The network's call.
    pub call: &'a Call<'a>,
    /// How this operator rounds.
    pub r: Rounding,
}

impl Context<'_> {
    /// An activation that an earlier operator has made.
    fn get(&self, id: TensorId) -> Option<&Planes<i64>> {
        self.values.get(usize::from(id.0))?.as_ref()
    }

    /// The same of an f16 model, as numbers.
    fn get_float(&self, id: TensorId) -> Option<Planes<f32>> {
        Some(self.get(id)?.map(load))
    }

    /// `(channel, row, col)` of the output.
    fn shape(&self) -> [usize; 3] {
        self.out.shape()
    }

    /// `v` by a factor.
    fn scaled(&self, factor: Factor, v: i64) -> i64 {
        self.r.requantize(v, factor.mult, factor.shift)
    }

    /// What is read back of the output after `v` was stored in an integer model.
    fn store(&self, v: i64) -> i64 {
        let zero = i64::from(self.out.zero_point);
        match self.out.dtype {
            Dtype::I8 => saturate((v + zero).into(), 8) - zero,
            Dtype::I16 => saturate(v.into(), 16),
            Dtype::F16 | Dtype::Q24 => v,
        }
    }

    /// The bits that are stored of `v` in an f16 model.
    fn store_float(&self, v: f32) -> i64 {
        crate::scalar::half::store(v, self.r.broken)
    }
}
