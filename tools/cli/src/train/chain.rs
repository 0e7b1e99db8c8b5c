//! Training of the chains of 2015, and the page about what came out.

use super::{Args, Preset};
use crate::failure::Failure;
use crate::print::{self, Verdict, heading, table};
use crate::progress;
use mote_chain::bound::Bound;
use mote_chain::condition::{Known, known_bit, seen_bit};
use mote_chain::heartbeat::{Heartbeat, LENGTH, is_valid};
use mote_chain::swiss_roll::SwissRoll;
use mote_chain::{heartbeat, swiss_roll};
use mote_graph::float::FloatError;
use mote_tools::ErrorKind;
use mote_tools::chain::files::Chain;
use mote_tools::files::{Format, OutputFile, folder};
use mote_tools::images::{Picture, encode, grid, scatter};
use mote_tools::report::chain::{ChainReport, html};
use mote_tools::train::folder::{Claim, Trains, check};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Options that a chain's training takes; it refuses all others.
const OPTIONS: &str = "--steps, --minutes, --batch, --lr and --seed";

/// Pairs of every step that the page's bound is measured on.
const HEARTBEAT_DRAWS: usize = 200;
const ROLL_DRAWS: usize = 2000;

/// A chain, how it was trained, and the training's own curve.
struct Trained {
    chain: Chain,
    options: Value,
    updates: usize,
    curve: Vec<(f64, f64)>,
}

/// Trains, writes the folder, says what it is worth.
pub fn run(args: &Args, preset: Preset) -> Result<Verdict, Failure> {
    refuse_others(args)?;
    check(&args.output, &[], Trains::Chain)?;
    folder(&args.output)?;
    let _claim = Claim::of_chain(&args.output)
        .map_err(|error| Failure::coded(ErrorKind::Failed, error).help("wait for it, or give another folder"))?;
    let page = OutputFile::prepare(&args.output.join("report.html"), Format::Html, &[])?;
    let samples = OutputFile::prepare(&args.output.join("samples.png"), Format::Png, &[])?;
    let began = Instant::now();
    let trained = match preset {
        Preset::Heartbeat => heartbeat(args),
        Preset::SwissRoll => roll(args),
    };
    let failed = |error: FloatError| Failure::new(format_args!("training failed: {error}"));
    let trained = trained.map_err(failed)?;
    if !trained.chain.is_finite() {
        return Err(
            Failure::new("training diverged: a weight is not finite, and nothing was written")
                .help("give a smaller --lr"),
        );
    }
    let seconds = began.elapsed().as_secs_f64();
    let updates = trained.updates;
    let training = json!({
        "options": trained.options, "updates": updates, "seconds": (seconds * 10.0).round() / 10.0,
        "trainer": concat!("mote ", env!("CARGO_PKG_VERSION")),
    });
    trained
        .chain
        .write(&args.output, training)
        .map_err(|error| Failure::coded(ErrorKind::Output, error))?;
    let (bound, report, picture) = match &trained.chain {
        Chain::Heartbeat(h) => of_heartbeat(h, &trained.curve),
        Chain::SwissRoll(s) => of_roll(s, &trained.curve),
    }
    .map_err(failed)?;
    samples.write(&png(&picture)?)?;
    page.write(html(&report?).as_bytes())?;
    if args.json {
        print::json(&json!({
            "folder": args.output.display().to_string(), "preset": trained.chain.preset(), "steps": trained.chain.steps(),
            "params": trained.chain.params(), "updates": updates, "seconds": seconds, "seed": args.seed,
            "k_bits": bound.k_bits, "standard_error_bits": bound.standard_error_bits, "l_null_bits": bound.l_null_bits,
            "report": page.shown(), "samples": samples.shown(),
        }))?;
    } else {
        let row = |label: &str, value: String| vec![label.to_owned(), value];
        let rows = [
            row(
                "trained",
                format!(
                    "{updates} updates in {seconds:.0} s, {} parameters",
                    trained.chain.params()
                ),
            ),
            row(
                "K",
                format!(
                    "{:.3} bits, standard error {:.3}",
                    bound.k_bits, bound.standard_error_bits
                ),
            ),
            row("L_null", format!("{:.4} bits", bound.l_null_bits)),
            row("report", page.shown()),
        ];
        let name = args.output.display().to_string();
        print::text(&format!("{}\n{}", heading(&name), table(&rows)))?;
    }
    Ok(Verdict::Yes)
}

/// What trains a network on images has no meaning for a chain.
fn refuse_others(args: &Args) -> Result<(), Failure> {
    let given = [
        ("--data", args.data.is_some()),
        ("--fit", args.fit.is_some()),
        (
            "--flash, --ram, --core, --clock or --profile",
            args.described.is_given(),
        ),
        ("--weight-decay", args.weight_decay.is_some()),
        ("--ema", args.ema.is_some()),
        ("--prediction", args.prediction.is_some()),
        ("--learned-variance", args.learned_variance),
        ("--classes", args.classes),
        ("--flip", args.flip.is_some()),
        ("--shift", args.shift.is_some()),
        ("--range", args.range.is_some()),
        ("--hold-out", args.hold_out.is_some()),
        ("--distill-from", args.distill_from.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(Failure::usage(format_args!(
            "{option} is not for a chain of 2015, which makes its own data"
        ))
        .help(format_args!("leave {option} out; a chain takes {OPTIONS}"))),
    }
}

fn limit(args: &Args) -> Option<Duration> {
    args.minutes.map(|m| Duration::from_secs_f64(m * 60.0))
}

fn heartbeat(args: &Args) -> Result<Trained, FloatError> {
    let default = heartbeat::Options::default();
    let options = heartbeat::Options {
        seed: args.seed,
        updates: args.steps.map_or(default.updates, |steps| steps as usize),
        per_group: args.batch.map_or(default.per_group, usize::from),
        rate: args.lr.unwrap_or(default.rate),
    };
    let mut chain = Heartbeat::new(heartbeat::STEPS, options.seed)?;
    let bar = progress::bar("training", options.updates as u64);
    let mut curve = Vec::new();
    let updates = chain.train(&options, limit(args), &mut |p| {
        curve.push((p.update as f64, p.excess_bits));
        bar.set_position(p.update as u64);
        bar.set_message(format!("{:.3} bits to go", p.excess_bits));
    })?;
    bar.finish_and_clear();
    Ok(Trained {
        chain: Chain::Heartbeat(chain),
        options: json!(options),
        updates,
        curve,
    })
}

fn roll(args: &Args) -> Result<Trained, FloatError> {
    let default = swiss_roll::Options::default();
    let options = swiss_roll::Options {
        seed: args.seed,
        updates: args.steps.map_or(default.updates, |steps| steps as usize),
        points: args.batch.map_or(default.points, usize::from),
        rate: args.lr.unwrap_or(default.rate),
    };
    let mut chain = SwissRoll::new(options.seed);
    let bar = progress::bar("training", options.updates as u64);
    let mut curve = Vec::new();
    let updates = chain.train(&options, limit(args), &mut |p| {
        curve.push((p.update as f64, p.k_bits));
        bar.set_position(p.update as u64);
        bar.set_message(format!("K {:.2} bits", p.k_bits));
    })?;
    bar.finish_and_clear();
    Ok(Trained {
        chain: Chain::SwissRoll(chain),
        options: json!(options),
        updates,
        curve,
    })
}

/// The bound, the page or why it cannot be drawn, and the picture of samples.
type Shown = (Bound, Result<ChainReport, Failure>, Picture);

fn of_heartbeat(h: &Heartbeat, curve: &[(f64, f64)]) -> Result<Shown, FloatError> {
    let bound = h.bound(HEARTBEAT_DRAWS, 1)?;
    let free = [0.0; LENGTH];
    let mut film = Vec::new();
    let steps = h.chain.steps();
    let samples = h.trajectory(64, 2, &free, &mut |t, x| {
        if t % (steps / 5) == 0 {
            film.push((format!("x_t at t = {t}"), bits(x)));
        }
    })?;
    // The first bits of the third sequence are known, and the same sequence seen through flips.
    let truth = &heartbeat::data().rows[2];
    let known = core::array::from_fn(|i| known_bit((i < 4).then_some(truth[i])));
    let inpainted = h.sample(64, 3, &known)?;
    let flipped: [bool; LENGTH] = core::array::from_fn(|i| truth[i] ^ matches!(i, 1 | 12 | 15));
    let denoised = h.sample(64, 4, &flipped.map(|bit| seen_bit(bit, 0.15)))?;
    let valid = |x: &[[bool; LENGTH]]| x.iter().filter(|x| is_valid(*x)).count();
    let picture = bits(&samples);
    let parts = vec![
        (
            "From noise to sequences".to_owned(),
            "64 sequences, one a line, while the chain runs backwards.".to_owned(),
            film,
        ),
        (
            "What is known of a sequence".to_owned(),
            format!(
                "Left: one sequence seen with three bits flipped. Then 64 samples times r(x): with the first four bits of the unflipped sequence known \
                 ({} of 64 valid), and with all twenty seen through flips of 15 % ({} valid).",
                valid(&inpainted),
                valid(&denoised)
            ),
            vec![
                ("seen".to_owned(), bits(&[flipped])),
                ("inpainted".to_owned(), bits(&inpainted)),
                ("denoised".to_owned(), bits(&denoised)),
            ],
        ),
    ];
    let title = format!("heartbeat, {steps} steps");
    let curves = vec![
        (
            "Divergence above the best possible, bits a batch".to_owned(),
            "update".to_owned(),
            curve.to_vec(),
        ),
        (
            "Divergence of each step, bits".to_owned(),
            "t".to_owned(),
            by_step(&bound),
        ),
    ];
    let mut figures = figures(&bound);
    figures.push((
        format!("valid of {} samples", samples.len()),
        valid(&samples).to_string(),
    ));
    Ok((bound, page(title, figures, curves, parts), picture))
}

fn of_roll(s: &SwissRoll, curve: &[(f64, f64)]) -> Result<Shown, FloatError> {
    let bound = s.bound(ROLL_DRAWS, 1)?;
    let count = 4000;
    let times = [0, swiss_roll::STEPS / 4, swiss_roll::STEPS / 2, swiss_roll::STEPS];
    let draw = |x: &[[f64; 2]]| scatter(x, 256, 2.5);
    let mut backwards = Vec::new();
    let samples = s.trajectory(count, 2, [Known::Free; 2], &mut |t, x| {
        if times.contains(&t) {
            backwards.push((format!("t = {t}"), draw(x)));
        }
    })?;
    backwards.reverse();
    let forward = times.iter().zip(s.forward(count, 3, &times));
    let forward = forward.map(|(t, x)| (format!("t = {t}"), draw(&x))).collect();
    let inpainted = s.sample(count, 4, [Known::Value(0.5), Known::Free])?;
    let denoised = s.sample(count, 5, [Known::Near(0.5, 0.2), Known::Near(-0.9, 0.2)])?;
    let parts = vec![
        ("Forward".to_owned(), "The data, and what the forward process makes of them.".to_owned(), forward),
        ("Backward".to_owned(), "The learned reverse process, from t = 40 to the samples at t = 0.".to_owned(), backwards),
        (
            "What is known of a point".to_owned(),
            "Samples times r(x): with the first coordinate known to be 0.5, and with both seen near (0.5, -0.9) with a deviation of 0.2."
                .to_owned(),
            vec![("inpainted".to_owned(), draw(&inpainted)), ("denoised".to_owned(), draw(&denoised))],
        ),
    ];
    let curves = vec![
        ("K of a batch, bits".to_owned(), "update".to_owned(), curve.to_vec()),
        (
            "Divergence of each step, bits".to_owned(),
            "t".to_owned(),
            by_step(&bound),
        ),
    ];
    let title = format!("swiss roll, {} steps", swiss_roll::STEPS);
    let picture = draw(&samples);
    Ok((bound.clone(), page(title, figures(&bound), curves, parts), picture))
}

fn figures(bound: &Bound) -> Vec<(String, String)> {
    let bits = |what: &str, value: f64| (what.to_owned(), format!("{value:.3}"));
    vec![
        bits("K, bits a sample", bound.k_bits),
        bits("its standard error", bound.standard_error_bits),
        bits("L_null", bound.l_null_bits),
        bits("K less L_null", bound.k_bits - bound.l_null_bits),
    ]
}

fn by_step(bound: &Bound) -> Vec<(f64, f64)> {
    bound
        .divergences
        .iter()
        .enumerate()
        .map(|(i, d)| ((i + 2) as f64, *d))
        .collect()
}

type Parts = Vec<(String, String, Vec<(String, Picture)>)>;
type Curves = Vec<(String, String, Vec<(f64, f64)>)>;

fn page(title: String, figures: Vec<(String, String)>, curves: Curves, parts: Parts) -> Result<ChainReport, Failure> {
    let mut pictures = Vec::new();
    for (heading, caption, of) in parts {
        let drawn = of.into_iter().map(|(label, picture)| Ok((label, png(&picture)?)));
        pictures.push((heading, caption, drawn.collect::<Result<Vec<_>, Failure>>()?));
    }
    Ok(ChainReport {
        title,
        figures,
        curves,
        pictures,
    })
}

/// Sequences, one a line; a 1 is white.
fn bits(x: &[[bool; LENGTH]]) -> Picture {
    let line = |x: &[bool; LENGTH]| Picture {
        width: LENGTH,
        height: 1,
        channels: 1,
        data: x.map(|bit| if bit { 255 } else { 32 }).to_vec(),
    };
    grid(&x.iter().map(line).collect::<Vec<_>>(), 1).enlarged(6)
}

fn png(picture: &Picture) -> Result<Vec<u8>, Failure> {
    encode(picture).map_err(Failure::new)
}
