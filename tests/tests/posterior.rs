//! What is known of a chain of 2015, as a second factor of its steps: the same bits everywhere, and the kernels that it makes.

use mote_chain::binomial::{Binomial, Span, sigmoid};
use mote_chain::condition::{Known, known_bit, seen_bit};
use mote_chain::heartbeat::LENGTH;
use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Firmware, Image, ImageOptions, Parts, RunRequest};
use mote_runtime::internals::sampler::UNKNOWN;
use mote_runtime::internals::schedule::chain::{BitStep, KernelStep, bit_q24};
use mote_runtime::internals::schedule::posterior::{INFINITE_Q24, MOST_FLIP_Q31, SeenBit, SeenValue};
use mote_runtime::{Arena, Config, Feature, Model, Poll, Run, RunError, Sampler, Start};
use mote_tests::boards::board;
use mote_tests::chains::{self, chance};
use mote_tests::checkpoints::{converted, digits};
use mote_tests::random::Random;
use mote_tests::running::finish;
use mote_tools::backend::{Backend, ImageRequest, OpenModel, Origin, Sampling, Trace};
use mote_tools::quantize::scheme::Scheme;
use mote_tools::{ErrorKind, Request, SecondFactor, Validation};

const UNIT: f64 = 16_777_216.0;
const Q31: f64 = 2_147_483_648.0;

fn each(schemes: &[Scheme], mut check: impl FnMut(&str, OpenModel<'_>)) {
    for scheme in schemes {
        for (name, file) in chains::all(*scheme) {
            let memory = AlignedBytes::copy_of(&file);
            let model = Model::parse(memory.bytes()).expect("the model is valid");
            let opened = OpenModel {
                model: &model,
                bytes: memory.bytes(),
            };
            check(&format!("{name} {}", scheme.name()), opened);
        }
    }
}

fn is_bits(name: &str) -> bool {
    name.starts_with("bits")
}

fn config(model: &Model<'_>, seed: u64) -> Config {
    Config {
        seed,
        ..Config::of(model.header(), model.header().train_steps)
    }
}

/// Some elements of a sample, drawn: values beyond what a state can be among them.
fn drawn(random: &mut Random, len: usize) -> Vec<i32> {
    let one = |random: &mut Random| match random.below(4) {
        0 => UNKNOWN,
        1 => (f64::from(random.unit()) * 2.0 * UNIT) as i32,
        2 => (f64::from(random.unit()) * 2_147_000_000.0) as i32,
        _ => bit_q24(random.below(2) == 0),
    };
    (0..len).map(|_| one(random)).collect()
}

/// From nothing known to all, with levels at both ends of their range.
fn levels(name: &str) -> [u32; 6] {
    if is_bits(name) {
        [0, 1, 1 << 20, 322_122_547, MOST_FLIP_Q31 - 1, MOST_FLIP_Q31]
    } else {
        [0, 1, 1 << 16, 3_355_443, u32::MAX - 1, INFINITE_Q24]
    }
}

/// Digests of the steps of a run with `seen` known, and its states: x_T first.
fn states(
    model: &Model<'_>,
    config: &Config,
    start: &Start<'_>,
    seen: &[i32],
    noise: u32,
) -> (Vec<u64>, Vec<Vec<i32>>) {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(model, &mut arena, config, start).expect("the run is valid");
    run.posterior(seen, noise).expect("it fits");
    let (mut digests, mut states) = (vec![], vec![run.state().to_vec()]);
    while let Some(step) = run.step().expect("the step runs") {
        digests.push(step.digest);
        states.push(run.state().to_vec());
    }
    (digests, states)
}

fn traced(trace: &Trace) -> Vec<u64> {
    trace.steps.iter().map(|step| step.digest).collect()
}

#[test]
fn runtime_engine_and_oracle_give_the_same_bits_whatever_is_known() {
    let mut random = Random(11);
    each(&chains::SCHEMES, |name, opened| {
        let model = opened.model;
        let len = model.header().sample_len();
        let given: Vec<i32> = (0..len as i32).map(|i| (i - 3) * (1 << 23)).collect();
        let image = |strength_q16| Origin::Image {
            image_q24: given.as_slice().into(),
            strength_q16,
        };
        let origins = [Origin::Noise(given.clone()), image(30_000), image(1 << 16)];
        let origins = [Origin::Seed, Origin::Seed, Origin::Seed, Origin::Seed, Origin::Seed]
            .into_iter()
            .chain(origins);
        let images: Vec<ImageRequest> = origins
            .zip(0..)
            .map(|(origin, seed)| ImageRequest {
                seed,
                origin,
                condition: None,
            })
            .collect();
        for noise in levels(name) {
            let sampling = Sampling {
                images: images.clone(),
                known: Some(drawn(&mut random, len)),
                known_noise: noise,
                ..Sampling::of_seeds(config(model, 0), [])
            };
            let [engine, portable, oracle] = [Backend::Cpu, Backend::Portable, Backend::Oracle(None)]
                .map(|backend| backend.run(opened, &sampling, &|| {}).expect("it runs"));
            assert_eq!(engine, portable, "{name}, noise {noise}");
            assert_eq!(engine, oracle, "{name}, noise {noise}");
        }
    });
}

#[test]
fn the_boards_give_the_same_bits() {
    for (name, firmware) in [("microbit", Firmware::Fast), ("mps2-an386", Firmware::Compact)] {
        let Some(board) = board(name) else { return };
        each(&[Scheme::W8A16], |name, opened| {
            let known = vec![1 << 24, UNKNOWN, -(1 << 23)].into_iter().cycle();
            let noise = levels(name)[3];
            let sampling = Sampling {
                known: Some(known.take(opened.model.header().sample_len()).collect()),
                known_noise: noise,
                ..Sampling::of_seeds(config(opened.model, 0), [6, 7])
            };
            let here = Backend::Cpu.run(opened, &sampling, &|| {}).expect("it runs");
            let there = Backend::Board(board, firmware).run(opened, &sampling, &|| {});
            let there = there.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(
                here.iter().map(traced).collect::<Vec<_>>(),
                there.iter().map(traced).collect::<Vec<_>>(),
                "{name}"
            );
        });
    }
}

/// A firmware for a chain has no second factor unless it is asked for.
#[test]
fn a_firmware_without_the_part_does_not_understand_the_request() {
    let Some(board) = board("microbit") else { return };
    let (_, file) = &chains::all(Scheme::W8A16)[1];
    let memory = AlignedBytes::copy_of(file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let parts = Parts::needed_by(&model);
    assert!(!parts.features().contains(&Feature::Posterior));
    let request = RunRequest {
        seen: Some(0),
        ..RunRequest::new(config(&model, 1), [1])
    };
    assert_eq!(request.features(), [Feature::Posterior]);
    let options = ImageOptions {
        parts: Some(parts),
        state: vec![1 << 24, UNKNOWN],
        ..ImageOptions::default()
    };
    let error = Image::link(board, file, &options).and_then(|image| image.run(&request));
    let error = error.expect_err("the part is missing").to_string();
    assert!(error.contains("Token"), "{error}");
}

#[test]
fn what_is_known_exactly_is_pinned_and_what_is_known_to_nothing_changes_nothing() {
    each(&[Scheme::W16A16], |name, opened| {
        let (model, mut random) = (opened.model, Random(5));
        for seed in 0..8 {
            let config = config(model, seed);
            let seen = drawn(&mut random, model.header().sample_len());
            let (_, known) = states(model, &config, &Start::Seed, &seen, 0);
            assert_eq!(known.len(), config.steps as usize + 1);
            for (state, i) in known.iter().flat_map(|state| (0..seen.len()).map(move |i| (state, i))) {
                let pinned = if is_bits(name) {
                    bit_q24(seen[i] > 0)
                } else {
                    seen[i].clamp(-(1 << 30), 1 << 30)
                };
                assert!(
                    seen[i] == UNKNOWN || state[i] == pinned,
                    "{name}: {} for {}",
                    state[i],
                    seen[i]
                );
            }
            let free = finish(model, &config, &Start::Seed).expect("the run is valid");
            let free: Vec<u64> = free.steps.iter().map(|step| step.digest).collect();
            for (seen, noise) in [(seen, levels(name)[5]), (vec![UNKNOWN; model.header().sample_len()], 0)] {
                assert_eq!(states(model, &config, &Start::Seed, &seen, noise).0, free, "{name}");
            }
        }
    });
}

#[test]
fn a_run_is_saved_taken_up_and_split_with_what_is_known_to_the_same_bits() {
    each(&[Scheme::W8A16], |name, opened| {
        let (model, noise) = (opened.model, levels(name)[3]);
        let (config, seen) = (config(model, 4), drawn(&mut Random(3), model.header().sample_len()));
        let (digests, whole) = states(model, &config, &Start::Seed, &seen, noise);
        for after in [0, 1, 17, 39] {
            let mut memory = AlignedBytes::for_run(model, &config);
            let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
            let mut run = Sampler::new(model, &mut arena, &config, &Start::Seed).expect("the run is valid");
            run.posterior(&seen, noise).expect("it fits");
            run.posterior(&seen, noise).expect("the same once more changes nothing");
            for _ in 0..after {
                run.step().expect("the step runs");
            }
            let mut saved = vec![0; Sampler::snapshot_bytes(model, &config)];
            let len = run.snapshot(&mut saved).expect("there is room");
            let mut memory = AlignedBytes::for_run(model, &config);
            let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
            let mut run = Sampler::resume(model, &mut arena, &saved[..len]).expect("the snapshot is genuine");
            assert_eq!(
                run.step(),
                Err(RunError::KnownImage),
                "{name}: it waits for what is known"
            );
            assert_eq!(run.posterior(&seen, noise + 1), Err(RunError::KnownImage), "{name}");
            run.posterior(&seen, noise).expect("it is what was known");
            while let Some(mut step) = run.begin_step().expect("a step begins") {
                while !run.run_operators(&mut step, 1).expect("an operator runs") {}
                run.finish_step(step).expect("the step ends");
            }
            assert_eq!(
                Some(run.state()),
                whole.last().map(Vec::as_slice),
                "{name} after {after}"
            );
        }
        let model = Model::parse(opened.bytes).expect("the model is valid");
        let mut memory = AlignedBytes::for_run(opened.model, &config);
        let mut run = Run::new(model, memory.bytes_mut());
        run.start(&config, &Start::Seed).expect("the run is valid");
        run.posterior(&seen, noise).expect("it fits");
        assert_eq!(
            run.posterior(&seen[1..], noise)
                .map_err(|e| matches!(e, RunError::Length { .. })),
            Err(true)
        );
        let mut found = vec![];
        loop {
            match run.poll(1).expect("an operator runs") {
                Poll::Finished => break,
                Poll::Step(step) => found.push(step.digest),
                Poll::Operators => assert_eq!(run.posterior(&seen, noise), Err(RunError::StepBegun)),
            }
        }
        assert_eq!(found, digests, "{name}");
    });
}

/// The tolerance is that of a step without a factor. An error of the rarer bit's weight grows by the factor's odds.
#[test]
fn the_device_s_bits_have_the_probabilities_of_kernel_times_factor() {
    let chain = Binomial::linear(2000, 0.2);
    let q62 = |alpha: f64| (alpha * (1u64 << 62) as f64).round() as u64;
    let prior_q31 = (0.2 * Q31).round() as u32;
    for (from, to) in [(0, 1), (1, 2), (99, 100), (1999, 2000), (0, 50), (1000, 2000)] {
        let step = BitStep::new(q62(chain.alpha[to]), q62(chain.alpha[from]), prior_q31);
        for flip in [1e-3, 0.05, 0.15, 0.4, 0.4999] {
            let flip_q31 = (flip * Q31).round() as u32;
            let odds = (1.0 - flip) / flip;
            for (seen, set) in [(false, false), (false, true), (true, false), (true, true)] {
                let factor = SeenBit { set: seen, flip_q31 };
                for f in [-30.0, -3.0, -0.5, 0.0, 0.5, 3.0, 30.0f64] {
                    let out = (f * UNIT).round() as i32;
                    let exact = sigmoid(chain.reverse(Span { from, to }, set, f).0 + seen_bit(seen, flip));
                    let found = chance(|word| factor.apply(&step, set, out, word));
                    let bound = 1e-4 * exact.min(1.0 - exact) + 2e-6 * odds;
                    assert!(
                        (found - exact).abs() < bound,
                        "{from} {to} {flip} {seen} {set} {f}: {found}, not {exact}"
                    );
                }
            }
            for seen in [false, true] {
                // x_T: a draw of the prior, then the move.
                let factor = SeenBit { set: seen, flip_q31 };
                let [from_zero, from_one] = [false, true].map(|drawn| {
                    let moved = chance(|word| factor.start(drawn, prior_q31, word) == seen);
                    if drawn == seen { 1.0 } else { moved }
                });
                let found = 0.8 * from_zero + 0.2 * from_one;
                let prior = if seen { 0.2 } else { 0.8 };
                let exact = prior * (1.0 - flip) / (prior * (1.0 - flip) + (1.0 - prior) * flip);
                assert!((found - exact).abs() < 1e-8, "{flip} {seen}: {found}, not {exact}");
            }
        }
    }
    assert_eq!(
        known_bit(Some(true)),
        f64::INFINITY,
        "level 0, which is pinned elsewhere"
    );
}

#[test]
fn the_device_s_values_have_mean_and_deviation_of_kernel_times_factor() {
    let (now, next) = (0.3, 0.5);
    let q62 = |alpha: f64| (alpha * (1u64 << 62) as f64).round() as u64;
    let step = KernelStep::new(q62(now), q62(next));
    let q24 = |v: f64| (v * UNIT).round() as i32;
    let real = |v: i32| f64::from(v) / UNIT;
    for (x, m, v) in [
        (0.5, 1.0, -3.0),
        (-2.0, 0.1, 1.0),
        (0.0, -3.0, 0.0),
        (0.7, 0.2, -12.0),
        (1.0, 1.0, 20.0),
    ] {
        for deviation in [1e-4, 0.01, 0.2, 1.0, 7.0, 200.0] {
            for value in [-1.5, 0.0, 0.9, 30.0] {
                let seen = SeenValue {
                    value_q24: q24(value),
                    deviation_q24: (deviation * UNIT).round() as u32,
                };
                let deviation = f64::from(seen.deviation_q24) / UNIT;
                let mean = (now / next).sqrt() * x + (1.0 - now / next).sqrt() * m;
                let (exact, variance) = Known::Near(value, deviation).times(mean, sigmoid(v));
                let drawn = |z: f64| real(seen.apply(&step, [q24(x), q24(m), q24(v), q24(z)]));
                let off = 4e-5 * (value - mean).abs() + 1e-6;
                assert!(
                    (drawn(0.0) - exact).abs() < off,
                    "{deviation} {value}: {} {exact}",
                    drawn(0.0)
                );
                let (found, spread) = ((drawn(3.0) - drawn(-3.0)) / 6.0, variance.sqrt());
                assert!(
                    (found - spread).abs() < 4e-5 * spread + 1e-7,
                    "{deviation} {v}: {found} {spread}"
                );
                let (exact, variance) = Known::Near(value, deviation).times(0.0, 1.0);
                let found = real(seen.start(q24(1.25)));
                assert!(
                    (found - exact - 1.25 * variance.sqrt()).abs() < 1e-6 * (1.0 + value.abs()),
                    "{found}"
                );
            }
        }
    }
}

/// The host's own chains in floats, sampled with other random numbers: their moments are held to five standard errors.
#[test]
fn whole_runs_have_the_moments_of_the_host_s_float_chains() {
    const COUNT: usize = 1500;
    let states = |which: usize, seen: Vec<i32>, noise: u32| -> Vec<Vec<i32>> {
        let (_, file) = &chains::all(Scheme::W16A16)[which];
        let memory = AlignedBytes::copy_of(file);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let opened = OpenModel {
            model: &model,
            bytes: memory.bytes(),
        };
        let sampling = Sampling {
            known: Some(seen),
            known_noise: noise,
            ..Sampling::of_seeds(config(&model, 0), 0..COUNT as u64)
        };
        let traces = Backend::Cpu.run(opened, &sampling, &|| {}).expect("it runs");
        traces.into_iter().map(|trace| trace.state).collect()
    };
    let truth: [bool; LENGTH] = core::array::from_fn(|i| i % 3 == 0);
    let seen: Vec<i32> = (0..LENGTH)
        .map(|i| if i % 2 == 0 { bit_q24(truth[i]) } else { UNKNOWN })
        .collect();
    for flip in [0.0, 0.15] {
        let factor = core::array::from_fn(|i| match i % 2 {
            0 if flip == 0.0 => known_bit(Some(truth[i])),
            0 => seen_bit(truth[i], flip),
            _ => known_bit(None),
        });
        let here = states(0, seen.clone(), (flip * Q31).round() as u32);
        let host = chains::bits().sample(COUNT, 9, &factor).expect("it runs");
        for i in 0..LENGTH {
            let ones = here.iter().filter(|state| state[i] > 0).count() as f64 / COUNT as f64;
            let expected = host.iter().filter(|state| state[i]).count() as f64 / COUNT as f64;
            // Both are drawn.
            let error = (2.0 * expected.max(2e-3) * (1.0 - expected).max(2e-3) / COUNT as f64).sqrt();
            assert!(
                (ones - expected).abs() < 5.0 * error,
                "bit {i} at {flip}: {ones} {expected}"
            );
        }
    }
    for known in [
        [Known::Near(0.5, 0.2), Known::Near(-0.9, 0.2)],
        [Known::Value(0.5), Known::Free],
    ] {
        let (seen, noise) = match known[0] {
            Known::Near(..) => (vec![0.5, -0.9], 0.2),
            _ => (vec![0.5, f64::NAN], 0.0),
        };
        let q24 = |v: f64| if v.is_nan() { UNKNOWN } else { (v * UNIT).round() as i32 };
        let here = states(1, seen.into_iter().map(q24).collect(), (noise * UNIT).round() as u32);
        let host = chains::plane().sample(COUNT, 9, known).expect("it runs");
        for axis in 0..2 {
            let ours = moments(here.iter().map(|state| f64::from(state[axis]) / UNIT));
            let theirs = moments(host.iter().map(|point| point[axis]));
            let error = ((ours[1] + theirs[1]) / COUNT as f64).sqrt();
            assert!(
                (ours[0] - theirs[0]).abs() <= 5.0 * error + 1e-4,
                "{axis}: {ours:?} {theirs:?}"
            );
            // A variance's relative standard error is sqrt(2 / n) where the data are normal, and these have lighter tails or near it.
            let wide = 5.0 * (4.0 / COUNT as f64).sqrt();
            assert!(
                (ours[1] - theirs[1]).abs() <= wide * theirs[1] + 1e-9,
                "{axis}: {ours:?} {theirs:?}"
            );
        }
    }
}

/// Mean and variance.
fn moments(values: impl Iterator<Item = f64> + Clone) -> [f64; 2] {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    [mean, values.map(|v| (v - mean).powi(2)).sum::<f64>() / count]
}

#[test]
fn what_makes_no_sense_is_refused() {
    each(&[Scheme::W8A16], |name, opened| {
        let (model, len) = (opened.model, opened.model.header().sample_len());
        let of = |values: &str, noise| {
            let factor = SecondFactor::parse(values, noise)?;
            let request = Request {
                factor: Some(factor),
                ..Request::default()
            };
            request.sampling(model)
        };
        let short = of("1", 0.0).expect_err("one element");
        assert!(short.to_string().contains("1 elements given"), "{short}");
        let all = vec!["1"; len].join(",");
        assert_eq!(
            of(&all, 0.2).expect("it fits").known_noise,
            if is_bits(name) { 429_496_730 } else { 3_355_443 }
        );
        let wrong = if is_bits(name) {
            [
                (all.replacen('1', "0.5", 1), 0.0),
                (all.clone(), 0.51),
                (all.clone(), f64::INFINITY),
            ]
        } else {
            [
                (all.replacen('1', "65", 1), 0.0),
                (all.clone(), 256.0),
                (all.replacen('1', "-1e300", 1), 0.0),
            ]
        };
        for (values, noise) in wrong {
            let error = of(&values, noise).expect_err("out of range");
            assert!(error.advice().is_some(), "{error}");
        }
        for (values, noise) in [
            ("nan", 0.0),
            ("?", 0.0),
            ("1,inf", 0.0),
            ("x", 0.0),
            ("", 0.0),
            ("1", -0.1),
            ("1", f64::NAN),
        ] {
            let error = SecondFactor::parse(values, noise).expect_err("no number");
            assert!(error.kind() == ErrorKind::Usage && error.advice().is_some(), "{error}");
        }
        let mut memory = AlignedBytes::for_run(model, &config(model, 0));
        let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
        let mut run = Sampler::new(model, &mut arena, &config(model, 0), &Start::Seed).expect("the run is valid");
        let seen = vec![1 << 24; len];
        if is_bits(name) {
            let most = MOST_FLIP_Q31 + 1;
            assert_eq!(run.posterior(&seen, most), Err(RunError::KnownNoise(most)));
        }
        assert_eq!(run.inpaint(&seen), Err(RunError::ChainSampler));
        let found = run.posterior(&seen[1..], 0);
        assert!(matches!(found, Err(RunError::Length { .. })), "{found:?}");
    });
    let file = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let memory = AlignedBytes::copy_of(&file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config::of(model.header(), 2);
    let mut arena = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(arena.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    let seen = vec![0; model.header().sample_len()];
    assert_eq!(run.posterior(&seen, 0), Err(RunError::NoChain));
}

#[test]
fn a_validation_holds_what_is_known_and_finds_a_wrong_sampler() {
    each(&[Scheme::W8A16], |name, opened| {
        let len = opened.model.header().sample_len();
        let values = (0..len).map(|i| (i % 2 == 0).then_some(1.0)).collect();
        let validation = Validation {
            request: Request {
                factor: Some(SecondFactor::new(values, 0.2).expect("numbers")),
                ..Request::default()
            },
            seeds: 2,
            backends: vec![Backend::Cpu, Backend::Portable, Backend::Cuda(None)],
            fault: Some("sampler".to_owned()),
            ..Validation::default()
        };
        let runs = validation.runs(opened).expect("it goes with the model");
        let outcomes = mote_tools::validate::exactness(opened, &runs, &|_| {}).expect("everything runs");
        for outcome in outcomes {
            let broken = outcome.name.contains("broken");
            let absent = outcome.name == "cuda";
            assert_eq!(outcome.held, !broken && !absent, "{name}: {outcome:?}");
            assert_eq!(outcome.available, !absent, "{name}: {outcome:?}");
            assert_eq!(
                outcome.why.as_deref().is_some_and(|why| why.contains("second factor")),
                absent,
                "{name}"
            );
            let operator = outcome.first_divergence.map(|found| found.operator);
            assert_eq!(operator.as_deref(), broken.then_some("sampler"), "{name}");
        }
    });
}
