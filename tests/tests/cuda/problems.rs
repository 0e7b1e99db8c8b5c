//! Models for the suite: random programs, every operator in every format, and the trained networks.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::sampler::{UNKNOWN, Variance};
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::schedule::spacing::PrevRule;
use mote_runtime::{Config, Method, Model};
use mote_tests::random::Random;
use mote_tests::running::METHODS;
use mote_tests::synthetic::{self, Form};
use mote_tests::{chains, checkpoints};
use mote_tools::emit::planned::planned;
use mote_tools::quantize::scheme::{Bits, Scheme};

use crate::programs::{factors_at_random, large, squares};
use crate::suite::Problem;

fn config(file: &AlignedBytes, steps: u32) -> Config {
    Config::of(Model::parse(file.bytes()).expect("a valid model").header(), steps)
}

/// Small programs on every kind of window; each as converted, and with factors that are anything a valid file may hold.
pub fn random(seed: u64) -> Vec<Problem> {
    let mut random = Random(seed);
    let file = squares(&mut random, seed);
    let wild = factors_at_random(&file, &mut random);
    [("as converted", file), ("factors at random", wild)]
        .map(|(what, file)| Problem {
            name: format!("program {seed}, {what}"),
            configs: vec![Config {
                eta_q16: if seed.is_multiple_of(2) { 0 } else { 40_000 },
                ..config(&file, 2)
            }],
            seeds: vec![seed, !seed, 3],
            known: None,
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
        known: None,
        file,
    }
}

/// Every sampler as a file plans it, with labels and guidance, and with a part of the image known.
pub fn plans() -> Vec<Problem> {
    let file = synthetic::model(Form::W8A8);
    let memory = AlignedBytes::copy_of(&file);
    let known = (0..sample_len(&memory)).map(|i| {
        if i % 3 == 1 {
            UNKNOWN
        } else {
            (i as i32 - 7) * 3_000_001
        }
    });
    let known: Vec<i32> = known.collect();
    let of_method = |method| {
        let config = Config {
            method,
            eta_q16: if method == Method::Ddim { 1 << 15 } else { 0 },
            class: Some(1),
            guidance_q16: Some(100_000),
            ..config(&memory, 4)
        };
        let made = planned(&file, &config).expect("the run can be planned");
        Problem {
            name: format!("{method:?}, planned"),
            file: AlignedBytes::copy_of(&made),
            configs: vec![config],
            seeds: vec![7, u64::MAX - 1],
            known: Some(known.clone()),
        }
    };
    METHODS.map(of_method).into()
}

/// Every sampler, clipped and not, with labels and guidance; and with a part of the image known, by those that draw noise and by those that
/// do not.
pub fn samplers() -> Vec<Problem> {
    let file = AlignedBytes::copy_of(&synthetic::model(Form::W8A8));
    let plain = config(&file, 4);
    let guided = Config {
        class: Some(1),
        guidance_q16: Some(100_000),
        ..plain
    };
    // diffusers' rule goes past the last of the list: Heun's method then calls the network twice in the last step as well.
    let stock = |config| Config {
        clip: Clip::Stock,
        clip_range_q24: 1 << 23,
        prev: PrevRule::Diffusers,
        ..config
    };
    let by = |method, config| Config { method, ..config };
    let small = Method::Ddpm(Variance::Small);
    let others = vec![
        by(small, plain),
        by(Method::Ddpm(Variance::Large), stock(guided)),
        by(Method::DpmSolver2M, stock(plain)),
        by(Method::DpmSolver2M, guided),
        by(Method::Heun, plain),
        by(Method::Heun, stock(guided)),
    ];
    let noisy = Config {
        eta_q16: 1 << 15,
        ..guided
    };
    let known = vec![
        noisy,
        by(small, stock(plain)),
        by(Method::DpmSolver2M, plain),
        by(Method::Heun, stock(guided)),
    ];
    let values = (0..sample_len(&file)).map(|i| {
        if i % 3 == 1 {
            UNKNOWN
        } else {
            (i as i32 - 7) * 3_000_001
        }
    });
    let values: Vec<i32> = values.collect();
    // Flow matching: a scaled input, and timesteps between two.
    let flow = AlignedBytes::copy_of(&synthetic::flow(Form::W8A8, 3.0));
    let between = config(&flow, 7);
    let clipped = Config {
        class: Some(1),
        guidance_q16: Some(100_000),
        clip: Clip::Stock,
        ..between
    };
    let problem = |name: &str, file: &AlignedBytes, configs, known| Problem {
        name: name.into(),
        file: AlignedBytes::copy_of(file.bytes()),
        configs,
        seeds: vec![7, u64::MAX - 1],
        known,
    };
    vec![
        problem("samplers", &file, others, None),
        problem("a part known", &file, known, Some(values.clone())),
        problem("flow matching", &flow, vec![between, clipped], None),
        problem("flow matching, a part known", &flow, vec![between], Some(values)),
    ]
}

fn sample_len(file: &AlignedBytes) -> usize {
    Model::parse(file.bytes()).expect("a valid model").header().sample_len()
}

/// The chains of 2015 with weights at random: all of their steps, and of bits any number.
pub fn chains(scheme: Scheme) -> Vec<Problem> {
    let problem = |(name, bytes): (&str, Vec<u8>)| {
        let file = AlignedBytes::copy_of(&bytes);
        let steps = Model::parse(file.bytes()).expect("a valid model").header().train_steps;
        let few = (name == "bits").then(|| config(&file, 7));
        Problem {
            name: format!("{name} {}", scheme.name()),
            configs: few.into_iter().chain([config(&file, steps)]).collect(),
            seeds: vec![0, 1 << 40],
            known: None,
            file,
        }
    };
    chains::all(scheme).map(problem).into()
}

/// Convolutions worth several warps, one of them of two activations that are joined before it.
pub fn joined() -> Problem {
    let file = large(Bits::Eight);
    Problem {
        name: "joined activations".into(),
        configs: vec![config(&file, 1)],
        seeds: vec![5],
        known: None,
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
        known: None,
        file,
    }
}
