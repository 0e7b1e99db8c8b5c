//! Mote's runtime: a diffusion sampler for devices without heap, operating system or floating-point unit.
//!
//! A device needs the names at this crate's root. In the order of a run:
//!
//! 1. [`Model::parse`] checks a model file once and borrows it in place. Errors say what is wrong and where ([`ParseError`]).
//! 2. [`Arena`] is all the memory that a run uses; the caller owns it. [`arena_bytes`] says how much that is.
//! 3. [`Config`] is what is chosen at run time: steps, [`Method`], seed, class, guidance. [`Config::of`] begins with the model's own.
//!    A model that is conditioned on a vector gets it from [`Sampler::condition`].
//! 4. [`Sampler::step`] runs the network once and moves the state. [`Step::digest`] tells two runs apart; a run can be saved
//!    ([`Sampler::snapshot`]) and taken up again ([`Sampler::resume`]).
//! 5. [`Sampler::image`] gives the pixels.
//!
//! A `static` or a state machine holds a [`Run`] instead: model and memory in one, for one image after the other, a few operators a
//! call where a step is too long.
//!
//! ```
//! use mote_runtime::{Aligned, Arena, Config, Model, Sampler, Start};
//!
//! static MODEL: Aligned<[u8; 12_432]> = Aligned(*include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tiny.mote")));
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
//! `examples/image.rs` does this on a desktop.
//!
//! Cargo features leave out what a device's models do not use: [`Feature`]. None changes a result.
//!
//! Behind these names stand layers, each of which knows only those before it: numbers, tensors, kernel families, operators, the model
//! file, the schedule, the sampler. Mote's own engines, tools and tests reach them through one door, [`internals`].
//!
//! Nothing here allocates or panics on input. Unsafe code is in the kernel families' files alone (`src/family`), and on a
//! desktop nowhere; [`Model::parse_trusted`] is unsafe to call. What every number means, bit for bit, is in `NUMERICS.md`.
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(target_endian = "big")]
compile_error!("model files are read in place and are little-endian");

#[doc(hidden)]
pub mod digest;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod family;
#[doc(hidden)]
pub mod features;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod numeric;
#[doc(hidden)]
pub mod ops;
#[doc(hidden)]
pub mod sampler;
#[doc(hidden)]
pub mod schedule;
#[doc(hidden)]
pub mod tensor;

pub use error::{Fault, ParseError, RunError, Section};
pub use features::Feature;
pub use model::Model;
pub use model::exec::{Network, Observer, Portable, Unobserved};
pub use model::pair::{Join, Pair, pair_bytes};
pub use model::sampling::{Clip, Method, PrevRule, Spacing};
#[cfg(feature = "streamed")]
pub use model::streamed::{Blocking, ReadFailed, Streamed, WeightReader, stream_bytes};
pub use sampler::{
    Apart, Config, Memory, Pending, Poll, Run, Sampler, Start, Step, StepObserver, arena_bytes, state_arena_bytes,
};
pub use tensor::arena::{Aligned, Arena};

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The one door to what stands behind the names at the root: for Mote's own engines, tools and tests.
///
/// Outside of semantic versioning: anything here may change with any version. In the order of the layers:
///
/// | module | what |
/// |---|---|
/// | `features`, `error`, `digest` | parts of this build, what can be wrong, digests of states |
/// | `numeric` | the scalar functions of the numeric contract |
/// | `tensor` | records, views and memory of activations |
/// | `family` | kernels, one family a kind of core |
/// | `ops` | operators: one home each, and the list of them |
/// | `model` | the model file and its network call |
/// | `schedule` | timesteps and rows of coefficients |
/// | `sampler` | from rows to states |
pub mod internals {
    pub use crate::{digest, error, family, features, model, numeric, ops, sampler, schedule, tensor};
}
