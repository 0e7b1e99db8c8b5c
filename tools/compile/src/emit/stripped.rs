//! A model file without what a device never reads.

use super::Emitted;
use super::file::assemble;
use super::planned::{count, section};
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::layout::SECTIONS;
use mote_runtime::{Model, ParseError, Section};

/// The file `bytes` without names and without provenance. Samples are the same; the file's CRC-32, which snapshots know, is another.
///
/// # Errors
/// Those of [`Model::parse`].
pub fn stripped(bytes: &[u8]) -> Result<Vec<u8>, ParseError> {
    let memory = AlignedBytes::copy_of(bytes);
    Model::parse(memory.bytes())?;
    let decoder = match count(memory.bytes()) > SECTIONS.len() {
        true => Some(stripped(section(memory.bytes(), SECTIONS.len()))?),
        false => None,
    };
    let of = |i: usize| match SECTIONS[i] {
        Section::Names | Section::Provenance => &[],
        _ => section(memory.bytes(), i),
    };
    let mut sections: Vec<&[u8]> = (0..SECTIONS.len()).map(of).collect();
    sections.extend(decoder.as_deref());
    let out = assemble(&sections);
    // Whatever is written can be read.
    Model::parse(AlignedBytes::copy_of(&out).bytes())?;
    Ok(out)
}

/// Which of these sections a file does not have, in words.
pub fn missing(model: &Model<'_>) -> Vec<&'static str> {
    let sections = [("names", model.names()), ("provenance", model.provenance())];
    let empty = sections.into_iter().filter(|(_, bytes)| bytes.is_empty());
    empty.map(|(name, _)| name).collect()
}

impl Emitted {
    /// Leaves names and provenance out; gives the bytes that this saves.
    ///
    /// # Errors
    /// None that a test has found: whatever is emitted was checked.
    pub fn strip(&mut self) -> Result<usize, ParseError> {
        let before = self.bytes.len();
        self.bytes = stripped(&self.bytes)?;
        Ok(before - self.bytes.len())
    }
}
