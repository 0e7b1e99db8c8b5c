//! Dot products of bytes in AMX tiles: 16 positions by 16 channels by 64 bytes an instruction.
//!
//! Sums stay in tile registers from one piece of assembly to the next. That holds because the compiler never uses these registers itself
//! and because every piece declares which of them it writes; [`Tiles`] keeps everybody else of this thread away from them.
#![allow(unsafe_code)]

use crate::family::{LANES, Line};
use crate::ops::conv::Tile;
use core::arch::asm;
use core::arch::x86_64::__cpuid_count;
use core::cell::Cell;
use core::marker::PhantomData;
use std::sync::OnceLock;

/// Positions of a tile.
pub(crate) const ROWS: usize = 16;
/// Tiles of sums at once.
pub(crate) const TILES: usize = 4;

/// AMX with int8 is here, and the operating system lets this process use it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amx(());

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

thread_local! {
    /// Whether an [`Ownership`] of this thread is alive.
    static TAKEN: Cell<bool> = const { Cell::new(false) };
}

/// That the tile registers of this thread are the owner's alone: a thread has one at a time, and it stays on its thread. (One that is leaked
/// keeps them: then no other is ever taken on that thread.)
#[derive(Debug)]
struct Ownership {
    /// Neither sent to another thread nor shared with one.
    here: PhantomData<*const ()>,
}

impl Ownership {
    /// `None` while the registers are owned.
    fn take() -> Option<Self> {
        // A closure: a value that is made and dropped would give back what another owns.
        (!TAKEN.replace(true)).then(|| Self { here: PhantomData })
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        TAKEN.set(false);
    }
}

/// The tile registers of this thread, shaped for a convolution and a length of runs. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct Tiles {
    quads: usize,
    rows: usize,
    /// Nobody else shapes or writes the registers while this is there.
    _own: Ownership,
}

impl Amx {
    /// Takes this thread's tiles for kernel rows of `quads` groups of four bytes and runs of `rows` positions, 1 to [`ROWS`]; `None` while
    /// they are taken.
    pub fn take(self, quads: usize, rows: usize) -> Option<Tiles> {
        let mut tiles = Tiles {
            quads,
            rows,
            _own: Ownership::take()?,
        };
        tiles.shape(rows);
        Some(tiles)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: that there is a `Tiles` says that the instruction is here and permitted, and that the registers are nobody else's.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

impl Tiles {
    /// Positions of a run.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Shapes the tiles for runs of `rows` positions, 1 to [`ROWS`]. What they held is lost.
    pub fn shape(&mut self, rows: usize) {
        assert!((1..=ROWS).contains(&rows));
        self.rows = rows;
        // 0 to 3: sums; 4 and 5: weights and inputs of 64 bytes; 6 and 7: of what is left of a kernel row.
        let mut shapes = Shapes {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        let (m, left) = (rows as u8, (self.quads % LANES).max(1));
        shapes.rows[..8].copy_from_slice(&[m, m, m, m, LANES as u8, m, left as u8, m]);
        shapes.row_bytes[..8].copy_from_slice(&[64, 64, 64, 64, 64, 64, 64, 4 * left as u16]);
        // SAFETY: that there is a `Tiles` says that the instruction is here and permitted, and that the registers are nobody else's.
        unsafe {
            asm!(
                "ldtilecfg [{0}]",
                in(reg) &raw const shapes,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly),
            );
        }
    }

    /// Dot products of one block of channels with up to [`TILES`] runs of positions `step` bytes apart, which begin at `at`.
    pub fn dots(&mut self, tile: &Tile<'_>, at: &[u32], step: usize, sums: &mut [[[i32; LANES]; ROWS]; TILES]) {
        assert!(tile.bytes && tile.quads == self.quads && (1..=TILES).contains(&at.len()));
        tile.check_reads(at, (self.rows - 1) * step, 1);
        let rest = tile.quads % LANES;
        let whole = tile.quads - rest;
        // SAFETY: the registers are this thread's and shaped while there is a `Tiles`; `check_reads` says that every read lies within
        // window and weights; the sums are as large as the tiles.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, nomem),
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

/// Adds the products of two tiles to a third.
macro_rules! multiply {
    ($sums:tt, $inputs:tt, $weights:tt) => {
        asm!(
            concat!("tdpbusd ", $sums, ", ", $inputs, ", ", $weights),
            out($sums) _,
            options(nostack, nomem),
        )
    };
}

/// One tile of weights with each tile of inputs.
macro_rules! step {
    ($name:ident, $weights:tt, $inputs:tt) => {
        /// Adds the products of one tile of weights with a tile of inputs at each of `at` to the sums.
        ///
        /// # Safety
        /// The caller owns the thread's [`Tiles`]. Its rows of weights from `weights` on, and of inputs `step` bytes apart from
        /// `input` and each of `at` on, lie where they may be read.
        #[inline(always)]
        unsafe fn $name(input: *const u8, at: &[u32], step: usize, weights: *const Line) {
            // SAFETY: the caller's promise.
            unsafe {
                asm!(
                    concat!("tileloadd ", $weights, ", [{0} + {1}]"),
                    in(reg) weights,
                    in(reg) size_of::<Line>(),
                    out($weights) _,
                    options(nostack, readonly),
                );
                for (i, &at) in at.iter().enumerate() {
                    let input = input.add(at as usize);
                    asm!(
                        concat!("tileloadd ", $inputs, ", [{0} + {1}]"),
                        in(reg) input,
                        in(reg) step,
                        out($inputs) _,
                        options(nostack, readonly),
                    );
                    match i {
                        0 => multiply!("tmm0", $inputs, $weights),
                        1 => multiply!("tmm1", $inputs, $weights),
                        2 => multiply!("tmm2", $inputs, $weights),
                        _ => multiply!("tmm3", $inputs, $weights),
                    }
                }
            }
        }
    };
}

step!(whole_step, "tmm4", "tmm5");
step!(rest_step, "tmm6", "tmm7");

/// Writes the first `tiles` tiles of sums.
///
/// # Safety
/// The caller owns the thread's [`Tiles`].
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_owns_its_tiles_once_at_a_time() {
        let own = Ownership::take();
        assert!(own.is_some() && Ownership::take().is_none());
        // A refusal gives nothing back.
        assert!(Ownership::take().is_none());
        let elsewhere = std::thread::spawn(|| Ownership::take().is_some());
        assert!(
            elsewhere.join().expect("it does not panic"),
            "other threads have their own"
        );
        drop(own);
        assert!(Ownership::take().is_some());
    }

    #[test]
    fn tiles_are_shaped_again_and_given_back() {
        let Some(amx) = Amx::found() else { return };
        for _ in 0..2 {
            let mut tiles = amx.take(3, 5).expect("nobody has them");
            assert!(amx.take(3, 5).is_none());
            tiles.shape(ROWS);
            assert_eq!(tiles.rows(), ROWS);
        }
    }
}
