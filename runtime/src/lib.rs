//! Mote's runtime: a diffusion sampler for devices without heap, operating system or floating-point unit.
//!
//! The stages, in the order that data takes:
//!
//! 1. [`blob`]: a model file is checked once and borrowed in place ([`Model::parse`]).
//! 2. [`schedule`]: timesteps and the coefficients of a step, in fixed point; a file can hold those of one run instead ([`blob::plan`]).
//! 3. [`exec`]: one network call, operator by operator, over an arena that the caller owns.
//! 4. [`kernels`]: what each operator computes, on top of the scalar functions of [`numeric`].
//! 5. [`sampler`]: one step a call; a digest a step; snapshot and resume.
//!
//! ```no_run
//! use mote_runtime::{Aligned, Arena, Config, Model, Sampler, Start};
//!
//! static MODEL: Aligned<[u8; 0]> = Aligned([]); // Aligned(*include_bytes!("model.mote"))
//! let mut memory = Aligned([0u8; 9 * 1024]);
//!
//! let model = Model::parse(&MODEL.0)?;
//! let mut arena = Arena::new(&mut memory.0)?;
//! let config = Config { seed: 7, ..Config::of(model.header(), 20) };
//! let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed)?;
//! while let Some(step) = run.step()? {
//!     let _ = step.digest; // feed the watchdog, log, stop, save
//! }
//! let mut pixels = [0u8; 64];
//! run.image(&mut pixels)?;
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Cargo features leave out what a device's models do not use: [`features`]. None changes a result.
//!
//! Nothing here allocates or panics on input. Unsafe code is in the kernel families' files alone (`kernels/family`), and on a
//! desktop nowhere; [`Model::parse_trusted`] is unsafe to call. What every number means, bit for bit, is in `NUMERICS.md`.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("model files are read in place and are little-endian");

pub mod arena;
pub mod blob;
pub mod digest;
pub mod error;
pub mod exec;
pub mod features;
pub mod kernels;
pub mod numeric;
pub mod ops;
pub mod sampler;
pub mod schedule;

pub use arena::{Aligned, Arena};
pub use blob::model::Model;
pub use error::{Fault, ParseError, RunError, Section};
pub use exec::{Network, Observer, Portable, Unobserved};
pub use features::Feature;
pub use sampler::{Config, Method, Sampler, Start, Step, StepObserver};
