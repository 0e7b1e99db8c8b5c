//! The model file as `docs/FORMAT.md` describes it: a reader of the oracle's own.
//!
//! - [`reader`]: fields of records. [`header`], [`tensor`]: two of the sections. [`weights`]: typed tables of a third.
//! - Records of operators are read where the operators are: [`crate::ops`].

pub mod header;
pub mod reader;
pub mod tensor;
pub mod weights;

use self::header::{Arithmetic, Header};
use self::reader::{At, Reader};
use self::tensor::{Tensor, TensorId};
use crate::OracleError;

/// Version of the file layout that this reader knows.
const FORMAT: u16 = 2;
/// Version of `NUMERICS.md` that the oracle was written from.
const NUMERIC: u16 = 1;
/// The sections in their order.
const SECTIONS: [&str; 7] = ["header", "tensors", "ops", "weights", "schedule", "names", "provenance"];
/// The section behind them that a file with a decoder has: a model file.
const DECODER: &str = "decoder";
/// Bytes of the prefix, and of an entry of the section table.
const ENTRY: usize = 16;

/// A file that was opened: its sections, and what the oracle reads of them once.
#[derive(Debug)]
pub struct File<'b> {
    header: Header,
    /// By index; nothing for scratch memory.
    tensors: Vec<Option<Tensor>>,
    sections: [&'b [u8]; SECTIONS.len()],
    decoder: Option<Box<File<'b>>>,
}

impl<'b> File<'b> {
    /// Opens a file: versions, checksum and section table are checked, header and records of activations are read.
    ///
    /// A decoder in it is opened too: it makes a picture of samples of the same shape, and has none itself.
    pub fn open(bytes: &'b [u8]) -> Result<Self, OracleError> {
        Self::open_part(bytes, true)
    }

    fn open_part(bytes: &'b [u8], outer: bool) -> Result<Self, OracleError> {
        let refuse = |part| Err(OracleError::File { part });
        let word = |at: usize| bytes.get(at..at + 4).map(le32).unwrap_or_default();
        if bytes.get(..4) != Some(b"MOTE") {
            return refuse("magic");
        }
        let version = |at: usize| bytes.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        let (format, numeric) = (version(4), version(6));
        if (format, numeric) != (FORMAT, NUMERIC) {
            return Err(OracleError::Version {
                found: [format, numeric],
                known: [FORMAT, NUMERIC],
            });
        }
        let parts = word(12) as usize;
        let more = outer && parts == SECTIONS.len() + 1;
        if word(8) as usize != bytes.len() || !(parts == SECTIONS.len() || more) {
            return refuse("length");
        }
        let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
            return refuse("length");
        };
        if crc32(body) != u32::from_le_bytes(*sum) {
            return refuse("checksum");
        }
        let content = |i: usize| {
            let entry = ENTRY * (1 + i);
            let (kind, start, len) = (word(entry) as usize, word(entry + 4) as usize, word(entry + 8) as usize);
            body.get(start..start.saturating_add(len)).filter(|_| kind == i + 1)
        };
        let mut sections = [&body[..0]; SECTIONS.len()];
        for (i, section) in sections.iter_mut().enumerate() {
            match content(i) {
                Some(content) => *section = content,
                None => return refuse(SECTIONS[i]),
            }
        }
        let Some(header) = Header::read(sections[0]) else {
            return refuse("header");
        };
        let decoder = match content(SECTIONS.len()).filter(|_| more) {
            Some(bytes) => Some(Box::new(Self::open_part(bytes, false)?)),
            None if more => return refuse(DECODER),
            None => None,
        };
        if decoder
            .as_ref()
            .is_some_and(|decoder| !header.is_decoded_by(&decoder.header))
        {
            return refuse(DECODER);
        }
        let (records, rest) = sections[1].as_chunks();
        if !rest.is_empty() {
            return refuse("tensors");
        }
        Ok(Self {
            header,
            tensors: records.iter().map(Tensor::read).collect(),
            sections,
            decoder,
        })
    }

    /// Facts of the whole model.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The decoder in the file.
    pub fn decoder(&self) -> Option<&File<'b>> {
        self.decoder.as_deref()
    }

    /// Number of activations.
    pub fn tensor_count(&self) -> usize {
        self.tensors.len()
    }

    /// The record of an activation.
    pub fn tensor(&self, id: TensorId) -> Option<Tensor> {
        *self.tensors.get(usize::from(id.0))?
    }

    /// The records of the operators, one after the other.
    pub fn ops(&self) -> Reader<'b> {
        match self.header.arithmetic {
            Arithmetic::Integer => Reader::new(self.sections[2]),
            Arithmetic::F16 => Reader::without_factors(self.sections[2]),
        }
    }

    /// Bytes of the weights section from a place on.
    fn weights(&self, at: At) -> Option<&'b [u8]> {
        self.sections[3].get(at.0..)
    }

    /// The schedule section.
    pub fn schedule(&self) -> &'b [u8] {
        self.sections[4]
    }

    /// The cumulative alpha of a training timestep, Q62; 0 past the end.
    pub fn alpha_bar_q62(&self, timestep: u32) -> u64 {
        let (alphas, _) = self.schedule().as_chunks();
        alphas
            .get(timestep as usize)
            .map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The name of an operator of the file, for messages; nothing where it has none.
    pub fn op_name(&self, op: usize) -> &'b str {
        let names = std::str::from_utf8(self.sections[5]).unwrap_or_default();
        names.lines().nth(self.tensors.len() + op).unwrap_or_default()
    }
}

fn le32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

/// CRC-32 with the polynomial of Ethernet, reflected.
fn crc32(bytes: &[u8]) -> u32 {
    let shifted = |crc: u32| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
    let table: Vec<u32> = (0..256).map(|byte| (0..8).fold(byte, |crc, _| shifted(crc))).collect();
    let step = |crc: u32, byte: &u8| table[((crc ^ u32::from(*byte)) & 255) as usize] ^ (crc >> 8);
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
    }
}
