//! The runtime against the oracle, bit for bit: the state after every step and every operator's output.
//!
//! [`checkpoints`] takes the two bundled networks through every scheme; [`synthetic`] runs random programs with the operators
//! and the ways of sampling that those two do not have; [`windows`] has convolutions of every shape; [`mutations`] breaks one rounding and shows that it is found; [`functions`] compares
//! scalar functions over far more arguments; [`independence`] shows that the oracle knows nothing of the runtime.

mod builder;
mod checkpoints;
mod compare;
mod functions;
mod independence;
mod mutations;
mod pointwise;
#[path = "../engine/programs.rs"]
#[allow(dead_code)]
mod programs;
mod synthetic;
mod windows;
