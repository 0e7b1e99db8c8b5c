//! The module that the page of a report samples with ([`crate::report::live`]), in an interpreter on this machine: the runtime as
//! WebAssembly, called as the page's worker calls it. It gives no operator's digest.

mod instance;

use super::{BackendError, ImageRequest, OpenModel, Origin, Sampling, StepTrace, Trace};
use crate::report::live::{WASM, method_lacks, model_lacks};
use instance::{Instance, OK, failed};
use mote_runtime::Config;
use rayon::prelude::*;

/// The run has no further step (`mote_status`).
const FINISHED: i32 = 1;
/// Bytes of storage for a model, for a run, for `mote_config` and for `mote_step_info`, at least what `mote.h` says of each.
const MODEL: usize = 256;
const RUN: usize = 256;
const STEP: usize = 16;

/// Every image on a thread of its own, each with a module of its own.
pub fn run(
    opened: OpenModel<'_>,
    sampling: &Sampling,
    on_step: &(dyn Fn() + Sync),
) -> Result<Vec<Trace>, BackendError> {
    let part = model_lacks(opened.model).or_else(|| method_lacks(sampling.config.method));
    if let Some(part) = part {
        return Err(BackendError::NotInPage(part));
    }
    let engine = wasmi::Engine::default();
    let module = wasmi::Module::new(&engine, WASM).map_err(failed)?;
    let thread = || open(&module, opened.bytes);
    let images = sampling.images.par_iter().map_init(thread, |page, image| {
        let (instance, model) = page.as_mut().map_err(|error| BackendError::Page(error.to_string()))?;
        let free = instance.used();
        let trace = one(instance, *model, opened, sampling, image, on_step);
        instance.release(free);
        trace
    });
    images.collect()
}

/// A module with the model open in it, and where that lies.
fn open(module: &wasmi::Module, file: &[u8]) -> Result<(Instance, u32), BackendError> {
    let mut instance = Instance::new(module)?;
    let (at, model) = (instance.put(file)?, instance.zeros(MODEL)?);
    let status = instance.call("mote_open", (model, at, file.len() as u32))?;
    instance.check(status)?;
    Ok((instance, model))
}

/// The bytes of `mote_config`.
fn config_bytes(config: &Config) -> Vec<u8> {
    let fields = [
        config.steps,
        config.method.entry().number.into(),
        config.eta_q16,
        config.clip as u32,
        config.clip_range_q24 as u32,
        config.spacing as u32,
        config.prev as u32,
        config.class.map_or(-1i32 as u32, u32::from),
        config.guidance_q16.is_some().into(),
        config.guidance_q16.unwrap_or(0) as u32,
    ];
    let fields = fields.into_iter().flat_map(u32::to_le_bytes);
    config.seed.to_le_bytes().into_iter().chain(fields).collect()
}

/// The bytes of numbers.
fn bytes_of(numbers: &[i32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn one(
    page: &mut Instance,
    model: u32,
    opened: OpenModel<'_>,
    sampling: &Sampling,
    image: &ImageRequest,
    on_step: &(dyn Fn() + Sync),
) -> Result<Trace, BackendError> {
    let elements = opened.model.header().sample_len();
    let count = elements as u32;
    let (run, step, size) = (page.zeros(RUN)?, page.zeros(STEP)?, page.zeros(8)?);
    let config = page.put(&config_bytes(&sampling.config_of(image)))?;
    let status = page.call("mote_arena_bytes", (model, config, size))?;
    page.check(status)?;
    let bytes = page.word(size)?;
    let arena = page.zeros(bytes as usize)?;
    let status = match &image.origin {
        Origin::Seed => page.call("mote_start", (run, model, arena, bytes, config))?,
        Origin::Noise(noise) => {
            let noise = page.put(&bytes_of(noise))?;
            page.call("mote_start_noise", (run, model, arena, bytes, config, noise, count))?
        }
        Origin::Image {
            image_q24,
            strength_q16,
        } => {
            let from = page.put(&bytes_of(image_q24))?;
            let given = (run, model, arena, bytes, config, from, count, *strength_q16);
            page.call("mote_start_image", given)?
        }
        Origin::Between { second, part_q16 } => {
            let given = (run, model, arena, bytes, config, *second, *part_q16);
            page.call("mote_start_between", given)?
        }
    };
    page.check(status)?;
    for (name, numbers) in [
        ("mote_inpaint", sampling.known.as_deref()),
        ("mote_condition", image.condition.as_deref()),
    ] {
        if let Some(numbers) = numbers {
            let at = page.put(&bytes_of(numbers))?;
            let status = page.call(name, (run, at, numbers.len() as u32))?;
            page.check(status)?;
        }
    }
    let mut trace = Trace {
        seed: image.seed,
        ..Trace::default()
    };
    loop {
        match page.call("mote_step", (run, step))? {
            FINISHED => break,
            OK => {}
            status => page.check(status)?,
        }
        let digest = [page.word(step)?, page.word(step + 4)?].map(u64::from);
        trace.steps.push(StepTrace {
            index: page.word(step + 8)?,
            timestep: page.word(step + 12)?,
            digest: digest[0] | digest[1] << 32,
            operators: vec![],
        });
        on_step();
    }
    let pixels = page.zeros(elements)?;
    let status = page.call("mote_image", (run, pixels, count))?;
    page.check(status)?;
    trace.pixels = page.bytes(pixels, elements)?.to_vec();
    let status = page.call("mote_state", (run, size, size + 4))?;
    page.check(status)?;
    let state = page.word(size)?;
    let words = page.bytes(state, 4 * elements)?.chunks_exact(4);
    trace.state = words
        .map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect();
    Ok(trace)
}
