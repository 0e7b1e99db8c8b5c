//! Drawings of a checkpoint: samples of the host's samplers, images between two noises, errors of solvers by steps.

use super::checkpoint::host_sampler;
use super::{Args, Sampler, output};
use crate::failure::Failure;
use crate::print::{self, Verdict};
use crate::progress;
use mote_tools::eval::{Convergence, Drawn, Subject};
use mote_tools::files::OutputFile;
use mote_tools::images::encode;
use serde_json::json;
use std::time::Instant;

/// Steps where none are asked for.
const STEPS: usize = 100;
/// Images of a grid, and rows of an interpolation.
const COUNT: usize = 16;
const ROWS: usize = 4;
/// Side of a pixel.
const ZOOM: usize = 4;

/// Samples by `sampler`.
pub fn samples(args: &Args, subject: &Subject<'_>, sampler: Sampler) -> Result<Verdict, Failure> {
    let output = output(args)?;
    let (count, steps) = (args.count.map_or(COUNT, |count| count as usize), steps(args));
    let host = host_sampler(args, sampler);
    let name = clap::ValueEnum::to_possible_value(&sampler).map_or_else(String::new, |v| v.get_name().to_owned());
    let bar = progress::bar("sampling", host.calls(steps).unwrap_or(0) as u64);
    let began = Instant::now();
    let drawn = subject.samples(host, count, steps, &|n| bar.inc(n));
    bar.finish_and_clear();
    write(args, subject, &output, &drawn?, &name, began)
}

/// Rows of images between noises.
pub fn interpolation(args: &Args, subject: &Subject<'_>) -> Result<Verdict, Failure> {
    let output = output(args)?;
    let rows = args.count.map_or(ROWS, |count| count as usize);
    let bar = progress::bar("sampling", steps(args) as u64);
    let began = Instant::now();
    let drawn = subject.interpolation(rows, steps(args), &|n| bar.inc(n));
    bar.finish_and_clear();
    write(args, subject, &output, &drawn?, "interpolation", began)
}

fn steps(args: &Args) -> usize {
    args.steps.map_or(STEPS, |steps| steps as usize)
}

fn write(
    args: &Args,
    subject: &Subject<'_>,
    output: &OutputFile,
    drawn: &Drawn,
    what: &str,
    began: Instant,
) -> Result<Verdict, Failure> {
    let (calls, seconds) = (drawn.calls, began.elapsed().as_secs_f64());
    let zoom = args.zoom.map_or(ZOOM, |zoom| zoom as usize);
    output.write(&encode(&drawn.picture().enlarged(zoom))?)?;
    let (mean, deviation) = drawn.moments();
    if args.json {
        print::json(&json!({
            "checkpoint": subject.name(), "file": output.shown(), "drawn": what, "count": drawn.count(), "seed": args.seed,
            "condition": subject.condition(None), "network_calls": calls, "seconds": seconds,
            "pixel_mean": mean, "pixel_deviation": deviation,
        }))?;
    } else {
        print::text(&format!(
            "{}: {} images, {what}, {calls} network calls each, in {seconds:.1} s\n",
            output.shown(),
            drawn.count()
        ))?;
    }
    Ok(drawn.is_finite().into())
}

/// Errors of solvers by their steps, as `measure` gives them.
pub fn convergence(args: &Args, measure: impl FnOnce() -> Result<Convergence, Failure>) -> Result<Verdict, Failure> {
    let output = output(args)?;
    let found = measure()?;
    output.write(found.plot().as_bytes())?;
    let (of, reference, curves) = (&found.of, &found.reference, &found.curves);
    if args.json {
        let curve = |curve: &_| curve_object(curve);
        print::json(&json!({
            "of": of, "reference": reference, "seed": args.seed, "file": output.shown(),
            "curves": curves.iter().map(curve).collect::<Vec<_>>(),
        }))?;
    } else {
        let line = |first: String, cells: Vec<String>| [vec![first], cells, vec![String::new()]].concat();
        let names = curves.iter().map(|curve| curve.solver.name().to_owned()).collect();
        let mut table = vec![line("steps".into(), names)];
        for (i, (steps, _)) in curves.first().map_or(&[][..], |c| &c.points).iter().enumerate() {
            let errors = curves.iter().map(|curve| format!("{:.3e}", curve.points[i].1));
            table.push(line(steps.to_string(), errors.collect()));
        }
        let orders = curves.iter().map(|curve| format!("{:.2}", Convergence::order(curve)));
        table.push(line("order".into(), orders.collect()));
        print::text(&format!(
            "{}: root mean square error against the probability flow of {of} ({reference})\n{}",
            print::heading(&output.shown()),
            print::table(&table)
        ))?;
    }
    Ok(found.held.into())
}

fn curve_object(curve: &mote_graph::sde::convergence::Curve) -> serde_json::Value {
    let point = |(steps, error): &(usize, f64)| json!({ "steps": steps, "rmse": error });
    json!({
        "solver": curve.solver.name(), "order": curve.solver.order(), "observed_order": Convergence::order(curve),
        "points": curve.points.iter().map(point).collect::<Vec<_>>(),
    })
}
