//! Snapshots in two slots of flash: power may be lost at any time. Of the part `store`.

use core::ffi::c_void;
use core::mem::{align_of, size_of};

use ::mote_store::{HEADER, Store, StoreError, record_bytes};
use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use mote_runtime::Sampler;

use crate::cell::Cell;
use crate::check::{aligned, output};
use crate::config::{measure, mote_config};
use crate::status::{Refused, mote_status, status};
use crate::storage::{RunPlace, mote_model, mote_run};

/// Largest word of a flash, bytes.
pub const MOTE_FLASH_WORD_BYTES: u32 = 32;
/// Bytes of a record before what was saved.
pub const MOTE_RECORD_HEADER_BYTES: usize = HEADER;
/// Words of 8 bytes of a [`mote_store`].
pub const MOTE_STORE_WORDS: usize = (56 + 4 * size_of::<usize>()).div_ceil(8);

/// A flash, by three functions of yours. Each says 0 where it has done what it was asked for. Offsets are from the flash's beginning.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mote_flash {
    /// What the functions get first.
    pub context: *mut c_void,
    /// Reads any bytes.
    pub read: Option<unsafe extern "C" fn(context: *mut c_void, at: u32, to: *mut u8, bytes: u32) -> i32>,
    /// Writes whole words, each once between two erasures.
    pub write: Option<unsafe extern "C" fn(context: *mut c_void, at: u32, from: *const u8, bytes: u32) -> i32>,
    /// Erases whole sectors: every byte of them is 0xFF then.
    pub erase: Option<unsafe extern "C" fn(context: *mut c_void, at: u32, bytes: u32) -> i32>,
    /// Bytes of the flash.
    pub bytes: u32,
    /// Bytes of a sector: what is erased at least.
    pub sector_bytes: u32,
    /// Bytes of a word: what is written at least, 1 to `MOTE_FLASH_WORD_BYTES`.
    pub word_bytes: u32,
}

/// Two slots in a flash. It begins as zeros.
#[repr(C)]
#[derive(Debug)]
pub struct mote_store {
    /// The library's.
    pub opaque: [u64; MOTE_STORE_WORDS],
}

/// A function of the caller's has failed.
#[derive(Debug)]
struct Failed;

impl NorFlashError for Failed {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// Says what a function says.
fn done(status: i32) -> Result<(), Failed> {
    if status == 0 { Ok(()) } else { Err(Failed) }
}

/// The caller's flash. Words and sectors are known when it runs only: to the store it is one of bytes, and what it writes is padded here.
struct Flash(mote_flash);

impl ErrorType for Flash {
    type Error = Failed;
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, at: u32, to: &mut [u8]) -> Result<(), Failed> {
        let read = self.0.read.ok_or(Failed)?;
        // SAFETY: the caller's function, with room of that length.
        done(unsafe { read(self.0.context, at, to.as_mut_ptr(), to.len() as u32) })
    }

    fn capacity(&self) -> usize {
        self.0.bytes as usize
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Failed> {
        let erase = self.0.erase.ok_or(Failed)?;
        // SAFETY: the caller's function; the store's range is whole sectors.
        done(unsafe { erase(self.0.context, from, to.saturating_sub(from)) })
    }

    fn write(&mut self, at: u32, from: &[u8]) -> Result<(), Failed> {
        let write = self.0.write.ok_or(Failed)?;
        let word = (self.0.word_bytes as usize).max(1);
        let whole = from.len() / word * word;
        let (words, rest) = from.split_at_checked(whole).ok_or(Failed)?;
        if !words.is_empty() {
            // SAFETY: the caller's function, with bytes of that length.
            done(unsafe { write(self.0.context, at, words.as_ptr(), whole as u32) })?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let mut last = [0xFF; MOTE_FLASH_WORD_BYTES as usize];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        // SAFETY: as above; a word is no longer than `last`, which `mote_store_open` has checked.
        done(unsafe { write(self.0.context, at + whole as u32, last.as_ptr(), word as u32) })
    }
}

/// What a [`mote_store`] holds.
type StoreCell = Cell<Store<Flash>>;

const _: () = assert!(size_of::<StoreCell>() <= size_of::<mote_store>());
const _: () = assert!(align_of::<StoreCell>() <= align_of::<mote_store>());

const OPEN: u32 = 0x4d6f_7421;

impl From<StoreError<Failed>> for Refused {
    fn from(error: StoreError<Failed>) -> Self {
        match error {
            StoreError::Flash(Failed) => mote_status::MOTE_FLASH.into(),
            StoreError::Range => mote_status::MOTE_STORE_RANGE.into(),
            StoreError::Room { .. } => mote_status::MOTE_STORE_ROOM.into(),
        }
    }
}

/// The store in `store`.
///
/// # Safety
/// `store` was opened or is zeros, and is nobody else's.
unsafe fn open<'s>(store: *mut mote_store) -> Result<&'s mut Store<Flash>, Refused> {
    aligned(store)?;
    // SAFETY: the caller's promise; the pointer was checked.
    unsafe { StoreCell::get(store.cast(), OPEN) }.ok_or(mote_status::MOTE_NOT_OPEN.into())
}

/// Finds the newest record in the `bytes` bytes from `start` on, the two halves of which are the slots. A half is whole sectors, and has
/// room for a record: `mote_record_bytes`.
///
/// `flash` is copied; its functions and its context stay while the store is used.
///
/// # Safety
/// `store` is writable; `flash` is readable, and its functions do what they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_store_open(
    store: *mut mote_store,
    flash: *const mote_flash,
    start: u32,
    bytes: u32,
) -> mote_status {
    // SAFETY: the caller's promise; both pointers were checked.
    status(aligned(store).and_then(|()| unsafe {
        aligned(flash)?;
        let cell: *mut StoreCell = store.cast();
        StoreCell::clear(cell);
        let flash = flash.read();
        if flash.read.is_none() || flash.write.is_none() || flash.erase.is_none() {
            return Err(mote_status::MOTE_NULL.into());
        }
        let (word, sector, half) = (flash.word_bytes, flash.sector_bytes, bytes / 2);
        let words = word > 0 && word <= MOTE_FLASH_WORD_BYTES && sector.is_multiple_of(word);
        let end = start
            .checked_add(bytes)
            .filter(|_| words && sector > 0 && bytes.is_multiple_of(2));
        let end = end.filter(|_| start.is_multiple_of(sector) && half.is_multiple_of(sector));
        let found = Store::open(Flash(flash), start..end.ok_or(mote_status::MOTE_STORE_RANGE)?)?;
        StoreCell::put(cell, OPEN, found);
        Ok(())
    }))
}

/// Bytes of a run's record on a flash with words of `word_bytes`: of the buffer that `mote_store_save` takes, and of a slot at least.
///
/// # Safety
/// `model` was opened or is zeros; `config` is readable, `bytes` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_record_bytes(
    model: *const mote_model,
    config: *const mote_config,
    word_bytes: u32,
    bytes: *mut usize,
) -> mote_status {
    let word = word_bytes.clamp(1, MOTE_FLASH_WORD_BYTES) as usize;
    // SAFETY: the caller's promise.
    unsafe {
        measure(model, config, bytes, |model, config| {
            record_bytes(Sampler::snapshot_bytes(model, config), word)
        })
    }
}

/// Saves the run, between two steps. The record is made in the `room` bytes at `buffer`. What was saved before stays until this one is whole.
///
/// # Safety
/// `store` was opened or is zeros; `run` was begun or is zeros; `room` bytes at `buffer` are writable and nobody else's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_store_save(
    store: *mut mote_store,
    run: *const mote_run,
    buffer: *mut c_void,
    room: usize,
) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        let store = open(store)?;
        let buffer: &mut [u8] = output(buffer.cast(), room)?;
        let behind = buffer.get_mut(HEADER..).ok_or(mote_status::MOTE_STORE_ROOM)?;
        let len = place.get().snapshot(behind)?;
        Ok(store.save(buffer, len)?)
    }))
}

/// Loads what was saved last into the `room` bytes at `buffer`, for `mote_resume`. `bytes` gets its length, 0 where nothing was saved.
///
/// # Safety
/// `store` was opened or is zeros; `room` bytes at `buffer` are writable and nobody else's; `bytes` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_store_load(
    store: *mut mote_store,
    buffer: *mut c_void,
    room: usize,
    bytes: *mut usize,
) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(aligned(bytes).and_then(|()| unsafe {
        let buffer: &mut [u8] = output(buffer.cast(), room)?;
        let loaded = open(store)?.load(buffer)?;
        bytes.write(loaded.map_or(0, |loaded| loaded.len()));
        Ok(())
    }))
}

/// Forgets what was saved: the image is done.
///
/// # Safety
/// `store` was opened or is zeros.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_store_clear(store: *mut mote_store) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { open(store) }.and_then(|store| Ok(store.clear()?)))
}
