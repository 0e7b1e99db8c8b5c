//! Reads postcard's encoding of plain records: what its own decoder accepts and no more, in a tenth of the code.
//!
//! Small numbers are a byte, larger ones seven bits a byte, low bits first, the top bit set where more follow (signed ones with
//! the sign in the lowest bit); flags, tags of options and enums, and floats as in postcard's specification.

use super::At;
use crate::features::MODULATES;
use crate::numeric::requant::{Requant, WideRequant};
use crate::tensor::TensorId;

/// A position in bytes. What cannot be read is 0, and [`Reader::failed`] says so.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Reader<'a> {
    /// From the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            failed: false,
        }
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether something could not be read.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// What was read is of no use.
    #[cold]
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// A byte.
    #[inline(never)]
    pub fn u8(&mut self) -> u8 {
        self.byte()
    }

    #[inline(always)]
    fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((&byte, rest)) => {
                self.rest = rest;
                byte
            }
            None => {
                self.fail();
                0
            }
        }
    }

    /// A number of 16 bits.
    #[inline(never)]
    pub fn u16(&mut self) -> u16 {
        if MODULATES {
            return self.quick(16) as u16;
        }
        self.number(16) as u16
    }

    /// A number of 32 bits.
    #[inline(never)]
    pub fn u32(&mut self) -> u32 {
        if MODULATES {
            return self.quick(32);
        }
        self.number(32) as u32
    }

    /// A signed number of 32 bits.
    #[inline(never)]
    pub fn i32(&mut self) -> i32 {
        let number = self.u32();
        (number >> 1) as i32 ^ -((number & 1) as i32)
    }

    /// A number of 64 bits.
    pub fn u64(&mut self) -> u64 {
        self.number(64)
    }

    /// A number of `width` bits.
    #[inline(never)]
    fn number(&mut self, width: u32) -> u64 {
        let mut byte = self.byte();
        let (mut value, mut shift) = (u64::from(byte & 0x7F), 7);
        // Most are small.
        while byte >= 0x80 {
            byte = self.u8();
            let bits = byte & 0x7F;
            if shift >= width || bits.checked_shr(width - shift).unwrap_or(0) != 0 {
                self.fail();
                return 0;
            }
            value |= u64::from(bits) << shift;
            shift += 7;
        }
        value
    }

    /// [`Self::number`] of at most 32 bits: networks of many operators read their records anew at every call.
    #[inline(never)]
    fn quick(&mut self, width: u32) -> u32 {
        if let Some((&byte, rest)) = self.rest.split_first()
            && byte < 0x80
        {
            self.rest = rest;
            return byte.into();
        }
        let (mut value, mut shift, mut bytes) = (0, 0, self.rest.iter());
        while let Some(&byte) = bytes.next() {
            let bits = u32::from(byte & 0x7F);
            // Of the first byte all fit; shifts are below 32 where the second condition is looked at.
            if shift > 0 && (shift >= width || bits >> (width - shift) != 0) {
                break;
            }
            value |= bits << shift;
            shift += 7;
            if byte < 0x80 {
                self.rest = bytes.as_slice();
                return value;
            }
        }
        self.fail();
        0
    }

    /// A float of 32 bits.
    #[inline(never)]
    pub fn f32(&mut self) -> f32 {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                f32::from_le_bytes(*bytes)
            }
            None => {
                self.fail();
                0.0
            }
        }
    }

    /// A flag, or whether an option holds something.
    #[inline(never)]
    pub fn flag(&mut self) -> bool {
        let byte = self.u8();
        if byte > 1 {
            self.fail();
        }
        byte == 1
    }

    /// The index of a variant of an enum that has `count`.
    #[inline(never)]
    pub fn variant(&mut self, count: u32) -> u32 {
        let index = self.u32();
        if index < count {
            return index;
        }
        self.fail();
        0
    }

    /// A tensor's index.
    pub fn tensor(&mut self) -> TensorId {
        TensorId(self.u16())
    }

    /// An offset into the weights.
    pub fn at(&mut self) -> At {
        At(self.u32())
    }

    /// A factor.
    #[inline(never)]
    pub fn requant(&mut self) -> Requant {
        Requant {
            mult: self.i32(),
            shift: self.u8(),
        }
    }

    /// A wide factor.
    #[inline(always)]
    pub fn wide_requant(&mut self) -> WideRequant {
        WideRequant {
            mult: self.i32(),
            shift: self.u8(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::philox::philox4x32;

    #[test]
    fn both_ways_read_the_same_numbers() {
        let mut failed = 0;
        for seed in 0..50_000 {
            let words = philox4x32([seed, 0, 0, 0], [9, 0]);
            let mut bytes: std::vec::Vec<u8> = words[..2].iter().flat_map(|word| word.to_le_bytes()).collect();
            // Most go on, some are small, some end early.
            bytes
                .iter_mut()
                .zip(words[2].to_le_bytes())
                .for_each(|(byte, more)| *byte |= more & 0x80);
            bytes.truncate(words[3] as usize % 9);
            for width in [16, 32] {
                let (mut one, mut other) = (Reader::new(&bytes), Reader::new(&bytes));
                let (quick, number) = (one.quick(width), other.number(width));
                assert_eq!(one.failed(), other.failed(), "{bytes:x?}");
                if one.failed() {
                    failed += 1;
                } else {
                    assert_eq!((quick.into(), one.rest()), (number, other.rest()), "{bytes:x?}");
                }
            }
        }
        assert!((1000..99_000).contains(&failed), "{failed}");
    }
}
