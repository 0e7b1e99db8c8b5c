//! The saved run in flash: its length, then its bytes, in the region SNAPSHOT of memory.x.
//!
//! The length is written last, so a save that is cut off leaves nothing. The snapshot has a checksum of its own.

use crate::driver;

/// Says that nothing is saved: what flash holds after it was erased.
const NOTHING: u32 = u32::MAX;

/// The saved run, if there is one.
pub fn saved() -> Option<&'static [u8]> {
    let (length, bytes) = driver::region().split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    bytes.get(..length as usize).filter(|_| length != NOTHING && length != 0)
}

/// Saves a run in place of the one before. Without a driver for the flash this does nothing.
pub fn save(bytes: &[u8]) {
    if bytes.len() + 4 > driver::region().len() {
        return;
    }
    driver::erase();
    for (index, word) in bytes.chunks(4).enumerate() {
        let mut padded = [0xff; 4];
        padded[..word.len()].copy_from_slice(word);
        driver::write(1 + index, u32::from_le_bytes(padded));
    }
    driver::write(0, bytes.len() as u32);
}

/// Forgets the saved run.
pub fn clear() {
    if saved().is_some() {
        driver::erase();
    }
}
