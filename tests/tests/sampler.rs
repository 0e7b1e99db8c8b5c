//! The sampler's rules: starts, noise, classes, guidance, refusals, observers.

use mote_host::memory::AlignedBytes;
use mote_runtime::blob::op::Op;
use mote_runtime::exec::Observer;
use mote_runtime::kernels::view::View;
use mote_runtime::numeric::normal::fill_normal_q24;
use mote_runtime::sampler::{Prediction0, arena_bytes};
use mote_runtime::schedule::coefficients::Clip;
use mote_runtime::{Arena, Config, Model, RunError, Sampler, Start, StepObserver};
use mote_tests::running::finish;
use mote_tests::synthetic::{self, Form, TRAIN_STEPS, diffusion, emitted, everything};

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
        for guidance_q16 in [None, Some(1 << 16)] {
            let config = Config {
                guidance_q16,
                ..config(model)
            };
            let needed = arena_bytes(model, guidance_q16.is_some());
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
    fn predicted(&mut self, prediction: &Prediction0<'_>) {
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
            let mut memory = AlignedBytes::for_run(model, guidance_q16.is_some());
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
