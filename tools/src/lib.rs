//! From a trained checkpoint to a model file, and everything that is asked about either.
//!
//! The stages, in the order that data takes:
//!
//! 1. [`import`]: a checkpoint's folder becomes a float graph and a noise schedule.
//! 2. [`lower`]: the graph becomes a list of fused steps.
//! 3. [`quantize`]: calibration becomes number formats.
//! 4. [`plan`]: lifetimes become arena offsets; [`emit`]: everything becomes the bytes of a `.mote` file, [`emit::planned`] those of
//!    one for a single run.
//! 5. [`convert`] runs 1 to 4.
//!
//! Before them all: [`data`] reads images and [`train`] makes a checkpoint of them.
//! [`chain`] does the same for a diffusion chain of 2015, which is trained here.
//!
//! What is asked afterwards: [`backend`] runs a model file on this machine, on simulated boards and by an independent
//! implementation; [`validate`] compares them bit by bit, and with the float network; [`crosscheck`] compares the float network with
//! PyTorch. [`kernels`] counts what single operators cost on a board. [`report`] draws it all as one page. [`images`], [`tensors`] and [`names`] read and write what goes in and out.

pub mod backend;
pub mod chain;
pub mod convert;
pub mod crosscheck;
pub mod data;
pub mod emit;
pub mod files;
pub mod images;
pub mod import;
pub mod kernels;
pub mod lower;
pub mod names;
pub mod plan;
pub mod quantize;
pub mod report;
pub mod tensors;
pub mod train;
pub mod validate;
