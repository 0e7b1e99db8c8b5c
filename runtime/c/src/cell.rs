//! A value of the library's in storage that a C caller owns, behind a tag that says whether it is there.

use core::mem::MaybeUninit;

/// Zeros hold no value: no tag is 0.
#[repr(C)]
pub struct Cell<T> {
    tag: u32,
    content: MaybeUninit<T>,
}

impl<T> Cell<T> {
    /// Says that no value is there. It is not dropped.
    ///
    /// # Safety
    /// `at` is aligned and writable.
    pub unsafe fn clear(at: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { (&raw mut (*at).tag).write(0) }
    }

    /// Puts a value there.
    ///
    /// # Safety
    /// As of `clear`.
    pub unsafe fn put(at: *mut Self, tag: u32, value: T) {
        // SAFETY: the caller's promise.
        unsafe {
            (&raw mut (*at).content).cast::<T>().write(value);
            (&raw mut (*at).tag).write(tag);
        }
    }

    /// The value that was put there under this tag.
    ///
    /// # Safety
    /// `at` is aligned; a value of this type was put there, or its bytes are zeros; it is nobody else's.
    pub unsafe fn get<'a>(at: *mut Self, tag: u32) -> Option<&'a mut T> {
        // SAFETY: the caller's promise; a value lies there by the tag.
        unsafe {
            if (&raw const (*at).tag).read() != tag {
                return None;
            }
            Some((*(&raw mut (*at).content)).assume_init_mut())
        }
    }
}
