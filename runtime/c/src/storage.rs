//! What lies in the storage that a C caller owns.
//!
//! A tag tells storage in use from storage that was never begun, was copied or moved, or is in use by an interrupted call. It
//! is made of the storage's address.

use core::mem::{align_of, size_of};

use mote_runtime::{Model, ParseError, RunError, Sampler};

use crate::check::aligned;
use crate::status::mote_status;

/// Words of 8 bytes of a [`mote_model`].
#[allow(clippy::manual_bits, reason = "eight pointers, not the bits of one")]
pub const MOTE_MODEL_WORDS: usize = (96 + 8 * size_of::<usize>()).div_ceil(8);
/// Words of 8 bytes of a [`mote_run`].
pub const MOTE_RUN_WORDS: usize = (80 + 14 * size_of::<usize>()).div_ceil(8);

/// An open model: 128 bytes on a core of 32 bits. It stays where it is while it is in use: a copy is refused.
#[repr(C)]
#[derive(Debug)]
pub struct mote_model {
    /// The library's.
    pub opaque: [u64; MOTE_MODEL_WORDS],
}

/// A run: 136 bytes on a core of 32 bits. It begins as zeros, and stays where it is while it is in use: a copy is refused.
#[repr(C)]
#[derive(Debug)]
pub struct mote_run {
    /// The library's.
    pub opaque: [u64; MOTE_RUN_WORDS],
}

/// What a [`mote_model`] holds.
#[repr(C)]
pub struct ModelCell {
    tag: u32,
    content: ModelContent,
}

#[repr(C)]
union ModelContent {
    open: Model<'static>,
    /// Why it is not open.
    refused: ParseError,
}

/// What a [`mote_run`] holds.
#[repr(C)]
pub struct RunCell {
    tag: u32,
    /// Of the last call that failed; its number is 0 before one did.
    error: Option<RunError>,
    /// The storage of its model, which must still be open.
    model: ModelPlace,
    sampler: core::mem::MaybeUninit<Sampler<'static, 'static>>,
}

const _: () = assert!(size_of::<ModelCell>() <= size_of::<mote_model>());
const _: () = assert!(align_of::<ModelCell>() <= align_of::<mote_model>());
const _: () = assert!(size_of::<RunCell>() <= size_of::<mote_run>());
const _: () = assert!(align_of::<RunCell>() <= align_of::<mote_run>());

const OPEN: u32 = 0x4d6f_7401;
const REFUSED: u32 = 0x4d6f_7402;
const READY: u32 = 0x4d6f_7403;
const FAILED: u32 = 0x4d6f_7404;
const BUSY: u32 = 0x4d6f_7405;

/// The tag of storage at this address in this state: a copy of it lies elsewhere.
fn tag(state: u32, at: *const u8) -> u32 {
    state ^ (at as usize as u32).rotate_left(8)
}

/// A model's storage, as it was given.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct ModelPlace(*mut ModelCell);

impl ModelPlace {
    /// # Errors
    /// Null, or not aligned.
    pub fn new(model: *const mote_model) -> Result<Self, mote_status> {
        aligned(model)?;
        Ok(Self(model.cast_mut().cast()))
    }

    /// # Safety
    /// The storage is the library's to write.
    pub unsafe fn set(self, parsed: Result<Model<'static>, ParseError>) -> Result<(), mote_status> {
        let (state, content, result) = match parsed {
            Ok(open) => (OPEN, ModelContent { open }, Ok(())),
            Err(refused) => (REFUSED, ModelContent { refused }, Err(refused.into())),
        };
        // SAFETY: the caller's promise; `new` has checked the place.
        unsafe {
            (&raw mut (*self.0).content).write(content);
            (&raw mut (*self.0).tag).write(tag(state, self.0.cast()));
        }
        result
    }

    /// # Safety
    /// The storage was set, or its bytes are zeros.
    unsafe fn is(self, state: u32) -> bool {
        // SAFETY: the caller's promise; `new` has checked the place.
        unsafe { (&raw const (*self.0).tag).read() == tag(state, self.0.cast()) }
    }

    /// The model.
    ///
    /// # Safety
    /// As of `is`; storage and file stay as they are while the model is used.
    pub unsafe fn open(self) -> Result<&'static Model<'static>, mote_status> {
        // SAFETY: the caller's promise; what the tag says lies there.
        unsafe {
            if !self.is(OPEN) {
                return Err(mote_status::MOTE_NOT_OPEN);
            }
            Ok(&*(&raw const (*self.0).content.open))
        }
    }

    /// Why it is not open.
    ///
    /// # Safety
    /// As of `is`.
    pub unsafe fn refused(self) -> Option<ParseError> {
        // SAFETY: the caller's promise; what the tag says lies there.
        unsafe { self.is(REFUSED).then(|| (*self.0).content.refused) }
    }
}

/// A run's storage, as it was given.
#[derive(Clone, Copy)]
pub struct RunPlace(*mut RunCell);

impl RunPlace {
    /// # Errors
    /// Null, or not aligned.
    pub fn new(run: *const mote_run) -> Result<Self, mote_status> {
        aligned(run)?;
        Ok(Self(run.cast_mut().cast()))
    }

    /// # Safety
    /// The storage is the library's to write.
    unsafe fn mark(self, state: u32) {
        // Volatile: an interrupt handler may look at it in the middle of a call.
        // SAFETY: the caller's promise; `new` has checked the place.
        unsafe { (&raw mut (*self.0).tag).write_volatile(tag(state, self.0.cast())) }
    }

    /// # Safety
    /// The storage was begun, or its bytes are zeros.
    unsafe fn is(self, state: u32) -> bool {
        // SAFETY: the caller's promise; `new` has checked the place.
        unsafe { (&raw const (*self.0).tag).read_volatile() == tag(state, self.0.cast()) }
    }

    /// # Safety
    /// As of `is`.
    unsafe fn expect_idle(self) -> Result<(), mote_status> {
        // SAFETY: the caller's promise.
        if unsafe { self.is(BUSY) } {
            Err(mote_status::MOTE_BUSY)
        } else {
            Ok(())
        }
    }

    /// # Safety
    /// As of `is`.
    unsafe fn expect_ready(self) -> Result<(), mote_status> {
        // SAFETY: the caller's promise.
        unsafe {
            self.expect_idle()?;
            if !self.is(READY) {
                return Err(mote_status::MOTE_NOT_STARTED);
            }
            // A model that was refused, or is zeros, since the run began.
            if !(*self.0).model.is(OPEN) {
                return Err(mote_status::MOTE_NOT_OPEN);
            }
            Ok(())
        }
    }

    /// Puts a run there in place of the one before.
    ///
    /// # Safety
    /// The storage is the library's to write. Everything that the run borrows stays as it is while the run is used.
    #[inline(always)]
    pub unsafe fn begin(
        self,
        model: ModelPlace,
        run: impl FnOnce() -> Result<Sampler<'static, 'static>, RunError>,
    ) -> Result<(), mote_status> {
        // SAFETY: the caller's promise; a new run may lie where another did, for neither is dropped.
        unsafe {
            self.expect_idle()?;
            self.mark(BUSY);
            let (state, error) = match run() {
                Ok(sampler) => {
                    (&raw mut (*self.0).sampler).cast::<Sampler<'_, '_>>().write(sampler);
                    (READY, None)
                }
                Err(error) => (FAILED, Some(error)),
            };
            (&raw mut (*self.0).error).write(error);
            (&raw mut (*self.0).model).write(model);
            self.mark(state);
            error.map_or(Ok(()), |error| Err(error.into()))
        }
    }

    /// Lets `work` move the run, which is busy until then.
    ///
    /// # Safety
    /// The storage was begun, or its bytes are zeros. What the run borrows is as it was.
    #[inline(always)]
    pub unsafe fn with<T>(
        self,
        work: impl FnOnce(&mut Sampler<'static, 'static>) -> Result<T, RunError>,
    ) -> Result<T, mote_status> {
        // SAFETY: the caller's promise; a run lies there by the tag, and none other is lent while it is busy.
        unsafe {
            self.expect_ready()?;
            self.mark(BUSY);
            let result = work(&mut *(&raw mut (*self.0).sampler).cast());
            (&raw mut (*self.0).error).write(result.as_ref().err().copied());
            self.mark(READY);
            Ok(result?)
        }
    }

    /// The run.
    ///
    /// # Safety
    /// As of `with`; nothing moves the run while it is lent.
    pub unsafe fn get<'a>(self) -> Result<&'a Sampler<'static, 'static>, mote_status> {
        // SAFETY: the caller's promise; a run lies there by the tag.
        unsafe {
            self.expect_ready()?;
            Ok(&*(&raw const (*self.0).sampler).cast())
        }
    }

    /// Why the last call that could have moved it did not.
    ///
    /// # Safety
    /// As of `is`.
    pub unsafe fn error(self) -> Option<RunError> {
        // SAFETY: the caller's promise; an error is written with every tag but `BUSY`.
        unsafe {
            if self.is(READY) || self.is(FAILED) {
                (&raw const (*self.0).error).read()
            } else {
                None
            }
        }
    }
}
