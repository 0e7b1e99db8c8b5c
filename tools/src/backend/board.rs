//! The firmware on a simulated board.

use super::{BackendError, Job, Origin, StepTrace, Target, Trace};
use mote_firmware_sim::{Board, Firmware, Image, ImageOptions, ImageRecord, Observe, Output, RunRequest, StartFrom};
use mote_runtime::{Config, Model};
use std::time::Duration;

/// Instructions that QEMU runs a host second, at the very least, on a busy machine.
const SLOWEST_HOST: u64 = 8_000_000;
/// Instructions a multiply-accumulate, at the very most: f16 arithmetic on a core without a floating-point unit.
const MOST_PER_MAC: u64 = 400;
/// For whatever is not multiply-accumulates.
const LEAST_LIMIT: Duration = Duration::from_secs(120);

/// Links the model once where images start from seeds, and once an image where they start from given states.
pub fn run(
    board: &'static Board,
    firmware: Firmware,
    target: Target<'_>,
    job: &Job,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let from_seeds = job.images.iter().all(|image| image.origin == Origin::Seed);
    let group = if from_seeds { job.images.len().max(1) } else { 1 };
    let mut traces = Vec::new();
    for images in job.images.chunks(group) {
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
        state.extend(job.known.iter().flatten());
        let request = RunRequest {
            start,
            inpaint: job.known.is_some(),
            observe: if job.operators {
                Observe::OpDigests
            } else {
                Observe::Steps
            },
            output: Output::Pixels,
            limit: time_limit(target.model, &job.config, images.len()),
            ..RunRequest::new(job.config, images.iter().map(|image| image.seed).collect::<Vec<_>>())
        };
        let image = Image::link(
            board,
            target.bytes,
            &ImageOptions {
                state,
                features: request.features(),
                ..options(&job.config, firmware)
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

/// Long enough for `images` images on any host.
pub fn time_limit(model: &Model<'_>, config: &Config, images: usize) -> Duration {
    let guided = 1 + u64::from(config.guidance_q16.is_some());
    let calls = u64::from(config.steps) * images as u64 * guided * u64::from(config.method.calls());
    let instructions = model.header().macs.saturating_mul(calls).saturating_mul(MOST_PER_MAC);
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
    for op in image.ops {
        // Operators carry the place of their step in the list.
        if let (Some(step), Some(digest)) = (steps.get_mut(op.step as usize), op.digest) {
            step.operators.push(digest);
        }
    }
    Trace {
        seed: image.seed,
        steps,
        pixels: image.pixels,
        state: image.state,
    }
}
