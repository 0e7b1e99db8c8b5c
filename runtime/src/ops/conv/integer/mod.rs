//! Integer convolution: columns of im2col of int16, dot products, one rounding.
//!
//! `acc = bias + sum over taps of w * (q - zero_point)`; `out = requantize(acc)`, or with an addend
//! `out = (requantize(acc) + requantize(addend) + 2^(g-1)) >> g` with `g = ADD_GUARD_BITS`. Padding contributes 0.
//!
//! `blocks` has quick ways for the shapes that are common; `compact`, in its place where the part `fast` is left out, has one for all.

#[cfg(feature = "fast")]
mod blocks;
#[cfg(feature = "fast")]
mod columns;
#[cfg(not(feature = "fast"))]
mod compact;
#[cfg(feature = "fast")]
mod strips;
#[cfg(feature = "fast")]
mod vector;

#[cfg(feature = "fast")]
pub use blocks::conv;
#[cfg(not(feature = "fast"))]
pub use compact::conv;
