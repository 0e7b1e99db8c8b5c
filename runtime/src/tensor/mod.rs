//! Tensors and their memory: where an activation lives in the arena, when, and how its numbers are held.
//!
//! [`view`] reads and writes their numbers, [`slots`] says which of them an operator touches, [`regions`] finds the memory of those.

pub mod arena;
pub mod int4;
pub mod regions;
pub mod slots;
pub mod view;

use core::ops::Range;
use serde::{Deserialize, Serialize};

/// Index in the tensor table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TensorId(pub u16);

/// Number format of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Dtype {
    /// `(q - zero_point) * scale`.
    I8 = 0,
    /// `q * scale`.
    I16 = 1,
    /// IEEE binary16, never infinite.
    F16 = 2,
    /// Fixed point with 24 fractional bits in an i32: the network's output.
    Q24 = 3,
    /// Scratch memory of one operator.
    Scratch = 4,
}

impl Dtype {
    /// Bytes of an element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::Scratch => 1,
            Self::I16 | Self::F16 => 2,
            Self::Q24 => 4,
        }
    }

    /// The format of this number; scratch where there is none.
    #[inline(always)]
    const fn of(v: u8) -> Self {
        match v {
            0 => Self::I8,
            1 => Self::I16,
            2 => Self::F16,
            3 => Self::Q24,
            _ => Self::Scratch,
        }
    }
}

/// A record in the file.
pub(crate) type Record = [u32; Tensor::RECORD_BYTES / 4];

/// The record of a tensor in a file's table.
#[inline(never)]
pub(crate) fn record(table: &[Record], id: Option<TensorId>) -> Option<&Record> {
    table.get(usize::from(id?.0))
}

/// One activation of shape `(row, col, channel)`, channel innermost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[repr(C)]
pub struct Tensor {
    /// First byte in the activation arena, a multiple of [`TENSOR_ALIGN`].
    pub offset: u32,
    /// Extents.
    pub rows: u16,
    /// Extents.
    pub cols: u16,
    /// Extents. For scratch: see [`Tensor::scratch`].
    pub channels: u16,
    /// Number format.
    pub dtype: Dtype,
    /// The integer that stands for 0; only int8 may have one.
    pub zero_point: i8,
    /// Operator that writes it.
    pub def: u16,
    /// Last operator that reads it; the operator count for the network's output.
    pub last: u16,
    /// Real value of one unit, for reports: the runtime itself never uses it.
    pub scale: f32,
}

/// Alignment of activations in the arena, bytes.
pub const TENSOR_ALIGN: u32 = 4;

impl Tensor {
    /// Bytes of a record in the file.
    pub const RECORD_BYTES: usize = 20;

    /// The record of a tensor of nothing.
    pub(crate) const NONE: Record = [0; Self::RECORD_BYTES / 4];

    /// Scratch memory of `bytes` bytes (rounded up to the alignment) for operator `op`.
    pub fn scratch(bytes: u32, op: u16) -> Self {
        let words = bytes.div_ceil(TENSOR_ALIGN);
        let (rows, cols) = ((words >> 15) as u16 + 1, (words & 0x7FFF) as u16);
        // Scratch up to 1 GiB: `rows - 1` blocks of 2^15 words, plus `cols` words.
        Self {
            offset: 0,
            rows,
            cols,
            channels: 4,
            dtype: Dtype::Scratch,
            zero_point: 0,
            def: op,
            last: op,
            scale: 0.0,
        }
    }

    /// Number of elements (bytes, for scratch).
    #[inline(never)]
    pub fn len(&self) -> usize {
        self.elements()
    }

    /// [`Self::len`], in line.
    #[inline(always)]
    fn elements(&self) -> usize {
        let (rows, cols) = (usize::from(self.rows), usize::from(self.cols));
        match self.dtype {
            Dtype::Scratch => (rows.saturating_sub(1) * 0x8000 + cols) * 4,
            _ => rows * cols * usize::from(self.channels),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Positions `row * col`.
    pub fn positions(&self) -> usize {
        usize::from(self.rows) * usize::from(self.cols)
    }

    /// Bytes in the arena, without padding.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.bytes()
    }

    /// Bytes `[start, end)` in the arena.
    #[inline(never)]
    pub fn range(&self) -> Range<usize> {
        self.offset as usize..self.offset as usize + self.bytes()
    }

    /// [`Self::range`] of a record, in line: for the tensors of many small operators.
    #[inline(always)]
    fn range_of(words: &Record) -> Range<usize> {
        let tensor = Self::of(words);
        let start = tensor.offset as usize;
        start..start + tensor.elements() * tensor.dtype.bytes()
    }

    /// Whether the shapes are the same.
    pub fn same_shape(&self, other: &Self) -> bool {
        (self.rows, self.cols, self.channels) == (other.rows, other.cols, other.channels)
    }

    /// The record as it stands in the file.
    pub fn to_bytes(&self) -> [u8; Self::RECORD_BYTES] {
        let mut out = [0; Self::RECORD_BYTES];
        out[0..4].copy_from_slice(&self.offset.to_le_bytes());
        for (i, v) in [self.rows, self.cols, self.channels].into_iter().enumerate() {
            out[4 + 2 * i..6 + 2 * i].copy_from_slice(&v.to_le_bytes());
        }
        out[10] = self.dtype as u8;
        out[11] = self.zero_point as u8;
        out[12..14].copy_from_slice(&self.def.to_le_bytes());
        out[14..16].copy_from_slice(&self.last.to_le_bytes());
        out[16..20].copy_from_slice(&self.scale.to_le_bytes());
        out
    }

    /// Reads a record, whose little-endian words these are; `None` when the number format is unknown.
    pub fn from_words(words: &Record) -> Option<Self> {
        if Self::is_known(words) {
            Some(Self::known(words))
        } else {
            None
        }
    }

    /// Whether there is such a number format.
    pub(crate) fn is_known(words: &Record) -> bool {
        (words[2] >> 16) as u8 <= Dtype::Scratch as u8
    }

    /// Whether two records have the same memory, extents and number format.
    pub(crate) fn in_place_of(words: &Record, other: &Record) -> bool {
        let differs = (words[0] ^ other[0]) | (words[1] ^ other[1]) | (words[2] ^ other[2]) << 8;
        differs == 0
    }

    /// Reads a record whose number format is known. Made where it is wanted, which an option's content is not.
    #[inline(never)]
    pub(crate) const fn known(words: &Record) -> Self {
        Self::of(words)
    }

    /// [`Self::known`], in line.
    #[inline(always)]
    const fn of(words: &Record) -> Self {
        let [offset, extents, format, life, scale] = *words;
        Self {
            offset,
            rows: extents as u16,
            cols: (extents >> 16) as u16,
            channels: format as u16,
            dtype: Dtype::of((format >> 16) as u8),
            zero_point: (format >> 24) as i8,
            def: life as u16,
            last: (life >> 16) as u16,
            scale: f32::from_bits(scale),
        }
    }

    /// Whether both are alive at once. Where one is read last as the other is written, the operator decides whether it works in place.
    pub fn lives_with(&self, other: &Self) -> bool {
        self.def == other.def || (self.def < other.last && other.def < self.last)
    }

    /// Whether the memory of the two meets.
    #[inline(never)]
    pub fn meets(&self, other: &Self) -> bool {
        let (a, b) = (self.range(), other.range());
        a.start < b.end && b.start < a.end
    }
}
