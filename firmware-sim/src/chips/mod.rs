//! Chips that people build with: one table, with one entry a chip or a well-known board.
//!
//! A chip is no simulated board: it has memories, a core and a clock, and no emulator. What runs on it is estimated. Every figure
//! names its source, and says whether that source was read for this table.

mod ambiq;
mod espressif;
mod nordic;
mod nxp;
mod raspberry;
mod st;
mod ti;

use std::fmt;

use crate::boards::{Board, Core, Region};

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Document and table.
    pub text: &'static str,
    /// Whether it was read for this table; else the figure is from memory.
    pub checked: bool,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)?;
        f.write_str(if self.checked {
            ""
        } else {
            " (from memory, not checked)"
        })
    }
}

/// A source that was read.
const fn read(text: &'static str) -> Source {
    Source { text, checked: true }
}

/// A source that was remembered.
const fn remembered(text: &'static str) -> Source {
    Source { text, checked: false }
}

/// A RAM of a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ram {
    /// Its name in the chip's manual.
    pub name: &'static str,
    /// Where it lies.
    pub region: Region,
}

/// What helps against slow code memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// Nothing.
    None,
    /// The next words are read ahead: straight code runs without waiting.
    Prefetch,
    /// A cache of so many bytes: what was read lately is read without waiting.
    Cache(u32),
}

/// How code and weights are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fetch {
    /// Cycles that a read of the memory waits, at the chip's clock.
    pub wait_cycles: f64,
    /// Bytes that such a read gives.
    pub line_bytes: u32,
    /// What helps.
    pub help: Help,
}

/// What the running chip draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Power {
    /// Microamperes for each MHz of the clock, radio and peripherals off.
    pub ua_per_mhz: f64,
    /// Supply, in millivolts.
    pub millivolts: u32,
}

/// A chip, or a board that carries it.
#[derive(Clone, Debug)]
pub struct Chip {
    /// The name that the command line takes.
    pub name: &'static str,
    /// What it is, in a few words.
    pub description: &'static str,
    /// Its core; of several, the one that runs applications.
    pub core: &'static Core,
    /// Code memory: flash of the chip, or of its board.
    pub flash: Region,
    /// RAM; the first is the one that stack, statics and arena share.
    pub ram: &'static [Ram],
    /// Of both.
    pub memory: Source,
    /// The usual clock, Hz.
    pub clock_hz: u32,
    /// Of it.
    pub clock: Source,
    /// How code memory is read at that clock.
    pub fetch: Fetch,
    /// Of it.
    pub fetch_source: Source,
    /// What it draws, where that is known.
    pub power: Option<(Power, Source)>,
    /// The simulated board that has this chip.
    pub board: Option<&'static str>,
}

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

const fn region(origin: u32, length: u32) -> Region {
    Region { origin, length }
}

const fn ram(name: &'static str, origin: u32, length: u32) -> Ram {
    Ram {
        name,
        region: region(origin, length),
    }
}

/// Code memory without waiting.
const NO_WAIT: Fetch = Fetch {
    wait_cycles: 0.0,
    line_bytes: 4,
    help: Help::None,
};

/// Every chip, by maker.
pub fn chips() -> impl Iterator<Item = &'static Chip> {
    let makers: [&'static [Chip]; 7] = [
        &nordic::CHIPS,
        &st::CHIPS,
        &raspberry::CHIPS,
        &espressif::CHIPS,
        &nxp::CHIPS,
        &ambiq::CHIPS,
        &ti::CHIPS,
    ];
    makers.into_iter().flatten()
}

impl Chip {
    /// The chip of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        chips().find(|chip| chip.name == name)
    }

    /// The chip of a simulated board.
    pub fn of_board(board: &Board) -> Option<&'static Self> {
        chips().find(|chip| chip.board == Some(board.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards::boards;

    #[test]
    fn names_are_unique_among_chips_and_boards() {
        let mut names: Vec<&str> = chips().map(|chip| chip.name).collect();
        names.extend(boards().iter().map(|board| board.name));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert!(chips().all(|chip| std::ptr::eq(Chip::named(chip.name).unwrap(), chip)));
    }

    /// A chip and the simulated board that has it are the same machine.
    #[test]
    fn a_simulated_board_has_its_chips_memory_and_core() {
        for chip in chips().filter(|chip| chip.board.is_some()) {
            let board = Board::named(chip.board.unwrap()).unwrap();
            assert_eq!(
                (board.core.name, board.flash, board.ram),
                (chip.core.name, chip.flash, chip.ram[0].region),
                "{}",
                chip.name
            );
        }
    }

    #[test]
    fn figures_are_plausible() {
        for chip in chips() {
            assert!((8_000_000..=1_000_000_000).contains(&chip.clock_hz), "{}", chip.name);
            assert!(chip.flash.length >= 64 * KIB && !chip.ram.is_empty(), "{}", chip.name);
            assert!(chip.ram[0].region.length >= 8 * KIB, "{}", chip.name);
            assert!((0.0..=400.0).contains(&chip.fetch.wait_cycles), "{}", chip.name);
            if let Some((power, _)) = chip.power {
                assert!((3.0..=400.0).contains(&power.ua_per_mhz), "{}", chip.name);
                assert!((1_000..=5_000).contains(&power.millivolts), "{}", chip.name);
            }
        }
    }

    #[test]
    fn a_source_says_whether_it_was_read() {
        assert_eq!(read("PS v1.1, table 5").to_string(), "PS v1.1, table 5");
        assert!(
            remembered("PS v1.1")
                .to_string()
                .ends_with("(from memory, not checked)")
        );
    }
}
