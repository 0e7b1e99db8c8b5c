//! A step's cycles, from a trace of every instruction that a simulated board runs.

use super::Bench;
use crate::backend::time_limit;
use mote_firmware_sim::cycles::{Kind, Traced};
use mote_firmware_sim::{Board, Core, Firmware, RunRequest, SimError};
use mote_runtime::Config;

/// How many times as long a run takes that is traced, at most.
const SLOWER: u32 = 60;

impl Bench<'_> {
    /// Instructions and cycles of a step on `core`, whose code `board` runs; `None` of a core without a timing model.
    ///
    /// A run of two steps less one of a step is a step: start, opening and the log cancel out. Of a file that plans its run it is one image
    /// less none, shared among its steps.
    ///
    /// # Errors
    /// What keeps the firmware from being built or run.
    pub fn trace(&self, board: &'static Board, core: &Core) -> Result<Option<Traced>, SimError> {
        let Some(kind) = Kind::of(core) else { return Ok(None) };
        let image = self.image(board, Firmware::Fast)?;
        let plan = self.opened.model.header().schedule.plan().map(|plan| plan.steps);
        let run = |steps: u32, images: u64| {
            let config = Config {
                steps: plan.unwrap_or(steps),
                ..self.config
            };
            let limit = time_limit(board, self.opened.model, &config, images as usize) * SLOWER;
            let request = RunRequest {
                limit,
                ..RunRequest::new(config, (1..=images).collect::<Vec<u64>>())
            };
            image.trace(&request, kind)
        };
        let (one, two) = match plan {
            None => (run(1, 1)?, run(2, 1)?),
            Some(_) => (run(1, 1)?, run(1, 2)?),
        };
        let (Some(one), Some(two)) = (one, two) else {
            return Ok(None);
        };
        let steps = plan.unwrap_or(1);
        let step = |of: fn(&Traced) -> [f64; 2]| [0, 1].map(|end| (of(&two)[end] - of(&one)[end]) / f64::from(steps));
        Ok(Some(Traced {
            instructions: two.instructions.saturating_sub(one.instructions) / u64::from(steps),
            cycles: step(|traced| traced.cycles),
            together: step(|traced| traced.together),
        }))
    }
}
