//! Beginning a run, and its steps.

use core::ffi::c_void;
use core::mem::{MaybeUninit, size_of};

use mote_runtime::{Arena, Model, Sampler, Start, Step};

use crate::check::{aligned_or_null, apart, input, output};
use crate::config::{mote_config, read};
use crate::status::{Refused, mote_status, status, told_by};
use crate::storage::{Made, ModelPlace, RunPlace, mote_model, mote_run};

/// A finished step.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct mote_step_info {
    /// Digest of the state after the step: equal on every machine.
    pub digest: u64,
    /// Number of the step, 0 first.
    pub index: u32,
    /// Training timestep that the network was called with.
    pub timestep: u32,
}

/// Begins a run of `model` from noise that `config.seed` makes. What `run` held before is gone: another image is made in the same storage
/// and arena by beginning again.
///
/// `arena` begins at a multiple of 16 and has `mote_arena_bytes` or more. It is the run's until the last call with that run; so are
/// `model` and its file. `config` is copied.
///
/// # Safety
/// `run` and `arena_bytes` bytes at `arena` are writable and nobody else's. `run` was begun before, or its bytes are zeros. `model` was
/// opened or is zeros. `config` is readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_start(
    run: *mut mote_run,
    model: *const mote_model,
    arena: *mut c_void,
    arena_bytes: usize,
    config: *const mote_config,
) -> mote_status {
    // SAFETY: the caller's promise.
    unsafe { status(start(run, model, (arena, arena_bytes), config, || Start::Seed)) }
}

/// Begins a run from a given x_T of `elements` elements: Q24, (row, col, channel).
///
/// # Safety
/// As of `mote_start`; `elements` elements at `noise` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_start_noise(
    run: *mut mote_run,
    model: *const mote_model,
    arena: *mut c_void,
    arena_bytes: usize,
    config: *const mote_config,
    noise: *const i32,
    elements: usize,
) -> mote_status {
    // SAFETY: the caller's promise.
    status(
        unsafe { input(noise, elements) }
            .and_then(|noise| unsafe { start(run, model, (arena, arena_bytes), config, || Start::Noise(noise)) }),
    )
}

/// Begins a run from a clean image (Q24, (row, col, channel); `mote_pixels_to_q24` makes it of pixels), which is noised to where
/// `strength_q16` of the steps are left: 0 to 65536.
///
/// # Safety
/// As of `mote_start`; `elements` elements at `image` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_start_image(
    run: *mut mote_run,
    model: *const mote_model,
    arena: *mut c_void,
    arena_bytes: usize,
    config: *const mote_config,
    image: *const i32,
    elements: usize,
    strength_q16: u32,
) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { input(image, elements) }.and_then(|image_q24| unsafe {
        start(run, model, (arena, arena_bytes), config, || Start::Image {
            image_q24,
            strength_q16,
        })
    }))
}

/// Begins a run between the noises of two seeds, `part_q16` of the way from `config.seed` to `second`: 0 to 65536. Feature `interpolate`.
///
/// # Safety
/// As of `mote_start`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_start_between(
    run: *mut mote_run,
    model: *const mote_model,
    arena: *mut c_void,
    arena_bytes: usize,
    config: *const mote_config,
    second: u64,
    part_q16: u32,
) -> mote_status {
    // SAFETY: the caller's promise.
    unsafe {
        status(start(run, model, (arena, arena_bytes), config, || Start::Between {
            second,
            part_q16,
        }))
    }
}

/// Inlined with each caller's own way to begin, so that what none begins from is not linked.
///
/// # Safety
/// As of [`mote_start`].
#[inline(always)]
unsafe fn start<'s>(
    run: *mut mote_run,
    model: *const mote_model,
    arena: (*mut c_void, usize),
    config: *const mote_config,
    from: impl FnOnce() -> Start<'s>,
) -> Result<(), Refused> {
    // SAFETY: the caller's promise.
    unsafe {
        // Borrowed, not moved: a copy would take code and stack.
        let config = &read(config);
        let config = config.as_ref().map_err(|refused| *refused)?;
        let mut lent = lend(run, model, arena)?;
        let arena = &mut *(&raw mut lent.arena);
        let made = Sampler::new_at(lent.made, lent.model, arena, config, &from());
        lent.place.begun(made)
    }
}

/// Checked memory in which a run is made. The `Arena` itself is only looked through: a run holds what it borrows of the bytes.
pub(crate) struct Lent {
    pub place: RunPlace,
    pub made: &'static mut MaybeUninit<Made>,
    pub model: &'static Model<'static>,
    pub arena: Arena<'static>,
}

/// Takes the memory, for as long as the caller says. The run is busy until it is [`begun`](RunPlace::begun).
///
/// # Safety
/// As of [`mote_start`].
#[inline(always)]
pub(crate) unsafe fn lend(
    run: *mut mote_run,
    model: *const mote_model,
    (arena, arena_bytes): (*mut c_void, usize),
) -> Result<Lent, Refused> {
    let place = RunPlace::new(run)?;
    // SAFETY: the caller's promise.
    unsafe {
        let model_storage = (model as usize, size_of::<mote_model>());
        let from = ModelPlace::of(model);
        let model = ModelPlace::opened(model)?;
        let bytes: &'static mut [u8] = output(arena.cast(), arena_bytes)?;
        let memory = (bytes.as_ptr() as usize, bytes.len());
        apart(memory, model_storage)?;
        apart(memory, (run as usize, size_of::<mote_run>()))?;
        let made = place.begin(from)?;
        let arena = match Arena::new(bytes) {
            Ok(arena) => arena,
            Err(error) => return Err(place.refuse(made, error)),
        };
        Ok(Lent {
            place,
            made,
            model,
            arena,
        })
    }
}

/// Makes the elements of `image` (Q24) that are not `MOTE_UNKNOWN` known for the rest of the run. Call it before the first step, and
/// again after a resume. Feature `inpaint`.
///
/// `image` stays where and as it is until the last call with that run.
///
/// # Safety
/// `run` was begun or is zeros; `elements` elements at `image` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_inpaint(run: *mut mote_run, image: *const i32, elements: usize) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        let image: &'static [i32] = input(image, elements)?;
        place.with(|run| run.inpaint(image))
    }))
}

/// Multiplies the steps of a chain of 2015 by what is known of its elements: those of `seen` (Q24; a bit is set above 0) that are not
/// `MOTE_UNKNOWN`. `noise` is the probability that a bit was flipped, Q31, 0 to 2^30; or a value's standard deviation, Q24, where
/// `UINT32_MAX` is infinite. With 0 they are known exactly. Call it before the first step, and again after a resume. Feature `posterior`.
///
/// `seen` stays where and as it is until the last call with that run.
///
/// # Safety
/// `run` was begun or is zeros; `elements` elements at `seen` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_posterior(
    run: *mut mote_run,
    seen: *const i32,
    elements: usize,
    noise: u32,
) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        let seen: &'static [i32] = input(seen, elements)?;
        place.with(|run| run.posterior(seen, noise))
    }))
}

/// Conditions the run on `vector`, of as many numbers as the model takes, in its fixed point. Call it before the first step, and again
/// after a resume. Feature `condition`.
///
/// `vector` stays where and as it is until the last call with that run.
///
/// # Safety
/// `run` was begun or is zeros; `count` numbers at `vector` are readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_condition(run: *mut mote_run, vector: *const i32, count: usize) -> mote_status {
    // SAFETY: the caller's promise.
    status(unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        let vector: &'static [i32] = input(vector, count)?;
        place.with(|run| run.condition(vector))
    }))
}

/// An element of a known image that is not known.
pub const MOTE_UNKNOWN: i32 = i32::MIN;

/// Writes what a step did to `step`, unless that is null.
///
/// # Safety
/// `step` is null, or aligned and the caller's to write.
pub(crate) unsafe fn tell(done: Step, step: *mut mote_step_info) {
    if !step.is_null() {
        let info = mote_step_info {
            digest: done.digest,
            index: done.index,
            timestep: done.timestep,
        };
        // SAFETY: the caller's promise.
        unsafe { step.write(info) };
    }
}

/// [`tell`] of a step that may have been none: the status of C's call.
///
/// # Safety
/// As of [`tell`].
pub(crate) unsafe fn told(done: Option<Step>, step: *mut mote_step_info) -> mote_status {
    let Some(done) = done else {
        return mote_status::MOTE_FINISHED;
    };
    // SAFETY: the caller's promise.
    unsafe { tell(done, step) };
    mote_status::MOTE_OK
}

/// Runs the next step, a network call or two. `MOTE_FINISHED` where there is none: `step` is then left as it was. `step` may be null.
///
/// # Safety
/// `run` was begun or is zeros, and everything that it borrows is as it was; `step` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_step(run: *mut mote_run, step: *mut mote_step_info) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    let result = unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned_or_null(step)?;
        Ok(told(place.with(Sampler::step)?, step))
    });
    result.unwrap_or_else(told_by)
}
