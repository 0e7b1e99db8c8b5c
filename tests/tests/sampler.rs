//! The sampler's rules: starts, noise, classes, guidance, refusals, observers.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::numeric::normal::fill_normal_q24;
use mote_runtime::internals::ops::Op;
use mote_runtime::internals::sampler::{Predicted, UNKNOWN, Variance};
use mote_runtime::internals::schedule::coefficients::Clip;
use mote_runtime::internals::tensor::view::View;
use mote_runtime::{Arena, Config, Method, Model, Observer, RunError, Sampler, Start, StepObserver, arena_bytes};
use mote_tests::running::{METHODS, finish};
use mote_tests::synthetic::{self, Form, TRAIN_STEPS, diffusion, emitted, everything};

#[path = "../../runtime/examples/image.rs"]
mod example;

const LEN: usize = 16;

/// Calls `check` with the synthetic model in every number format.
fn each(check: impl Fn(&Model<'_>)) {
    for form in Form::ALL {
        let memory = AlignedBytes::copy_of(&synthetic::model(form));
        check(&Model::parse(memory.bytes()).expect("the model is valid"));
    }
}

fn config(model: &Model<'_>) -> Config {
    Config {
        seed: 11,
        class: Some(1),
        ..Config::of(model.header(), 6)
    }
}

fn refusal(model: &Model<'_>, config: Config) -> Option<RunError> {
    finish(model, &config, &Start::Seed).err()
}

#[test]
fn a_start_from_the_seeds_noise_is_the_start_from_the_seed() {
    each(|model| {
        let config = Config {
            eta_q16: 1 << 15,
            ..config(model)
        };
        let mut noise = [0; LEN];
        fill_normal_q24(config.seed, 0, &mut noise);
        let (a, b) = (
            finish(model, &config, &Start::Seed),
            finish(model, &config, &Start::Noise(&noise)),
        );
        assert_eq!(a, b);
        assert_eq!(a.map(|run| run.steps.len()), Ok(6));
    });
}

#[test]
fn without_eta_the_seed_only_sets_the_start_and_with_it_every_step() {
    each(|model| {
        let noise = [1 << 23; LEN];
        let run = |seed, eta_q16| {
            let config = Config {
                seed,
                eta_q16,
                ..config(model)
            };
            finish(model, &config, &Start::Noise(&noise)).expect("the run is valid")
        };
        assert_eq!(run(1, 0), run(2, 0));
        let (a, b) = (run(1, 1 << 16), run(2, 1 << 16));
        assert_eq!(a, run(1, 1 << 16));
        assert!(
            a.steps
                .iter()
                .zip(&b.steps)
                .all(|(a, b)| a.digest != b.digest || a.index == 5),
            "{a:?} {b:?}"
        );
        assert_ne!(a, run(1, 0));
    });
}

#[test]
fn guidance_of_weight_one_is_the_conditional_run_and_of_weight_zero_the_unconditional() {
    each(|model| {
        let run = |class, guidance_q16| {
            let config = Config {
                class,
                guidance_q16,
                ..config(model)
            };
            finish(model, &config, &Start::Seed).expect("the run is valid")
        };
        assert_eq!(run(Some(0), Some(1 << 16)), run(Some(0), None));
        assert_eq!(run(Some(0), Some(0)), run(Some(2), None));
        assert_eq!(run(None, None), run(Some(2), None));
        assert_ne!(run(Some(0), Some(3 << 16)), run(Some(0), None));
        assert_ne!(run(Some(0), None), run(Some(1), None));
    });
}

#[test]
fn a_start_from_an_image_runs_its_share_of_the_steps() {
    each(|model| {
        let image = [-(1 << 23); LEN];
        let run = |strength_q16| {
            let start = Start::Image {
                image_q24: &image,
                strength_q16,
            };
            finish(model, &config(model), &start).expect("the run is valid")
        };
        assert_eq!((run(0).steps.len(), run(0).state), (0, image.to_vec()));
        assert_eq!(run(1 << 15).steps.len(), 3);
        assert_eq!(run(1 << 15).steps[0].index, 3);
        assert_eq!(run(1 << 16).steps.len(), 6);
        assert_ne!(run(1 << 15).state, image);
    });
}

#[test]
fn starts_that_do_not_fit_are_refused() {
    each(|model| {
        let config = config(model);
        let length = |found| {
            Err(RunError::Length {
                expected: LEN as u32,
                found,
            })
        };
        assert_eq!(
            finish(model, &config, &Start::Noise(&[0; LEN - 1])).map(drop),
            length(15)
        );
        let start = Start::Image {
            image_q24: &[0; LEN + 1],
            strength_q16: 0,
        };
        assert_eq!(finish(model, &config, &start).map(drop), length(17));
        let start = Start::Image {
            image_q24: &[0; LEN],
            strength_q16: (1 << 16) + 1,
        };
        assert_eq!(finish(model, &config, &start).map(drop), Err(RunError::Strength(65537)));
    });
}

#[test]
fn configurations_outside_their_range_are_refused() {
    each(|model| {
        let steps = |steps| refusal(model, Config { steps, ..config(model) });
        assert_eq!(
            steps(0),
            Some(RunError::Steps {
                found: 0,
                max: TRAIN_STEPS
            })
        );
        assert_eq!(
            steps(TRAIN_STEPS + 1),
            Some(RunError::Steps {
                found: TRAIN_STEPS + 1,
                max: TRAIN_STEPS
            })
        );
        assert_eq!((steps(1), steps(TRAIN_STEPS)), (None, None));
        let eta = |eta_q16| {
            refusal(
                model,
                Config {
                    eta_q16,
                    ..config(model)
                },
            )
        };
        assert_eq!((eta(1 << 16), eta(65537)), (None, Some(RunError::Eta(65537))));
        let range = |clip_range_q24| {
            refusal(
                model,
                Config {
                    clip_range_q24,
                    clip: Clip::Stock,
                    ..config(model)
                },
            )
        };
        assert_eq!(
            (range(0), range(-1), range((1 << 30) + 1)),
            (
                Some(RunError::ClipRange),
                Some(RunError::ClipRange),
                Some(RunError::ClipRange)
            )
        );
        assert_eq!(range(1 << 24), None);
        let class = |class| refusal(model, Config { class, ..config(model) });
        assert_eq!(class(Some(3)), Some(RunError::Class { found: 3, classes: 3 }));
        assert_eq!((class(Some(2)), class(None)), (None, None));
    });
}

#[test]
fn classes_and_guidance_need_a_model_that_has_them() {
    let without_null = mote_tools::emit::Diffusion {
        null_class: None,
        ..diffusion()
    };
    let file = emitted(&everything(), &without_null, Form::F16).bytes;
    let memory = AlignedBytes::copy_of(&file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    assert_eq!(
        refusal(
            &model,
            Config {
                class: None,
                ..config(&model)
            }
        ),
        Some(RunError::ClassMissing)
    );
    let guided = Config {
        guidance_q16: Some(1 << 16),
        ..config(&model)
    };
    assert_eq!(refusal(&model, guided), Some(RunError::GuidanceUnsupported));
}

#[test]
fn a_schedule_that_ends_in_pure_noise_is_refused_under_epsilon() {
    let mut zero_snr = diffusion();
    zero_snr.alpha_bars[TRAIN_STEPS as usize - 1] = 0.0;
    // Calibration cannot run on it either, so the f16 model, which needs none, is tried.
    let file = emitted(&everything(), &zero_snr, Form::F16).bytes;
    let memory = AlignedBytes::copy_of(&file);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    assert_eq!(refusal(&model, config(&model)), Some(RunError::ZeroSnr));
}

#[test]
fn an_arena_that_is_short_or_misaligned_is_refused() {
    each(|model| {
        let methods = [
            Method::Ddim,
            Method::Ddpm(Variance::Small),
            Method::DpmSolver2M,
            Method::Heun,
        ];
        for (guidance_q16, method) in [None, Some(1 << 16)].into_iter().flat_map(|g| methods.map(|m| (g, m))) {
            let config = Config {
                guidance_q16,
                method,
                ..config(model)
            };
            let needed = arena_bytes(model, &config);
            let tensors = 1 + usize::from(guidance_q16.is_some()) + usize::from(method.holds_sample());
            assert_eq!(needed, 4 * LEN * tensors + model.header().arena_bytes as usize);
            let mut memory = AlignedBytes::zeroed(needed + 16);
            for found in [0, 1, 15, 16, needed / 2, needed - 1] {
                let mut arena = Arena::new(&mut memory.bytes_mut()[..found]).expect("it is aligned");
                let refused = Sampler::new(model, &mut arena, &config, &Start::Seed).map(drop);
                let (needed, found) = (needed as u32, found as u32);
                assert_eq!(refused, Err(RunError::ArenaTooSmall { needed, found }));
            }
            let mut arena = Arena::new(&mut memory.bytes_mut()[..needed]).expect("it is aligned");
            assert!(Sampler::new(model, &mut arena, &config, &Start::Seed).is_ok());
            let shifted = Arena::new(&mut memory.bytes_mut()[4..]).map(drop);
            assert_eq!(shifted, Err(RunError::ArenaMisaligned(16)));
        }
    });
}

/// Counts what it is shown.
#[derive(Default)]
struct Counter {
    before: Vec<u16>,
    after: Vec<u16>,
    elements: usize,
    steps: Vec<u32>,
}

impl Observer for Counter {
    fn before(&mut self, index: u16, _: &Op) {
        self.before.push(index);
    }

    fn after(&mut self, index: u16, _: &Op, output: &View<'_>) {
        self.after.push(index);
        self.elements += output.len();
    }
}

impl StepObserver for Counter {
    fn predicted(&mut self, prediction: &Predicted<'_>) {
        assert_eq!((prediction.x_q24.len(), prediction.out_q24.len()), (LEN, LEN));
        self.steps.push(prediction.index);
    }
}

#[test]
fn an_observer_sees_every_operator_of_every_call() {
    each(|model| {
        for (guidance_q16, calls) in [(None, 1), (Some(2 << 16), 2)] {
            let config = Config {
                guidance_q16,
                ..config(model)
            };
            let mut memory = AlignedBytes::for_run(model, &config);
            let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
            let mut run = Sampler::new(model, &mut arena, &config, &Start::Seed).expect("the run is valid");
            let mut counter = Counter::default();
            while run.step_observed(&mut counter).expect("the step runs").is_some() {}
            let expected: Vec<u16> = (0..6 * calls).flat_map(|_| 0..model.header().op_count).collect();
            assert_eq!((&counter.before, &counter.after), (&expected, &expected));
            assert_eq!(counter.steps, [0, 1, 2, 3, 4, 5]);
            assert!(counter.elements > 6 * calls * LEN);
            let unobserved = finish(model, &config, &Start::Seed).expect("the run is valid");
            assert_eq!(run.state(), unobserved.state, "observing changes nothing");
        }
    });
}

#[test]
fn samplers_differ_and_each_is_a_function_of_its_configuration() {
    each(|model| {
        let run = |method, seed| {
            let config = Config {
                method,
                seed,
                ..config(model)
            };
            finish(model, &config, &Start::Noise(&[1 << 23; LEN])).expect("the run is valid")
        };
        let runs = METHODS.map(|method| run(method, 1));
        for (i, a) in runs.iter().enumerate() {
            assert_eq!(*a, run(METHODS[i], 1));
            assert_eq!(*a == run(METHODS[i], 2), !METHODS[i].draws(0), "{:?}", METHODS[i]);
            assert!(runs[..i].iter().all(|b| a.state != b.state), "{:?}", METHODS[i]);
        }
    });
}

#[test]
fn eta_is_refused_by_samplers_that_have_none() {
    each(|model| {
        for method in METHODS.into_iter().skip(1) {
            let config = Config {
                method,
                eta_q16: 1,
                ..config(model)
            };
            assert_eq!(refusal(model, config), Some(RunError::EtaElsewhere));
        }
    });
}

/// Of one step all are the same: there is no step before, and the last has no second call.
#[test]
fn a_single_step_of_every_sampler_is_the_predicted_sample() {
    each(|model| {
        let run = |method| {
            let config = Config {
                method,
                steps: 1,
                ..config(model)
            };
            finish(model, &config, &Start::Seed).expect("the run is valid").state
        };
        let expected = run(Method::DpmSolver2M);
        for method in METHODS.into_iter().skip(1) {
            let found = run(method);
            assert!(
                found.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1),
                "{method:?}"
            );
        }
    });
}

/// The known half of an image of [`LEN`] elements.
fn half_known() -> Vec<i32> {
    let value = |i| if i % 2 == 0 { (i as i32 - 8) << 20 } else { UNKNOWN };
    (0..LEN).map(value).collect()
}

/// The state after each step of an inpainting run.
fn inpainted(model: &Model<'_>, config: &Config, start: &Start<'_>, known: &[i32]) -> Result<Vec<Vec<i32>>, RunError> {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let mut run = Sampler::new(model, &mut arena, config, start)?;
    run.inpaint(known)?;
    let mut states = vec![run.state().to_vec()];
    while run.step()?.is_some() {
        states.push(run.state().to_vec());
    }
    Ok(states)
}

#[test]
fn known_elements_follow_the_forward_process_and_end_as_they_are() {
    use mote_runtime::internals::numeric::normal::normal_q24;
    use mote_runtime::internals::schedule::coefficients::{add_noise, noising};
    use mote_runtime::internals::schedule::spacing::timestep;
    each(|model| {
        let known = half_known();
        let image: Vec<i32> = known.iter().map(|v| if *v == UNKNOWN { 1 << 22 } else { *v }).collect();
        let from_image = Start::Image {
            image_q24: &image,
            strength_q16: 1 << 15,
        };
        for method in METHODS {
            let config = Config {
                method,
                ..config(model)
            };
            for start in [Start::Seed, from_image] {
                let states = inpainted(model, &config, &start, &known).expect("the run is valid");
                let first = config.steps as usize + 1 - states.len();
                for (index, state) in (first as u32..).zip(&states) {
                    let t = timestep(
                        config.spacing,
                        TRAIN_STEPS,
                        config.steps,
                        model.header().steps_offset,
                        index,
                    );
                    for i in (0..LEN).filter(|&i| known[i] != UNKNOWN) {
                        let expected = t.map_or(known[i], |t| {
                            let z = normal_q24(config.seed, 0, i as u32);
                            add_noise(noising(model.alpha_bar_q62(t)), known[i], z)
                        });
                        assert_eq!(state[i], expected, "{method:?}, before step {index}, element {i}");
                    }
                }
                let plain = finish(model, &config, &start).expect("the run is valid").state;
                let last = &states[states.len() - 1];
                assert!(
                    (0..LEN).any(|i| known[i] == UNKNOWN && plain[i] != last[i]),
                    "{method:?}: the rest did not see it"
                );
            }
            let nothing = inpainted(model, &config, &Start::Seed, &[UNKNOWN; LEN]).expect("the run is valid");
            let plain = finish(model, &config, &Start::Seed).expect("the run is valid").state;
            assert_eq!(nothing[nothing.len() - 1], plain, "{method:?}: nothing known");
        }
        let config = config(model);
        let short = inpainted(model, &config, &Start::Seed, &known[1..]).map(drop);
        assert_eq!(
            short,
            Err(RunError::Length {
                expected: 16,
                found: 15
            })
        );
    });
}

#[test]
fn between_two_seeds_lie_both_and_a_quarter_circle() {
    each(|model| {
        let config = Config {
            steps: 1,
            ..config(model)
        };
        let noise = |seed, part_q16| -> Result<Vec<i32>, RunError> {
            let mut memory = AlignedBytes::for_run(model, &config);
            let mut arena = Arena::new(memory.bytes_mut())?;
            let config = Config { seed, ..config };
            let start = Start::Between { second: 8, part_q16 };
            Sampler::new(model, &mut arena, &config, &start).map(|run| run.state().to_vec())
        };
        let of_seed = |seed| {
            let mut noise = vec![0; LEN];
            fill_normal_q24(seed, 0, &mut noise);
            noise
        };
        assert_eq!((noise(3, 0), noise(3, 1 << 16)), (Ok(of_seed(3)), Ok(of_seed(8))));
        assert_eq!(noise(3, 65_537), Err(RunError::Part(65_537)));
        let middle = noise(3, 1 << 15).expect("the start is valid");
        for ((a, b), found) in of_seed(3).into_iter().zip(of_seed(8)).zip(middle) {
            let expected = (f64::from(a) + f64::from(b)) * std::f64::consts::FRAC_1_SQRT_2;
            assert!((f64::from(found) - expected).abs() < 0.6, "{found} {expected}");
        }
    });
}

#[test]
fn the_runtimes_example_samples_what_a_run_samples() {
    let file = synthetic::model(Form::ALL[0]);
    let memory = AlignedBytes::copy_of(&file);
    let model = &Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config {
        seed: 3,
        class: Some(0),
        ..Config::of(model.header(), 4)
    };
    let run = finish(model, &config, &Start::Seed).expect("it runs");
    let (digests, pixels) = example::sample(&file, 4, 3).expect("the example runs");
    assert_eq!(digests, run.steps.iter().map(|step| step.digest).collect::<Vec<_>>());
    let expected: Vec<u8> = run
        .state
        .iter()
        .map(|&x| mote_runtime::internals::sampler::q24_to_pixel(x))
        .collect();
    assert_eq!(pixels, expected);
}
