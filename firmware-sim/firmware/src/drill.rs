//! Failures on purpose: the runner's tests must see a panic, a fault, a stack overflow and a hang handled.

use crate::{clock, hw};

/// Which failure (or measurement) the request asks for.
#[derive(Clone, Copy)]
pub enum Drill {
    /// A Rust panic.
    Panic,
    /// An instruction that no core has.
    Fault,
    /// Recursion past the end of the stack.
    Overflow,
    /// No end.
    Spin,
    /// A loop of a known number of instructions, to check what a tick of the clock is worth.
    Calibrate,
}

impl Drill {
    /// The drill of that name.
    pub fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"panic" => Some(Self::Panic),
            b"fault" => Some(Self::Fault),
            b"overflow" => Some(Self::Overflow),
            b"spin" => Some(Self::Spin),
            b"calibrate" => Some(Self::Calibrate),
            _ => None,
        }
    }
}

/// Does what `drill` says; only `Calibrate` comes back.
pub fn run(drill: Drill) -> bool {
    match drill {
        Drill::Panic => panic!(),
        Drill::Fault => hw::fault(),
        Drill::Overflow => {
            defmt::info!("recursion came back: {=u32}", recurse(1));
            false
        }
        Drill::Spin => loop {
            core::hint::spin_loop();
        },
        Drill::Calibrate => {
            let ((), ticks) = clock::timed(|| hw::count_down(CALIBRATION_ROUNDS));
            defmt::info!("@calibrate {=u64} {=u32}", ticks, CALIBRATION_ROUNDS * 2);
            true
        }
    }
}

/// Two instructions a round; enough for SysTick to wrap twice at 168 MHz.
const CALIBRATION_ROUNDS: u32 = 120_000_000;

#[allow(unconditional_recursion)]
#[inline(never)]
fn recurse(depth: u32) -> u32 {
    let frame = core::hint::black_box([depth; 32]);
    recurse(frame[7].wrapping_add(1)).wrapping_add(core::hint::black_box(frame)[3])
}
