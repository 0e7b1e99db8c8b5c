//! The records of operators: [`crate::ops`].

pub use crate::ops::{
    Addend, At, Attention, AvgPool, ClassEmbed, Conv, GroupNorm, Input, NormConv, Op, Readout, Silu, Softmax, Source,
    TimeProj, Upsample, Weights,
};
