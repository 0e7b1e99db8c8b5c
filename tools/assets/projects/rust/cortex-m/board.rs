//! What the program asks of the board: start, cycles, watchdog, faults. `driver.rs` has the flash.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::{ExceptionFrame, entry, exception};

use crate::Memory;
use crate::host::finish;

#[entry]
fn start() -> ! {
    static mut MEMORY: Memory = Memory::EMPTY;
    start_cycles();
    let result = crate::run(MEMORY);
    if let Err(failure) = &result {
        log!("error: {failure:?}");
    }
    finish(result.is_ok())
}

/// Called after every step. Feed your watchdog here: its longest pause is a step.
pub fn feed_watchdog() {}

// ---- Cycles: SysTick on the core's clock, 24 bits, and how often it has wrapped ------------------------------------------

const RELOAD: u32 = 0x00ff_ffff;
static WRAPS: AtomicU32 = AtomicU32::new(0);

fn start_cycles() {
    let Some(peripherals) = cortex_m::Peripherals::take() else {
        return;
    };
    let mut systick = peripherals.SYST;
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(RELOAD);
    systick.clear_current();
    systick.enable_counter();
    // It reads 0 until its first tick.
    while SYST::get_current() == 0 {}
    systick.enable_interrupt();
}

#[exception]
fn SysTick() {
    // Nothing else writes it: no compare-and-swap, which a Cortex-M0 does not have.
    WRAPS.store(WRAPS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Cycles of the core since the start.
pub fn cycles() -> u64 {
    cortex_m::interrupt::free(|_| {
        let mut ticks = RELOAD - SYST::get_current();
        let mut wraps = WRAPS.load(Ordering::Relaxed);
        if SCB::is_pendst_pending() {
            ticks = RELOAD - SYST::get_current();
            wraps = wraps.wrapping_add(1);
        }
        (u64::from(wraps) << 24) | u64::from(ticks)
    })
}

/// A call to the simulator or the debug probe.
///
/// # Safety
/// `argument` is what `operation` asks for: a value, or the address of words that are alive until this returns.
pub unsafe fn semihost(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: the host reads the memory that the caller vouches for, and writes r0.
    unsafe { core::arch::asm!("bkpt #0xab", inout("r0") operation => result, in("r1") argument) };
    result
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    log!("fault at {:#x}", frame.pc());
    finish(false)
}
