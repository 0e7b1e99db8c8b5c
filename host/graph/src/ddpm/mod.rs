//! Denoising diffusion probabilistic models (Ho, Jain and Abbeel 2020), on plain vectors and over any model.
//!
//! - [`process`]: `q(x_t | x_0)` and the posterior `q(x_{t-1} | x_t, x_0)` in closed form.
//! - [`ancestral`]: sampling with fixed or learned variances.
//! - [`decoder`]: probabilities of whole-number pixels; [`bound`]: the variational bound, term by term.

pub mod ancestral;
pub mod bound;
pub mod decoder;
pub mod process;
