//! The log and the end, by semihosting: the simulator or a debug probe answers. Without a probe, let [`write`] use a UART.
#![allow(unsafe_code)]

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::board::semihost;

const SYS_OPEN: usize = 0x01;
const SYS_WRITE: usize = 0x05;
const SYS_EXIT: usize = 0x18;

/// Writes to the log.
pub fn write(bytes: &[u8]) {
    static HANDLE: AtomicUsize = AtomicUsize::new(0);
    if HANDLE.load(Ordering::Relaxed) == 0 {
        // The host's console, for writing.
        let open = [b":tt\0".as_ptr() as usize, 4, 3];
        // SAFETY: a name, a mode and the name's length.
        let handle = unsafe { semihost(SYS_OPEN, core::hint::black_box(&open).as_ptr() as usize) };
        HANDLE.store(handle, Ordering::Relaxed);
    }
    let write = [HANDLE.load(Ordering::Relaxed), bytes.as_ptr() as usize, bytes.len()];
    // SAFETY: the handle, and the bytes' address and length.
    unsafe { semihost(SYS_WRITE, core::hint::black_box(&write).as_ptr() as usize) };
}

/// Ends the program under a simulator or a debug probe.
pub fn finish(success: bool) -> ! {
    loop {
        // SAFETY: on cores of 32 bits this takes the reason itself.
        unsafe { semihost(SYS_EXIT, if success { 0x20026 } else { 0x20023 }) };
    }
}

/// Logs a line.
macro_rules! log {
    ($($arguments:tt)*) => { $crate::host::line(format_args!($($arguments)*)) };
}

/// See `log!`.
pub fn line(arguments: fmt::Arguments<'_>) {
    let _ = Log.write_fmt(arguments);
    write(b"\n");
}

/// Logs a line of single characters.
pub fn characters(characters: impl Iterator<Item = u8>) {
    characters.for_each(|character| write(&[character]));
    write(b"\n");
}

struct Log;

impl Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log!("{info}");
    finish(false)
}
