//! Runs that go on after a reset.

use core::ffi::c_void;

use mote_runtime::Sampler;

use crate::check::{aligned, input, output};
use crate::config::{measure, mote_config};
use crate::run::lend;
use crate::status::{mote_status, status};
use crate::storage::{RunPlace, mote_model, mote_run};

/// Bytes that a snapshot of a run may need.
///
/// # Safety
/// `model` was opened or is zeros; `config` is readable, `bytes` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_snapshot_bytes(
    model: *const mote_model,
    config: *const mote_config,
    bytes: *mut usize,
) -> mote_status {
    // SAFETY: the caller's promise.
    unsafe { measure(model, config, bytes, Sampler::snapshot_bytes) }
}

/// Saves the run, between two steps, into the `room` bytes at `to`. `written` gets the snapshot's length.
///
/// # Safety
/// `run` was begun or is zeros; `room` bytes at `to` are writable and neither the run's nor the arena's; `written` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_save(
    run: *const mote_run,
    to: *mut c_void,
    room: usize,
    written: *mut usize,
) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned(written)?;
        let to = output(to.cast(), room)?;
        written.write(place.get().snapshot(to)?);
        Ok(())
    }))
}

/// Begins a run where the snapshot at `from` was taken, and goes on to the same bits. Of the `bytes` bytes those behind the snapshot do not
/// matter: padding, or the rest of a page of flash. The rest is as of `mote_start`; a
/// run with known elements is given them again with `mote_inpaint`.
///
/// # Safety
/// As of `mote_start`; `bytes` bytes at `from` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_resume(
    run: *mut mote_run,
    model: *const mote_model,
    arena: *mut c_void,
    arena_bytes: usize,
    from: *const c_void,
    bytes: usize,
) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { input::<u8>(from.cast(), bytes) }.and_then(|from| unsafe {
        let mut lent = lend(run, model, (arena, arena_bytes))?;
        let arena = &mut *(&raw mut lent.arena);
        let made = lent.made.write(Sampler::resume_slot(lent.model, arena, from));
        lent.place.begun(made)
    }))
}
