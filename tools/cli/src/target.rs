//! Options that describe a board, and what a model takes of its time.

use crate::print::{count, heading, table};
use mote_tools::Error;
use mote_tools::Fit;
use mote_tools::estimate::{Estimate, Range};
use mote_tools::target::{Described, Profile, Target};
use std::str::FromStr;

/// A board's figures, alone or in place of those of a named board.
#[derive(Debug, Clone, clap::Args)]
pub struct DescribedArgs {
    /// Size of the board's flash, such as 512K or 1M; with --ram and --core a board needs no name
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    flash: Option<String>,
    /// Size of the RAM that holds stack, statics and arena
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    ram: Option<String>,
    /// The core, such as cortex-m0, cortex-m4f, cortex-m33 or rv32imac
    #[arg(long, value_name = "CORE")]
    core: Option<String>,
    /// The core's clock, such as 64MHz
    #[arg(long, value_name = "CLOCK", allow_hyphen_values = true)]
    clock: Option<String>,
    /// How the firmware is compiled: size (opt-level s with LTO, as a generated project does) or stock (cargo's own --release, larger) [default: size]
    #[arg(long, value_name = "PROFILE", value_parser = Profile::from_str)]
    profile: Option<Profile>,
}

impl DescribedArgs {
    /// Whether anything is said.
    pub fn is_given(&self) -> bool {
        !self.described().is_empty() || self.profile.is_some()
    }

    fn described(&self) -> Described {
        Described {
            flash: self.flash.clone(),
            ram: self.ram.clone(),
            core: self.core.clone(),
            clock: self.clock.clone(),
        }
    }

    /// The board of that name or file with what is described in its place, or the described one; `None` where none is asked for.
    pub fn target(&self, board: Option<&str>) -> Result<Option<Target>, Error> {
        Target::asked_with(board, &self.described(), self.profile)
    }
}

/// What a model takes of a board: memory where that is asked for, then time.
pub fn text(fit: Option<&Fit>, estimate: &Estimate) -> String {
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let mut rows = Vec::new();
    if let Some(fit) = fit {
        let of = |needed: u64, total: u64| format!("{} of {}", crate::print::bytes(needed), crate::print::bytes(total));
        let flash = of(fit.flash_bytes, fit.flash_total_bytes);
        rows.push(row(
            "flash",
            format!("{flash}, firmware with {}, estimated", fit.profile),
        ));
        rows.push(row("RAM", of(fit.ram_bytes, fit.ram_total_bytes)));
        let fits = if fit.fits {
            "yes".into()
        } else {
            format!("no: {}", fit.why)
        };
        rows.push(row("fits", fits));
    }
    rows.extend(time_rows(estimate));
    let name = format!("{}, {}", estimate.name, estimate.core);
    format!("\n{}\n{}", heading(&name), table(&rows))
}

/// Rows of what a step takes.
pub fn time_rows(estimate: &Estimate) -> Vec<Vec<String>> {
    let row = |label: &str, value: String| vec![label.to_owned(), value];
    let steps = estimate.steps_per_image;
    let [least, most] = estimate.cycles_per_instruction;
    let waits = if estimate.wait_cycles_per_step.is_none() {
        ", waiting for code memory not known"
    } else {
        ", waiting for code memory included"
    };
    let cycles = estimate.cycles_per_step.map(|cycles| cycles as u64);
    let mut rows = vec![
        row(
            "instructions",
            format!(
                "~{} a step, {}",
                count(estimate.instructions_per_step),
                estimate.instructions
            ),
        ),
        row(
            "cycles",
            format!(
                "{} to {} a step, modelled: {least:.2} to {most:.2} an instruction, {}{waits}",
                count(cycles[0]),
                count(cycles[1]),
                estimate.cycles_from
            ),
        ),
    ];
    let both = |unit: &str, step: Option<Range>, image: Option<Range>, missing: &str| match (step, image) {
        (Some(step), Some(image)) => format!(
            "{} {unit} a step, {} {unit} an image of {steps} steps, modelled",
            shown(step),
            shown(image)
        ),
        _ => missing.to_owned(),
    };
    let clock = estimate
        .clock_hz
        .map_or(String::new(), |hz| format!(", {} MHz", hz as f64 / 1e6));
    let time = both(
        "ms",
        estimate.ms_per_step,
        estimate.ms_per_image,
        "no clock is known: give --clock",
    );
    rows.push(row("time", time + &clock));
    let energy = both(
        "mJ",
        estimate.mj_per_step,
        estimate.mj_per_image,
        "no current is known: give ua_per_mhz and millivolts in a board.toml",
    );
    rows.push(row("energy", energy));
    if !estimate.unmeasured.is_empty() {
        rows.push(row("guessed", estimate.unmeasured.join(", ")));
    }
    rows
}

/// `1.2 to 3.4`, three digits.
fn shown([least, most]: Range) -> String {
    let digits = |value: f64| match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    };
    format!("{} to {}", digits(least), digits(most))
}
