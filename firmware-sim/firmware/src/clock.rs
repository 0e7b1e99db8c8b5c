//! A count of instructions since [`start`], in ticks of the core's own counter.
//!
//! QEMU with `-icount shift=0` takes one virtual nanosecond for an instruction, so a counter that runs at `f` Hz counts
//! `1e9 / f` instructions a tick. Cortex-M has SysTick (24 bits, extended here by counting its interrupts; the few
//! instructions of one interrupt every 2^24 ticks are part of the count); RISC-V counts retired instructions itself.

#[cfg(target_arch = "arm")]
mod counter {
    use core::sync::atomic::{AtomicU32, Ordering};
    use cortex_m::peripheral::{SCB, SYST, syst::SystClkSource};

    const RELOAD: u32 = 0x00ff_ffff;
    static WRAPS: AtomicU32 = AtomicU32::new(0);

    pub fn start() {
        let Some(peripherals) = cortex_m::Peripherals::take() else {
            return;
        };
        let mut systick = peripherals.SYST;
        systick.set_clock_source(SystClkSource::Core);
        systick.set_reload(RELOAD);
        systick.clear_current();
        systick.enable_counter();
        // The cleared counter reads 0 until its first tick reloads it.
        while SYST::get_current() == 0 {}
        systick.enable_interrupt();
    }

    pub fn wrapped() {
        // Only this interrupt writes, so load and store need no compare-and-swap (Cortex-M0 has none).
        WRAPS.store(WRAPS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub fn now() -> u64 {
        cortex_m::interrupt::free(|_| {
            let mut ticks = RELOAD - SYST::get_current();
            let mut wraps = WRAPS.load(Ordering::Relaxed);
            if SCB::is_pendst_pending() {
                // It wrapped and the interrupt waits: what was read may be from before or after, so read again.
                ticks = RELOAD - SYST::get_current();
                wraps += 1;
            }
            (u64::from(wraps) << 24) | u64::from(ticks)
        })
    }
}

#[cfg(target_arch = "riscv32")]
mod counter {
    pub fn start() {}

    pub fn now() -> u64 {
        riscv::register::minstret::read64()
    }
}

#[cfg(target_arch = "arm")]
pub use counter::wrapped;
pub use counter::{now, start};

/// What `work` gives, and the ticks that it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = now();
    let value = work();
    (value, now().wrapping_sub(before))
}
