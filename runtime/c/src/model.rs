//! Opening a model file, and what is in it.

use core::ffi::c_void;

use mote_runtime::Model;

use crate::check::{aligned, input};
use crate::status::{Refused, mote_status, status};
use crate::storage::{ModelPlace, mote_model};

/// Facts of a model.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct mote_model_info {
    /// Rows of a sample.
    pub rows: u32,
    /// Columns of a sample.
    pub cols: u32,
    /// Channels of a sample.
    pub channels: u32,
    /// Elements of a sample: the product of these.
    pub elements: u32,
    /// Classes, 0 to one less; 0 for a model without.
    pub classes: u32,
    /// The class that stands for none, or -1.
    pub null_class: i32,
    /// Numbers of the condition vector; 0 for a model without.
    pub condition: u32,
    /// Training timesteps: the most steps.
    pub train_steps: u32,
    /// Steps of the run that the file plans; 0 where it plans none.
    pub planned_steps: u32,
    /// Bytes of the file.
    pub file_bytes: u32,
    /// CRC-32 of the file: its identity.
    pub crc: u32,
}

/// Checks the file that begins at `file` and opens it in `model`. The bytes may go on behind the file, as a slot of flash does: `bytes` is
/// how many may be read.
///
/// `file` begins at a multiple of 16. File and `model` stay where and as they are while the model or a run of it is used. One model
/// serves any number of runs.
///
/// # Safety
/// `model` is writable storage; `bytes` bytes at `file` are readable. They do not overlap.
#[cfg(feature = "parse")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_open(model: *mut mote_model, file: *const c_void, bytes: usize) -> mote_status {
    #[allow(
        clippy::redundant_closure,
        reason = "the function itself is for one lifetime, the closure for any"
    )]
    // SAFETY: the caller's promise.
    unsafe {
        status(open(model, file, bytes, |file| Model::parse(file)))
    }
}

/// Opens a file that the build of this firmware has checked, by its versions and its checksum alone. It takes 4 KiB less of flash where
/// `mote_open` is not called.
///
/// # Safety
/// As of `mote_open`; and `mote_open` or `mote inspect` of this very version, built with these features or fewer, has accepted these bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_open_trusted(model: *mut mote_model, file: *const c_void, bytes: usize) -> mote_status {
    // SAFETY: the caller's promise.
    unsafe { status(open(model, file, bytes, |file| Model::parse_trusted(file))) }
}

/// # Safety
/// As of [`mote_open`].
#[inline(always)]
unsafe fn open(
    model: *mut mote_model,
    file: *const c_void,
    bytes: usize,
    parse: impl FnOnce(&'static [u8]) -> Result<Model<'static>, mote_runtime::ParseError>,
) -> Result<(), Refused> {
    let place = ModelPlace::new(model)?;
    // SAFETY: the caller's promise.
    unsafe {
        let slot = input(file.cast(), bytes)?;
        place.set(|| parse(Model::in_slot(slot)))
    }
}

/// Facts of an open model.
///
/// # Safety
/// `model` was opened or is zeros; `info` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mote_model_facts(model: *const mote_model, info: *mut mote_model_info) -> mote_status {
    // SAFETY: the caller's promise; the pointer was checked.
    status(aligned(info).and_then(|()| unsafe {
        info.write(facts(ModelPlace::opened(model)?));
        Ok(())
    }))
}

fn facts(model: &Model<'_>) -> mote_model_info {
    let header = model.header();
    mote_model_info {
        rows: header.rows.into(),
        cols: header.cols.into(),
        channels: header.channels.into(),
        elements: header.sample_len() as u32,
        classes: header.classes.into(),
        null_class: header.null_class.map_or(-1, i32::from),
        condition: model.condition_len() as u32,
        train_steps: header.train_steps,
        planned_steps: header.schedule.plan().map_or(0, |plan| plan.steps),
        file_bytes: model.file_bytes(),
        crc: model.crc(),
    }
}
