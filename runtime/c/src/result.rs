//! What a run has made.

use mote_runtime::internals::sampler::pixel_to_q24;

use crate::check::{aligned, input, output};
use crate::status::{mote_status, status};
use crate::storage::{RunPlace, mote_run};

/// Writes the state as pixels, -1 as 0 and 1 as 255, (row, col, channel). `count` is the model's `elements`.
///
/// # Safety
/// `run` was begun or is zeros; `count` bytes at `pixels` are writable and neither the run's nor the arena's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_image(run: *const mote_run, pixels: *mut u8, count: usize) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        let pixels = output(pixels, count)?;
        Ok(place.get().image(pixels)?)
    }))
}

/// Gives the state x_t: Q24, (row, col, channel). It lies in the arena, and holds until the next call that is given `run`.
///
/// # Safety
/// `run` was begun or is zeros; `state` and `elements` are writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_state(run: *const mote_run, state: *mut *const i32, elements: *mut usize) -> mote_status {
    // SAFETY: the caller's promise; the pointers were checked.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned(state)?;
        aligned(elements)?;
        let x = place.get().state();
        state.write(x.as_ptr());
        elements.write(x.len());
        Ok(())
    }))
}

/// Gives the digest of the state.
///
/// # Safety
/// `run` was begun or is zeros; `digest` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_digest(run: *const mote_run, digest: *mut u64) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned(digest)?;
        digest.write(place.get().digest());
        Ok(())
    }))
}

/// Gives how many steps are done, those that a start from an image skipped included.
///
/// # Safety
/// `run` was begun or is zeros; `steps` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_steps_done(run: *const mote_run, steps: *mut u32) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned(steps)?;
        steps.write(place.get().index());
        Ok(())
    }))
}

/// Writes pixels as Q24, 0 as -1 and 255 as 1: for `mote_start_image` and `mote_inpaint`.
///
/// # Safety
/// `count` bytes at `pixels` are readable, `count` elements at `image` writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_pixels_to_q24(pixels: *const u8, image: *mut i32, count: usize) -> mote_status {
    // SAFETY: the caller's promise.
    let (pixels, image) = unsafe { (input(pixels, count), output(image, count)) };
    status(pixels.and_then(|pixels| {
        for (x, &pixel) in image?.iter_mut().zip(pixels) {
            *x = pixel_to_q24(pixel);
        }
        Ok(())
    }))
}
