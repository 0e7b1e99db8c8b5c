//! Evaluation of the chains of 2015.

use super::Args;
use crate::failure::Failure;
use crate::print::{self, Verdict, heading, table};
use crate::progress;
use mote_chain::bound::Bound;
use mote_chain::heartbeat::{Heartbeat, LENGTH, is_valid};
use mote_graph::float::FloatError;
use mote_runtime::Config;
use mote_runtime::internals::schedule::coefficients::Prediction;
use mote_tools::ModelFile;
use mote_tools::backend::{Backend, Sampling};
use mote_tools::chain::files::Chain;
use mote_tools::chain::model::heartbeat_bound;
use serde_json::{Value, json};
use std::path::Path;

/// One chain's numbers, of the float network or of a model file.
struct Measured {
    bound: Bound,
    valid: Option<f64>,
}

/// Measures and prints.
pub fn run(args: &Args, folder: &Path) -> Result<Verdict, Failure> {
    let (chain, facts) = Chain::read(folder).map_err(|error| {
        Failure::coded(mote_tools::ErrorKind::Input, error).help("train it again: `mote train --preset`")
    })?;
    let file = args.model.as_deref().map(ModelFile::open).transpose()?;
    match (&file, &chain) {
        (Some(file), Chain::Heartbeat(h)) => suits(h, file)?,
        (Some(_), Chain::SwissRoll(_)) => {
            return Err(Failure::usage("--model measures models of the heartbeat only").help("leave --model out"));
        }
        (None, _) => {}
    }
    let (draws, samples) = (draws(args), samples(args));
    let failed = |error: FloatError| Failure::new(format_args!("the evaluation failed: {error}"));
    let measured = match &chain {
        Chain::Heartbeat(h) => Measured {
            bound: h.bound(draws, args.seed).map_err(failed)?,
            valid: Some(valid(&h.sample(samples, args.seed, &[0.0; LENGTH]).map_err(failed)?)),
        },
        Chain::SwissRoll(s) => Measured {
            bound: s.bound(draws, args.seed).map_err(failed)?,
            valid: None,
        },
    };
    let of_model = match (&file, &chain) {
        (Some(file), Chain::Heartbeat(h)) => Some(of_model(args, h, file)?),
        _ => None,
    };
    if args.json {
        let mut object = object(&measured, samples);
        object["folder"] = folder.display().to_string().into();
        object["preset"] = facts.preset.into();
        object["steps"] = facts.steps.into();
        object["seed"] = args.seed.into();
        object["draws"] = draws.into();
        object["model"] = of_model.as_ref().map_or(Value::Null, |m| self::object(m, samples));
        print::json(&object)?;
    } else {
        let mut text = format!(
            "{}\n{}",
            heading(&folder.display().to_string()),
            rows(&measured, samples)
        );
        if let (Some(path), Some(of_model)) = (&args.model, &of_model) {
            text += &format!(
                "\n{}\n{}",
                heading(&path.display().to_string()),
                rows(of_model, samples)
            );
        }
        print::text(&text)?;
    }
    Ok(Verdict::Yes)
}

/// Draws of every step that K is measured on.
fn draws(args: &Args) -> usize {
    args.draws.map_or(2000, |n| n as usize)
}

/// Samples whose validity is counted.
fn samples(args: &Args) -> usize {
    args.samples.map_or(10_000, |n| n as usize)
}

/// Whether the file is of such a chain as `h`: asked before anything is measured.
fn suits(h: &Heartbeat, file: &ModelFile) -> Result<(), Failure> {
    let header = file.model().header();
    let fits = matches!(header.prediction, Prediction::Bits { .. }) && header.sample_len() == LENGTH;
    if !fits || header.train_steps as usize != h.chain.steps() {
        return Err(
            Failure::new(format_args!("{} is no model of this chain", file.path().display()))
                .help("give what `mote convert` made of the folder"),
        );
    }
    Ok(())
}

/// The model file's own chain: its network's outputs under the same bound, its sampler's bits.
fn of_model(args: &Args, h: &Heartbeat, file: &ModelFile) -> Result<Measured, Failure> {
    let model = file.model();
    // The network costs more here than in float: K's error is small with far fewer draws.
    let bound = heartbeat_bound(model, &h.chain, (draws(args) / 20).max(2), args.seed)?;
    Ok(Measured {
        bound,
        valid: Some(valid(&sampled(file, args)?)),
    })
}

fn sampled(file: &ModelFile, args: &Args) -> Result<Vec<[bool; LENGTH]>, Failure> {
    let header = file.model().header();
    let config = Config::of(header, header.train_steps);
    let seeds = (0..samples(args) as u64).map(|i| args.seed.wrapping_add(i));
    let sampling = Sampling::of_seeds(config, seeds);
    let bar = progress::bar("sampling", samples(args) as u64 * u64::from(config.steps));
    let traces = Backend::Cpu.run(file.opened(), &sampling, &|| bar.inc(1))?;
    bar.finish_and_clear();
    let row = |state: &[i32]| core::array::from_fn(|i| state.get(i).is_some_and(|x| *x > 0));
    Ok(traces.iter().map(|trace| row(&trace.state)).collect())
}

fn valid(samples: &[[bool; LENGTH]]) -> f64 {
    samples.iter().filter(|x| is_valid(*x)).count() as f64 / samples.len() as f64
}

fn object(m: &Measured, samples: usize) -> Value {
    json!({
        "k_bits": m.bound.k_bits, "standard_error_bits": m.bound.standard_error_bits,
        "l_null_bits": m.bound.l_null_bits, "k_minus_l_null_bits": m.bound.k_bits - m.bound.l_null_bits,
        "terms": {
            "divergence_bits": m.bound.divergence_bits, "entropy_last_bits": m.bound.entropy_last_bits,
            "entropy_first_bits": m.bound.entropy_first_bits, "entropy_prior_bits": m.bound.entropy_prior_bits,
        },
        "valid_fraction": m.valid, "samples": m.valid.map(|_| samples),
    })
}

fn rows(m: &Measured, samples: usize) -> String {
    let bits = |label: &str, value: f64| vec![label.to_owned(), format!("{value:.4} bits")];
    let b = &m.bound;
    let mut rows = vec![
        vec![
            "K".to_owned(),
            format!("{:.4} bits, standard error {:.4}", b.k_bits, b.standard_error_bits),
        ],
        bits("L_null", b.l_null_bits),
        bits("K - L_null", b.k_bits - b.l_null_bits),
        bits("divergences, t >= 2", b.divergence_bits),
        bits("H_q(X_T | X_0)", b.entropy_last_bits),
        bits("H_q(X_1 | X_0)", b.entropy_first_bits),
        bits("H_p(X_T)", b.entropy_prior_bits),
    ];
    if let Some(valid) = m.valid {
        rows.push(vec![
            "valid".to_owned(),
            format!("{:.2} % of {samples} samples", 100.0 * valid),
        ]);
    }
    table(&rows)
}
