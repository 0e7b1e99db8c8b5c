//! Mote's runtime: a diffusion sampler without heap, operating system or unsafe code.
#![no_std]

pub mod numeric;
pub mod schedule;
