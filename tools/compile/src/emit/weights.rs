//! The weights section: tables one after the other, each at a multiple of 16 bytes.

use mote_runtime::internals::ops::At;

/// Alignment of a table, bytes: enough for every element type and for wide loads.
const ALIGN: usize = 16;

/// The section as it grows.
#[derive(Debug, Default)]
pub struct WeightSection {
    bytes: Vec<u8>,
    /// Tables that further operators may use: where they start, and what they hold.
    shared: Vec<(At, Vec<u8>)>,
    /// Whether every table is put once.
    all_once: bool,
}

/// A number with a little-endian form.
pub trait Scalar {
    /// Appends the bytes.
    fn append(self, to: &mut Vec<u8>);
}

macro_rules! scalar {
    ($($t:ty),*) => {
        $(impl Scalar for $t {
            fn append(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }
        })*
    };
}
scalar!(i8, u8, i16, u16, i32, u32, i64, f32);

impl WeightSection {
    /// From here on the same table is put once, whoever puts it.
    pub fn share(&mut self) {
        self.all_once = true;
    }

    /// Appends a table; gives where it starts.
    pub fn put<T: Scalar>(&mut self, values: impl Iterator<Item = T>) -> At {
        if self.all_once {
            return self.put_once(values.collect());
        }
        self.append(values)
    }

    fn append<T: Scalar>(&mut self, values: impl Iterator<Item = T>) -> At {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        let at = At(self.bytes.len() as u32);
        values.for_each(|v| v.append(&mut self.bytes));
        at
    }

    /// As [`WeightSection::put`], or where the same table already stands that was put so.
    pub fn put_once<T: Scalar>(&mut self, values: Vec<T>) -> At {
        let mut table = Vec::new();
        values.into_iter().for_each(|v| v.append(&mut table));
        if let Some((at, _)) = self.shared.iter().find(|(_, there)| *there == table) {
            return *at;
        }
        let at = self.append(table.iter().copied());
        self.shared.push((at, table));
        at
    }

    /// Appends multipliers, then shifts.
    pub fn put_requants(&mut self, factors: &[(i32, u8)]) -> At {
        if self.all_once {
            let mut bytes = Vec::new();
            factors.iter().for_each(|f| f.0.append(&mut bytes));
            bytes.extend(factors.iter().map(|f| f.1));
            return self.put_once(bytes);
        }
        let at = self.put(factors.iter().map(|f| f.0));
        factors.iter().for_each(|f| f.1.append(&mut self.bytes));
        at
    }

    /// The section's bytes.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
