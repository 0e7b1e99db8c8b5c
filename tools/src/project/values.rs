//! What templates are filled with.

use super::checkout::Checkout;
use super::place::{Embassy, Place, zephyr};
use super::template::fill;
use crate::{Error, ModelFile};
use mote_build::Facts;
use mote_runtime::Feature;
use std::path::Path;

/// RAM that the project's log takes of the stack beside what the firmware of the table takes, bytes.
pub const LOG_STACK_BYTES: u32 = 1024;

/// What the main task of ESP-IDF takes of it beside.
const IDF_STACK_BYTES: u32 = 2048;

/// Values by their names.
#[derive(Debug)]
pub struct Values {
    model: String,
    values: Vec<(&'static str, String)>,
}

impl Values {
    pub fn of(name: &str, path: &Path, file: &ModelFile, facts: &Facts, place: &Place, checkout: &Checkout) -> Self {
        let (core, ram) = (place.core, place.ram);
        let model = model_name(path);
        let (code, saved) = place.regions(facts.snapshot_bytes);
        let norm_conv = Feature::NormConv.needed_by(file.model());
        let stack = (core.footprint.least_stack_bytes(norm_conv) + LOG_STACK_BYTES).next_multiple_of(16);
        let mut features = facts.features.clone();
        features.push(Feature::Fast);
        let joined = |separator: &str, quote: &str| {
            let names: Vec<String> = features
                .iter()
                .map(|feature| format!("{quote}{feature}{quote}"))
                .collect();
            names.join(separator)
        };
        let hex = |number: u32| format!("{number:#x}");
        let conditioned = facts.condition_len > 0;
        let when = |holds: bool, text: &str| if holds { text.to_owned() } else { String::new() };
        let rustflags = core.cpu.map(|cpu| format!("rustflags = [\"-Ctarget-cpu={cpu}\"]\n"));
        let dependencies = if place.is_riscv() {
            include_str!("../../assets/projects/rust/riscv/dependencies.toml")
        } else {
            include_str!("../../assets/projects/rust/cortex-m/dependencies.toml")
        };
        let values = vec![
            ("NAME", name.to_owned()),
            ("MODEL", model.clone()),
            ("BOARD", place.name.clone()),
            ("CHIP", place.chip.clone()),
            ("DESCRIPTION", place.description.clone()),
            ("CORE", core.name.to_owned()),
            ("TARGET", core.target.to_owned()),
            ("SOFT_TARGET", place.soft_target()),
            ("ZEPHYR_BOARD", zephyr(&place.chip).to_owned()),
            ("ARDUINO_FLAGS", arduino_flags(core.cpu)),
            ("ARDUINO_MCU", arduino_mcu(place)),
            ("IDF_STACK_BYTES", (stack + IDF_STACK_BYTES).to_string()),
            ("EMBASSY_DEPENDENCY", embassy_dependency(place.embassy)),
            (
                "EMBASSY_LINK",
                when(place.embassy == Some(Embassy::Rp("rp2040")), LINK_RP2040),
            ),
            ("SNAPSHOT_OFFSET", hex(saved.origin - place.flash.origin)),
            ("FLASH_LENGTH", hex(place.flash.length)),
            ("CPU", core.cpu.unwrap_or_default().to_owned()),
            ("RUSTFLAGS", rustflags.unwrap_or_default()),
            ("RUNNER", place.runner()),
            ("C_FLAGS", place.c_flags.to_owned()),
            (
                "START",
                (if place.is_riscv() {
                    "start_riscv"
                } else {
                    "start_cortex_m"
                })
                .to_owned(),
            ),
            ("MOTE", checkout.path().to_owned()),
            ("RUNTIME", checkout.dependency("runtime")),
            ("BUILD", checkout.dependency("tools/build")),
            ("STORE", checkout.dependency("runtime/store")),
            ("CORE_DEPENDENCIES", dependencies.trim_end().to_owned()),
            ("QUOTED_FEATURES", joined(", ", "\"")),
            ("FEATURES", joined(" ", "")),
            ("COMMA_FEATURES", joined(",", "")),
            ("STEPS", facts.config.steps.to_string()),
            ("ARENA_BYTES", facts.arena_bytes.to_string()),
            ("SNAPSHOT_BYTES", facts.snapshot_bytes.to_string()),
            ("ELEMENTS", facts.sample_len().to_string()),
            ("CONDITION_LENGTH", facts.condition_len.to_string()),
            ("PAGE_BYTES", place.page_bytes.to_string()),
            ("STACK_BYTES", stack.to_string()),
            ("FLASH_ORIGIN", hex(code.origin)),
            ("CODE_LENGTH", hex(code.length)),
            ("SNAPSHOT_ORIGIN", hex(saved.origin)),
            ("SNAPSHOT_LENGTH", hex(saved.length)),
            ("RAM_ORIGIN", hex(ram.origin)),
            ("RAM_LENGTH", hex(ram.length)),
            ("STACK_LENGTH", hex(stack)),
            ("STATICS_ORIGIN", hex(ram.origin + stack)),
            ("STATICS_LENGTH", hex(ram.length.saturating_sub(stack))),
            (
                "RUST_CONDITION",
                when(conditioned, include_str!("../../assets/projects/rust/condition.rs")),
            ),
            (
                "RUST_CONDITION_CALL",
                when(conditioned, "    run.condition(&CONDITION)?;\n"),
            ),
            (
                "C_CONDITION",
                when(conditioned, include_str!("../../assets/projects/c/condition.c")),
            ),
            (
                "C_CONDITION_CALL",
                when(conditioned, include_str!("../../assets/projects/c/condition_call.c")),
            ),
            (
                "C_CLASS",
                facts.config.class.map_or(String::new(), |class| {
                    format!("        config.class_label = {class};\n")
                }),
            ),
        ];
        Self { model, values }
    }

    /// The model's name in the project.
    pub fn model_name(&self) -> &str {
        &self.model
    }

    /// A template, filled in.
    ///
    /// # Errors
    /// For a name without a value.
    pub fn fill(&self, template: &str) -> Result<String, Error> {
        fill(template, |name| {
            let found = self.values.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str())
        })
    }
}

/// embassy-rp has another script for the boot loader of an RP2040.
const LINK_RP2040: &str = "    println!(\"cargo::rustc-link-arg-bins=-Tlink-rp.x\");\n";

/// Embassy's layer for the chip, in a manifest.
fn embassy_dependency(embassy: Option<Embassy>) -> String {
    let (text, chip) = match embassy {
        None => return String::new(),
        Some(Embassy::Nrf(chip)) => (include_str!("../../assets/projects/embassy/nrf.toml"), chip),
        Some(Embassy::Rp(chip)) => (include_str!("../../assets/projects/embassy/rp.toml"), chip),
    };
    text.trim_end().replace("@EMBASSY_CHIP@", chip)
}

/// What cargo is told of the core in its environment.
fn arduino_flags(cpu: Option<&str>) -> String {
    cpu.map_or(String::new(), |cpu| {
        format!("CARGO_ENCODED_RUSTFLAGS=-Ctarget-cpu={cpu} ")
    })
}

/// The folder in which Arduino looks for a core's library: `build.mcu` of the board.
fn arduino_mcu(place: &Place) -> String {
    match place.core.name {
        "Cortex-M4F" => "cortex-m4".into(),
        "Cortex-M7F" => "cortex-m7".into(),
        "Cortex-M0+" => "cortex-m0plus".into(),
        name if place.is_riscv() => {
            if place.chip.starts_with("esp32") {
                place.chip.clone()
            } else {
                name.to_ascii_lowercase()
            }
        }
        name => name.to_ascii_lowercase(),
    }
}

/// A plain name for a copy of the model file.
fn model_name(path: &Path) -> String {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let plain = stem.starts_with(|c: char| c.is_ascii_alphanumeric())
        && stem.len() <= 64
        && stem
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    format!("{}.mote", if plain { stem } else { "model" })
}
