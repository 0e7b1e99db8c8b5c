//! Which width every tensor gets.
//!
//! [`eight_bit`] gives int8 to what convolutions read. [`int4`] gives 4 bits to the weights that matter least. [`auto`] measures how much
//! each tensor matters, and spends memory where it counts. The last two try assignments: [`trial`] makes the model of one, and [`probe`]
//! predicts what its error does to the image. [`refined`] exchanges widths by that error where no arena may grow.

pub mod auto;
pub mod eight_bit;
pub mod int4;
pub mod probe;
pub mod refined;
pub mod trial;
