//! Models for the suite: random programs, every operator in every format, and the trained networks.

use mote_host::memory::AlignedBytes;
use mote_runtime::schedule::coefficients::Clip;
use mote_runtime::{Config, Model};
use mote_tests::checkpoints;
use mote_tests::random::Random;
use mote_tests::synthetic::{self, Form};
use mote_tools::quantize::scheme::Scheme;

use crate::programs::{factors_at_random, program};
use crate::suite::Problem;

fn config(file: &AlignedBytes, steps: u32) -> Config {
    Config::of(Model::parse(file.bytes()).expect("a valid model").header(), steps)
}

/// Small programs on every kind of window; each as converted, and with factors that are anything a valid file may hold.
pub fn random(seed: u64) -> Vec<Problem> {
    let mut random = Random(seed);
    let file = program(&mut random, seed);
    let wild = factors_at_random(&file, &mut random);
    [("as converted", file), ("factors at random", wild)]
        .map(|(what, file)| Problem {
            name: format!("program {seed}, {what}"),
            configs: vec![Config {
                eta_q16: if seed.is_multiple_of(2) { 0 } else { 40_000 },
                ..config(&file, 2)
            }],
            seeds: vec![seed, !seed, 3],
            file,
        })
        .into()
}

/// Every operator in a number format, with labels, guidance, noise and every clipping.
pub fn everything(form: Form) -> Problem {
    let file = AlignedBytes::copy_of(&synthetic::model(form));
    let plain = config(&file, 3);
    Problem {
        name: format!("every operator, {form:?}"),
        configs: vec![
            plain,
            Config {
                class: Some(1),
                guidance_q16: Some(3 << 16),
                eta_q16: 1 << 16,
                clip: Clip::Stock,
                ..plain
            },
            Config {
                class: Some(0),
                guidance_q16: Some(-70_000),
                clip: Clip::Rederived,
                ..plain
            },
        ],
        seeds: vec![0, u64::MAX, 0x1234_5678_9ABC_DEF0],
        file,
    }
}

/// A trained network.
pub fn trained(scheme: Scheme, large: bool, steps: u32, seeds: u64) -> Problem {
    let path = if large {
        checkpoints::fashion()
    } else {
        checkpoints::digits()
    };
    let file = AlignedBytes::copy_of(&checkpoints::converted(&path, scheme).emitted.bytes);
    Problem {
        name: format!(
            "{} {scheme}",
            path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
        ),
        configs: vec![Config {
            eta_q16: 1 << 15,
            ..config(&file, steps)
        }],
        seeds: (0..seeds).collect(),
        file,
    }
}
