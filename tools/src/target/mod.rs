//! What a model is to fit and to run on: a simulated board, a chip of the table, or a board that the user describes.
//!
//! ```
//! use mote_tools::target::{Described, Target};
//!
//! let chip = Target::named("nrf52840")?;
//! assert_eq!((chip.core.name, chip.clock_hz), ("Cortex-M4F", Some(64_000_000)));
//!
//! // What is said of a board takes the place of what the table says.
//! let said = Described { ram: Some("64K".into()), ..Described::default() };
//! let smaller = Target::asked(Some("nrf52840"), &said)?.unwrap();
//! assert_eq!(smaller.ram[0].bytes, 64 << 10);
//! # Ok::<(), mote_tools::Error>(())
//! ```

mod described;
mod file;
#[cfg(test)]
mod tests;
pub mod units;

pub use described::Described;

use crate::{Error, ErrorKind};
use mote_firmware_sim::chips::{Chip, Fetch, Power, chips};
use mote_firmware_sim::{Board, Core, Parts, Region, boards};
use std::path::Path;

/// A memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Area {
    /// Its name in the chip's manual; `flash` or `RAM` where nothing is said.
    pub name: String,
    /// Address of the first byte, where it is known.
    pub origin: Option<u32>,
    /// Size in bytes.
    pub bytes: u64,
}

impl Area {
    fn of(name: &str, region: Region) -> Self {
        Self {
            name: name.to_owned(),
            origin: Some(region.origin),
            bytes: region.length.into(),
        }
    }
}

/// How the firmware is compiled: its size follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// `opt-level = "s"`, `lto = "fat"`, one unit, `panic = "abort"`: what is measured here.
    #[default]
    Size,
    /// Cargo's own `--release`: more code for a few per cent of speed.
    Stock,
}

impl Profile {
    /// What it is, in a few words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Size => "opt s + LTO",
            Self::Stock => "stock release",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "size" => Ok(Self::Size),
            "stock" => Ok(Self::Stock),
            _ => Err("choose size or stock".to_owned()),
        }
    }
}

/// What a model is to fit and to run on.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name: of a simulated board, a chip, or what its file says.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its core: target triple, instructions, footprint of the firmware.
    pub core: &'static Core,
    /// Code memory.
    pub flash: Area,
    /// RAM; the first one holds stack, statics and arena.
    pub ram: Vec<Area>,
    /// The core's clock, Hz.
    pub clock_hz: Option<u64>,
    /// How code memory is read; `None`: not known.
    pub fetch: Option<Fetch>,
    /// What the running chip draws; `None`: not known.
    pub power: Option<Power>,
    /// The simulated board that it is; `None`: it can be fitted and estimated, not run.
    pub board: Option<&'static Board>,
    /// The entry of the table that its figures are from, with their sources.
    pub chip: Option<&'static Chip>,
    /// How the firmware is compiled.
    pub profile: Profile,
}

impl Target {
    /// A board of which only the core is known: its memories have no bytes yet.
    fn of_core(core: &'static Core, name: &str, description: &str) -> Self {
        let area = |name: &str| Area {
            name: name.to_owned(),
            origin: None,
            bytes: 0,
        };
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            core,
            flash: area("flash"),
            ram: vec![area("RAM")],
            clock_hz: None,
            fetch: None,
            power: None,
            board: None,
            chip: None,
            profile: Profile::Size,
        }
    }

    /// The first RAM has so many bytes. The others are not spoken of: the one that is described is the one that is used.
    fn describe_ram(&mut self, bytes: u64) {
        self.ram.truncate(1);
        self.ram.iter_mut().for_each(|ram| ram.bytes = bytes);
    }
}

impl From<&'static Board> for Target {
    /// With the clock of the chip that the board has; boards of no chip (FPGA images) have none.
    fn from(board: &'static Board) -> Self {
        let chip = Chip::of_board(board);
        Self {
            name: board.name.to_owned(),
            description: board.description.to_owned(),
            core: board.core,
            flash: Area::of("flash", board.flash),
            ram: vec![Area::of("RAM", board.ram)],
            clock_hz: chip.map(|chip| chip.clock_hz.into()),
            fetch: chip.map(|chip| chip.fetch),
            power: chip.and_then(|chip| chip.power).map(|(power, _)| power),
            board: Some(board),
            chip,
            profile: Profile::Size,
        }
    }
}

impl From<&'static Chip> for Target {
    fn from(chip: &'static Chip) -> Self {
        Self {
            name: chip.name.to_owned(),
            description: chip.description.to_owned(),
            core: chip.core,
            flash: Area::of("flash", chip.flash),
            ram: chip.ram.iter().map(|ram| Area::of(ram.name, ram.region)).collect(),
            clock_hz: Some(chip.clock_hz.into()),
            fetch: Some(chip.fetch),
            power: chip.power.map(|(power, _)| power),
            board: chip.board.and_then(Board::named),
            chip: Some(chip),
            profile: Profile::Size,
        }
    }
}

impl Target {
    /// The simulated board or the chip of that name, or the board that a file describes: `board.toml` or `folder/board.toml`.
    ///
    /// # Errors
    /// Of kind `Usage` where there is none of that name, of kind `Input` where the file is not what it should be.
    pub fn named(name: &str) -> Result<Self, Error> {
        if name.to_ascii_lowercase().ends_with(".toml") || name.contains(['/', '\\']) {
            return file::read(Path::new(name));
        }
        let wanted = name.to_ascii_lowercase();
        if let Some(board) = Board::named(&wanted) {
            return Ok(board.into());
        }
        Chip::named(&wanted).map(Self::from).ok_or_else(|| unknown(name))
    }

    /// `board`, a name or a file, with what is described in its place; without it, what is described alone. `None` where nothing is asked.
    ///
    /// # Errors
    /// Of kind `Usage` where something is described wrongly, or too little; else as [`Target::named`].
    pub fn asked(board: Option<&str>, described: &Described) -> Result<Option<Self>, Error> {
        match board {
            None if described.is_empty() => Ok(None),
            None => described.alone().map(Some),
            Some(name) => described.over(Self::named(name)?).map(Some),
        }
    }

    /// The same, with a firmware that is compiled so where that is said.
    ///
    /// # Errors
    /// As [`Target::asked`]; of kind `Usage` for a profile of no board.
    pub fn asked_with(
        board: Option<&str>,
        described: &Described,
        profile: Option<Profile>,
    ) -> Result<Option<Self>, Error> {
        match (Self::asked(board, described)?, profile) {
            (None, Some(_)) => {
                Err(Error::usage("--profile without a board").help("say which board, or leave --profile out"))
            }
            (target, profile) => Ok(target.map(|target| target.with_profile(profile.unwrap_or_default()))),
        }
    }

    /// The same with a firmware that is compiled so.
    #[must_use]
    pub fn with_profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    /// Flash for code and constants with these parts of the runtime, bytes: at most this much.
    #[must_use]
    pub fn code_bytes(&self, parts: &Parts) -> u64 {
        let (footprint, size) = (self.core.footprint, self.core.footprint.code_for(parts));
        match self.profile {
            Profile::Size => size,
            Profile::Stock => (size as f64 * footprint.stock).ceil() as u64,
        }
    }

    /// Bytes of the RAM that holds stack, statics and arena.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram.first().map_or(0, |ram| ram.bytes)
    }

    /// The simulated board that it is.
    ///
    /// # Errors
    /// Of kind `Refused`: it has no emulator. The advice names the boards that run the same code.
    pub fn emulator(&self) -> Result<&'static Board, Error> {
        self.board.ok_or_else(|| {
            let what = format!("{} has no emulator: it can be fitted and estimated, not run", self.name);
            Error::of(ErrorKind::Refused, what).help(match self.same_code().as_slice() {
                [] => format!("no simulated board runs the code of a {}", self.core.name),
                same => format!("{} runs the code of its {}", same.join(" or "), self.core.name),
            })
        })
    }

    /// A simulated board whose core runs the same code, itself where it is one: sizes of code and counts are the same on it.
    #[must_use]
    pub fn stand_in(&self) -> Option<&'static Board> {
        let same = |board: &&Board| board.core.runs_code_of(self.core);
        // The largest: it holds whatever this holds.
        let largest = boards().iter().filter(same).max_by_key(|board| board.ram.length);
        self.board.or(largest)
    }

    fn same_code(&self) -> Vec<&'static str> {
        let same = boards().iter().filter(|board| board.core.runs_code_of(self.core));
        same.map(|board| board.name).collect()
    }
}

/// That nothing has this name, with what there is.
fn unknown(name: &str) -> Error {
    let simulated: Vec<&str> = boards().iter().map(|board| board.name).collect();
    let built_with: Vec<&str> = chips().map(|chip| chip.name).collect();
    Error::usage(format!("unknown board '{name}'")).help(format!(
        "simulated boards are {}; chips are {}; or describe yours: a file board.toml, or --flash 512K --ram 128K --core cortex-m4f",
        simulated.join(", "),
        built_with.join(", ")
    ))
}
