//! What the program asks of the board: start, cycles, watchdog, faults. `driver.rs` has the flash.
#![allow(unsafe_code)]

use crate::Memory;
use crate::host::finish;

#[riscv_rt::entry]
fn start() -> ! {
    static mut MEMORY: Memory = Memory::EMPTY;
    // SAFETY: start-up code calls this function, once.
    let result = crate::run(unsafe { &mut *(&raw mut MEMORY) });
    if let Err(failure) = &result {
        log!("error: {failure:?}");
    }
    finish(result.is_ok())
}

/// Called after every step. Feed your watchdog here: its longest pause is a step.
pub fn feed_watchdog() {}

/// Cycles of the core since the start.
pub fn cycles() -> u64 {
    riscv::register::mcycle::read64()
}

/// A call to the simulator or the debug probe.
///
/// # Safety
/// `argument` is what `operation` asks for: a value, or the address of words that are alive until this returns.
#[inline(never)]
pub unsafe fn semihost(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: this uncompressed triple, inside one aligned block, is the trap; the host reads the memory that the caller
    // vouches for, and writes a0.
    unsafe {
        core::arch::asm!(
            ".balign 16",
            ".option push",
            ".option norvc",
            "slli x0, x0, 0x1f",
            "ebreak",
            "srai x0, x0, 7",
            ".option pop",
            inout("a0") operation => result, in("a1") argument,
        );
    }
    result
}

#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &riscv_rt::TrapFrame) -> ! {
    log!("exception at {:#x}", riscv::register::mepc::read());
    finish(false)
}
