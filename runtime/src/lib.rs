//! Mote's runtime: a diffusion sampler for devices without heap, operating system or floating-point unit.
//!
//! The stages, in the order that data takes:
//!
//! 1. [`model`]: a model file is checked once and borrowed in place ([`Model::parse`]).
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

pub mod digest;
pub mod error;
pub mod family;
pub mod features;
pub mod model;
pub mod numeric;
pub mod ops;
pub mod sampler;
pub mod schedule;
pub mod tensor;

pub use error::{Fault, ParseError, RunError, Section};
pub use features::Feature;
pub use model::Model;
pub use model::exec::{Network, Observer, Portable, Unobserved};
pub use sampler::{Config, Method, Sampler, Start, Step, StepObserver};
pub use tensor::arena::{Aligned, Arena};

/// Earlier paths.
#[doc(hidden)]
pub mod blob {
    pub use crate::model::sampling;
    pub use crate::model::{FORMAT_VERSION, MAGIC, SECTIONS, crc, header, layout, plan};
    pub use crate::ops::conv::proof;
    pub use crate::tensor::{self, int4};
    pub mod op {
        pub use crate::ops::*;
    }
    pub mod io {
        pub use crate::tensor::slots::{Slots as Io, slot};
    }
    pub mod model {
        pub use crate::model::{Model, Ops};
    }
}

/// Earlier paths.
#[doc(hidden)]
pub mod exec {
    pub use crate::model::exec::*;
}

/// Earlier paths.
#[doc(hidden)]
pub mod arena {
    pub use crate::tensor::arena::*;
}

/// Earlier paths.
#[doc(hidden)]
pub mod kernels {
    pub use crate::family;
    pub use crate::model::scratch_bytes;
    pub use crate::ops::attention::attention_scratch_bytes;
    pub use crate::ops::conv::conv_scratch_bytes;
    pub use crate::ops::norm::group_norm_scratch_bytes;
    pub use crate::tensor::view;
    pub mod conv {
        pub use crate::family::{Addition, Filter, Part};
        pub use crate::ops::conv::Geometry;
        pub use crate::ops::conv::integer::conv;
    }
    pub mod f16 {
        pub use crate::numeric::float::{from_q24, load, store, to_q24};
        pub mod conv {
            pub use crate::ops::conv::float::*;
        }
        pub mod attention {
            pub use crate::ops::attention::float::*;
        }
        pub mod group_norm {
            pub use crate::ops::norm::float::*;
        }
    }
}
