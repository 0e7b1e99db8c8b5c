//! A board as options of a command describe it.

use super::{Target, units};
use crate::Error;
use mote_firmware_sim::{Core, cores};

/// What is said of a board, as text: `--flash 512K --ram 128K --core cortex-m4f --clock 64MHz`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Described {
    /// Size of code memory.
    pub flash: Option<String>,
    /// Size of RAM.
    pub ram: Option<String>,
    /// Name of the core.
    pub core: Option<String>,
    /// Clock of the core.
    pub clock: Option<String>,
}

impl Described {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// A board of which nothing else is known.
    pub(super) fn alone(&self) -> Result<Target, Error> {
        let said = [
            ("--flash", self.flash.is_some()),
            ("--ram", self.ram.is_some()),
            ("--core", self.core.is_some()),
        ];
        let missing: Vec<&str> = said.iter().filter(|(_, said)| !said).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            let what = format!("a board without a name needs {}", missing.join(" and "));
            return Err(
                Error::usage(what).help("give them, as in --flash 512K --ram 128K --core cortex-m4f; or --board NAME")
            );
        }
        let core = core(self.core.as_deref().unwrap_or_default()).map_err(|why| option("--core", &why))?;
        let description = "described by --flash, --ram and --core";
        self.over(Target::of_core(core, "the described board", description))
    }

    /// `target` with what is said in place of what it has. With another memory or core it is no board that can be simulated.
    pub(super) fn over(&self, mut target: Target) -> Result<Target, Error> {
        if let Some(text) = &self.flash {
            target.flash.bytes = units::bytes(text).map_err(|why| option("--flash", &why))?;
        }
        if let Some(text) = &self.ram {
            target.describe_ram(units::bytes(text).map_err(|why| option("--ram", &why))?);
        }
        if let Some(text) = &self.core {
            target.core = core(text).map_err(|why| option("--core", &why))?;
        }
        if let Some(text) = &self.clock {
            target.clock_hz = Some(units::hertz(text).map_err(|why| option("--clock", &why))?);
        }
        if self.flash.is_some() || self.ram.is_some() || self.core.is_some() {
            target.board = None;
        }
        Ok(target)
    }
}

/// The core of that name.
pub(super) fn core(text: &str) -> Result<&'static Core, String> {
    Core::named(text).ok_or_else(|| {
        let names: Vec<String> = cores().iter().map(|core| core.name.to_ascii_lowercase()).collect();
        format!("unknown core '{text}': there are {}", names.join(", "))
    })
}

fn option(name: &str, why: &str) -> Error {
    let (what, help) = why.split_once(": ").unwrap_or((why, "see --help"));
    Error::usage(format!("{name}: {what}")).help(help)
}
