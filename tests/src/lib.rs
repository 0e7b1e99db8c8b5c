//! What the tests share. The tests themselves are in `tests/tests/`, a file a promise:
//!
//! | file | promise |
//! |---|---|
//! | `hostile_bytes.rs` | damaged, cut and foreign files are refused |
//! | `hostile_fields.rs` | files with wrong contents and right checksums are refused, or run without a panic |
//! | `determinism.rs` | the same checkpoint and options give the same bytes |
//! | `flow.rs` | flow matching: levels are diffusers', rows the equations, runs the same everywhere |
//! | `samplers.rs` | every sampler's coefficients and runs are those of its equations |
//! | `sampler.rs`, `snapshot.rs` | the sampler's rules, stopping and resuming |
//! | `quality.rs` | distance from the float model, with thresholds |
//! | `cuda/` | the CUDA kernels give the runtime's bits, the float network's the CPU's within tolerances, on a stand-in and on a GPU where one is; broken ones are found out |
//! | `engine/` | every family of the desktop engine gives the runtime's bits |
//! | `ranges.rs` | networks whose numbers lie far from one convert as others do, or are refused by their layer |
//! | `norms.rs` | networks with LayerNorm, RMSNorm and L2 norms are as close to the float network as others |
//! | `qat.rs` | quantization-aware training computes what the integer model computes |
//! | `planner.rs` | memory close to its lower bound |
//! | `parts.rs` | what a firmware leaves out is refused by name, and what it keeps makes the same images |
//! | `budgets.rs` | instructions, flash and RAM do not grow unseen |
//! | `chains.rs` | the chains of 2015: the same bits everywhere, the kernels' own probabilities |
//! | `coverage.rs` | every operator and every form of it has a test model |
//!
//! - [`chains`]: small chains of 2015 with weights drawn at random, in every scheme.
//! - [`checkpoints`]: the bundled trained checkpoints and their reference vectors.
//! - [`boards`]: simulated boards, or why they are not here.
//! - [`synthetic`]: a tiny program with every operator, to be emitted in every number format.
//! - [`wider`]: small programs with the operators that a GPU does not take.
//! - [`pointwise`]: programs of pointwise operators in every form.
//! - [`parts`]: a model file taken apart and put together again with valid checksums.
//! - [`mutate`]: wrong contents, drawn from a seed.
//! - [`wire`]: messages of Protocol Buffers, mutated.
//! - [`running`]: a run from start to end.
//! - [`random`]: a seeded generator.
//! - [`source_hash`]: what a generated file says of its source.
//! - [`standin`]: a GPU that is none: the CUDA kernels on this processor.

pub mod archive;
pub mod boards;
pub mod chains;
pub mod checkpoints;
pub mod fit;
pub mod mutate;
pub mod parts;
pub mod pointwise;
pub mod policy;
pub mod random;
pub mod running;
pub mod source_hash;
pub mod standin;
pub mod synthetic;
pub mod wider;
pub mod wire;

/// The Rust code of the documents compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/firmware.md")]
pub struct Documents;
