//! Two slots of flash for what must outlive a reset: a run's snapshot, or any bytes. Power may be lost at any time.
//!
//! [`Store::save`] writes into the slot that does not hold the newest record, and [`Store::load`] gives the newest that is whole. So what
//! is loaded after a reset is what was saved last, or, where power was lost while it was written, what was saved before.
//!
//! ```
//! use embedded_storage::nor_flash::NorFlash;
//! use mote_store::{HEADER, Store, StoreError, record_bytes};
//!
//! // `Sampler::snapshot_bytes`, or `SNAPSHOT_BYTES` of the build script.
//! const SNAPSHOT: usize = 344;
//!
//! /// After a step: `snapshot` is `|room| run.snapshot(room)`.
//! fn save<F: NorFlash>(store: &mut Store<F>, snapshot: impl FnOnce(&mut [u8]) -> usize) -> Result<(), StoreError<F::Error>> {
//!     let mut buffer = [0; record_bytes(SNAPSHOT, 32)];
//!     let len = snapshot(&mut buffer[HEADER..]);
//!     store.save(&mut buffer, len)
//! }
//! ```
//!
//! A record is [`HEADER`] bytes, then what was saved, then 0xFF to a whole word of flash. The header: `MST1`, the record's number
//! (one more than that of the record before), the length of what was saved, and the CRC-32 of these two and of it; all little-endian.
//!
//! Nothing here allocates, panics or is unsafe. The flash is any that has `embedded-storage`'s traits, of which the store needs to know
//! one thing more: that a word reads back as it was written until it is erased.
#![no_std]
#![deny(unsafe_code)]

mod record;

use core::fmt;
use core::ops::Range;

use embedded_storage::nor_flash::NorFlash;
use record::{Crc, Record};
pub use record::{HEADER, record_bytes};

/// Bytes that are read at once while a record is checked.
const CHUNK: usize = 64;

/// Why nothing was saved or loaded. What was saved before is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError<E> {
    /// The flash refused, or failed.
    Flash(E),
    /// The store's range is not two slots of whole sectors that lie in the flash.
    Range,
    /// A record does not fit: the slot, or the buffer that was given for it.
    Room {
        /// Bytes of the record.
        needed: usize,
        /// Bytes that there are.
        found: usize,
    },
}

impl<E: fmt::Debug> fmt::Display for StoreError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash failed: {error:?}"),
            Self::Range => f.write_str("the store's range must be two slots of whole sectors, within the flash"),
            Self::Room { needed, found } => write!(f, "the record needs {needed} bytes, and there are {found}"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for StoreError<E> {}

/// Where the newest record is.
#[derive(Debug, Clone, Copy)]
struct Newest {
    slot: u32,
    record: Record,
}

/// Two slots in a flash.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    start: u32,
    slot_bytes: u32,
    newest: Option<Newest>,
}

impl<F: NorFlash> Store<F> {
    /// Finds the newest record in `range` of `flash`, the two halves of which are the slots.
    ///
    /// # Errors
    /// `Range` where the halves are not whole sectors, or no record fits them; `Flash`.
    pub fn open(flash: F, range: Range<u32>) -> Result<Self, StoreError<F::Error>> {
        const {
            assert!(
                F::READ_SIZE > 0 && CHUNK.is_multiple_of(F::READ_SIZE),
                "reads go in chunks"
            );
            assert!(HEADER.is_multiple_of(F::READ_SIZE), "a header is read alone");
        }
        let sector = F::ERASE_SIZE as u32;
        let (whole, slot_bytes) = (
            range.end.saturating_sub(range.start),
            (range.end.saturating_sub(range.start)) / 2,
        );
        let sectors = sector > 0 && range.start.is_multiple_of(sector) && slot_bytes.is_multiple_of(sector);
        let words =
            sectors && F::ERASE_SIZE.is_multiple_of(F::WRITE_SIZE) && F::ERASE_SIZE.is_multiple_of(F::READ_SIZE);
        let inside = range.end as usize <= flash.capacity() && whole == slot_bytes * 2;
        if !words || !inside || (slot_bytes as usize) < HEADER {
            return Err(StoreError::Range);
        }
        let mut store = Self {
            flash,
            start: range.start,
            slot_bytes,
            newest: None,
        };
        for slot in 0..2 {
            if let Some(record) = store.whole_record(slot)? {
                let newer = store.newest.is_none_or(|newest| record.follows(&newest.record));
                store.newest = if newer {
                    Some(Newest { slot, record })
                } else {
                    store.newest
                };
            }
        }
        Ok(store)
    }

    /// Loads what was saved last into `buffer`; `None` where nothing was ever saved. Behind it the buffer holds whatever.
    ///
    /// # Errors
    /// `Room` where the buffer is too short; `Flash`.
    pub fn load<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, StoreError<F::Error>> {
        let Some(Newest { slot, record }) = self.newest else {
            return Ok(None);
        };
        let len = record.len as usize;
        let (needed, found) = (len.next_multiple_of(F::READ_SIZE), buffer.len());
        let room = buffer.get_mut(..needed).ok_or(StoreError::Room { needed, found })?;
        let from = self.start + slot * self.slot_bytes + HEADER as u32;
        self.flash.read(from, room).map_err(StoreError::Flash)?;
        Ok(buffer.get(..len))
    }

    /// Saves the `len` bytes that stand in `buffer` from [`HEADER`] on. The buffer has room for the record
    /// ([`record_bytes`]), which is made in it.
    ///
    /// # Errors
    /// `Room` where the record does not fit the slot or the buffer; `Flash`. What was saved before is loaded then.
    pub fn save(&mut self, buffer: &mut [u8], len: usize) -> Result<(), StoreError<F::Error>> {
        let needed = record_bytes(len, F::WRITE_SIZE);
        let found = buffer.len().min(self.slot_bytes as usize);
        let bytes = buffer.get_mut(..needed).filter(|_| needed <= found);
        let bytes = bytes.ok_or(StoreError::Room { needed, found })?;
        let number = self.newest.map_or(0, |newest| newest.record.number.wrapping_add(1));
        let record = Record::write(number, bytes, len);
        // The newest stays where it is until this one is whole.
        let slot = self.newest.map_or(0, |newest| 1 - newest.slot);
        let from = self.start + slot * self.slot_bytes;
        self.flash
            .erase(from, from + self.slot_bytes)
            .map_err(StoreError::Flash)?;
        self.flash.write(from, bytes).map_err(StoreError::Flash)?;
        self.newest = Some(Newest { slot, record });
        Ok(())
    }

    /// Forgets everything that was saved: the image is done. The newest goes last, so that no older one is loaded in its place.
    ///
    /// # Errors
    /// `Flash`.
    pub fn clear(&mut self) -> Result<(), StoreError<F::Error>> {
        let last = self.newest.map_or(0, |newest| newest.slot);
        for slot in [1 - last, last] {
            let from = self.start + slot * self.slot_bytes;
            self.flash
                .erase(from, from + self.slot_bytes)
                .map_err(StoreError::Flash)?;
        }
        self.newest = None;
        Ok(())
    }

    /// Number of the newest record: 0, and one more a save; `None` where there is none.
    pub fn number(&self) -> Option<u32> {
        self.newest.map(|newest| newest.record.number)
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.flash
    }

    /// The record in a slot, where it is whole.
    fn whole_record(&mut self, slot: u32) -> Result<Option<Record>, StoreError<F::Error>> {
        let start = self.start + slot * self.slot_bytes;
        let mut header = [0; HEADER];
        self.flash.read(start, &mut header).map_err(StoreError::Flash)?;
        let most = self.slot_bytes - HEADER as u32;
        let Some((record, expected)) = Record::read(&header).filter(|(record, _)| record.len <= most) else {
            return Ok(None);
        };
        let mut crc = Crc::of(&record);
        let mut done = 0;
        while done < record.len {
            let mut chunk = [0; CHUNK];
            // A slot is whole sectors, and so whole units of reading.
            let count = (most - done).min(CHUNK as u32) as usize;
            let chunk = chunk.get_mut(..count).unwrap_or_default();
            let at = start + HEADER as u32 + done;
            self.flash.read(at, chunk).map_err(StoreError::Flash)?;
            let used = (record.len - done).min(CHUNK as u32) as usize;
            crc.add(chunk.get(..used).unwrap_or_default());
            done += used as u32;
        }
        Ok((crc.value() == expected).then_some(record))
    }
}
