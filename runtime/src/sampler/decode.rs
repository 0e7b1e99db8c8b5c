//! Pictures of latents: the second network of a file, called once when a run is over.
//!
//! A decoder is a model of its own, with operators, weights and a place for its activations; inside a file it shares the arena with the
//! network that is sampled from. Its picture leaves it in bands of rows from the top: the activations in Q24, as they are written.

use super::Sampler;
use crate::error::RunError;
#[cfg(not(feature = "decoder"))]
use crate::features::Feature;
use crate::model::Model;
use crate::model::exec::{Call, Network, Observer, Portable};
use crate::ops::Op;
use crate::tensor::arena::Arena;
use crate::tensor::view::View;

/// That there is none.
#[cfg(feature = "decoder")]
const NO_DECODER: RunError = RunError::NoDecoder;
#[cfg(not(feature = "decoder"))]
const NO_DECODER: RunError = RunError::NotBuilt(Feature::Decoder);

/// Hands a picture's rows on as they are made.
struct Bands<F>(F);

impl<F: FnMut(&[i32])> Observer for Bands<F> {
    fn after(&mut self, _: u16, _: &Op, output: &View<'_>) {
        if let View::Q24(rows) = output {
            (self.0)(rows);
        }
    }
}

impl Sampler<'_, '_> {
    /// Makes the picture of the state with the file's decoder; `rows` gets it band by band from the top, Q24 `(row, col, channel)`.
    /// The state stays as it is. [`Model::picture`] says how large the picture is.
    ///
    /// # Errors
    /// [`RunError::NoDecoder`]; [`RunError::NotBuilt`] in a build without decoders.
    #[inline(never)]
    pub fn decode(&mut self, rows: impl FnMut(&[i32])) -> Result<(), RunError> {
        let decoder = &self.model.decoder().ok_or(NO_DECODER)?;
        self.decode_by(decoder, &mut Portable, &mut Bands(rows))
    }

    /// The same by `network`; `observer` sees the operators of `decoder`, which is the model's, and the bands among their outputs.
    ///
    /// # Errors
    /// [`RunError::Memory`], which a parsed model never gives.
    pub fn decode_by(
        &mut self,
        decoder: &Model<'_>,
        network: &mut impl Network,
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        network.forward(decoder, &Call::at(self.x, 0, 0), self.activations, observer)
    }
}

/// Makes the picture of a latent (Q24, `(row, col, channel)`) with a file that is a decoder alone; `rows` as of [`Sampler::decode`].
/// The arena has the header's `arena_bytes`.
///
/// # Errors
/// [`RunError::NoDecoder`] for another model, [`RunError::Length`] for a latent of another one, [`RunError::ArenaTooSmall`].
pub fn decode(
    decoder: &Model<'_>,
    latent_q24: &[i32],
    arena: &mut Arena<'_>,
    rows: impl FnMut(&[i32]),
) -> Result<(), RunError> {
    decode_by(decoder, latent_q24, arena, &mut Portable, &mut Bands(rows))
}

/// The same by `network`; `observer` sees the operators, and the bands among their outputs.
///
/// # Errors
/// As [`decode`].
pub fn decode_by(
    decoder: &Model<'_>,
    latent_q24: &[i32],
    arena: &mut Arena<'_>,
    network: &mut impl Network,
    observer: &mut impl Observer,
) -> Result<(), RunError> {
    let header = decoder.header();
    if header.prediction.picture().is_none() {
        return Err(NO_DECODER);
    }
    let (expected, found) = (header.sample_len(), latent_q24.len());
    if expected != found {
        return Err(RunError::Length {
            expected: expected as u32,
            found: found as u32,
        });
    }
    let (needed, found) = (header.arena_bytes, arena.bytes.len());
    if found < needed as usize {
        return Err(RunError::ArenaTooSmall {
            needed,
            found: found as u32,
        });
    }
    network.forward(decoder, &Call::at(latent_q24, 0, 0), arena.bytes, observer)
}
