//! Dot products of bytes in AMX tiles: 16 positions by 16 channels by 64 bytes an instruction.
#![allow(unsafe_code)]

use super::conv::Tile;
use super::family::{LANES, Line};
use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use core::marker::PhantomData;
use std::sync::OnceLock;

/// Positions of a tile.
pub(super) const ROWS: usize = 16;
/// Tiles of sums at once.
pub(super) const TILES: usize = 4;

/// AMX with int8 is here, and the operating system lets this process use it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amx(());

impl Amx {
    /// Asks the processor, and the kernel for its permission.
    pub fn found() -> Option<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        FOUND.get_or_init(permitted).then_some(Self(()))
    }
}

/// Linux alone: elsewhere nothing is asked.
fn permitted() -> bool {
    const TILE_AND_INT8: u32 = 1 << 24 | 1 << 25;
    if !cfg!(target_os = "linux") || __cpuid_count(0, 0).eax < 7 {
        return false;
    }
    if __cpuid_count(7, 0).edx & TILE_AND_INT8 != TILE_AND_INT8 {
        return false;
    }
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: a system call that takes two numbers, changes no memory of this process, and fails with a number where it is unknown.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// Shapes of the tiles, as `ldtilecfg` reads them.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tiles shaped for one convolution and one length of runs; released when dropped.
#[derive(Debug)]
pub(super) struct Tiles {
    quads: usize,
    rows: usize,
    /// Tiles are this thread's.
    here: PhantomData<*const ()>,
}

impl Amx {
    /// Shapes the tiles for kernel rows of `quads` groups of four bytes and runs of `rows` positions.
    pub fn shaped(self, quads: usize, rows: usize) -> Tiles {
        assert!((1..=ROWS).contains(&rows));
        // 0 to 3: sums; 4 and 5: weights and inputs of 64 bytes; 6 and 7: of what is left of a kernel row.
        let mut shapes = Shapes {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        let (m, left) = (rows as u8, (quads % LANES).max(1));
        shapes.rows[..8].copy_from_slice(&[m, m, m, m, LANES as u8, m, left as u8, m]);
        shapes.row_bytes[..8].copy_from_slice(&[64, 64, 64, 64, 64, 64, 64, 4 * left as u16]);
        // SAFETY: `self` says that the instruction is here and permitted. The compiler uses no tiles itself.
        unsafe { asm!("ldtilecfg [{0}]", in(reg) &raw const shapes, options(nostack)) };
        Tiles {
            quads,
            rows,
            here: PhantomData,
        }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: that there is a `Tiles` says that the instruction is here and permitted.
        unsafe { asm!("tilerelease", options(nostack)) };
    }
}

impl Tiles {
    /// Positions of a run.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Dot products of one block of channels with up to [`TILES`] runs of positions `step` bytes apart, which begin at `at`.
    pub fn dots(&self, tile: &Tile<'_>, at: &[u32], step: usize, sums: &mut [[[i32; LANES]; ROWS]; TILES]) {
        assert!(tile.bytes && tile.quads == self.quads && (1..=TILES).contains(&at.len()));
        tile.check_reads(at, (self.rows - 1) * step, 1);
        let rest = tile.quads % LANES;
        let whole = tile.quads - rest;
        // SAFETY: the tiles are configured while there is a `Tiles`; `check_reads` says that every read lies within window and weights;
        // the sums are as large as the tiles.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                options(nostack)
            );
            for row in 0..tile.rows {
                let input = tile.window.as_ptr().add(row * tile.row_bytes);
                let weights = tile.weights.as_ptr().add(row * tile.quads);
                for quad in (0..whole).step_by(LANES) {
                    whole_step(input.add(4 * quad), at, step, weights.add(quad));
                }
                if rest > 0 {
                    rest_step(input.add(4 * whole), at, step, weights.add(whole));
                }
            }
            store(at.len(), sums);
        }
    }
}

/// One tile of weights with each tile of inputs.
macro_rules! step {
    ($name:ident, $weights:literal, $inputs:literal) => {
        /// # Safety
        /// The tiles are configured, and every row lies where it may be read.
        #[inline(always)]
        unsafe fn $name(input: *const u8, at: &[u32], step: usize, weights: *const Line) {
            // SAFETY: the caller's promise.
            unsafe {
                asm!(concat!("tileloadd ", $weights, ", [{0} + {1}]"), in(reg) weights, in(reg) size_of::<Line>(), options(nostack));
                for (i, &at) in at.iter().enumerate() {
                    let input = input.add(at as usize);
                    asm!(concat!("tileloadd ", $inputs, ", [{0} + {1}]"), in(reg) input, in(reg) step, options(nostack));
                    match i {
                        0 => asm!(concat!("tdpbusd tmm0, ", $inputs, ", ", $weights), options(nostack)),
                        1 => asm!(concat!("tdpbusd tmm1, ", $inputs, ", ", $weights), options(nostack)),
                        2 => asm!(concat!("tdpbusd tmm2, ", $inputs, ", ", $weights), options(nostack)),
                        _ => asm!(concat!("tdpbusd tmm3, ", $inputs, ", ", $weights), options(nostack)),
                    }
                }
            }
        }
    };
}

step!(whole_step, "tmm4", "tmm5");
step!(rest_step, "tmm6", "tmm7");

/// # Safety
/// The tiles are configured.
#[inline(always)]
unsafe fn store(tiles: usize, sums: &mut [[[i32; LANES]; ROWS]; TILES]) {
    for (i, sums) in sums.iter_mut().enumerate().take(tiles) {
        let to = sums.as_mut_ptr();
        // SAFETY: at most 16 rows of 64 bytes.
        unsafe {
            match i {
                0 => asm!("tilestored [{0} + {1}], tmm0", in(reg) to, in(reg) size_of::<Line>(), options(nostack)),
                1 => asm!("tilestored [{0} + {1}], tmm1", in(reg) to, in(reg) size_of::<Line>(), options(nostack)),
                2 => asm!("tilestored [{0} + {1}], tmm2", in(reg) to, in(reg) size_of::<Line>(), options(nostack)),
                _ => asm!("tilestored [{0} + {1}], tmm3", in(reg) to, in(reg) size_of::<Line>(), options(nostack)),
            }
        }
    }
}
