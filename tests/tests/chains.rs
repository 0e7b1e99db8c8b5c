//! The chains of 2015: the same bits on every backend, and the probabilities of the kernels that they are made from.

use mote_chain::binomial::{Binomial, Span, sigmoid};
use mote_chain::heartbeat::Heartbeat;
use mote_chain::swiss_roll::SwissRoll;
use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Image, ImageOptions, RunRequest};
use mote_oracle::Oracle;
use mote_runtime::internals::schedule::chain::{BIT_Q24, BitStep, KernelStep, deviation_q30};
use mote_runtime::{Arena, Config, Model, RunError, Sampler, Start};
use mote_tests::boards::board;
use mote_tests::chains::{self, BIT_STEPS, chance};
use mote_tests::parts::Parts;
use mote_tests::running::{Finished, finish};
use mote_tools::Validation;
use mote_tools::backend::oracle::{request, start as start_of};
use mote_tools::backend::{Backend, OpenModel, Sampling};
use mote_tools::chain::convert::convert;
use mote_tools::chain::files::Chain;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::exactness;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

fn each(mut check: impl FnMut(&str, &Model<'_>, &[u8])) {
    for scheme in chains::SCHEMES {
        for (name, file) in chains::all(scheme) {
            let memory = AlignedBytes::copy_of(&file);
            let model = Model::parse(memory.bytes()).expect("the model is valid");
            check(&format!("{name} {}", scheme.name()), &model, memory.bytes());
        }
    }
}

fn config(model: &Model<'_>, seed: u64) -> Config {
    Config {
        seed,
        ..Config::of(model.header(), model.header().train_steps)
    }
}

fn digests(run: &Finished) -> Vec<u64> {
    run.steps.iter().map(|step| step.digest).collect()
}

/// First half of the SHA-256 of the small chains' files. They move with the numeric version, the file format, the quantizer and the
/// converter's version.
const GOLDEN: [(&str, &str); 6] = [
    ("bits f16", "b89d04628d9145ffbe351f3b7a12b328"),
    ("plane f16", "e8162ff50fac5a841c2f690e61bbc414"),
    ("bits w8a16", "19c1a90033e722f3b423a47f72482f92"),
    ("plane w8a16", "c6126375352314a73d124c05dbeb435e"),
    ("bits w16a16", "7c33512a5b213e64e9ecb845d2ebabbc"),
    ("plane w16a16", "59caf7e2c2ab7cc273362480ea49a7b7"),
];

#[test]
fn conversion_gives_the_golden_bytes() {
    let mut found = Vec::new();
    each(|name, _, bytes| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        found.push((name.to_owned(), hex[..32].to_owned()));
    });
    let found: Vec<(&str, &str)> = found.iter().map(|(name, sha)| (name.as_str(), sha.as_str())).collect();
    assert_eq!(found, GOLDEN);
}

#[test]
fn the_oracle_the_runtime_and_the_engine_give_the_same_bits() {
    each(|name, model, bytes| {
        let len = model.header().sample_len();
        let given: Vec<i32> = (0..len as i32).map(|i| (i - 3) * (1 << 23)).collect();
        let image = Start::Image {
            image_q24: &given,
            strength_q16: 30_000,
        };
        let oracle = Oracle::new(bytes).expect("the oracle reads it");
        for (seed, start) in [Start::Seed, Start::Noise(&given), image].iter().enumerate() {
            let config = config(model, seed as u64);
            let here = finish(model, &config, start).expect("the run is valid");
            let mut theirs = Vec::new();
            let state = oracle
                .run(&request(&config), &start_of(start), &mut |step| {
                    theirs.push(step.digest)
                })
                .expect("it runs");
            assert_eq!(digests(&here), theirs, "{name}, start {seed}");
            assert_eq!(here.state, state, "{name}, start {seed}");
        }
        let sampling = Sampling::of_seeds(config(model, 0), [0, 9]);
        let traces = Backend::Cpu
            .run(OpenModel { model, bytes }, &sampling, &|| {})
            .expect("it runs");
        for trace in traces {
            let here = finish(model, &config(model, trace.seed), &Start::Seed).expect("the run is valid");
            let found: Vec<u64> = trace.steps.iter().map(|step| step.digest).collect();
            assert_eq!(found, digests(&here), "{name}, engine, seed {}", trace.seed);
        }
    });
}

#[test]
fn a_wrong_rounding_in_what_only_chains_have_is_found() {
    for (kind, which) in [("readout", 0), ("softmax", 1), ("sampler", 1)] {
        let (_, file) = &chains::all(Scheme::W8A16)[which];
        let memory = AlignedBytes::copy_of(file);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let sampling = Sampling::of_seeds(config(&model, 0), 0..4);
        let opened = OpenModel {
            model: &model,
            bytes: memory.bytes(),
        };
        let [right, wrong] = [None, Some(kind)].map(|fault| {
            Backend::Oracle(fault).run(
                opened,
                &Sampling {
                    operators: true,
                    ..sampling.clone()
                },
                &|| {},
            )
        });
        assert!(right.expect("it runs") != wrong.expect("it runs"), "{kind}");
    }
}

#[test]
fn every_fault_is_found_in_every_chain() {
    each(|name, model, bytes| {
        let opened = OpenModel { model, bytes };
        let kinds: BTreeSet<&str> = model.ops().map(|op| op.kind()).chain(["sampler"]).collect();
        for kind in kinds {
            let validation = Validation {
                seeds: 1,
                backends: vec![Backend::Cpu],
                fault: Some(kind.to_owned()),
                ..Validation::default()
            };
            let runs = validation.runs(opened).expect("the model has such an operator");
            let outcomes = exactness(opened, &runs, &|_| {}).expect("everything runs");
            let (broken, right): (Vec<_>, Vec<_>) = outcomes.iter().partition(|o| o.name.contains("broken"));
            assert!(right.iter().all(|outcome| outcome.held), "{name}, {kind}: {right:?}");
            let found = broken[0].first_divergence.as_ref();
            let operator = &found.unwrap_or_else(|| panic!("{name}, {kind}")).operator;
            let named = operator == kind || operator.ends_with(&format!("({kind})"));
            assert!(named, "{name}: {operator}, not {kind}");
        }
    });
}

#[test]
fn a_fault_in_what_a_chain_lacks_is_an_error() {
    let [(_, file), _] = chains::all(Scheme::W8A16);
    let memory = AlignedBytes::copy_of(&file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let opened = OpenModel {
        model: &model,
        bytes: memory.bytes(),
    };
    let validation = Validation {
        fault: Some("attention".to_owned()),
        ..Validation::default()
    };
    let error = validation.runs(opened).expect_err("it has no attention");
    let advice = error.advice().unwrap_or_default();
    assert!(
        error.to_string().contains("'attention'") && advice.contains("conv, input, readout, silu, sampler"),
        "{error}: {advice}"
    );
}

#[test]
fn a_run_resumes_after_any_step_to_the_same_bits() {
    each(|name, model, _| {
        let config = config(model, 4);
        let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
        for after in [0, 1, 17, 39] {
            let mut memory = AlignedBytes::for_run(model, &config);
            let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
            let mut run = Sampler::new(model, &mut arena, &config, &Start::Seed).expect("the run is valid");
            for _ in 0..after {
                run.step().expect("the step runs");
            }
            let mut saved = vec![0; Sampler::snapshot_bytes(model, &config)];
            let len = run.snapshot(&mut saved).expect("there is room");
            let mut memory = AlignedBytes::for_run(model, &config);
            let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
            let mut run = Sampler::resume(model, &mut arena, &saved[..len]).expect("the snapshot is genuine");
            while run.step().expect("the step runs").is_some() {}
            assert_eq!(run.state(), whole.state, "{name} after {after}");
        }
    });
}

#[test]
fn a_gaussian_chain_takes_all_of_its_steps_and_a_binomial_one_any_number() {
    each(|name, model, _| {
        let config = Config::of(model.header(), 10);
        let run = finish(model, &config, &Start::Seed);
        if name.starts_with("bits") {
            let run = run.expect("any number of steps");
            assert_eq!(run.steps.len(), 10);
            assert!(run.state.iter().all(|x| x.abs() == BIT_Q24));
        } else {
            let refused = RunError::ChainSteps { found: 10, needed: 40 };
            assert_eq!(run, Err(refused));
        }
    });
}

/// Its outputs are means and variances, twice as many as a state has elements.
#[test]
fn a_gaussian_chain_is_not_guided_even_where_its_file_names_a_null_class() {
    let [_, (_, file)] = chains::all(Scheme::W8A16);
    let mut parts = Parts::of(&file);
    let mut header = *Model::parse(AlignedBytes::copy_of(&file).bytes())
        .expect("the model is valid")
        .header();
    (header.classes, header.null_class) = (1, Some(0));
    parts.set_header(&header);
    let memory = AlignedBytes::copy_of(&parts.file());
    let model = Model::parse(memory.bytes()).expect("a null class is no fault");
    let guided = Config {
        guidance_q16: Some(1 << 17),
        ..config(&model, 0)
    };
    assert_eq!(
        finish(&model, &guided, &Start::Seed),
        Err(RunError::GuidanceUnsupported)
    );
}

/// Without a network's opinion both chains stay in equilibrium, whatever the number of steps.
#[test]
fn untrained_chains_draw_from_the_prior() {
    let model_of = |chain: Chain| {
        let converted = convert(&chain, Scheme::W8A16, None, "").expect("it is converted");
        converted.emitted.bytes
    };
    let samples = |file: &[u8], count: u64| -> Vec<i32> {
        let memory = AlignedBytes::copy_of(file);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let state = |seed| {
            finish(&model, &config(&model, seed), &Start::Seed)
                .expect("the run is valid")
                .state
        };
        (0..count).flat_map(state).collect()
    };
    let bits = samples(&model_of(Chain::Heartbeat(Heartbeat::new(BIT_STEPS, 0).unwrap())), 400);
    let ones = bits.iter().filter(|x| **x > 0).count() as f64 / bits.len() as f64;
    assert!((ones - 0.2).abs() < 0.018, "{ones}: four standard errors");
    let mut roll = SwissRoll::new(0);
    roll.rbf.readout.fill(0.0);
    roll.rbf.bias.fill(0.0);
    let points = samples(&model_of(Chain::SwissRoll(roll)), 400);
    let real: Vec<f64> = points.iter().map(|x| f64::from(*x) / 16_777_216.0).collect();
    let mean = real.iter().sum::<f64>() / real.len() as f64;
    let variance = real.iter().map(|x| x * x).sum::<f64>() / real.len() as f64;
    assert!(
        mean.abs() < 0.15 && (variance - 1.0).abs() < 0.2,
        "{mean} {variance}: four standard errors"
    );
}

#[test]
fn the_device_s_bits_have_the_probabilities_of_the_kernel() {
    let chain = Binomial::linear(2000, 0.2);
    let q62 = |alpha: f64| (alpha * (1u64 << 62) as f64).round() as u64;
    let prior_q31 = (0.2 * 2_147_483_648.0f64).round() as u32;
    let mut worst = 0.0f64;
    for (from, to) in [
        (0, 1),
        (1, 2),
        (9, 10),
        (99, 100),
        (999, 1000),
        (1999, 2000),
        (0, 50),
        (400, 700),
        (1000, 2000),
    ] {
        let step = BitStep::new(q62(chain.alpha[to]), q62(chain.alpha[from]), prior_q31);
        for f in [-30.0, -9.0, -3.0, -0.5, 0.0, 0.5, 3.0, 9.0, 30.0f64] {
            let out_q24 = (f * 16_777_216.0).round() as i32;
            for set in [false, true] {
                let exact = sigmoid(chain.reverse(Span { from, to }, set, f).0);
                let error = (chance(|word| step.apply(set, out_q24, word)) - exact).abs();
                worst = worst.max(error);
                assert!(
                    error < 1e-4 * exact.min(1.0 - exact) + 2e-6,
                    "{from} {to} {f} {set}: {error} of {exact}"
                );
            }
        }
    }
    println!("largest error of a probability: {worst:.2e}");
}

#[test]
fn the_device_s_points_have_the_kernel_s_mean_and_deviation() {
    let unit = 16_777_216.0;
    for v in [-12.0, -7.0, -2.0, -0.1, 0.0, 0.3, 4.0, 20.0] {
        let exact = sigmoid(v).sqrt();
        let found = f64::from(deviation_q30((v * unit) as i32)) / f64::from(1 << 30);
        assert!((found / exact - 1.0).abs() < 2e-5, "{v}: {found} {exact}");
    }
    let (now, next) = (0.3, 0.5);
    let q62 = |alpha: f64| (alpha * (1u64 << 62) as f64).round() as u64;
    let step = KernelStep::new(q62(now), q62(next));
    for (x, m, v, z) in [(0.5, 1.0, -3.0, 0.7), (-2.0, 0.1, 1.0, -1.5), (0.0, -3.0, 0.0, 0.0)] {
        let [a, b, c, d] = [x, m, v, z].map(|v: f64| (v * unit).round() as i32);
        let exact = (now / next).sqrt() * x + (1.0 - now / next).sqrt() * m + sigmoid(v).sqrt() * z;
        let found = f64::from(step.apply(a, b, c, d)) / unit;
        assert!((found - exact).abs() < 4e-5, "{found} {exact}");
    }
}

#[test]
fn the_microbit_gives_the_same_bits() {
    let Some(board) = board("microbit") else { return };
    for (name, file) in chains::all(Scheme::W8A16) {
        let memory = AlignedBytes::copy_of(&file);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let config = config(&model, 6);
        let here = finish(&model, &config, &Start::Seed).expect("the run is valid");
        let options = ImageOptions {
            parts: Some(mote_firmware_sim::Parts::needed_by(&model)),
            ..ImageOptions::default()
        };
        let report = Image::link(board, &file, &options).and_then(|image| image.run(&RunRequest::new(config, [6])));
        let report = report.unwrap_or_else(|error| panic!("{error}"));
        let there: Vec<u64> = report.images[0].steps.iter().map(|step| step.digest).collect();
        assert_eq!(there, digests(&here), "{name}");
    }
}
