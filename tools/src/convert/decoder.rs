//! Decoders: from an autoencoder's graph to a file of its own, or to the second network of a file.
//!
//! A decoder is calibrated on latents: the last states of the network that it is in a file with, or noise where it is alone.

use std::sync::Arc as Shared;

use mote_engine::calibrate::{Run, Stats, calibrate_pictures};
use mote_engine::memory::AlignedBytes;
use mote_engine::picture::picture;
use mote_engine::{Engine, Steps};
use mote_runtime::internals::model::sampling::{Prediction, Schedule};
use mote_runtime::internals::numeric::normal::normal_q24;
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::{Arena as Memory, Model, RunError};
use rayon::prelude::*;

use super::calibration::CALIBRATION_SEED;
use super::source::check_weights;
use super::units::LARGEST;
use super::{ConvertError, Converted, Options};
use crate::emit::{Diffusion, EmitError, Emitted, emit, emit_with, pair::with_decoder};
use crate::import::Decoder;
use crate::lower::lower;
use crate::plan::bands::{Banded, in_bands};
use crate::plan::{Arena, Windows};
use crate::program::Program;
use crate::quantize::Quantization;
use crate::quantize::formats::{Format, formats};
use crate::quantize::scheme::{Assignment, Bits, Scheme};
use crate::quantize::weights::scales;
use crate::validate::psnr_db;
use crate::widths::eight_bit::eight_bit_in_bands;

/// Latents that a decoder is calibrated on, at most.
const LATENTS: usize = 8;
/// `auto` takes activations of 8 bits where pictures stay this near to those of the f16 decoder, dB with peak 2.
const ENOUGH: f64 = 40.0;
/// PSNR below which a picture is another one, dB.
const LEAST: f64 = 20.0;

/// A converted decoder, with what a report wants to know.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// Its file.
    pub emitted: Emitted,
    /// The fused program, its picture whole.
    pub program: Program,
    /// Number formats by slot of it; empty for f16.
    pub formats: Vec<Format>,
    /// How many bands the picture is made in: 1 where it is made whole.
    pub bands: usize,
    /// Name of the number formats.
    pub scheme: Scheme,
    /// PSNR to the f16 decoder's pictures on the latents that it was calibrated on, dB with peak 2; `None` for f16.
    pub psnr_db: Option<f64>,
    /// What a user should know of it.
    pub notes: Vec<String>,
}

/// What is asked of a decoder's conversion.
#[derive(Debug, Clone, Copy)]
pub struct DecoderOptions {
    /// Number formats.
    pub scheme: Scheme,
    /// What the arena is planned for.
    pub arena: Arena,
    /// Bytes of arena that there are anyway: bands make no smaller ones.
    pub enough: usize,
}

/// Converts `decoder` with ranges from `latents`, Q24 `(row, col, channel)`. The same arguments give the same bytes on every machine.
///
/// # Errors
/// A layer without an operator, a weight that f16 does not hold, a decoder that is too large for a file.
pub fn convert_decoder(
    decoder: &Decoder,
    latents: &[Vec<i32>],
    options: DecoderOptions,
) -> Result<Drawing, ConvertError> {
    let program = lower(&decoder.graph)?;
    let facts = facts(decoder.graph.output_shape())?;
    check_weights(&program, &program)?;
    let provenance = |scheme: Scheme| provenance(decoder, scheme, latents.len(), options.arena);
    let reference = emit(&program, &facts, None, Arena::Fast, &provenance(Scheme::F16))?;
    let memory = AlignedBytes::copy_of(&reference.bytes);
    let model = Model::parse(memory.bytes())?;
    let stats = calibrate_pictures(&model, latents)?;
    let mut notes = beyond_f16(&program, &stats);
    let banded = in_bands(&program, options.arena, options.enough);
    let making = Making {
        program: &program,
        facts: &facts,
        stats: &stats,
        banded: &banded,
        arena: options.arena,
        provenance: &provenance,
    };
    let expected = drawn(&model, latents)?;
    let made = match options.scheme {
        Scheme::F16 => making.float()?,
        Scheme::Auto => {
            let eight = making.integer(Scheme::W8A8)?;
            match distance(&eight.emitted, latents, &expected)? {
                psnr if psnr >= ENOUGH => eight,
                _ => making.integer(Scheme::W8A16)?,
            }
        }
        scheme => making.integer(scheme)?,
    };
    let psnr_db = match made.scheme {
        Scheme::F16 => None,
        _ => Some(distance(&made.emitted, latents, &expected)?),
    };
    if let Some(psnr) = psnr_db.filter(|psnr| *psnr < LEAST) {
        notes.push(format!(
            "the decoder's pictures are only {psnr:.1} dB from those of its own f16 form: choose --scheme w8a16, w16a16 or f16"
        ));
    }
    if matches!(options.scheme, Scheme::W4A8 | Scheme::W4A16) {
        notes.push("the decoder's weights keep 8 bits".to_owned());
    }
    Ok(Drawing {
        psnr_db,
        notes,
        bands: banded.program.bands.len().max(1),
        program: program.clone(),
        emitted: made.emitted,
        formats: made.formats,
        scheme: made.scheme,
    })
}

/// `converted` with `decoder` in its file, calibrated on the last states of `runs`.
pub(super) fn joined(
    converted: Converted,
    decoder: &Decoder,
    runs: &[Run],
    options: &Options,
) -> Result<Converted, ConvertError> {
    let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
    let model = Model::parse(memory.bytes())?;
    let latents = last_states(&model, &runs[..runs.len().min(LATENTS)])?;
    let drawing = convert_decoder(
        decoder,
        &latents,
        DecoderOptions {
            scheme: options.scheme,
            arena: options.arena.unwrap_or(converted.arena),
            enough: model.header().arena_bytes as usize,
        },
    )?;
    let bytes = with_decoder(&converted.emitted.bytes, &drawing.emitted.bytes)?;
    let mut notes = converted.notes;
    notes.extend(drawing.notes.iter().cloned());
    Ok(Converted {
        emitted: Emitted {
            bytes,
            weight_bytes: converted.emitted.weight_bytes + drawing.emitted.weight_bytes,
            ..converted.emitted
        },
        notes,
        decoder: Some(drawing),
        ..converted
    })
}

/// Latents to calibrate a decoder on that is alone: noise of this many standard deviations.
#[must_use]
pub fn noise(decoder: &Decoder) -> Vec<Vec<i32>> {
    let len: usize = decoder.graph.sample_shape().iter().product();
    let one = |i: u64| {
        (0..len as u32)
            .map(|at| normal_q24(CALIBRATION_SEED + i, 0, at))
            .collect()
    };
    (0..LATENTS as u64).map(one).collect()
}

/// The states that these runs end in.
fn last_states(model: &Model<'_>, runs: &[Run]) -> Result<Vec<Vec<i32>>, RunError> {
    let engine = Engine::prepare(model);
    let one = |run: &Run| {
        let mut memory = AlignedBytes::for_run(model, &run.config);
        let mut arena = Memory::new(memory.bytes_mut())?;
        let (mut sampler, mut worker) = (run.begin(model, &mut arena)?, engine.worker());
        while worker.step(&mut sampler, None)?.is_some() {}
        Ok(sampler.state().to_vec())
    };
    runs.par_iter().map(one).collect()
}

/// What a header says of a decoder beside its program: there is nothing to sample.
fn facts([channels, rows, cols]: [usize; 3]) -> Result<Diffusion, EmitError> {
    let extent = |value: usize| {
        u16::try_from(value).map_err(|_| EmitError::TooLarge {
            what: "an extent of the picture".to_owned(),
            value: value as u64,
            max: u16::MAX.into(),
        })
    };
    Ok(Diffusion {
        train_steps: 1,
        alpha_bars: vec![],
        final_alpha_bar: 1.0,
        prediction: Prediction::Picture {
            channels: extent(channels)?,
            rows: extent(rows)?,
            cols: extent(cols)?,
        },
        clip: Clip::Off,
        clip_range: 1.0,
        schedule: Schedule::Leading,
        steps_offset: 0,
        null_class: None,
    })
}

fn provenance(decoder: &Decoder, scheme: Scheme, latents: usize, arena: Arena) -> String {
    serde_json::json!({
        "model": decoder.name(),
        "class": decoder.class,
        "checkpoint_sha256": decoder.sha256,
        "converter": concat!("mote ", env!("CARGO_PKG_VERSION")),
        "scheme": scheme.name(),
        "arena": arena.name(),
        "calibration": { "latents": latents },
    })
    .to_string()
}

/// Layers that reach beyond f16.
fn beyond_f16(program: &Program, stats: &[Stats]) -> Vec<String> {
    let beyond = program.ops.iter().filter(|op| stats[op.out.0].max_abs() >= LARGEST);
    beyond
        .map(|op| {
            format!(
                "layer '{}' of the decoder reaches beyond 65504, the largest number of f16: what is beyond is cut",
                op.name
            )
        })
        .collect()
}

/// Everything that a form of a decoder is made from.
struct Making<'a> {
    program: &'a Program,
    facts: &'a Diffusion,
    stats: &'a [Stats],
    banded: &'a Banded,
    arena: Arena,
    provenance: &'a dyn Fn(Scheme) -> String,
}

/// One form.
struct Made {
    emitted: Emitted,
    formats: Vec<Format>,
    scheme: Scheme,
}

impl Making<'_> {
    fn float(&self) -> Result<Made, ConvertError> {
        let emitted = emit(
            &self.banded.program,
            self.facts,
            None,
            self.arena,
            &(self.provenance)(Scheme::F16),
        )?;
        Ok(Made {
            emitted,
            formats: vec![],
            scheme: Scheme::F16,
        })
    }

    fn integer(&self, scheme: Scheme) -> Result<Made, ConvertError> {
        let assignment = self.assignment(scheme);
        let formats = formats(self.program, self.stats, &assignment);
        let banded = self.banded;
        let assigned = Assignment {
            activations: banded.each(&assignment.activations),
            weights: banded.each(&assignment.weights),
        };
        let (stats, scales) = (banded.each(self.stats), banded.each(&scales(self.program, self.stats)));
        let quantization = Quantization {
            formats: &banded.each(&formats),
            stats: &stats,
            assignment: &assigned,
            scales: &scales,
            int4: &[],
            int8: &[],
        };
        let windows = Windows::of(&banded.program, &assigned.dtypes(), self.arena);
        let provenance = (self.provenance)(scheme);
        let emitted = emit_with(
            &banded.program,
            self.facts,
            Some(&quantization),
            self.arena,
            windows,
            &provenance,
        )?;
        Ok(Made {
            emitted,
            formats,
            scheme,
        })
    }

    fn assignment(&self, scheme: Scheme) -> Assignment {
        let sixteen = Assignment::uniform(self.program, Bits::Sixteen);
        match scheme {
            Scheme::W8A8 | Scheme::W4A8 => eight_bit_in_bands(self.program, self.banded),
            Scheme::W16A16 => Assignment {
                weights: vec![Bits::Sixteen; self.program.ops.len()],
                ..sixteen
            },
            _ => sixteen,
        }
    }
}

/// A model's pictures of latents, -1 to 1.
fn drawn(model: &Model<'_>, latents: &[Vec<i32>]) -> Result<Vec<Shared<[f64]>>, RunError> {
    let engine = Engine::prepare(model);
    let one = |latent: &Vec<i32>| {
        let picture = picture(model, latent, &mut engine.worker(), |_| ())?;
        Ok(picture.iter().map(|v| f64::from(*v) * Format::OUTPUT.scale).collect())
    };
    latents.par_iter().map(one).collect()
}

/// Mean PSNR of a form's pictures to those expected, dB.
fn distance(emitted: &Emitted, latents: &[Vec<i32>], expected: &[Shared<[f64]>]) -> Result<f64, ConvertError> {
    let memory = AlignedBytes::copy_of(&emitted.bytes);
    let found = drawn(&Model::parse(memory.bytes())?, latents)?;
    let psnr = found
        .iter()
        .zip(expected)
        .map(|(found, expected)| psnr_db(found, expected));
    Ok(psnr.sum::<f64>() / found.len().max(1) as f64)
}
