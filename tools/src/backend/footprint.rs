//! What a model takes of a board or a chip, estimated without building firmware, so that `convert` and `inspect` say the same on every
//! machine. What the firmware itself takes stands with the core (`mote_firmware_sim::Footprint`); `mote bench` measures it.

use crate::estimate::Instructions;
use crate::target::Target;
use mote_firmware_sim::{Parts, boards};
use mote_runtime::{Config, Feature, Model, arena_bytes};
use serde::Serialize;

/// Whether a model fits a board. A key of `inspect --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    /// The board.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Its core.
    pub core: &'static str,
    /// Whether model and firmware fit.
    pub fits: bool,
    /// Flash needed: model and firmware.
    pub flash_bytes: u64,
    /// How the firmware is compiled that is reckoned with.
    pub profile: &'static str,
    /// Flash there.
    pub flash_total_bytes: u64,
    /// RAM needed: arena, state, statics and stack.
    pub ram_bytes: u64,
    /// RAM there.
    pub ram_total_bytes: u64,
    /// Instructions (not cycles) of one step, estimated.
    pub instructions_per_step: u64,
    /// What is short; empty where it fits.
    pub why: String,
}

impl Fit {
    /// Of a model file of `bytes` bytes, sampled by DDIM or as it plans.
    pub fn of(target: &Target, model: &Model<'_>, bytes: usize, guided: bool) -> Self {
        let config = Config {
            guidance_q16: guided.then_some(0),
            ..Config::of(model.header(), 1)
        };
        Self::of_run(target, model, bytes, &config)
    }

    /// Of a model file of `bytes` bytes, sampled under `config`.
    pub fn of_run(target: &Target, model: &Model<'_>, bytes: usize, config: &Config) -> Self {
        let footprint = target.core.footprint;
        let parts = Parts::needed_by(model).with(config.method.feature());
        let flash = bytes as u64 + target.code_bytes(&parts);
        let ram = arena_bytes(model, config) as u64 + footprint.ram_bytes(Feature::NormConv.needed_by(model));
        let (flash_total, ram_total) = (target.flash.bytes, target.ram_bytes());
        let short = |what: &str, needed: u64, has: u64| {
            (needed > has).then(|| format!("needs {needed} bytes of {what}, has {has}"))
        };
        let why: Vec<String> = [short("flash", flash, flash_total), short("RAM", ram, ram_total)]
            .into_iter()
            .flatten()
            .collect();
        Self {
            name: target.name.clone(),
            description: target.description.clone(),
            core: target.core.name,
            fits: why.is_empty(),
            flash_bytes: flash,
            profile: target.profile.name(),
            flash_total_bytes: flash_total,
            ram_bytes: ram,
            ram_total_bytes: ram_total,
            instructions_per_step: Instructions::of(model, target.core, config).step,
            why: why.join("; "),
        }
    }

    /// Of every board.
    pub fn of_all(model: &Model<'_>, bytes: usize, guided: bool) -> Vec<Self> {
        boards()
            .iter()
            .map(|board| Self::of(&board.into(), model, bytes, guided))
            .collect()
    }
}
