//! A step in pieces: for a main loop or a task with other work between two operators.

use core::mem::{align_of, size_of};

use mote_runtime::{Pending, Sampler};

use crate::cell::Cell;
use crate::check::{aligned, aligned_or_null};
use crate::run::{mote_step_info, tell};
use crate::status::{Refused, mote_status, status, told_by};
use crate::storage::{ModelPlace, RunPlace, mote_model, mote_run};

/// Words of 8 bytes of a [`mote_pending`]. Feature `cooperative`, as all with pieces of steps.
pub const MOTE_PENDING_WORDS: usize = 18;

/// A step that was begun. It begins as zeros.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mote_pending {
    /// The library's.
    pub opaque: [u64; MOTE_PENDING_WORDS],
}

/// What a [`mote_pending`] holds.
type PendingCell = Cell<Pending<'static>>;

const BEGUN: u32 = 0x4d6f_7411;

const _: () = assert!(size_of::<PendingCell>() <= size_of::<mote_pending>());
const _: () = assert!(align_of::<PendingCell>() <= align_of::<mote_pending>());

/// The step in `pending`.
///
/// # Safety
/// `pending` was written by `mote_begin_step` or is zeros, and nobody else's.
unsafe fn begun<'p>(pending: *mut mote_pending) -> Result<&'p mut Pending<'static>, Refused> {
    aligned(pending)?;
    // SAFETY: the caller's promise; the pointer was checked.
    unsafe { PendingCell::get(pending.cast(), BEGUN) }.ok_or(mote_status::MOTE_NOT_STARTED.into())
}

/// Begins the next step. `MOTE_FINISHED` where there is none. From here to `mote_finish_step` nothing but `mote_run_operators` is called
/// with the run, and the run is not saved.
///
/// # Safety
/// `run` was begun or is zeros, and everything that it borrows is as it was; `pending` is writable and nobody else's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_begin_step(run: *mut mote_run, pending: *mut mote_pending) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    let result = unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned(pending)?;
        let cell: *mut PendingCell = pending.cast();
        PendingCell::clear(cell);
        let Some(step) = place.with(|run| run.begin_step())? else {
            return Ok(mote_status::MOTE_FINISHED);
        };
        PendingCell::put(cell, BEGUN, step);
        Ok(mote_status::MOTE_OK)
    });
    result.unwrap_or_else(told_by)
}

/// Has convolutions of the step that was begun run in pieces, none longer than one of `parts` of a network call as far as rows of output are not: each
/// counts as an operator. The bits stay. Networks in f16 are not split.
///
/// # Safety
/// `pending` was begun or is zeros, and is nobody else's; `model` is its run's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_split_step(
    pending: *mut mote_pending,
    model: *const mote_model,
    parts: u32,
) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { ModelPlace::opened(model) }.and_then(|model| unsafe {
        let macs = model.header().macs / u64::from(parts.max(1));
        let step = begun(pending)?;
        *step = step.split(u32::try_from(macs).unwrap_or(u32::MAX));
        Ok(())
    }))
}

/// Runs the next `count` operators of the step, fewer where fewer are left. `done` gets 1 where none is left, else 0.
///
/// # Safety
/// As of `mote_begin_step`; `pending` was begun with this run; `done` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_run_operators(
    run: *mut mote_run,
    pending: *mut mote_pending,
    count: u16,
    done: *mut u8,
) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned(done)?;
        let step = begun(pending)?;
        done.write(place.with(|run| run.run_operators(step, count))?.into());
        Ok(())
    }))
}

/// Runs what is left of the step and finishes it. `step` may be null.
///
/// # Safety
/// As of `mote_run_operators`; `step` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_finish_step(
    run: *mut mote_run,
    pending: *mut mote_pending,
    step: *mut mote_step_info,
) -> mote_status {
    // SAFETY: the caller's promise; the pointers were checked.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned_or_null(step)?;
        let pending_step = *begun(pending)?;
        let done = place.with(|run: &mut Sampler<'_, '_>| run.finish_step(pending_step))?;
        PendingCell::clear(pending.cast());
        tell(done, step);
        Ok(())
    }))
}
