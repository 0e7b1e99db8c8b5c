//! The contract's scalar functions, written again from `NUMERICS.md` with wide integers and no regard for speed.

pub mod digest;
pub mod half;
pub mod noise;
pub mod pixels;
pub mod roots;
pub mod rounding;
pub mod sigmoid;
pub mod sine;
pub mod soft;
pub mod tables;
