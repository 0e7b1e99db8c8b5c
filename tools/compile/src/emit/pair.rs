//! Two networks in one file: the one that is sampled from, and the decoder of its last state.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::model::layout::DECODER;
use mote_runtime::{Model, ParseError, Section};

use super::file::{assemble, encode};
use super::planned::section;
use mote_runtime::internals::model::layout::SECTIONS;

/// The file `model` with `decoder`, a file too, in it. The arena is that of the larger.
///
/// # Errors
/// Where one of them is no model, or they do not go together.
pub fn with_decoder(model: &[u8], decoder: &[u8]) -> Result<Vec<u8>, ParseError> {
    let (model, decoder) = (AlignedBytes::copy_of(model), AlignedBytes::copy_of(decoder));
    let (outer, inner) = (Model::parse(model.bytes())?, Model::parse(decoder.bytes())?);
    let own = outer.header().arena_bytes;
    let header = encode(&Header {
        arena_bytes: own.max(inner.header().arena_bytes),
        ..*outer.header()
    });
    let mut sections: Vec<&[u8]> = (0..DECODER)
        .map(|i| match SECTIONS[i] {
            Section::Header => &header,
            _ => section(model.bytes(), i),
        })
        .collect();
    sections.push(decoder.bytes());
    let file = assemble(&sections);
    // Whatever is written can be read.
    Model::parse(AlignedBytes::copy_of(&file).bytes())?;
    Ok(file)
}
