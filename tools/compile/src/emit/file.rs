//! The outermost layer: sections, their table, checksums.

use mote_runtime::internals::model::crc::crc32;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::model::layout::{ALIGN, ENTRY_BYTES, FORMAT_VERSION, MAGIC, PREFIX_BYTES};
use mote_runtime::internals::numeric::NUMERIC_VERSION;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::tensor::Tensor;
use serde::Serialize;

/// The contents of a model file.
pub struct File<'a> {
    /// Model-wide facts.
    pub header: Header,
    /// Activations and scratch.
    pub tensors: Vec<Tensor>,
    /// Operators.
    pub ops: Vec<Op>,
    /// Weights section.
    pub weights: Vec<u8>,
    /// Cumulative alphas.
    pub schedule: Vec<u8>,
    /// Names.
    pub names: String,
    /// JSON.
    pub provenance: &'a str,
}

impl File<'_> {
    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let ops: Vec<u8> = self.ops.iter().flat_map(encode).collect();
        let tensors: Vec<u8> = self.tensors.iter().flat_map(Tensor::to_bytes).collect();
        let header = encode(&self.header);
        let (names, provenance) = (self.names.as_bytes(), self.provenance.as_bytes());
        assemble(&[
            &header,
            &tensors,
            &ops,
            &self.weights,
            &self.schedule,
            names,
            provenance,
        ])
    }
}

pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("postcard writes to a vector without limits")
}

/// A file of these sections: those that every file has, and a decoder's behind them.
pub(super) fn assemble(sections: &[&[u8]]) -> Vec<u8> {
    let table_end = PREFIX_BYTES + sections.len() * ENTRY_BYTES;
    let mut table = Vec::new();
    let mut body = Vec::new();
    for (i, section) in sections.iter().enumerate() {
        let offset = (table_end + body.len()).next_multiple_of(ALIGN);
        body.resize(offset - table_end, 0);
        body.extend_from_slice(section);
        for word in [i as u32 + 1, offset as u32, section.len() as u32, crc32(section)] {
            table.extend_from_slice(&word.to_le_bytes());
        }
    }
    let total = table_end + body.len() + 4;
    let mut file = Vec::with_capacity(total);
    file.extend_from_slice(&MAGIC);
    file.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    file.extend_from_slice(&NUMERIC_VERSION.to_le_bytes());
    file.extend_from_slice(&(total as u32).to_le_bytes());
    file.extend_from_slice(&(sections.len() as u32).to_le_bytes());
    file.extend_from_slice(&table);
    file.extend_from_slice(&body);
    let crc = crc32(&file);
    file.extend_from_slice(&crc.to_le_bytes());
    file
}
