//! What kernels are given of a function of every element.

/// A function of int16: the ends of its segments of `2^bits` inputs, from -32768 to 32768.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// One more than there are segments.
    pub ends: &'a [i16],
    /// 1 to 15.
    pub bits: u32,
}

/// `(t * mult + half) >> shift` in 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescale {
    /// At most 2^15 in magnitude.
    pub mult: i32,
    /// Half a unit of the result.
    pub half: i32,
    /// At most 30.
    pub shift: u32,
}

impl Rescale {
    /// The value as it is.
    pub const NONE: Self = Self {
        mult: 1,
        half: 0,
        shift: 0,
    };
}
