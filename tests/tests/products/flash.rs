//! A flash that loses power.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use mote_tests::random::Random;

/// Power is gone: nothing works until it is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerLost;

impl NorFlashError for PowerLost {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// What the byte holds at which power was lost, and the sector of an erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// What it held before.
    Before,
    /// Some of its bits have changed.
    Bits,
    /// An erasure has left whatever in all of its sectors.
    Sector,
}

/// Words of 8 bytes, sectors of 128.
#[derive(Debug, Clone)]
pub struct Flash {
    pub bytes: Vec<u8>,
    /// Bytes that can be written or erased before power is lost.
    pub left: usize,
    /// Bytes that were.
    pub done: usize,
    torn: Torn,
    random: Random,
}

impl Flash {
    /// As it comes from the factory: whatever is in it.
    pub fn new(len: usize, torn: Torn, left: usize) -> Self {
        let mut random = Random(len as u64);
        Self {
            bytes: (0..len).map(|_| random.bits() as u8).collect(),
            left,
            done: 0,
            torn,
            random,
        }
    }

    /// Changes the bytes of a range one after the other; where power is lost, the next is torn.
    fn change(&mut self, from: u32, to: impl Iterator<Item = u8>) -> Result<(), PowerLost> {
        for (at, new) in (from as usize..).zip(to) {
            if self.left == 0 {
                let noise = self.random.bits() as u8;
                if self.torn != Torn::Before {
                    self.bytes[at] = (self.bytes[at] & noise) | (new & !noise);
                }
                return Err(PowerLost);
            }
            self.bytes[at] = new;
            (self.left, self.done) = (self.left - 1, self.done + 1);
        }
        Ok(())
    }
}

impl ErrorType for Flash {
    type Error = PowerLost;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 4;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerLost> {
        assert!(offset.is_multiple_of(4) && bytes.len().is_multiple_of(4));
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 8;
    const ERASE_SIZE: usize = 128;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerLost> {
        assert!(from.is_multiple_of(128) && to.is_multiple_of(128) && from < to);
        let done = self.change(from, (from..to).map(|_| 0xFF));
        if done.is_err() && self.torn == Torn::Sector {
            let random = &mut self.random;
            self.bytes[from as usize..to as usize].fill_with(|| random.bits() as u8);
        }
        done
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerLost> {
        assert!(offset.is_multiple_of(8) && bytes.len().is_multiple_of(8));
        let erased = self.bytes[offset as usize..][..bytes.len()]
            .iter()
            .all(|&byte| byte == 0xFF);
        assert!(erased, "a word is written once between two erasures");
        self.change(offset, bytes.iter().copied())
    }
}
