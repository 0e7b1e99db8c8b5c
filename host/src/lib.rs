//! Mote on the desktop. The float graph with its samplers is `mote_graph`, training is `mote_train`; both are re-exported here.
//!
//! - [`engine`]: the runtime's operators with kernels for this processor, bit for bit the same; [`calibrate`], [`record`] and [`memory`] are
//!   parts of it.
//! - [`chain`]: the binomial and Gaussian chains of 2015, trained here.
//! - [`oracle`]: a second implementation of the numeric contract, from its text.
//! - [`cuda`]: the same on an NVIDIA GPU, many samples at once, to the same bits; and the float network there, within a tolerance.

pub mod chain;

pub use mote_cuda as cuda;
pub use mote_engine as engine;
pub use mote_engine::{calibrate, memory, record};
pub use mote_graph::{config, ddpm, draws, float, graph, ops, predictor, schedule, sde};
pub use mote_oracle as oracle;
pub use mote_train as train;
