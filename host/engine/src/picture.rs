//! Pictures of latents on a desktop.

use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::decode::decode_by;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Model, Network, Observer, RunError};

use crate::memory::AlignedBytes;

/// Gathers the bands of a picture, and shows every operator's output to `seen`.
struct Gathered<F> {
    picture: Vec<i32>,
    seen: F,
}

impl<F: FnMut(&View<'_>)> Observer for Gathered<F> {
    fn after(&mut self, _: u16, _: &Op, output: &View<'_>) {
        if let View::Q24(rows) = output {
            self.picture.extend_from_slice(rows);
        }
        (self.seen)(output);
    }
}

/// The picture that `decoder` makes of a latent, both Q24 `(row, col, channel)`, by `network`; `seen` gets every operator's output.
///
/// # Errors
/// Those of the runtime's [`decode_by`].
pub fn picture(
    decoder: &Model<'_>,
    latent_q24: &[i32],
    network: &mut impl Network,
    seen: impl FnMut(&View<'_>),
) -> Result<Vec<i32>, RunError> {
    let mut memory = AlignedBytes::zeroed(decoder.header().arena_bytes as usize);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut gathered = Gathered { picture: vec![], seen };
    decode_by(decoder, latent_q24, &mut arena, network, &mut gathered)?;
    Ok(gathered.picture)
}
