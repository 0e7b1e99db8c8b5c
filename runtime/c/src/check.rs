//! What a caller gave: pointers and lengths.

use core::mem::size_of;

use crate::status::mote_status;

/// # Errors
/// Null, or not a multiple of the type's alignment.
pub fn aligned<T>(pointer: *const T) -> Result<(), mote_status> {
    if pointer.is_null() {
        Err(mote_status::MOTE_NULL)
    } else if !pointer.is_aligned() {
        Err(mote_status::MOTE_UNALIGNED)
    } else {
        Ok(())
    }
}

/// # Errors
/// As [`aligned`], of a pointer that may be null.
pub fn aligned_or_null<T>(pointer: *const T) -> Result<(), mote_status> {
    if pointer.is_null() { Ok(()) } else { aligned(pointer) }
}

/// # Errors
/// As [`aligned`]; or so many elements do not end within memory.
fn array<T>(pointer: *const T, count: usize) -> Result<(), mote_status> {
    aligned(pointer)?;
    let bytes = count
        .checked_mul(size_of::<T>())
        .filter(|bytes| *bytes <= isize::MAX as usize);
    let end = bytes.and_then(|bytes| (pointer as usize).checked_add(bytes));
    end.map(|_| ()).ok_or(mote_status::MOTE_TOO_LONG)
}

/// What was given to read from.
///
/// # Safety
/// The elements are there, and nobody writes them while they are lent.
pub unsafe fn input<'a, T>(from: *const T, count: usize) -> Result<&'a [T], mote_status> {
    array(from, count)?;
    // SAFETY: the caller's promise; pointer and length were checked.
    Ok(unsafe { core::slice::from_raw_parts(from, count) })
}

/// What was given to write to.
///
/// # Safety
/// The elements are there, and nobody else reads or writes them while they are lent.
pub unsafe fn output<'a, T>(to: *mut T, count: usize) -> Result<&'a mut [T], mote_status> {
    array(to, count)?;
    // SAFETY: the caller's promise; pointer and length were checked.
    Ok(unsafe { core::slice::from_raw_parts_mut(to, count) })
}

/// # Errors
/// Some byte is in both.
pub fn apart(a: (usize, usize), b: (usize, usize)) -> Result<(), mote_status> {
    if a.0.saturating_add(a.1) <= b.0 || b.0.saturating_add(b.1) <= a.0 {
        Ok(())
    } else {
        Err(mote_status::MOTE_SHARED)
    }
}
