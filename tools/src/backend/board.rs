//! The firmware on a simulated board.

use super::{BackendError, ImageRequest, OpenModel, Origin, Sampling, StepTrace, Trace};
use mote_firmware_sim::{Board, Firmware, Image, ImageOptions, ImageRecord, Observe, Output, RunRequest, StartFrom};
use mote_runtime::internals::model::header::Arithmetic;
use mote_runtime::{Config, Model};
use std::time::Duration;

/// Instructions that QEMU runs a host second, at the very least, on a busy machine.
const SLOWEST_HOST: u64 = 8_000_000;
/// How many times the instructions that the core's footprint says, at the very most: what is not convolutions, compact firmware.
const MARGIN: f64 = 6.0;
/// Instructions of a network call beside its multiply-accumulates, at the very most: a chain's call has hardly any.
const MOST_BESIDE: f64 = 400_000.0;
/// For starting QEMU and for whatever is no network call.
const LEAST_LIMIT: Duration = Duration::from_secs(60);

/// Links the model once where images start from seeds on one condition, and once an image where they start from given states or have
/// conditions of their own.
pub fn run(
    board: &'static Board,
    firmware: Firmware,
    opened: OpenModel<'_>,
    sampling: &Sampling,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let together = |a: &ImageRequest, b: &ImageRequest| {
        let from_seeds = a.origin == Origin::Seed && b.origin == Origin::Seed;
        from_seeds && a.condition == b.condition
    };
    let chain = opened.model.header().prediction.is_chain();
    let mut traces = Vec::new();
    for images in sampling.images.chunk_by(together) {
        let origin = images.first().map_or(&Origin::Seed, |image| &image.origin);
        let (start, mut state) = match origin {
            Origin::Seed => (StartFrom::Seed, vec![]),
            Origin::Noise(noise) => (StartFrom::Noise, noise.clone()),
            Origin::Image {
                image_q24,
                strength_q16,
            } => (
                StartFrom::Image {
                    strength_q16: *strength_q16,
                },
                image_q24.to_vec(),
            ),
            Origin::Between { second, part_q16 } => {
                let (second, part_q16) = (*second, *part_q16);
                (StartFrom::Between { second, part_q16 }, vec![])
            }
        };
        state.extend(sampling.known.iter().flatten());
        let condition = images.first().and_then(|image| image.condition.as_deref());
        state.extend(condition.unwrap_or_default());
        let request = RunRequest {
            start,
            inpaint: sampling.known.is_some() && !chain,
            seen: sampling.known.as_ref().filter(|_| chain).map(|_| sampling.known_noise),
            observe: if sampling.operators {
                Observe::OpDigests
            } else {
                Observe::Steps
            },
            output: Output::PixelsAndState,
            limit: time_limit(board, opened.model, &sampling.config, images.len()),
            ..RunRequest::new(
                sampling.config,
                images.iter().map(|image| image.seed).collect::<Vec<_>>(),
            )
        };
        let image = Image::link(
            board,
            opened.bytes,
            &ImageOptions {
                state,
                features: request.features(),
                ..options(&sampling.config, firmware)
            },
        )?;
        let report = image.run_with(&request, &mut |line| {
            if line.text.starts_with("@step") {
                on_step();
            }
        })?;
        traces.extend(report.images.into_iter().map(trace));
    }
    Ok(traces)
}

/// How a run under `config` is linked.
pub fn options(config: &Config, firmware: Firmware) -> ImageOptions {
    ImageOptions {
        config: Some(*config),
        firmware,
        ..ImageOptions::default()
    }
}

/// Long enough for `images` images of `model` on `board`, on any host.
pub fn time_limit(board: &Board, model: &Model<'_>, config: &Config, images: usize) -> Duration {
    let guided = 1 + u64::from(config.guidance_q16.is_some());
    let calls = u64::from(config.steps) * images as u64 * guided * u64::from(config.method.calls());
    let footprint = &board.core.footprint;
    let call = |model: &Model<'_>| {
        let per_mac = match model.header().arithmetic {
            Arithmetic::Integer => footprint.integer_per_mac,
            Arithmetic::F16 => footprint.f16_per_mac,
        };
        model.header().macs as f64 * per_mac * MARGIN + MOST_BESIDE
    };
    // A decoder is called once an image.
    let drawn = model.decoder().map_or(0.0, |decoder| call(&decoder));
    let instructions = (call(model) * calls as f64 + drawn * images as f64) as u64;
    LEAST_LIMIT + Duration::from_secs(instructions / SLOWEST_HOST)
}

fn trace(image: ImageRecord) -> Trace {
    let mut steps: Vec<StepTrace> = image
        .steps
        .iter()
        .map(|step| StepTrace {
            index: step.index,
            timestep: step.t,
            digest: step.digest,
            operators: vec![],
        })
        .collect();
    let mut picture = image.picture.map(|digest| StepTrace {
        index: steps.last().map_or(0, |step| step.index + 1),
        timestep: 0,
        digest,
        operators: vec![],
    });
    for op in image.ops {
        // Operators carry the place of their step in the list; those of the decoder come after all steps.
        let step = steps.get_mut(op.step as usize).or(picture.as_mut());
        if let (Some(step), Some(digest)) = (step, op.digest) {
            step.operators.push(digest);
        }
    }
    Trace {
        seed: image.seed,
        steps,
        pixels: image.pixels,
        state: image.state,
        picture,
    }
}
