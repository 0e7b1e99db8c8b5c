//! A board that a file describes.
//!
//! ```toml
//! name = "my-board"
//! chip = "nrf52840"       # what is not said below is this chip's; without it flash, ram and core are needed
//! core = "cortex-m4f"
//! flash = "512K"
//! flash_start = 0x0
//! ram = "128K"
//! ram_start = 0x20000000
//! clock = "64MHz"
//! ua_per_mhz = 52         # for millijoules
//! millivolts = 3000
//! ```

use super::described::core;
use super::{Target, units};
use crate::Error;
use crate::files::{Expected, read_file};
use mote_firmware_sim::chips::{Power, chips};
use serde_json::{Map, Value};
use std::path::Path;

/// Such a file is read.
const EXPECTED: Expected = Expected::any(
    "a board's description",
    "give a board.toml with chip, or with flash, ram and core; see docs/boards.md",
    64 << 10,
);

/// Its fields.
const FIELDS: [&str; 11] = [
    "name",
    "description",
    "chip",
    "core",
    "flash",
    "flash_start",
    "ram",
    "ram_start",
    "clock",
    "ua_per_mhz",
    "millivolts",
];

/// Reads a board's description.
pub(super) fn read(path: &Path) -> Result<Target, Error> {
    let shown = path.display().to_string();
    let bytes = read_file(path, &EXPECTED)?;
    let text = String::from_utf8(bytes).map_err(|_| refuse(&shown, "is no text: give a file in UTF-8"))?;
    let stem = path.file_stem().map_or("board".into(), |stem| stem.to_string_lossy());
    parse(&shown, &stem, &text)
}

/// The board that `text` describes; `stem` is its name where it gives none.
pub(super) fn parse(shown: &str, stem: &str, text: &str) -> Result<Target, Error> {
    let fields: Map<String, Value> = basic_toml::from_str(text)
        .map_err(|why| Error::input(format!("{shown} is no TOML ({why})")).help("mend the line"))?;
    let file = File { shown, fields: &fields };
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let value = &fields[unknown.as_str()];
        return Err(file.wrong(
            unknown,
            value,
            &format!("unknown field: there are {}", FIELDS.join(", ")),
        ));
    }
    file.target(stem)
}

/// `value` as its file has it. TOML has no null: numbers that are none in JSON become it.
fn written(value: &Value) -> String {
    match value {
        Value::Null => "nan or inf".to_owned(),
        value => value.to_string(),
    }
}

/// `shown` `why`, where `why` is what is wrong, a colon and what to do.
fn refuse(shown: &str, why: &str) -> Error {
    let (what, help) = why.split_once(": ").unwrap_or((why, EXPECTED.advice));
    Error::input(format!("{shown} {what}")).help(help)
}

struct File<'a> {
    shown: &'a str,
    fields: &'a Map<String, Value>,
}

impl File<'_> {
    /// That `field = value` cannot be.
    fn wrong(&self, field: &str, value: &Value, why: &str) -> Error {
        let (what, help) = why.split_once(": ").unwrap_or((why, EXPECTED.advice));
        let value = written(value);
        Error::input(format!("{}: {field} = {value}: {what}", self.shown)).help(help)
    }

    /// A field's text as `read` understands it; `None` where the field is not there.
    fn text<T>(&self, field: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Error> {
        let Some(value) = self.fields.get(field) else {
            return Ok(None);
        };
        let read = match (value, value.as_str()) {
            (_, Some(text)) => read(text),
            // A size or a clock that is a number lacks its unit, and `read` says so.
            (Value::Number(number), None) if matches!(field, "flash" | "ram" | "clock") => read(&number.to_string()),
            _ => Err(format!("is no text: write {field} = \"...\"")),
        };
        read.map(Some).map_err(|why| self.wrong(field, value, &why))
    }

    /// A whole number from `least` to `most`.
    fn number(&self, field: &str, least: f64, most: f64) -> Result<Option<f64>, Error> {
        let Some(value) = self.fields.get(field) else {
            return Ok(None);
        };
        let number = value.as_f64().filter(|number| (least..=most).contains(number));
        let why = format!("is no number from {least} to {most}: write {field} = {least} or more");
        number.map(Some).ok_or_else(|| self.wrong(field, value, &why))
    }

    /// Where a memory of `bytes` begins.
    fn address(&self, field: &str, bytes: u64) -> Result<Option<u32>, Error> {
        let end = f64::from(u32::MAX) + 1.0;
        let Some(at) = self.number(field, 0.0, end - 1.0)? else {
            return Ok(None);
        };
        let value = &self.fields[field];
        if at % 4.0 != 0.0 {
            let why = "is no multiple of 4: write the address of the memory's first byte, such as 0x20000000";
            return Err(self.wrong(field, value, why));
        }
        if at + bytes as f64 > end {
            let why = format!("ends {bytes} bytes on, beyond 0xFFFFFFFF: write where the memory begins, and its size");
            return Err(self.wrong(field, value, &why));
        }
        Ok(Some(at as u32))
    }

    fn target(&self, stem: &str) -> Result<Target, Error> {
        let line = |text: &str| match text.chars().any(char::is_control) || text.is_empty() || text.len() > 200 {
            true => Err("has no character, more than 200 or control characters: write a short name".to_owned()),
            false => Ok(text.to_owned()),
        };
        let base = self.text("chip", |text| match Target::named(text) {
            Ok(target) if !text.contains(['.', '/', '\\']) => Ok(target),
            _ => {
                let names: Vec<&str> = chips().map(|chip| chip.name).collect();
                Err(format!("unknown chip: there are {}", names.join(", ")))
            }
        })?;
        let (flash, ram) = (self.text("flash", units::bytes)?, self.text("ram", units::bytes)?);
        let core = self.text("core", core)?;
        let mut target = match (base, flash, ram, core) {
            (Some(base), ..) => base,
            (None, Some(_), Some(_), Some(core)) => Target::of_core(core, "", "described by its file"),
            (None, flash, ram, core) => {
                let said = [
                    ("flash", flash.is_some()),
                    ("ram", ram.is_some()),
                    ("core", core.is_some()),
                ];
                let missing: Vec<&str> = said.iter().filter(|(_, said)| !said).map(|(name, _)| *name).collect();
                let why = format!("lacks {}: give them, or the chip whose they are", missing.join(" and "));
                return Err(refuse(self.shown, &why));
            }
        };
        // Another board than the simulated one, even where the memories are the same.
        target.board = None;
        target.name = self.text("name", line)?.unwrap_or_else(|| stem.to_owned());
        target.description = self.text("description", line)?.unwrap_or(target.description);
        target.core = core.unwrap_or(target.core);
        target.flash.bytes = flash.unwrap_or(target.flash.bytes);
        target.flash.origin = self.address("flash_start", target.flash.bytes)?.or(target.flash.origin);
        if let Some(bytes) = ram {
            target.describe_ram(bytes);
        }
        let first = target.ram.first().map_or(0, |ram| ram.bytes);
        if let Some(at) = self.address("ram_start", first)? {
            target.ram.iter_mut().take(1).for_each(|ram| ram.origin = Some(at));
        }
        target.clock_hz = self.text("clock", units::hertz)?.or(target.clock_hz);
        let current = self.number("ua_per_mhz", 0.1, 10_000.0)?;
        let supply = self.number("millivolts", 500.0, 24_000.0)?;
        target.power = match (current, supply, target.power) {
            (None, None, power) => power,
            (Some(ua_per_mhz), Some(mv), _) => Some(Power {
                ua_per_mhz,
                millivolts: mv as u32,
            }),
            (Some(ua_per_mhz), None, Some(power)) => Some(Power { ua_per_mhz, ..power }),
            (None, Some(mv), Some(power)) => Some(Power {
                millivolts: mv as u32,
                ..power
            }),
            (_, _, None) => {
                return Err(refuse(
                    self.shown,
                    "gives one of ua_per_mhz and millivolts: give both, or neither",
                ));
            }
        };
        Ok(target)
    }
}
