//! The numeric contract: every scalar function that the integer and the float path are made of.
//!
//! `NUMERICS.md` defines each of them in integer arithmetic and states its measured error. All are total: no input
//! panics or overflows. A change of a single output bit of any of them raises [`NUMERIC_VERSION`].
//!
//! A few have a second way beside the quick one, for a build without the part `fast`: no table, or a smaller one, and no division or
//! count of leading zeros, which small cores have as library code. A test of each holds the two to each other.

pub mod divide;
pub mod exp2;
pub mod float;
pub mod log;
pub mod normal;
pub mod philox;
pub mod product;
pub mod requant;
pub mod rsqrt;
pub mod scaled;
pub mod sigmoid;
#[cfg(any(mote_sigmoid_lines, test))]
pub(crate) mod sigmoid_lines;
pub mod sine;
#[cfg_attr(not(feature = "fast"), path = "small_requant_plain.rs")]
mod small_requant;
pub mod table;

#[cfg(test)]
pub(crate) mod tests;

/// Version of the numeric contract. It is stored in every model file; a runtime refuses one that it does not implement.
pub const NUMERIC_VERSION: u16 = 1;
