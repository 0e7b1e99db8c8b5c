//! What a step takes without running it: instructions from what operators were measured to cost, then a model of cycles, milliseconds
//! and millijoules.
//!
//! [`Work`] takes an operator apart into amounts. `assets/costs.json` says what an amount costs on a core: the test `estimates` measured
//! operators with the real firmware, and holds the estimates of whole networks to counts.

mod costs;
mod stream;
mod time;
mod work;

pub use costs::Costs;
pub use stream::Streaming;
pub use time::{Estimate, Range};
pub use work::Work;

use mote_firmware_sim::Core;
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::{Config, Model};

/// Instructions of a step, estimated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instructions {
    /// Of each operator of a network call.
    pub operators: Vec<u64>,
    /// Of a step: its calls of the network, and what is around them.
    pub step: u64,
    /// Amounts that were never measured on the core. Operators with them are taken for as costly as the core's mean multiply-accumulate.
    pub unmeasured: Vec<String>,
}

impl Instructions {
    /// Of `model` on `core`, under `config`.
    #[must_use]
    pub fn of(model: &Model<'_>, core: &Core, config: &Config) -> Self {
        let costs = Costs::of(core);
        let per_mac = match model.header().arithmetic {
            Arithmetic::Integer => core.footprint.integer_per_mac,
            Arithmetic::F16 => core.footprint.f16_per_mac,
        };
        let mut unmeasured: Vec<String> = Vec::new();
        let mut one = |work: &Work| {
            let (count, missing) = costs.instructions(work, per_mac);
            unmeasured.extend(missing);
            count as u64
        };
        let operators: Vec<u64> = Work::of_operators(model).iter().map(&mut one).collect();
        let outside = one(&Work::of_sampler(model));
        let guided = 1 + u64::from(config.guidance_q16.is_some());
        let calls = u64::from(config.method.calls()) * guided;
        unmeasured.sort_unstable();
        unmeasured.dedup();
        Self {
            step: operators.iter().sum::<u64>() * calls + outside,
            operators,
            unmeasured,
        }
    }
}
