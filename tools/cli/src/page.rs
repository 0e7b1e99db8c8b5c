//! What goes into the HTML report.

use super::failure::Failure;
use mote_host::memory::AlignedBytes;
use mote_runtime::sampler::q24_to_pixel;
use mote_runtime::{Arena, Config, Model, Sampler, Start};
use mote_tools::backend::footprint::Fit;
use mote_tools::backend::{Backend, Job, Target, Trace};
use mote_tools::convert::Converted;
use mote_tools::images::{self, Shape, encode};
use mote_tools::import::Checkpoint;
use mote_tools::quantize::auto;
use mote_tools::report::{
    BackendCheck, BoardFit, Film, Picture, Quality, ReportData, SensitivityBar, StepQuality, html,
};
use mote_tools::validate::{FloatComparison, FloatDevice, Outcome, against};

/// Images in a conversion's report.
const SAMPLES: u64 = 8;
/// Of which so many are compared with the float network.
const COMPARED: u64 = 2;
/// Steps of each.
const STEPS: u32 = 20;
/// Frames of a film, at most.
const FRAMES: usize = 11;

/// The page of a conversion: samples, quality, sensitivity, memory, boards, operators.
pub fn of_conversion(model: &Model<'_>, converted: &Converted, checkpoint: &Checkpoint) -> Result<String, Failure> {
    let target = Target {
        model,
        bytes: &converted.emitted.bytes,
    };
    let config = Config::of(model.header(), STEPS.min(model.header().train_steps));
    let traces = Backend::Cpu.run(target, &Job::of_seeds(config, 0..SAMPLES), &|| ())?;
    let seeds: Vec<u64> = (0..COMPARED).collect();
    let float = against(target, checkpoint, &config, &seeds, FloatDevice::Cpu, &|| ()).map_err(Failure::new)?;
    let mut data = of_model(target);
    data.samples = samples(&traces, Shape::of(model.header()))?;
    data.samples_caption = format!("Seeds 0 to {}, {} steps, on this machine.", SAMPLES - 1, config.steps);
    data.films = vec![film(&frames(model, &config)?, "x_t, seed 0")?];
    data.quality = Some(quality(&float));
    data.sensitivity = sensitivity(converted);
    Ok(html(&data))
}

/// The page's parts that the model file says itself, with its fit on boards.
pub fn of_model(target: Target<'_>) -> ReportData {
    let fits = Fit::of_all(target.model, target.bytes.len(), false);
    let command: Vec<String> = std::env::args().skip(1).collect();
    let command = format!("mote {}", command.join(" ")).trim_end().to_owned();
    ReportData {
        command,
        boards: fits.iter().map(board).collect(),
        ..ReportData::of(target.model, target.bytes.len())
    }
}

fn board(fit: &Fit) -> BoardFit {
    BoardFit {
        name: fit.name.to_owned(),
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
pub fn samples(traces: &[Trace], shape: Shape) -> Result<Vec<Picture>, Failure> {
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
pub fn frames(model: &Model<'_>, config: &Config) -> Result<Frames, Failure> {
    let shape = Shape::of(model.header());
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut sampler = Sampler::new(model, &mut arena, config, &Start::Seed)?;
    let shot = |sampler: &Sampler<'_, '_>| {
        let pixels: Vec<u8> = sampler.state().iter().map(|x| q24_to_pixel(*x)).collect();
        images::Picture::of_sample(&pixels, shape)
    };
    let mut all = vec![(shot(&sampler), "noise".to_owned())];
    while let Some(step) = sampler.step()? {
        all.push((shot(&sampler), format!("after t = {}", step.timestep)));
    }
    let last = all.len() - 1;
    let count = FRAMES.min(all.len());
    let places = (0..count).map(|i| i * last / (count - 1).max(1));
    Ok(places.map(|i| all[i].clone()).collect())
}

/// A film for the page.
pub fn film(frames: &Frames, caption: &str) -> Result<Film, Failure> {
    let frames = frames.iter().map(|(frame, caption)| picture(frame, caption.clone()));
    Ok(Film {
        caption: caption.to_owned(),
        frames: frames.collect::<Result<_, _>>()?,
    })
}

fn picture(picture: &images::Picture, caption: String) -> Result<Picture, Failure> {
    let png = encode(picture).map_err(Failure::new)?;
    Ok(Picture {
        png,
        width: picture.width,
        height: picture.height,
        caption,
    })
}

/// The comparison with the float network, for the page.
pub fn quality(float: &FloatComparison) -> Quality {
    let step = |(i, t): (usize, &u32)| StepQuality {
        timestep: *t,
        state_psnr_db: float.state_psnr_db_by_step[i],
        eps_sqnr_db: float.eps_sqnr_db_by_step[i],
    };
    Quality {
        images: float.images,
        x0_psnr_db_mean: float.x0_psnr_db_mean,
        x0_psnr_db_min: float.x0_psnr_db_min,
        steps: float.timesteps.iter().enumerate().map(step).collect(),
    }
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
