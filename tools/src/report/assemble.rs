//! What goes into a report, beside what the model file itself says: samples, films, measurements.

use super::live::{Expected, Live};
use super::{BackendCheck, BoardFit, Film, Picture, Quality, ReportData, SensitivityBar, StepQuality, html};
use crate::Error;
use crate::backend::footprint::Fit;
use crate::backend::{Backend, OpenModel, Sampling, Trace};
use crate::condition::Images;
use crate::convert::Converted;
use crate::images::{self, Shape, encode};
use crate::import::Checkpoint;
use crate::validate::{FloatComparison, FloatDevice, Outcome, against};
use crate::widths::auto;
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::sampler::q24_to_pixel;
use mote_runtime::{Arena, Config, Model, Sampler, Start};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Images in a conversion's report.
const SAMPLES: u64 = 8;
/// Of which so many are compared with the float network.
const COMPARED: usize = 2;
/// Steps of each.
const STEPS: u32 = 20;
/// Frames of a film, at most.
const FRAMES: usize = 11;

/// The page of a conversion: samples, quality, sensitivity, memory, boards, operators. `command` is what it says it was made by.
///
/// # Errors
/// Of kind `Failed` where the model cannot be run or its images cannot be encoded.
pub fn of_conversion(converted: &Converted, checkpoint: &Checkpoint, command: &str) -> Result<String, Error> {
    of_conversion_with(converted, checkpoint, command, &|_, _| ())
}

/// The same; `progress` is told how many steps are computed, and of how many.
///
/// # Errors
/// As [`of_conversion`].
pub fn of_conversion_with(
    converted: &Converted,
    checkpoint: &Checkpoint,
    command: &str,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<String, Error> {
    let file = converted.file()?;
    let (opened, model) = (file.opened(), file.model());
    let config = Config::of(model.header(), STEPS.min(model.header().train_steps));
    let seeds: Vec<u64> = (0..SAMPLES).collect();
    let given = converted.conditions.as_ref();
    let conditions = given.map_or(vec![], |given| given.rows.fixed(&given.point, seeds.len()));
    let images = Images {
        seeds: &seeds,
        conditions: &conditions,
    };
    // A compared image's steps are the float network's.
    let steps = AtomicU64::new(0);
    let count = |more: u64| {
        let all = (SAMPLES + COMPARED as u64) * u64::from(config.steps);
        progress(steps.fetch_add(more, Ordering::Relaxed) + more, all);
    };
    let traces = Backend::Cpu.run(opened, &Sampling::of_images(config, images), &|| count(1))?;
    let compared = images.groups(COMPARED).next().unwrap_or(images);
    let each = || count(u64::from(config.steps));
    let float = against(opened, checkpoint, &config, compared, FloatDevice::Cpu, &each)?;
    let mut data = ReportData::with_boards(opened, command);
    data.samples = samples(&traces, Shape::of_picture(model))?;
    data.samples_caption = format!("Seeds 0 to {}, {} steps, on this machine.", SAMPLES - 1, config.steps);
    data.films = vec![film(&frames(model, &config, conditions.first())?, "x_t, seed 0")?];
    data.quality = Some(quality(model, &float)?);
    data.sensitivity = sensitivity(converted);
    data.notes.clone_from(&converted.notes);
    data.live = Live::of(model, file.bytes(), config.steps).map(|live| Live {
        expected: expected(&traces, config.steps, "this report's machine"),
        condition: conditions.first().map(|vector| vector.to_vec()),
        ..live
    });
    Ok(html(&data))
}

/// Digests of finished images, for the page to compare with.
pub fn expected(traces: &[Trace], steps: u32, by: &str) -> Vec<Expected> {
    let one = |trace: &Trace| Expected {
        seed: trace.seed.to_string(),
        steps,
        digest: format!("{:016x}", trace.digest()),
        by: by.to_owned(),
    };
    traces.iter().map(one).collect()
}

impl ReportData {
    /// What the model file says itself, with its fit on boards. `command` is what the page says it was made by.
    #[must_use]
    pub fn with_boards(opened: OpenModel<'_>, command: &str) -> Self {
        let fits = Fit::of_all(opened.model, opened.bytes.len(), false);
        Self {
            command: command.to_owned(),
            boards: fits.iter().map(board).collect(),
            ..Self::of(opened.model, opened.bytes.len())
        }
    }
}

fn board(fit: &Fit) -> BoardFit {
    BoardFit {
        name: fit.name.clone(),
        description: format!("{}, {}", fit.description, fit.core),
        fits: fit.fits,
        flash_bytes: fit.flash_bytes,
        flash_total_bytes: fit.flash_total_bytes,
        ram_bytes: fit.ram_bytes,
        ram_total_bytes: fit.ram_total_bytes,
        instructions_per_step: None,
        why: fit.why.clone(),
    }
}

/// Finished images, captioned with their seeds.
pub fn samples(traces: &[Trace], shape: Shape) -> Result<Vec<Picture>, Error> {
    let one = |trace: &Trace| {
        picture(
            &images::Picture::of_sample(&trace.pixels, shape),
            format!("seed {}", trace.seed),
        )
    };
    traces.iter().map(one).collect()
}

/// Frames of a run, each with its caption.
pub type Frames = Vec<(images::Picture, String)>;

/// The states of a run, evenly spread, the first and the last included.
pub fn frames(model: &Model<'_>, config: &Config, condition: Option<&Arc<[i32]>>) -> Result<Frames, Error> {
    let shape = Shape::of_picture(model);
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut sampler = Sampler::new(model, &mut arena, config, &Start::Seed)?;
    if let Some(condition) = condition {
        sampler.condition(condition)?;
    }
    // A latent is shown as the picture that the decoder makes of it.
    let decodes = model.decoder().is_some();
    let shot = |sampler: &mut Sampler<'_, '_>| {
        let mut values = vec![];
        match decodes {
            true => sampler.decode(|rows| values.extend_from_slice(rows))?,
            false => values.extend_from_slice(sampler.state()),
        }
        let pixels: Vec<u8> = values.into_iter().map(q24_to_pixel).collect();
        Ok::<_, Error>(images::Picture::of_sample(&pixels, shape))
    };
    let mut all = vec![(shot(&mut sampler)?, "noise".to_owned())];
    while let Some(step) = sampler.step()? {
        all.push((shot(&mut sampler)?, format!("after t = {}", step.timestep)));
    }
    let last = all.len() - 1;
    let count = FRAMES.min(all.len());
    let places = (0..count).map(|i| i * last / (count - 1).max(1));
    Ok(places.map(|i| all[i].clone()).collect())
}

/// A film for the page.
pub fn film(frames: &Frames, caption: &str) -> Result<Film, Error> {
    let frames = frames.iter().map(|(frame, caption)| picture(frame, caption.clone()));
    Ok(Film {
        caption: caption.to_owned(),
        frames: frames.collect::<Result<_, _>>()?,
    })
}

fn picture(picture: &images::Picture, caption: String) -> Result<Picture, Error> {
    let png = encode(picture)?;
    Ok(Picture {
        png,
        width: picture.width,
        height: picture.height,
        caption,
    })
}

/// The comparison with the float network, for the page.
pub fn quality(model: &Model<'_>, float: &FloatComparison) -> Result<Quality, Error> {
    let captions = ["here", "the float network"];
    let worst = images::worst(model, float).into_iter().flatten().zip(captions);
    let shown = |(of, caption): (images::Picture, &str)| picture(&of, format!("seed {}, {caption}", float.worst_seed));
    let step = |(i, t): (usize, &u32)| StepQuality {
        timestep: *t,
        state_psnr_db: float.state_psnr_db_by_step[i],
        eps_sqnr_db: float.eps_sqnr_db_by_step[i],
    };
    Ok(Quality {
        worst: worst.map(shown).collect::<Result<_, _>>()?,
        images: float.images,
        x0_psnr_db_mean: float.x0_psnr_db_mean,
        x0_psnr_db_p5: float.x0_psnr_db_p5,
        x0_psnr_db_min: float.x0_psnr_db_min,
        steps: float.timesteps.iter().enumerate().map(step).collect(),
    })
}

/// The comparison of backends, for the page.
pub fn backends(outcomes: &[Outcome]) -> Vec<BackendCheck> {
    let check = |outcome: &Outcome| BackendCheck {
        name: outcome.name.clone(),
        available: outcome.available,
        why: outcome.why.clone().unwrap_or_default(),
        images: outcome.images,
        steps: outcome.steps,
        mismatches: outcome.mismatches,
        digest: outcome.digest.clone().unwrap_or_default(),
        first_divergence: outcome.first_divergence.as_ref().map_or(String::new(), |d| {
            format!("seed {}, step {}: {}", d.seed, d.step, d.operator)
        }),
    };
    outcomes.iter().map(check).collect()
}

/// What `auto` measured, for the page.
pub fn sensitivity(converted: &Converted) -> Vec<SensitivityBar> {
    let bar = |s: &auto::Sensitivity| SensitivityBar {
        name: s.name.clone(),
        tried: match s.subject {
            auto::Subject::Activation => format!("activation {}", s.tried.name()),
            auto::Subject::Weight => format!("weights {}", s.tried.name()),
        },
        psnr_db: s.psnr_db,
        chosen: s.chosen.name().into(),
    };
    converted.sensitivity.iter().map(bar).collect()
}
