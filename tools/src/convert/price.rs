//! What refinement costs.

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::boards::cores;
use mote_runtime::{Config, Model, ParseError};

use super::Converted;
use crate::estimate::Instructions;
use crate::quantize::scheme::Bits;
use crate::widths::auto::Subject;

/// What is left of the error where one more recomputation is worth its instructions.
const WORTH: f64 = 0.9;

/// Whether `other` makes less error by activations of 8 bits than `one`, in memory no larger.
pub fn is_better(other: &Converted, one: &Converted) -> bool {
    let left = |converted: &Converted| -> f64 {
        let narrow = converted.sensitivity.iter();
        let narrow = narrow.filter(|s| s.subject == Subject::Activation && s.chosen == Bits::Eight);
        narrow.map(|s| s.error).sum()
    };
    other.emitted.plan.arena_bytes <= one.emitted.plan.arena_bytes && left(other) < WORTH * left(one)
}

/// What a step of the file `refined` takes beside one of the file `plain`.
pub fn note(plain: &[u8], refined: &[u8]) -> Result<String, ParseError> {
    let files = [plain, refined].map(AlignedBytes::copy_of);
    let models = [Model::parse(files[0].bytes())?, Model::parse(files[1].bytes())?];
    let share = |core| {
        let steps = models
            .each_ref()
            .map(|model| Instructions::of(model, core, &Config::of(model.header(), 1)).step);
        100.0 * (steps[1] as f64 / steps[0].max(1) as f64 - 1.0)
    };
    let kinds = ["Cortex-M0", "Cortex-M3", "Cortex-M4F", "Cortex-M55", "RV32IMAC"];
    let of_cores = cores().iter().filter(|core| kinds.contains(&core.name));
    let prices: Vec<String> = of_cores
        .map(|core| format!("{} {:+.1} %", core.name, share(core)))
        .collect();
    Ok(format!(
        "refined: the arena takes {} bytes, {} without; the file {} and {}; a step's instructions, estimated: {}",
        models[1].header().arena_bytes,
        models[0].header().arena_bytes,
        refined.len(),
        plain.len(),
        prices.join(", ")
    ))
}
