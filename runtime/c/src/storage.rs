//! What lies in the storage that a C caller owns.
//!
//! A tag tells storage in use from storage that was never begun, was copied or moved, or is in use by an interrupted call. It
//! is made of the storage's address.

use core::mem::{MaybeUninit, align_of, size_of};

use mote_runtime::{Model, ParseError, RunError, Sampler};

use crate::check::aligned;
use crate::status::{Refused, mote_status};

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

/// What a [`mote_model`] holds. The result is made where it stays: a copy of it would take code.
#[repr(C)]
pub struct ModelCell {
    tag: u32,
    parsed: MaybeUninit<Result<Model<'static>, ParseError>>,
}

/// A run, or why there is none.
pub type Made = Result<Sampler<'static, 'static>, RunError>;

/// What a [`mote_run`] holds.
#[repr(C)]
pub struct RunCell {
    tag: u32,
    /// Of the last call that failed; its number is 0 before one did.
    error: Option<RunError>,
    /// The storage of its model, which must still be open.
    model: ModelPlace,
    /// Made where it stays.
    sampler: MaybeUninit<Made>,
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
    pub fn new(model: *const mote_model) -> Result<Self, Refused> {
        aligned(model)?;
        Ok(Self::of(model))
    }

    /// A place that is not checked yet.
    pub fn of(model: *const mote_model) -> Self {
        Self(model.cast_mut().cast())
    }

    /// Puts there what `parse` gives.
    ///
    /// # Safety
    /// The storage is the library's to write.
    #[inline(always)]
    pub unsafe fn set(self, parse: impl FnOnce() -> Result<Model<'static>, ParseError>) -> Result<(), Refused> {
        // SAFETY: the caller's promise; `new` has checked the place. A model that is refused may lie where an open one did: neither is dropped.
        unsafe {
            let parsed = (*(&raw mut (*self.0).parsed)).write(parse());
            let (state, result) = match parsed {
                Ok(_) => (OPEN, Ok(())),
                Err(error) => (REFUSED, Err(Refused::from(&*error))),
            };
            (&raw mut (*self.0).tag).write(tag(state, self.0.cast()));
            result
        }
    }

    /// # Safety
    /// The storage was set, or its bytes are zeros.
    unsafe fn is(self, state: u32) -> bool {
        // SAFETY: the caller's promise; `new` has checked the place.
        unsafe { (&raw const (*self.0).tag).read() == tag(state, self.0.cast()) }
    }

    /// The model in this storage, as it was given.
    ///
    /// # Safety
    /// As of `is`; storage and file stay as they are while the model is used.
    #[inline(always)]
    pub unsafe fn opened(model: *const mote_model) -> Result<&'static Model<'static>, Refused> {
        let place = Self::of(model);
        // SAFETY: the caller's promise; a model lies there by the tag.
        unsafe {
            place.expect_open()?;
            let parsed = (*(&raw const (*place.0).parsed)).assume_init_ref();
            Ok(parsed.as_ref().unwrap_unchecked())
        }
    }

    /// # Safety
    /// As of `is`, where the place is one.
    #[inline(never)]
    unsafe fn expect_open(self) -> Result<(), Refused> {
        aligned(self.0)?;
        // SAFETY: the caller's promise; the place was checked.
        if unsafe { self.is(OPEN) } {
            Ok(())
        } else {
            Err(mote_status::MOTE_NOT_OPEN.into())
        }
    }

    /// Why it is not open.
    ///
    /// # Safety
    /// As of `is`.
    pub unsafe fn refused(self) -> Option<ParseError> {
        // SAFETY: the caller's promise; what the tag says lies there.
        unsafe {
            let parsed = self
                .is(REFUSED)
                .then(|| (*(&raw const (*self.0).parsed)).assume_init_ref());
            parsed.and_then(|parsed| parsed.as_ref().err().copied())
        }
    }
}

/// A run's storage, as it was given.
#[derive(Clone, Copy)]
pub struct RunPlace(*mut RunCell);

impl RunPlace {
    /// # Errors
    /// Null, or not aligned.
    pub fn new(run: *const mote_run) -> Result<Self, Refused> {
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
    unsafe fn expect_idle(self) -> Result<(), Refused> {
        // SAFETY: the caller's promise.
        if unsafe { self.is(BUSY) } {
            Err(mote_status::MOTE_BUSY.into())
        } else {
            Ok(())
        }
    }

    /// Storage with a run that can be moved.
    ///
    /// # Safety
    /// As of `is`.
    #[inline(always)]
    pub unsafe fn ready(run: *const mote_run) -> Result<ReadyRun, Refused> {
        let place = Self(run.cast_mut().cast());
        // SAFETY: the caller's promise.
        unsafe { place.expect_ready()? };
        Ok(ReadyRun(place))
    }

    /// # Safety
    /// As of `is`, where the place is one.
    #[inline(never)]
    unsafe fn expect_ready(self) -> Result<(), Refused> {
        aligned(self.0)?;
        // SAFETY: the caller's promise; the place was checked.
        unsafe {
            self.expect_idle()?;
            if !self.is(READY) {
                return Err(mote_status::MOTE_NOT_STARTED.into());
            }
            // A model that was refused, or is zeros, since the run began.
            if !(*self.0).model.is(OPEN) {
                return Err(mote_status::MOTE_NOT_OPEN.into());
            }
            Ok(())
        }
    }

    /// Ends a call: keeps why it failed, and says that the run is in this state.
    ///
    /// # Safety
    /// The storage is the library's to write.
    #[inline(never)]
    unsafe fn end(self, error: Option<&RunError>, state: u32) -> Result<(), Refused> {
        // SAFETY: the caller's promise.
        unsafe {
            (&raw mut (*self.0).error).write(error.copied());
            self.mark(state);
        }
        error.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The place of a run, which is busy until it is [`begun`](Self::begun). The run before is gone.
    ///
    /// # Safety
    /// The storage is the library's to write. Everything that the run will borrow stays as it is while the run is used.
    #[inline(always)]
    pub unsafe fn begin<'a>(self, model: ModelPlace) -> Result<&'a mut MaybeUninit<Made>, Refused> {
        // SAFETY: the caller's promise; a new run may lie where another did, for neither is dropped.
        unsafe {
            self.expect_idle()?;
            self.mark(BUSY);
            (&raw mut (*self.0).model).write(model);
            Ok(&mut *(&raw mut (*self.0).sampler))
        }
    }

    /// Says what was made.
    ///
    /// # Safety
    /// As of `begin`; its place was written.
    #[inline(always)]
    pub unsafe fn begun(self, made: &Made) -> Result<(), Refused> {
        let state = if made.is_ok() { READY } else { FAILED };
        // SAFETY: the caller's promise.
        unsafe { self.end(made.as_ref().err(), state) }
    }

    /// Says that none was made, and why.
    ///
    /// # Safety
    /// As of `begin`, which gave the place.
    #[cold]
    #[inline(always)]
    pub unsafe fn refuse(self, made: &mut MaybeUninit<Made>, error: RunError) -> Refused {
        // SAFETY: the caller's promise.
        unsafe { self.begun(made.write(Err(error))) }
            .err()
            .unwrap_or(Refused::from(mote_status::MOTE_NOT_STARTED))
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

/// Storage in which a run lies that can be moved.
#[derive(Clone, Copy)]
pub struct ReadyRun(RunPlace);

impl ReadyRun {
    /// Lets `work` move the run, which is busy until then.
    ///
    /// # Safety
    /// What the run borrows is as it was.
    #[inline(always)]
    pub unsafe fn with<T>(
        self,
        work: impl FnOnce(&mut Sampler<'static, 'static>) -> Result<T, RunError>,
    ) -> Result<T, Refused> {
        // SAFETY: the caller's promise; a run lies there by the tag, and none other is lent while it is busy.
        unsafe {
            self.0.mark(BUSY);
            let made = (*(&raw mut (*self.0.0).sampler)).assume_init_mut();
            let result = work(made.as_mut().unwrap_unchecked());
            self.0.end(result.as_ref().err(), READY)?;
            result.map_err(Refused::from)
        }
    }

    /// The run.
    ///
    /// # Safety
    /// Nothing moves the run while it is lent.
    #[inline(always)]
    pub unsafe fn get<'a>(self) -> &'a Sampler<'static, 'static> {
        // SAFETY: the caller's promise; a run lies there by the tag.
        unsafe {
            let made = (*(&raw const (*self.0.0).sampler)).assume_init_ref();
            made.as_ref().unwrap_unchecked()
        }
    }
}
