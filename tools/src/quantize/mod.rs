//! The quantizer: which number format every tensor gets, and the integers that go with it.
//!
//! [`scheme`] says what a user can ask for; [`formats`] turns calibration statistics into scales and zero points; [`weights`]
//! rounds the weights; [`round`] those of 4 bits, against the [`moments`] of what they meet; [`int4`] says which those are; [`probe`] predicts what an error does to the image; [`auto`] measures sensitivity and spends memory where it counts; [`factor`] writes real factors as
//! the contract's multiplier and shift; [`trained`] takes what a checkpoint was trained with.

pub mod auto;
pub mod context;
pub mod factor;
pub mod formats;
pub mod int4;
pub mod moments;
pub mod probe;
pub mod products;
pub mod round;
pub mod scheme;
pub mod trained;
pub mod weights;
