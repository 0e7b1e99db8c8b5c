//! Tests of the schedule: diffusers' timesteps, and DDIM trajectories against `f64`.

extern crate std;

mod forms;
mod golden;
mod reference;
mod spacing;
mod trajectories;
