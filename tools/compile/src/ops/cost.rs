//! What an operator of a model file costs, for reports.

/// Work and weights of one operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Number format of the weights; empty where there are none to choose a format for.
    pub weights: &'static str,
    /// Multiply-accumulates of a network call.
    pub macs: u64,
    /// Bytes of weights, biases, multipliers and tables.
    pub weight_bytes: u64,
}

impl Cost {
    /// No multiplication and no table.
    pub const NOTHING: Self = Self::table(0);

    /// A table of so many bytes.
    pub const fn table(weight_bytes: u64) -> Self {
        Self {
            weights: "",
            macs: 0,
            weight_bytes,
        }
    }
}
