//! Fields of a record, one after the other, as `docs/FORMAT.md` says that they are encoded.

use super::tensor::TensorId;

/// A byte offset into the weights section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(pub usize);

/// A factor `mult * 2^-shift`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor {
    /// Multiplier.
    pub mult: i32,
    /// Shift, 1 to 62; anything where an f16 model has no use for it.
    pub shift: u8,
}

/// A position in the bytes of a section. Every reading gives `None` where the bytes end or are no such field.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Whether factors may have any shift: f16 models carry factors that nothing uses.
    any_shift: bool,
}

impl<'a> Reader<'a> {
    /// From the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            any_shift: false,
        }
    }

    /// The same for records of a model that uses no factor.
    pub fn without_factors(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            any_shift: true,
        }
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    /// An unsigned number below 2^bits: seven bits a byte, the lowest first.
    fn number(&mut self, bits: u32) -> Option<u64> {
        let mut value = 0u128;
        for place in 0..bits.div_ceil(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 127) << (7 * place);
            if byte < 128 {
                return u64::try_from(value).ok().filter(|_| value >> bits == 0);
            }
        }
        None
    }

    /// 16 bits.
    pub fn u16(&mut self) -> Option<u16> {
        self.number(16)?.try_into().ok()
    }

    /// 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        self.number(32)?.try_into().ok()
    }

    /// 64 bits.
    pub fn u64(&mut self) -> Option<u64> {
        self.number(64)
    }

    /// 32 bits with a sign: 0, -1, 1, -2, ... stand as 0, 1, 2, 3, ...
    pub fn i32(&mut self) -> Option<i32> {
        let v = i64::from(self.u32()?);
        i32::try_from(if v % 2 == 0 { v / 2 } else { -(v + 1) / 2 }).ok()
    }

    /// A float of 32 bits, little-endian.
    pub fn f32(&mut self) -> Option<f32> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(f32::from_le_bytes(*bytes))
    }

    /// A flag, or whether an optional field follows.
    pub fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A field that may be left out.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        Some(if self.flag()? { Some(read(self)?) } else { None })
    }

    /// One of `names`, by its place.
    pub fn one_of<T: Copy>(&mut self, names: &[T]) -> Option<T> {
        names.get(usize::try_from(self.u32()?).ok()?).copied()
    }

    /// An activation.
    pub fn tensor(&mut self) -> Option<TensorId> {
        self.u16().map(TensorId)
    }

    /// A place in the weights section.
    pub fn at(&mut self) -> Option<At> {
        Some(At(self.u32()?.try_into().ok()?))
    }

    /// A factor.
    pub fn factor(&mut self) -> Option<Factor> {
        let (mult, shift) = (self.i32()?, self.byte()?);
        (self.any_shift || (1..=62).contains(&shift)).then_some(Factor { mult, shift })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_the_document_says() {
        assert_eq!(Reader::new(&[0xAC, 0x02]).u16(), Some(300));
        assert_eq!(Reader::new(&[0xFF, 0xFF, 0x03]).u16(), Some(u16::MAX));
        // One bit too many, and one byte too many.
        assert_eq!(Reader::new(&[0xFF, 0xFF, 0x04]).u16(), None);
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0]).u16(), None);
        assert_eq!(Reader::new(&[0xFF; 2]).u32(), None);
        assert_eq!(Reader::new(&[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]).i32(), Some(i32::MIN));
        assert_eq!(Reader::new(&[3]).i32(), Some(-2));
        let most = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
        assert_eq!(Reader::new(&most).u64(), Some(u64::MAX));
        assert_eq!(Reader::new(&[2]).flag(), None);
    }
}
