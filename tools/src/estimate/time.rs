//! From instructions to cycles, milliseconds and millijoules: a model, with a range.

use super::Instructions;
use crate::bench::IMAGE_STEPS;
use crate::report::OperatorRow;
use crate::target::Target;
use mote_firmware_sim::chips::{Fetch, Help};
use mote_firmware_sim::cycles::Traced;
use mote_runtime::internals::family::COLUMNS;
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::{Config, Model};
use serde::Serialize;

/// Share of instructions that are taken branches, at most: 3 to 7 % were traced.
const TAKEN: f64 = 0.07;
/// Bytes that a fetch without any help gives: two instructions of 16 bits.
const FETCHED: f64 = 4.0;

/// The least and the most.
pub type Range = [f64; 2];

/// What a step takes of a target's time. Everything but the instructions is modelled, and they may be. Keys of `inspect --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The board.
    pub name: String,
    /// Its core.
    pub core: &'static str,
    /// Where the instructions are from: `estimated` from measured operators, or `measured` on a simulated board of that core.
    pub instructions: &'static str,
    /// Instructions of a step.
    pub instructions_per_step: u64,
    /// What the rest is: `modelled`.
    pub kind: &'static str,
    /// Where the cycles of an instruction are from: `typical` of networks that were traced on that core, or `traced`, of this one.
    pub cycles_from: &'static str,
    /// Cycles an instruction, without waiting for code memory.
    pub cycles_per_instruction: Range,
    /// Cycles of a step that wait for code memory; `null` where nothing is known of it.
    pub wait_cycles_per_step: Option<Range>,
    /// Cycles of a step, waiting included.
    pub cycles_per_step: Range,
    /// The clock, Hz.
    pub clock_hz: Option<u64>,
    /// Steps of an image here: as planned, or 20.
    pub steps_per_image: u32,
    /// Milliseconds.
    pub ms_per_step: Option<Range>,
    /// Milliseconds of an image, opening the model apart.
    pub ms_per_image: Option<Range>,
    /// Millijoules of a step.
    pub mj_per_step: Option<Range>,
    /// Millijoules of an image, opening the model apart.
    pub mj_per_image: Option<Range>,
    /// Amounts of work that were never measured on this core, and are guessed.
    pub unmeasured: Vec<String>,
    /// Where the figures are from.
    pub sources: Vec<String>,
}

impl Estimate {
    /// Of `model` sampled by DDIM, or as it plans, with instructions from measured operators.
    #[must_use]
    pub fn of(target: &Target, model: &Model<'_>) -> Self {
        let config = Config::of(model.header(), 1);
        let Instructions { step, unmeasured, .. } = Instructions::of(model, target.core, &config);
        Self {
            unmeasured,
            ..Self::of_instructions(target, model, step, "estimated", None)
        }
    }

    /// Of a step whose instructions were measured.
    #[must_use]
    pub fn of_measured(target: &Target, model: &Model<'_>, instructions: u64) -> Self {
        Self::of_instructions(target, model, instructions, "measured", None)
    }

    /// Of a step whose instructions were traced, each through a timing model of the core.
    #[must_use]
    pub fn of_traced(target: &Target, model: &Model<'_>, traced: &Traced) -> Self {
        let each = traced.cycles.map(|cycles| cycles / traced.instructions.max(1) as f64);
        Self::of_instructions(target, model, traced.instructions, "measured", Some(each))
    }

    fn of_instructions(
        target: &Target,
        model: &Model<'_>,
        step: u64,
        from: &'static str,
        traced: Option<Range>,
    ) -> Self {
        let header = model.header();
        let typical = match header.arithmetic {
            Arithmetic::Integer => target.core.cycles.integer,
            Arithmetic::F16 => target.core.cycles.f16,
        };
        let each = traced.unwrap_or(typical);
        let waits = target.fetch.map(|fetch| waits(&fetch, model, step as f64));
        let [least, most] = waits.unwrap_or_default();
        let cycles = [each[0] * step as f64 + least, each[1] * step as f64 + most];
        let steps = header.schedule.plan().map_or(IMAGE_STEPS, |plan| plan.steps);
        let times = |range: Range, factor: f64| range.map(|value| value * factor);
        let ms = target.clock_hz.map(|clock| times(cycles, 1e3 / clock as f64));
        // A microampere a MHz is a picocoulomb a cycle.
        let joules =
            |power: mote_firmware_sim::chips::Power| power.ua_per_mhz * 1e-12 * f64::from(power.millivolts) / 1e3;
        let mj = target.power.map(|power| times(cycles, 1e3 * joules(power)));
        let image = |range: Range| times(range, f64::from(steps));
        Self {
            name: target.name.clone(),
            core: target.core.name,
            instructions: from,
            instructions_per_step: step,
            kind: "modelled",
            cycles_from: if traced.is_some() { "traced" } else { "typical" },
            cycles_per_instruction: each,
            wait_cycles_per_step: waits,
            cycles_per_step: cycles.map(f64::round),
            clock_hz: target.clock_hz,
            steps_per_image: steps,
            ms_per_step: ms,
            ms_per_image: ms.map(image),
            mj_per_step: mj,
            mj_per_image: mj.map(image),
            unmeasured: vec![],
            sources: sources(target),
        }
    }
}

/// Cycles of a step that wait for code memory.
///
/// A convolution reads its weights once for every block of columns. At best a cache that is twice as large keeps them; else every line is
/// read again. Loops stay in a cache, whatever its size.
fn waits(fetch: &Fetch, model: &Model<'_>, instructions: f64) -> Range {
    let (mut least, mut most) = (0.0, 0.0);
    for (row, op) in OperatorRow::all(model).iter().zip(model.ops()) {
        let bytes = row.weight_bytes as f64;
        let positions = model.tensor(op.slots().out()).map_or(1, |out| out.positions());
        let passes = if row.macs > 0 {
            positions.div_ceil(COLUMNS) as f64
        } else {
            1.0
        };
        let kept = matches!(fetch.help, Help::Cache(size) if f64::from(size) >= 2.0 * bytes);
        least += bytes * if kept { 1.0 } else { passes };
        most += bytes * passes;
    }
    let lines = |bytes: f64| bytes / f64::from(fetch.line_bytes) * fetch.wait_cycles;
    let code = match fetch.help {
        Help::None => [2.0 * instructions / FETCHED * fetch.wait_cycles; 2],
        Help::Prefetch => [0.0, TAKEN * instructions * fetch.wait_cycles],
        Help::Cache(_) => [0.0; 2],
    };
    [lines(least) + code[0], lines(most) + code[1]]
}

/// Where the figures are from, a line each.
fn sources(target: &Target) -> Vec<String> {
    let mut lines = vec![format!("cycles of {}: {}", target.core.name, target.core.cycles.source)];
    if let Some(chip) = target.chip {
        lines.push(format!("memory of {}: {}", chip.name, chip.memory));
        lines.push(format!("clock: {}", chip.clock));
        lines.push(format!("waiting for code memory: {}", chip.fetch_source));
        lines.extend(chip.power.map(|(_, source)| format!("current: {source}")));
    }
    lines
}
