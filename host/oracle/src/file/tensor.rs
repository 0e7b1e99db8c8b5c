//! Records of activations.

/// Index of an activation in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorId(pub u16);

/// More elements than any activation of a model has.
const ELEMENTS: usize = 1 << 28;

/// Number format of an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// An integer of 8 bits with a zero point.
    I8,
    /// An integer of 16 bits.
    I16,
    /// IEEE binary16.
    F16,
    /// An integer of 32 bits with 24 fraction bits.
    Q24,
}

/// What a record says that the oracle needs: not where the activation lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
    /// Channels.
    pub channels: u16,
    /// Number format.
    pub dtype: Dtype,
    /// The integer that stands for 0.
    pub zero_point: i8,
}

impl Tensor {
    /// Bytes of a record.
    pub const RECORD: usize = 20;

    /// From a record; `None` for scratch memory, which the oracle does not need, and for a number format that there is not.
    pub fn read(record: &[u8; Self::RECORD]) -> Option<Self> {
        let extent = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
        let tensor = Self {
            rows: extent(4),
            cols: extent(6),
            channels: extent(8),
            dtype: *[Dtype::I8, Dtype::I16, Dtype::F16, Dtype::Q24].get(usize::from(record[10]))?,
            zero_point: i8::from_le_bytes([record[11]]),
        };
        (1..=ELEMENTS).contains(&tensor.elements()).then_some(tensor)
    }

    /// `(channel, row, col)`.
    pub fn shape(&self) -> [usize; 3] {
        [self.channels, self.rows, self.cols].map(usize::from)
    }

    /// Elements.
    pub fn elements(&self) -> usize {
        self.shape().iter().product()
    }
}
