//! The second core of a pair of Cortex-M33, as Arm's SSE-200 starts it (QEMU's `mps2-an521`): it waits for halves of operators and runs them.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use mote_runtime::Join;

/// Where the second core's vectors lie is written here, in the system control block of the SSE-200's secure half.
const INITSVTOR1: *mut u32 = 0x5002_1114 as *mut u32;
/// A core whose bit is set stands still.
const CPUWAIT: *mut u32 = 0x5002_1118 as *mut u32;
const SECOND: u32 = 1 << 1;

const ASLEEP: u32 = 0;
const IDLE: u32 = 1;
const GIVEN: u32 = 2;
const FAULTED: u32 = 3;

/// Who has the half: it is written before `GIVEN`, and read by the second core until `IDLE`.
static STATE: AtomicU32 = AtomicU32::new(ASLEEP);
static CALL: AtomicUsize = AtomicUsize::new(0);
static DATA: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

const STACK_BYTES: usize = 8 * 1024;

#[repr(align(8))]
struct Stack(UnsafeCell<MaybeUninit<[u8; STACK_BYTES]>>);

// SAFETY: the second core alone has it, as its stack.
unsafe impl Sync for Stack {}

static STACK: Stack = Stack(UnsafeCell::new(MaybeUninit::uninit()));

/// Initial stack pointer, reset, and 14 exceptions.
#[repr(C, align(128))]
struct Vectors(*const Stack, [extern "C" fn() -> !; 15]);

// SAFETY: it is never written.
unsafe impl Sync for Vectors {}

static VECTORS: Vectors = {
    let mut handlers: [extern "C" fn() -> !; 15] = [fault; 15];
    handlers[0] = wait_for_work;
    Vectors((&raw const STACK).wrapping_add(1), handlers)
};

/// What the second core runs from its reset on.
extern "C" fn wait_for_work() -> ! {
    STATE.store(IDLE, Ordering::Release);
    loop {
        cortex_m::asm::sev();
        while STATE.load(Ordering::Acquire) != GIVEN {
            cortex_m::asm::wfe();
        }
        // SAFETY: the first core wrote a function of this type, and what it takes, before `GIVEN`.
        let call: fn(*mut ()) = unsafe { core::mem::transmute(CALL.load(Ordering::Relaxed)) };
        call(DATA.load(Ordering::Relaxed));
        STATE.store(IDLE, Ordering::Release);
    }
}

extern "C" fn fault() -> ! {
    STATE.store(FAULTED, Ordering::Release);
    loop {
        cortex_m::asm::sev();
    }
}

/// The second core, started.
pub struct Second {
    /// Halves that it was given.
    pub halves: u32,
}

impl Second {
    /// Starts it.
    pub fn start() -> Self {
        // SAFETY: two registers of this machine; the vectors and the stack stay where they are.
        unsafe {
            INITSVTOR1.write_volatile(&raw const VECTORS as u32);
            CPUWAIT.write_volatile(CPUWAIT.read_volatile() & !SECOND);
        }
        wait();
        Self { halves: 0 }
    }
}

/// Waits until the second core has nothing to do.
fn wait() {
    loop {
        match STATE.load(Ordering::Acquire) {
            IDLE => return,
            FAULTED => panic!("the second core faulted"),
            _ => cortex_m::asm::wfe(),
        }
    }
}

impl Join for Second {
    fn join(&mut self, here: impl FnOnce() + Send, there: impl FnOnce() + Send) {
        fn call<F: FnOnce()>(data: *mut ()) {
            // SAFETY: `join` points to such an option, which is not touched there before the second core is idle again.
            if let Some(work) = unsafe { &mut *data.cast::<Option<F>>() }.take() {
                work();
            }
        }
        /// The function for a value's type, which has no name.
        fn of<F: FnOnce()>(_: &Option<F>) -> fn(*mut ()) {
            call::<F>
        }
        let mut there = Some(there);
        CALL.store(of(&there) as usize, Ordering::Relaxed);
        DATA.store((&raw mut there).cast(), Ordering::Relaxed);
        STATE.store(GIVEN, Ordering::Release);
        cortex_m::asm::sev();
        self.halves += 1;
        here();
        // Says to who counts cycles that this half is done.
        // SAFETY: a hint, which touches neither memory nor registers.
        unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) };
        wait();
    }
}
