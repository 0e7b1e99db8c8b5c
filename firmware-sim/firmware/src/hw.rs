//! Everything that needs `unsafe`: start-up and fault handlers, semihosting, the log transport, the linker's symbols and
//! the stack's paint. No other file of the firmware may hold an `unsafe` block, but `second`, which starts another core.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

// ---- Semihosting: a trap that the simulator (or a debug probe) answers -------------------------------------------------

const SYS_OPEN: usize = 0x01;
const SYS_WRITE: usize = 0x05;
const SYS_GET_CMDLINE: usize = 0x15;
const SYS_EXIT: usize = 0x18;
/// `ADP_Stopped_ApplicationExit`: the reason that means success.
const EXIT_SUCCESS: usize = 0x20026;
/// `ADP_Stopped_RunTimeErrorUnknown`: a reason that means failure.
const EXIT_FAILURE: usize = 0x20023;

/// One semihosting call.
///
/// # Safety
/// `argument` must be what `operation` asks for: a value, or the address of a block of words that is alive until this
/// returns, whose pointers are valid for what the operation reads or writes.
#[cfg(target_arch = "arm")]
unsafe fn semihost(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: `bkpt 0xab` enters the host, which changes r0 and the memory that the caller vouches for, nothing else.
    unsafe { core::arch::asm!("bkpt #0xab", inout("r0") operation => result, in("r1") argument) };
    result
}

/// One semihosting call.
///
/// # Safety
/// As for the other cores: `argument` must be what `operation` asks for, alive and valid until this returns.
#[cfg(target_arch = "riscv32")]
#[inline(never)]
unsafe fn semihost(operation: usize, argument: usize) -> usize {
    let result;
    // SAFETY: this uncompressed triple, inside one aligned 16-byte block, is the semihosting trap; the host changes a0
    // and the memory that the caller vouches for, nothing else.
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

/// Ends the simulation; the host sees success or failure as QEMU's exit status.
pub fn exit(success: bool) -> ! {
    let reason = if success { EXIT_SUCCESS } else { EXIT_FAILURE };
    loop {
        // SAFETY: on 32-bit cores SYS_EXIT takes the reason itself, not an address.
        unsafe { semihost(SYS_EXIT, reason) };
    }
}

/// Room for the command line, on the stack only while it is read.
const COMMAND_LINE_BYTES: usize = 512;

/// Calls `read` with the semihosting command line, or `None` where the host has none or it does not fit.
#[inline(never)]
pub fn with_command_line<T>(read: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let mut buffer = [0u8; COMMAND_LINE_BYTES];
    let mut block = [buffer.as_mut_ptr() as usize, COMMAND_LINE_BYTES];
    // SAFETY: the block holds a buffer's address and length, both on this stack frame.
    let status = unsafe { semihost(SYS_GET_CMDLINE, block.as_mut_ptr() as usize) };
    // The host wrote behind the compiler's back.
    let length = core::hint::black_box(&block)[1];
    let line = core::hint::black_box(&buffer).get(..length).filter(|_| status == 0);
    read(line)
}

// ---- Log transport: defmt frames to the host's standard output ---------------------------------------------------------

#[defmt::global_logger]
struct Logger;

struct Channel {
    taken: AtomicBool,
    encoder: UnsafeCell<defmt::Encoder>,
    handle: UnsafeCell<usize>,
}

// SAFETY: one core, no interrupt handler that logs except the faults, which never return; `taken` refuses re-entry.
unsafe impl Sync for Channel {}

static CHANNEL: Channel = Channel {
    taken: AtomicBool::new(false),
    encoder: UnsafeCell::new(defmt::Encoder::new()),
    handle: UnsafeCell::new(0),
};

impl Channel {
    fn send(handle: usize, bytes: &[u8]) {
        let block = [handle, bytes.as_ptr() as usize, bytes.len()];
        // SAFETY: the block holds a handle and a live slice's address and length; the host only reads them.
        unsafe { semihost(SYS_WRITE, core::hint::black_box(&block).as_ptr() as usize) };
    }

    /// Calls `work` with the encoder and the open handle of the host's standard output.
    ///
    /// # Safety
    /// Only between the logger's `acquire` and `release`, which exclude each other.
    unsafe fn with(&self, work: impl FnOnce(&mut defmt::Encoder, usize)) {
        // SAFETY: the caller holds the channel, so these are the only references.
        let (encoder, handle) = unsafe { (&mut *self.encoder.get(), &mut *self.handle.get()) };
        if *handle == 0 {
            const STDOUT: &[u8] = b":tt\0";
            const MODE_WRITE: usize = 4;
            let block = [STDOUT.as_ptr() as usize, MODE_WRITE, STDOUT.len() - 1];
            // SAFETY: the block holds a static name's address, a mode and the name's length; the host only reads them.
            *handle = unsafe { semihost(SYS_OPEN, core::hint::black_box(&block).as_ptr() as usize) };
        }
        work(encoder, *handle);
    }
}

// SAFETY: acquire refuses to nest (it exits instead), so frames never interleave; flush has nothing to do as the host has
// every byte when a write returns.
unsafe impl defmt::Logger for Logger {
    fn acquire() {
        if CHANNEL.taken.load(Ordering::Relaxed) {
            // A fault or panic while a frame was being written: it could not be told apart from that frame's bytes.
            exit(false);
        }
        CHANNEL.taken.store(true, Ordering::Relaxed);
        // SAFETY: taken just now.
        unsafe { CHANNEL.with(|encoder, handle| encoder.start_frame(|bytes| Channel::send(handle, bytes))) };
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: defmt calls this between acquire and the store below.
        unsafe { CHANNEL.with(|encoder, handle| encoder.end_frame(|bytes| Channel::send(handle, bytes))) };
        CHANNEL.taken.store(false, Ordering::Relaxed);
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: defmt calls this between acquire and release.
        unsafe { CHANNEL.with(|encoder, handle| encoder.write(bytes, |bytes| Channel::send(handle, bytes))) };
    }
}

// ---- What the linker placed --------------------------------------------------------------------------------------------

unsafe extern "C" {
    static __mote_model_start: u8;
    static __mote_model_end: u8;
    static __mote_start_start: i32;
    static __mote_start_end: i32;
    static __mote_arena_start: UnsafeCell<u8>;
    static __mote_arena_end: UnsafeCell<u8>;
    static __mote_stack_bottom: UnsafeCell<u32>;
    static __mote_stack_top: UnsafeCell<u32>;
}

/// The model file, in flash, 16-byte aligned.
pub fn model() -> &'static [u8] {
    let (start, end) = (&raw const __mote_model_start, &raw const __mote_model_end);
    // SAFETY: the linker script places the model's bytes, which nothing writes, between the two symbols.
    unsafe { core::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// The state that a run may start from, in flash: Q24, or nothing.
pub fn linked_state() -> &'static [i32] {
    let (start, end) = (&raw const __mote_start_start, &raw const __mote_start_end);
    // SAFETY: the linker script places whole words, which nothing writes, between the two symbols, 16-byte aligned.
    unsafe { core::slice::from_raw_parts(start, (end as usize - start as usize) / 4) }
}

/// The arena, in RAM, 16-byte aligned and exactly as long as the model asked for.
///
/// # Panics
/// On a second call: there is one arena.
pub fn arena() -> &'static mut [u8] {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    assert!(!TAKEN.load(Ordering::Relaxed));
    TAKEN.store(true, Ordering::Relaxed);
    let (start, end) = (&raw const __mote_arena_start, &raw const __mote_arena_end);
    // SAFETY: the linker script reserves the bytes between the two symbols for nothing else, and this is the only
    // reference ever given out. They hold what the RAM held: any byte is a valid u8.
    unsafe { core::slice::from_raw_parts_mut(start as *mut u8, end as usize - start as usize) }
}

// ---- Stack use ---------------------------------------------------------------------------------------------------------

/// What start-up code writes to every word of the stack, before any Rust code runs.
const PAINT: u32 = 0xcccc_cccc;

/// The stack, in bytes.
pub struct StackUse {
    /// From the top down to the lowest word that no longer holds the paint.
    pub used: u32,
    /// Reserved by the linker.
    pub total: u32,
}

/// Whether the lowest word of the stack still holds its paint: if not, the stack was used up.
pub fn stack_sufficed() -> bool {
    let bottom = (&raw const __mote_stack_bottom).cast::<u32>();
    // SAFETY: the lowest word of the stack; volatile, as the compiler does not know of it.
    unsafe { bottom.read_volatile() == PAINT }
}

/// The stack's high-water mark since reset.
///
/// The lowest word that differs from the paint marks the deepest use. A frame that reserved words below it and never
/// wrote them is not seen, nor is a word that happens to hold the paint's value.
pub fn stack_use() -> StackUse {
    let bottom = (&raw const __mote_stack_bottom).cast::<u32>();
    let top = (&raw const __mote_stack_top).cast::<u32>();
    let mut word = bottom;
    // SAFETY: every word between the two symbols is RAM that belongs to the stack; volatile, as the compiler does not
    // know of it.
    while word < top && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    StackUse {
        used: (top as usize - word as usize) as u32,
        total: (top as usize - bottom as usize) as u32,
    }
}

// ---- Reset, faults, panics ---------------------------------------------------------------------------------------------

#[cfg(target_arch = "arm")]
mod start {
    use cortex_m_rt::{ExceptionFrame, entry, exception};

    // cortex-m-rt's `paint-stack` fills the stack in its reset handler.
    const _: () = assert!(super::PAINT == cortex_m_rt::STACK_PAINT_VALUE);

    #[entry]
    fn main() -> ! {
        super::exit(crate::run())
    }

    #[exception]
    fn SysTick() {
        crate::clock::wrapped();
    }

    #[exception]
    unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
        defmt::error!("@fault {=u32}", frame.pc());
        super::exit(false)
    }

    #[exception]
    unsafe fn DefaultHandler(number: i16) {
        defmt::error!("unexpected exception {=i16}", number);
        super::exit(false)
    }
}

#[cfg(target_arch = "riscv32")]
mod start {
    // Called with the stack pointer at the top and nothing on the stack.
    core::arch::global_asm!(
        ".section .text.pre_init, \"ax\"",
        ".global __pre_init",
        "__pre_init:",
        "la t0, __mote_stack_bottom",
        "la t1, __mote_stack_top",
        "li t2, 0xcccccccc",
        "1: bgeu t0, t1, 2f",
        "sw t2, 0(t0)",
        "addi t0, t0, 4",
        "j 1b",
        "2: ret",
    );

    #[riscv_rt::entry]
    fn main() -> ! {
        super::exit(crate::run())
    }

    #[unsafe(export_name = "ExceptionHandler")]
    fn exception(_: &riscv_rt::TrapFrame) -> ! {
        defmt::error!("@fault {=usize}", riscv::register::mepc::read());
        super::exit(false)
    }

    #[unsafe(export_name = "DefaultHandler")]
    fn interrupt() -> ! {
        defmt::error!("unexpected interrupt {=usize}", riscv::register::mcause::read().bits());
        super::exit(false)
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    match info.location() {
        Some(place) => defmt::error!("panic at {=str}:{=u32}", place.file(), place.line()),
        None => defmt::error!("panic"),
    }
    exit(false)
}

// ---- For the drills ----------------------------------------------------------------------------------------------------

/// An instruction that no core has.
pub fn fault() -> ! {
    #[cfg(target_arch = "arm")]
    // SAFETY: traps; the fault handler ends the program.
    unsafe {
        core::arch::asm!("udf #0", options(noreturn))
    }
    #[cfg(target_arch = "riscv32")]
    // SAFETY: traps; the exception handler ends the program.
    unsafe {
        core::arch::asm!("unimp", options(noreturn))
    }
}

/// A loop of exactly two instructions a round.
#[cfg(target_arch = "arm")]
pub fn count_down(rounds: u32) {
    // SAFETY: registers only.
    unsafe { core::arch::asm!("2:", "subs {0}, #1", "bne 2b", inout(reg) rounds => _) };
}

/// A loop of exactly two instructions a round.
#[cfg(target_arch = "riscv32")]
pub fn count_down(rounds: u32) {
    // SAFETY: registers only.
    unsafe { core::arch::asm!("2:", "addi {0}, {0}, -1", "bnez {0}, 2b", inout(reg) rounds => _) };
}
