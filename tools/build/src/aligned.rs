//! Bytes at a multiple of 16, where a model is read.

const ALIGN: usize = 16;

/// A copy of a file's bytes.
pub struct AlignedCopy {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl AlignedCopy {
    pub fn of(bytes: &[u8]) -> Self {
        let mut memory = vec![0; bytes.len() + ALIGN];
        let start = memory.as_ptr().align_offset(ALIGN);
        memory[start..start + bytes.len()].copy_from_slice(bytes);
        Self {
            memory,
            start,
            len: bytes.len(),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.len]
    }
}
