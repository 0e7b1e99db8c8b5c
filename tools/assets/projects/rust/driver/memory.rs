//! Flash that is written as memory: the boards of the simulator.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;

unsafe extern "C" {
    static snapshot_start: UnsafeCell<u32>;
    static snapshot_end: UnsafeCell<u32>;
}

fn bytes() -> usize {
    (&raw const snapshot_end) as usize - (&raw const snapshot_start) as usize
}

/// The region. It changes with the next [`erase`] or [`write`]: it is read before.
pub fn region() -> &'static [u8] {
    // SAFETY: memory.x reserves the bytes between the two for this file alone.
    unsafe { core::slice::from_raw_parts((&raw const snapshot_start).cast(), bytes()) }
}

/// Sets every bit.
pub fn erase() {
    (0..bytes() / 4).for_each(|index| write(index, u32::MAX));
}

/// Writes word `index` of the region.
pub fn write(index: usize, word: u32) {
    assert!(index < bytes() / 4);
    // SAFETY: inside the region.
    unsafe { (&raw const snapshot_start).cast_mut().cast::<u32>().add(index).write_volatile(word) };
}
