//! Weights that the core cannot address, read in blocks. Of the part `streamed`.

use core::ffi::c_void;
use core::mem::{align_of, size_of};

use mote_runtime::{Arena, Model, ReadFailed, Sampler, Streamed, Unobserved, WeightReader, stream_bytes};

use crate::cell::Cell;
use crate::check::{aligned, aligned_or_null, apart, input, output};
use crate::run::{mote_step_info, told};
use crate::status::{mote_status, status, told_by};
use crate::storage::{ModelPlace, RunPlace, mote_model, mote_run};

/// Words of 8 bytes of a [`mote_stream`].
#[allow(clippy::manual_bits, reason = "eight pointers, not the bits of one")]
pub const MOTE_STREAM_WORDS: usize = (16 + 8 * size_of::<usize>()).div_ceil(8);

/// A reader of the file of weights that `mote split` wrote, by two functions of yours. Each says 0 where it has done what it was asked for.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct mote_reader {
    /// What the functions get first.
    pub context: *mut c_void,
    /// Starts to read `bytes` bytes from `at` on into `to`; with a DMA it returns at once, and the core computes meanwhile.
    pub start: Option<unsafe extern "C" fn(context: *mut c_void, at: u32, to: *mut u8, bytes: u32) -> i32>,
    /// Waits until they are there. Null where `start` returns no sooner.
    pub wait: Option<unsafe extern "C" fn(context: *mut c_void) -> i32>,
}

/// A model's weights in another memory, and two buffers. It begins as zeros, and stays where it is while it is in use.
#[repr(C)]
#[derive(Debug)]
pub struct mote_stream {
    /// The library's.
    pub opaque: [u64; MOTE_STREAM_WORDS],
}

struct Reader(mote_reader);

impl WeightReader for Reader {
    fn read(&mut self, at: u32, into: &mut [u8], meanwhile: impl FnOnce()) -> Result<(), ReadFailed> {
        let start = self.0.start.ok_or(ReadFailed)?;
        // SAFETY: the caller's function, with room of that length, which nobody else looks at before `wait` has returned.
        let started = unsafe { start(self.0.context, at, into.as_mut_ptr(), into.len() as u32) };
        if started != 0 {
            return Err(ReadFailed);
        }
        meanwhile();
        // SAFETY: as above.
        let came = self.0.wait.map_or(0, |wait| unsafe { wait(self.0.context) });
        if came == 0 { Ok(()) } else { Err(ReadFailed) }
    }
}

/// What a [`mote_stream`] holds.
type StreamCell = Cell<Streamed<'static, Reader>>;

const _: () = assert!(size_of::<StreamCell>() <= size_of::<mote_stream>());
const _: () = assert!(align_of::<StreamCell>() <= align_of::<mote_stream>());

const OPEN: u32 = 0x4d6f_7431;

/// Checks a file that `mote split` has cut and opens it in `model`. The rest is as of `mote_open`. A run of it is stepped by
/// `mote_step_streamed` alone.
///
/// # Safety
/// As of `mote_open`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_open_apart(model: *mut mote_model, file: *const c_void, bytes: usize) -> mote_status {
    // SAFETY: the caller's promise.
    status(ModelPlace::new(model).and_then(|place| unsafe {
        let slot = input(file.cast(), bytes)?;
        place.set(|| Model::parse_apart(Model::in_slot(slot)))
    }))
}

/// Bytes of both buffers for blocks of `channels` output channels, 1 at least. Larger blocks are quicker.
///
/// # Safety
/// `model` was opened or is zeros; `bytes` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_stream_bytes(model: *const mote_model, channels: u32, bytes: *mut usize) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(aligned(bytes).and_then(|()| unsafe {
        bytes.write(stream_bytes(ModelPlace::opened(model)?, channels as usize));
        Ok(())
    }))
}

/// Reads every weight once, and holds it to the model's checksum and to the limits of its accumulators.
///
/// `buffers` begins at a multiple of 16 and has `mote_stream_bytes` or more. It is the stream's until the last call with it; so is `model`. `reader`
/// is copied; its functions and its context stay.
///
/// # Safety
/// `stream` and `buffer_bytes` bytes at `buffers` are writable and nobody else's; `model` was opened or is zeros; `reader` is readable, and its functions
/// do what they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_stream_open(
    stream: *mut mote_stream,
    model: *const mote_model,
    reader: *const mote_reader,
    buffers: *mut c_void,
    buffer_bytes: usize,
) -> mote_status {
    // SAFETY: the caller's promise; the pointers were checked.
    status(aligned(stream).and_then(|()| unsafe {
        aligned(reader)?;
        let cell: *mut StreamCell = stream.cast();
        StreamCell::clear(cell);
        let reader = reader.read();
        if reader.start.is_none() {
            return Err(mote_status::MOTE_NULL.into());
        }
        let model = ModelPlace::opened(model)?;
        let bytes: &'static mut [u8] = output(buffers.cast(), buffer_bytes)?;
        apart(
            (bytes.as_ptr() as usize, bytes.len()),
            (stream as usize, size_of::<mote_stream>()),
        )?;
        // Only looked through: the stream holds what it borrows of the bytes.
        let mut arena = Arena::new(bytes)?;
        let arena: &'static mut Arena<'static> = &mut *(&raw mut arena);
        let opened = Streamed::new(model, Reader(reader), arena)?;
        StreamCell::put(cell, OPEN, opened);
        Ok(())
    }))
}

/// As `mote_step`, with weights that come through `stream`. Where it says `MOTE_UNREAD` the state has not moved, and the step can be run again;
/// after Heun's method, go on from a snapshot.
///
/// # Safety
/// As of `mote_step`; `stream` was opened or is zeros, and nobody else's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_step_streamed(
    run: *mut mote_run,
    stream: *mut mote_stream,
    step: *mut mote_step_info,
) -> mote_status {
    // SAFETY: the caller's promise; the pointers were checked.
    let result = unsafe { RunPlace::ready(run) }.and_then(|place| unsafe {
        aligned(stream)?;
        aligned_or_null(step)?;
        let network = StreamCell::get(stream.cast(), OPEN).ok_or(mote_status::MOTE_NOT_OPEN)?;
        let done = place.with(|run: &mut Sampler<'static, 'static>| run.step_by(network, &mut Unobserved))?;
        Ok(told(done, step))
    });
    result.unwrap_or_else(told_by)
}
