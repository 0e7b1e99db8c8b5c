//! What a caller gave: pointers and lengths.

use core::mem::{align_of, size_of};

use crate::status::{Refused, mote_status};

/// # Errors
/// Null, or not a multiple of the type's alignment.
#[inline(always)]
pub fn aligned<T>(pointer: *const T) -> Result<(), Refused> {
    address(pointer as usize, align_of::<T>())
}

/// One copy for every type.
#[inline(never)]
fn address(at: usize, align: usize) -> Result<(), Refused> {
    if at == 0 {
        Err(mote_status::MOTE_NULL.into())
    } else if at & (align - 1) != 0 {
        Err(mote_status::MOTE_UNALIGNED.into())
    } else {
        Ok(())
    }
}

/// # Errors
/// As [`aligned`], of a pointer that may be null.
pub fn aligned_or_null<T>(pointer: *const T) -> Result<(), Refused> {
    if pointer.is_null() { Ok(()) } else { aligned(pointer) }
}

/// # Errors
/// As [`aligned`]; or so many elements do not end within memory.
#[inline(always)]
fn array<T>(pointer: *const T, count: usize) -> Result<(), Refused> {
    range(pointer as usize, align_of::<T>(), count.saturating_mul(size_of::<T>()))
}

/// One copy for every type.
#[inline(never)]
fn range(at: usize, align: usize, bytes: usize) -> Result<(), Refused> {
    address(at, align)?;
    if bytes > isize::MAX as usize || at.checked_add(bytes).is_none() {
        return Err(mote_status::MOTE_TOO_LONG.into());
    }
    Ok(())
}

/// What was given to read from.
///
/// # Safety
/// The elements are there, and nobody writes them while they are lent.
#[inline(always)]
pub unsafe fn input<'a, T>(from: *const T, count: usize) -> Result<&'a [T], Refused> {
    array(from, count)?;
    // SAFETY: the caller's promise; pointer and length were checked.
    unsafe {
        core::hint::assert_unchecked(!from.is_null());
        Ok(core::slice::from_raw_parts(from, count))
    }
}

/// What was given to write to.
///
/// # Safety
/// The elements are there, and nobody else reads or writes them while they are lent.
#[inline(always)]
pub unsafe fn output<'a, T>(to: *mut T, count: usize) -> Result<&'a mut [T], Refused> {
    array(to, count)?;
    // SAFETY: the caller's promise; pointer and length were checked.
    unsafe {
        core::hint::assert_unchecked(!to.is_null());
        Ok(core::slice::from_raw_parts_mut(to, count))
    }
}

/// # Errors
/// Some byte is in both.
pub fn apart(a: (usize, usize), b: (usize, usize)) -> Result<(), Refused> {
    if a.0.saturating_add(a.1) <= b.0 || b.0.saturating_add(b.1) <= a.0 {
        Ok(())
    } else {
        Err(mote_status::MOTE_SHARED.into())
    }
}
