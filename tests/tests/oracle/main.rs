//! The runtime against the oracle, bit for bit: the state after every step and every operator's output.
//!
//! [`checkpoints`] takes the two bundled networks through every scheme; [`synthetic`] runs random programs with the operators
//! and the ways of sampling that those two do not have; [`mutations`] breaks one rounding and shows that it is found.

mod builder;
mod checkpoints;
mod compare;
mod mutations;
mod synthetic;
