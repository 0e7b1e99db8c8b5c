//! The quantizer: which number format every tensor gets, and the integers that go with it.
//!
//! [`scheme`] says what a user can ask for; [`formats`] turns calibration statistics into scales and zero points; [`weights`]
//! rounds the weights; [`probe`] predicts what an error does to the image; [`auto`] measures sensitivity and spends memory where it counts; [`factor`] writes real factors as
//! the contract's multiplier and shift.

pub mod auto;
pub mod context;
pub mod factor;
pub mod formats;
pub mod probe;
pub mod scheme;
pub mod weights;
