//! Diffusion chains of Sohl-Dickstein et al., "Deep unsupervised learning using nonequilibrium thermodynamics" (ICML 2015): a
//! forward process that destroys data step by step, a learned reverse process, and a bound on the likelihood in bits.
//!
//! - [`binomial`], [`gaussian`]: the forward processes and the form of their reverse kernels, which the network perturbs around
//!   equilibrium.
//! - [`network`]: layers over vectors, with readouts for groups of steps; [`rbf`]: radial basis functions as such; [`adam`]: the optimizer.
//! - [`bound`]: the bound K, its terms and L_null; [`bayes`]: the best factorized reverse process over a finite data set, K's ceiling.
//! - [`heartbeat`], [`swiss_roll`]: the paper's two toys: data, training, sampling.
//! - [`condition`]: a second factor r(x): inpainting and denoising.
//! - [`random`]: seeded draws.
//!
//! Steps count from 1 (least noise) to T; x_0 is data.

pub mod adam;
pub mod bayes;
pub mod binomial;
pub mod bound;
pub mod condition;
pub mod gaussian;
pub mod heartbeat;
pub mod network;
pub mod random;
pub mod rbf;
pub mod swiss_roll;

/// Nats in a bit.
pub const LN_2: f64 = core::f64::consts::LN_2;
