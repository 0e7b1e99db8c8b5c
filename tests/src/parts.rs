//! A model file taken apart, and put together again with valid lengths and checksums.

use mote_runtime::internals::model::crc::crc32;
use mote_runtime::internals::model::header::Header;
use mote_runtime::internals::model::layout::{ALIGN, ENTRY_BYTES, MAGIC, PREFIX_BYTES, SECTIONS, read_u16, read_u32};
use mote_runtime::internals::ops::Op;

/// Versions and sections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// Format version.
    pub format: u16,
    /// Numeric version.
    pub numeric: u16,
    /// Contents, in file order.
    pub sections: [Vec<u8>; SECTIONS.len()],
}

/// Position of a section in [`Parts::sections`].
pub const HEADER: usize = 0;
/// See [`HEADER`].
pub const TENSORS: usize = 1;
/// See [`HEADER`].
pub const OPS: usize = 2;
/// See [`HEADER`].
pub const WEIGHTS: usize = 3;
/// See [`HEADER`].
pub const SCHEDULE: usize = 4;

impl Parts {
    /// Takes a valid file apart.
    pub fn of(file: &[u8]) -> Self {
        let section = |i: usize| {
            let at = PREFIX_BYTES + i * ENTRY_BYTES;
            let (start, len) = (read_u32(file, at + 4) as usize, read_u32(file, at + 8) as usize);
            file[start..start + len].to_vec()
        };
        Self {
            format: read_u16(file, 4),
            numeric: read_u16(file, 6),
            sections: std::array::from_fn(section),
        }
    }

    /// The file, with valid lengths and checksums.
    pub fn file(&self) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend(self.format.to_le_bytes());
        file.extend(self.numeric.to_le_bytes());
        file.extend([0; 4]);
        file.extend((SECTIONS.len() as u32).to_le_bytes());
        file.resize(PREFIX_BYTES + SECTIONS.len() * ENTRY_BYTES, 0);
        for (i, section) in self.sections.iter().enumerate() {
            file.resize(file.len().next_multiple_of(ALIGN), 0);
            let entry = [i as u32 + 1, file.len() as u32, section.len() as u32, crc32(section)];
            let at = PREFIX_BYTES + i * ENTRY_BYTES;
            file[at..at + ENTRY_BYTES].copy_from_slice(bytemuck::cast_slice(&entry));
            file.extend_from_slice(section);
        }
        let total = file.len() as u32 + 4;
        file[8..12].copy_from_slice(&total.to_le_bytes());
        file.extend(crc32(&file).to_le_bytes());
        file
    }

    /// The header section, decoded.
    pub fn header(&self) -> Header {
        postcard::from_bytes(&self.sections[HEADER]).expect("the header is valid")
    }

    /// Replaces the header section.
    pub fn set_header(&mut self, header: &Header) {
        self.sections[HEADER] = postcard::to_stdvec(header).expect("vectors do not run out");
    }

    /// The operator list, decoded as far as it can be.
    pub fn ops(&self) -> Vec<Op> {
        let mut rest = self.sections[OPS].as_slice();
        let mut ops = Vec::new();
        while let Ok((op, after)) = postcard::take_from_bytes(rest) {
            ops.push(op);
            rest = after;
        }
        ops
    }

    /// Replaces the operator list.
    pub fn set_ops(&mut self, ops: &[Op]) {
        let encoded = ops
            .iter()
            .map(|op| postcard::to_stdvec(op).expect("vectors do not run out"));
        self.sections[OPS] = encoded.flatten().collect();
    }
}
