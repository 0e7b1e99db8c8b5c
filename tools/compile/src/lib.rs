//! The compiler: a float graph becomes the bytes of a model file.
//!
//! These are the stages that data passes, in this order. A stage knows only those before it:
//!
//! 1. [`lower`]: the graph becomes a [`program`], a list of fused operators. [`ops`] holds the operators, a file each.
//! 2. [`quantize`]: calibration becomes number formats.
//! 3. [`plan`]: lifetimes become arena offsets.
//! 4. [`emit`]: everything becomes the bytes of a `.mote` file, [`emit::planned`] those of one for a single run.
//! 5. [`widths`]: models of several assignments are tried, to choose the width of every tensor.
//!
//! Importers come before (`mote_import`). `mote_tools::convert` runs them all, and is what users call.

pub mod emit;
pub mod lower;
pub mod ops;
pub mod plan;
pub mod program;
pub mod quantize;
pub mod widths;

mod cholesky;
mod fixed_point;

pub use fixed_point::FixedPoint;
