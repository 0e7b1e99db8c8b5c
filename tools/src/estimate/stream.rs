//! What a step takes whose weights are read in blocks, while the core computes with the block before.

use super::time::Range;
use super::{Costs, Work};
use crate::target::Target;
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::internals::model::streamed::blocks_of;
use mote_runtime::{Config, Model, stream_bytes};
use serde::Serialize;

/// A step of a streamed model. Everything but the bytes is modelled. Keys of `mote split --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Streaming {
    /// Output channels that a block of the largest rows has.
    pub channels: usize,
    /// Bytes of both buffers.
    pub buffer_bytes: usize,
    /// Blocks of a step.
    pub blocks_per_step: u64,
    /// Bytes that a step reads.
    pub bytes_per_step: u64,
    /// What the rest is: `modelled`.
    pub kind: &'static str,
    /// The reader's speed.
    pub bytes_per_second: f64,
    /// Milliseconds that the reader takes for a step.
    pub transfer_ms: f64,
    /// Instructions of a step with every weight in addressed memory.
    pub addressed_instructions: u64,
    /// Instructions of a streamed step, copies by the core not counted: each block gathers the input anew.
    pub instructions: u64,
    /// Milliseconds of the core, with every weight in addressed memory that it does not wait for; `null` without a clock.
    pub addressed_ms: Option<Range>,
    /// Milliseconds of a step.
    pub ms_per_step: Option<Range>,
    /// The same as a share of the longer of reader and core, at worst.
    pub over_longer: Option<f64>,
}

/// What the core does between two blocks that it needs, and what is read meanwhile.
struct Segment {
    instructions: f64,
    bytes: f64,
}

impl Streaming {
    /// Of `model`, cut or not, in buffers for `channels` output channels.
    #[must_use]
    pub fn of(target: &Target, model: &Model<'_>, channels: usize, bytes_per_second: f64) -> Self {
        let buffer_bytes = stream_bytes(model, channels);
        let (costs, core) = (Costs::of(target.core), target.core);
        let header = model.header();
        let (per_mac, cycles) = match header.arithmetic {
            Arithmetic::Integer => (core.footprint.integer_per_mac, core.cycles.integer),
            Arithmetic::F16 => (core.footprint.f16_per_mac, core.cycles.f16),
        };
        let cost = |work: &Work| costs.instructions(work, per_mac).0;
        let segments = segments(model, buffer_bytes / 2, cost);
        let config = Config::of(header, 1);
        let calls = u64::from(config.method.calls()) * (1 + u64::from(config.guidance_q16.is_some()));
        let outside = cost(&Work::of_sampler(model));
        let addressed: f64 = Work::of_operators(model).iter().map(cost).sum();
        let addressed = addressed * calls as f64 + outside;
        let (bytes, own): (f64, f64) = segments.iter().fold((0.0, 0.0), |(bytes, own), one| {
            (bytes + one.bytes, own + one.instructions)
        });
        let transfer = bytes * calls as f64 / bytes_per_second;
        // The core and the reader begin a segment together, and end it when both are done.
        let times = |per_instruction: f64| {
            let one =
                |segment: &Segment| (segment.instructions * per_instruction).max(segment.bytes / bytes_per_second);
            segments.iter().map(one).sum::<f64>() * calls as f64 + outside * per_instruction
        };
        let seconds = target.clock_hz.map(|clock| cycles.map(|each| each / clock as f64));
        let ms = seconds.map(|each| each.map(|each| 1e3 * times(each)));
        let addressed_ms = seconds.map(|each| each.map(|each| 1e3 * each * addressed));
        let over = addressed_ms.zip(ms).map(|(addressed, ms)| {
            let over = |i: usize| ms[i] / addressed[i].max(1e3 * transfer);
            over(0).max(over(1))
        });
        Self {
            channels,
            buffer_bytes,
            blocks_per_step: segments.iter().filter(|segment| segment.bytes > 0.0).count() as u64 * calls,
            bytes_per_step: bytes as u64 * calls,
            kind: "modelled",
            bytes_per_second,
            transfer_ms: 1e3 * transfer,
            addressed_instructions: addressed as u64,
            instructions: (own * calls as f64 + outside) as u64,
            addressed_ms,
            ms_per_step: ms,
            over_longer: over,
        }
    }
}

/// The segments of a network call. In each the core works with the block of the one before; the first has none.
fn segments(model: &Model<'_>, bytes: usize, cost: impl Fn(&Work) -> f64) -> Vec<Segment> {
    let (mut segments, mut instructions) = (Vec::new(), 0.0);
    for (op, whole) in model.ops().zip(Work::of_operators(model)) {
        let Some(blocks) = blocks_of(model, &op, bytes) else {
            instructions += cost(&whole);
            continue;
        };
        for (index, block) in blocks.enumerate() {
            let segment = Segment {
                instructions,
                bytes: block.bytes as f64,
            };
            segments.push(segment);
            instructions = cost(&Work::of_block(model, &op, block.share, index == 0));
        }
    }
    segments.push(Segment {
        instructions,
        bytes: 0.0,
    });
    segments
}
