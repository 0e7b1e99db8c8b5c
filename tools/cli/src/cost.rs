//! What a backend's step costs: the measurements, and their tables.

use super::print::{bytes, count, heading, table};
use super::profile::{self, Operator};
use mote_firmware_sim::RuntimeFlash;
use serde::Serialize;

/// Steps of an image, where images a second are shown.
pub const IMAGE_STEPS: u32 = 20;

/// A backend's measurements. Keys of `bench --json`; what a backend cannot measure is `null`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    /// The backend.
    pub name: String,
    /// Whether it can run here.
    pub available: bool,
    /// Why it gave nothing.
    pub why: Option<String>,
    /// Of a whole step, operators not watched.
    pub instructions_per_step: Option<u64>,
    /// The same by multiply-accumulate.
    pub instructions_per_mac: Option<f64>,
    /// Of one thread of this machine.
    pub ms_per_step: Option<f64>,
    /// Of the batch, over images and steps.
    pub ms_per_image_step: Option<f64>,
    /// Of all its threads.
    pub images_per_second: Option<f64>,
    /// Steps of an image in that.
    pub steps_per_image: u32,
    /// Activations and state.
    pub arena_bytes: u64,
    /// High-water mark.
    pub stack_bytes: Option<u64>,
    /// `.data` and `.bss`.
    pub statics_bytes: Option<u64>,
    /// Arena, statics and stack.
    pub ram_bytes: Option<u64>,
    /// Everything but the model.
    pub flash_code_bytes: Option<u64>,
    /// The runtime alone, with the parts that the model needs: most of `flash_code_bytes`, which also holds start-up, log and clock.
    pub flash_runtime_bytes: Option<u64>,
    /// Its modules.
    pub flash_runtime: Option<RuntimeFlash>,
    /// The model file.
    pub flash_model_bytes: u64,
    /// To check the model, once.
    pub parse_instructions: Option<u64>,
    /// Every operator.
    pub operators: Vec<Operator>,
    /// Their sums by kind.
    pub kinds: Vec<Operator>,
}

/// For a terminal.
pub fn text(rows: &[Row], with_operators: bool) -> String {
    let head = [
        "backend",
        "a step",
        "per MAC",
        "images/s",
        "flash code",
        "runtime alone",
        "flash model",
        "arena",
        "statics",
        "stack",
        "RAM",
        "",
    ];
    let size = |v: Option<u64>| v.map_or("-".to_owned(), bytes);
    let cells = |row: &Row| {
        let step = match (row.instructions_per_step, row.ms_per_step) {
            (Some(instructions), _) => format!("{} instructions", count(instructions)),
            (None, Some(ms)) => format!("{ms:.3} ms"),
            _ => "-".into(),
        };
        vec![
            row.name.clone(),
            step,
            row.instructions_per_mac.map_or("-".into(), |v| format!("{v:.2}")),
            row.images_per_second.map_or("-".into(), |v| format!("{v:.2}")),
            size(row.flash_code_bytes),
            size(row.flash_runtime_bytes),
            bytes(row.flash_model_bytes),
            bytes(row.arena_bytes),
            size(row.statics_bytes),
            size(row.stack_bytes),
            size(row.ram_bytes),
            row.why.clone().unwrap_or_default(),
        ]
    };
    let lines: Vec<Vec<String>> = std::iter::once(head.map(str::to_owned).to_vec())
        .chain(rows.iter().map(cells))
        .collect();
    let mut out = format!("{}\n{}", heading("Cost"), table(&lines));
    out += &format!("  (instructions, not cycles; an image is {IMAGE_STEPS} steps; RAM is arena, statics and stack)\n");
    for row in rows.iter().filter(|row| with_operators && !row.operators.is_empty()) {
        out += &format!(
            "\n{}\n{}",
            heading(&row.name),
            profile::text(&row.operators, &row.kinds)
        );
        out += &row.flash_runtime.as_ref().map_or(String::new(), flash_parts);
    }
    out
}

/// The tables of PERFORMANCE.md: whole steps, then shares by kind of operator.
pub fn markdown(rows: &[Row]) -> String {
    let kib = |v: Option<u64>| v.map_or("-".into(), |v| format!("{:.1}", v as f64 / 1024.0));
    let mut out = String::from(
        "| backend | instructions a step | per MAC | RAM KiB | arena | stack | flash code KiB | runtime alone | model |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows.iter().filter(|row| row.instructions_per_step.is_some()) {
        out += &format!(
            "| {} | {} | {:.2} | {} | {} | {} | {} | {} | {} |\n",
            row.name,
            row.instructions_per_step.map_or("-".into(), count),
            row.instructions_per_mac.unwrap_or(0.0),
            kib(row.ram_bytes),
            kib(Some(row.arena_bytes)),
            kib(row.stack_bytes),
            kib(row.flash_code_bytes),
            kib(row.flash_runtime_bytes),
            kib(Some(row.flash_model_bytes)),
        );
    }
    out +=
        "\nShare of a step, and instructions a multiply-accumulate (attention, convolution) or an element (others)\n\n";
    out += "| backend | kind | operators | instructions | share | each |\n|---|---|---|---|---|---|\n";
    for row in rows {
        for kind in row.kinds.iter().filter(|kind| kind.share >= 0.001) {
            let each = kind.instructions_per_mac.or(kind.instructions_per_element);
            out += &format!(
                "| {} | {} | {} | {} | {:.1} % | {} |\n",
                row.name,
                kind.name,
                kind.operators,
                kind.instructions.map_or("-".into(), count),
                100.0 * kind.share,
                each.map_or("-".into(), |each| format!("{each:.2}")),
            );
        }
    }
    out
}

/// The runtime's flash by module.
fn flash_parts(runtime: &RuntimeFlash) -> String {
    let whole = format!(
        "runtime's flash, -O{}, {}",
        runtime.opt_level,
        runtime.features.join(" ")
    );
    let lines: Vec<Vec<String>> = std::iter::once((whole.as_str(), runtime.bytes))
        .chain(runtime.parts.iter().map(|part| (part.name.as_str(), part.bytes)))
        .map(|(name, bytes)| vec![name.to_owned(), bytes.to_string(), String::new()])
        .collect();
    format!("\n{}", table(&lines))
}
