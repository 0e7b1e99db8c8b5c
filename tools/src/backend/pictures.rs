//! Pictures of latents: a decoder called by itself.

use super::{Backend, BackendError, OpenModel};
use mote_engine::Engine;
use mote_engine::picture::picture;
use mote_oracle::{Oracle, OracleOptions};
use mote_runtime::internals::digest::Digest;
use mote_runtime::internals::sampler::q24_to_pixel;
use mote_runtime::{Portable, RunError};
use rayon::prelude::*;

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// Q24, `(row, col, channel)`.
    pub q24: Vec<i32>,
    /// Its digest, as of a state.
    pub digest: u64,
}

impl Drawn {
    fn of(q24: Vec<i32>) -> Self {
        let digest = Digest::of(q24.iter().copied()).0;
        Self { q24, digest }
    }

    /// Its pixels, `(row, col, channel)`.
    #[must_use]
    pub fn pixels(&self) -> Vec<u8> {
        self.q24.iter().copied().map(q24_to_pixel).collect()
    }
}

/// The pictures of latents, Q24 `(row, col, channel)`, by a file that is a decoder or holds one; on this machine's backends.
///
/// # Errors
/// A file without a decoder, a latent of another length, another backend.
pub fn pictures(opened: OpenModel<'_>, backend: Backend, latents: &[Vec<i32>]) -> Result<Vec<Drawn>, BackendError> {
    let inner = opened.model.decoder();
    let decoder = inner.as_ref().unwrap_or(opened.model);
    if decoder.header().prediction.picture().is_none() {
        return Err(RunError::NoDecoder.into());
    }
    match backend {
        Backend::Cpu => {
            let engine = Engine::prepare(decoder);
            let one = |latent: &Vec<i32>| Ok(Drawn::of(picture(decoder, latent, &mut engine.worker(), |_| ())?));
            latents.par_iter().map(one).collect()
        }
        Backend::Portable => {
            let one = |latent: &Vec<i32>| Ok(Drawn::of(picture(decoder, latent, &mut Portable, |_| ())?));
            latents.par_iter().map(one).collect()
        }
        Backend::Oracle(broken_rounding) => {
            let options = OracleOptions {
                broken_rounding,
                ..OracleOptions::default()
            };
            let oracle = Oracle::with_options(opened.bytes, options)?;
            let one = |latent: &Vec<i32>| Ok(Drawn::of(oracle.decode(latent)?.picture));
            latents.par_iter().map(one).collect()
        }
        Backend::Cuda(_) | Backend::Wasm | Backend::Board(..) => Err(BackendError::Unavailable {
            name: backend.to_string(),
            what: "it makes pictures at the end of a run, not of given latents".into(),
            how: "choose cpu, portable or oracle; `mote sample` runs a whole model there".into(),
        }),
    }
}
