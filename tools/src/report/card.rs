//! The card of a model file, for notebooks: what it is, what it takes, which boards hold it, and a few samples.

use super::Picture;
use super::assemble::samples;
use super::pictures::grid;
use super::text::{bytes, count, escape};
use crate::backend::Trace;
use crate::condition::{Conditions, FixedPoint};
use crate::images::{Shape, Signal};
use crate::tensors::from_q24;
use crate::{Error, ModelFile, Request};
use mote_runtime::internals::model::header::Arithmetic;

/// Samples of a card, at most.
const MOST: u64 = 4;
/// Multiply-accumulates that they take, at most: about a second on one processor.
const WORK: u64 = 8_000_000_000;
/// The same of a model in f16.
const WORK_F16: u64 = 2_000_000_000;
/// Extents of a curve, pixels.
const CURVE: [usize; 2] = [180, 60];

/// The card, as HTML without style of its own.
#[must_use]
pub fn card(file: &ModelFile) -> String {
    let facts = file.inspect();
    let shape = file.shape();
    let run_bytes = facts["memory"]["run_bytes"].as_u64().unwrap_or_default();
    let rows = [
        ("scheme", facts["scheme"].as_str().unwrap_or_default().to_owned()),
        (
            "sample (channels, rows, columns)",
            format!("{} x {} x {}", shape.channels, shape.rows, shape.cols),
        ),
        ("file", bytes(file.bytes().len() as u64)),
        ("memory of a run", bytes(run_bytes)),
        ("multiply-accumulates a step", count(file.model().header().macs)),
        ("boards that hold it", boards(file)),
    ];
    let row = |(name, value): &(&str, String)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value));
    let table: String = rows.iter().map(row).collect();
    let drawn = drawn(file).unwrap_or_else(|why| format!("<p>No samples: {}</p>\n", escape(&why.to_string())));
    format!("<div>\n<table><caption>Mote model</caption>\n{table}</table>\n{drawn}</div>\n")
}

/// Boards with the share of flash and RAM that it takes there.
fn boards(file: &ModelFile) -> String {
    let share = |used: u64, of: u64| 100 * used / of.max(1);
    let fits = file.fits();
    let holding = fits.iter().filter(|fit| fit.fits).map(|fit| {
        let flash = share(fit.flash_bytes, fit.flash_total_bytes);
        let ram = share(fit.ram_bytes, fit.ram_total_bytes);
        format!("{} (flash {flash} %, RAM {ram} %)", fit.name)
    });
    let names: Vec<String> = holding.collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

/// Samples of the seeds from 0 on, as many as a moment allows.
fn drawn(file: &ModelFile) -> Result<String, Error> {
    let model = file.model();
    let header = model.header();
    let mut request = Request {
        class: (header.classes > 0 && header.null_class.is_none()).then_some(0),
        ..Request::default()
    };
    let mut told = String::new();
    if let Some(point) = FixedPoint::of(model) {
        let [low, high] = point.range();
        let middle = vec![f64::midpoint(low, high); model.condition_len()];
        request.condition = Some(Conditions::new(
            "the middle of the condition's range",
            middle.len(),
            middle,
        )?);
        told = ", told the middle of its condition's range".into();
    }
    let steps = request.config(model)?.steps;
    let work = match header.arithmetic {
        Arithmetic::Integer => WORK,
        Arithmetic::F16 => WORK_F16,
    };
    let some = MOST.min(work / (header.macs.max(1) * u64::from(steps.max(1))));
    if some == 0 {
        return Ok("<p>A sample takes too long for a card.</p>\n".into());
    }
    request.count = Some(some as usize);
    let traces = file.sample(&request)?;
    let drawn = match Signal::of(header) {
        Some(signal) => traces.iter().map(|trace| curves(trace, signal)).collect(),
        None => grid(&pictures(&traces, Shape::of_picture(model))?),
    };
    let last = some - 1;
    Ok(format!("{drawn}<p>Seeds 0 to {last}, {steps} steps{told}.</p>\n"))
}

/// Pictures of a size that can be seen.
fn pictures(traces: &[Trace], shape: Shape) -> Result<Vec<Picture>, Error> {
    let mut made = samples(traces, shape)?;
    for picture in &mut made {
        let zoom = (96 / picture.width.max(picture.height).max(1)).max(1);
        picture.width *= zoom;
        picture.height *= zoom;
    }
    Ok(made)
}

/// A signal's channels over time.
fn curves(trace: &Trace, signal: Signal) -> String {
    let [width, height] = CURVE.map(|extent| extent as f64);
    let (low, high) = (trace.state.iter().min(), trace.state.iter().max());
    let (low, high) = (from_q24(*low.unwrap_or(&0)), from_q24(*high.unwrap_or(&0)));
    let line = |channel: usize| {
        let of_channel = trace.state.iter().skip(channel).step_by(signal.channels.max(1));
        let point = |(time, value): (usize, &i32)| {
            let x = width * time as f64 / (signal.times.max(2) - 1) as f64;
            let y = height * (high - from_q24(*value)) / (high - low).max(1e-9);
            format!("{x:.1},{y:.1}")
        };
        let points: Vec<String> = of_channel.enumerate().map(point).collect();
        let faint = 1.0 / (1.0 + channel as f64);
        format!(
            "<polyline fill=\"none\" stroke=\"currentColor\" stroke-opacity=\"{faint:.2}\" points=\"{}\"/>",
            points.join(" ")
        )
    };
    let lines: String = (0..signal.channels).map(line).collect();
    format!(
        "<svg width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"seed {}: {} channels from {low:.2} to {high:.2}\">{lines}</svg>\n",
        trace.seed, signal.channels
    )
}
