//! Runs that live in a struct or a static: the bits of a sampler, one image after the other, memory that comes back.

use mote_engine::memory::AlignedBytes;
use mote_runtime::{
    Aligned, Apart, Arena, Config, Model, ParseError, Poll, Run, RunError, Sampler, Start, arena_bytes,
    state_arena_bytes,
};
use mote_tests::running::finish;
use mote_tests::synthetic::{self, Form};

use super::{STEPS, configs, each, forever, guided};

#[path = "../../../runtime/examples/painter.rs"]
mod painter;

#[test]
fn a_run_has_a_samplers_steps_whatever_ran_before() {
    each(|model| {
        let mut run = Run::new(*model, Aligned([0xA5; 16384]));
        for config in configs(model) {
            let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
            run.start(&config, &Start::Seed).expect("it fits");
            let mut steps = Vec::new();
            while let Some(step) = run.step().expect("it runs") {
                steps.push(step);
            }
            assert_eq!(steps, whole.steps, "{config:?}");
            assert_eq!(run.state(), whole.state);
            assert_eq!((run.index(), run.config()), (STEPS, Some(&config)));
        }
        assert_eq!(run.into_memory().0.len(), 16384);
    });
}

#[test]
fn a_run_may_be_moved_between_two_calls() {
    let model = forever(Form::W8A8);
    let config = guided(&model);
    let whole = finish(&model, &config, &Start::Seed).expect("the run is valid");
    let mut run = Run::new(model, Aligned([0; 16384]));
    run.start(&config, &Start::Seed).expect("it fits");
    while run.poll(2).expect("it runs") != Poll::Finished {
        run = *Box::new(run);
    }
    assert_eq!(run.state(), whole.state);
    let mut pixels = vec![0; whole.state.len()];
    run.image(&mut pixels).expect("it has the sample's length");
    let short = run.image(&mut pixels[1..]);
    assert!(matches!(short, Err(RunError::Length { .. })), "{short:?}");
}

#[test]
fn a_painter_in_a_static_draws_two_images() {
    let model = forever(Form::W8A16);
    let drawn = painter::two_images(model, STEPS).expect("both are drawn");
    let alone = |seed| {
        let config = Config {
            seed,
            class: Some(0),
            ..Config::of(model.header(), STEPS)
        };
        let run = finish(&model, &config, &Start::Seed).expect("the run is valid");
        run.steps.last().expect("there are steps").digest
    };
    assert_eq!(drawn, [alone(0), alone(1)]);
}

#[test]
fn what_cannot_run_is_refused_and_nothing_is_left_of_it() {
    let model = forever(Form::W8A8);
    let config = guided(&model);
    let needed = arena_bytes(&model, &config);
    let mut memory = AlignedBytes::zeroed(needed);
    let mut run = Run::new(model, &mut memory.bytes_mut()[..needed - 1]);
    let refused = run.start(&config, &Start::Seed);
    assert!(matches!(refused, Err(RunError::ArenaTooSmall { .. })), "{refused:?}");
    assert_eq!(run.step(), Ok(None));
    assert_eq!(run.poll(1), Ok(Poll::Finished));
    assert_eq!((run.state().len(), run.index()), (0, 0));
    let mut run = Run::new(model, &mut memory.bytes_mut()[1..]);
    assert_eq!(run.start(&config, &Start::Seed), Err(RunError::ArenaMisaligned(16)));
    // A run that was started before it is refused is gone as well.
    let mut run = Run::new(model, memory.bytes_mut());
    run.start(&config, &Start::Seed).expect("it fits");
    assert!(run.start(&Config { steps: 0, ..config }, &Start::Seed).is_err());
    assert_eq!(run.step(), Ok(None));
}

#[test]
fn known_images_and_snapshots_are_a_samplers() {
    let model = forever(Form::W8A8);
    let config = guided(&model);
    let mut known = [1 << 23; 16];
    known[5..].fill(mote_runtime::internals::sampler::UNKNOWN);
    let known: &'static [i32] = Vec::leak(known.to_vec());
    let mut memory = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut sampler = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    sampler.inpaint(known).expect("it fits");
    let mut saved = vec![0; Sampler::snapshot_bytes(&model, &config)];
    let mut run = Run::new(model, Aligned([1; 16384]));
    run.start(&config, &Start::Seed).expect("it fits");
    run.inpaint(known).expect("it fits");
    for step in 0..STEPS {
        assert_eq!(run.step(), sampler.step(), "step {step}");
        let len = run.snapshot(&mut saved).expect("there is room");
        run.resume(&saved[..len]).expect("it is genuine");
        if step + 1 < STEPS {
            assert_eq!(run.step(), Err(RunError::KnownImage));
        }
        run.inpaint(known).expect("it is that image");
    }
    assert_eq!(run.state(), sampler.state());
    assert!(matches!(run.inpaint(&[0; 2]), Err(RunError::Length { .. })));
    assert!(matches!(run.condition(&[0; 2]), Err(RunError::Condition { .. })));
}

#[test]
fn a_slot_that_goes_on_behind_the_file_is_opened_and_what_lies_there_does_not_matter() {
    let file = synthetic::model(Form::W8A8);
    let whole = AlignedBytes::copy_of(&file);
    let crc = Model::parse(whole.bytes()).expect("the model is valid").crc();
    for filler in [0x00, 0xFF, 0x4D] {
        let mut slot = AlignedBytes::zeroed(file.len() + 777);
        slot.bytes_mut().fill(filler);
        slot.bytes_mut()[..file.len()].copy_from_slice(&file);
        let model = Model::parse_slot(slot.bytes()).expect("the file is whole");
        assert_eq!((model.crc(), model.file_bytes() as usize), (crc, file.len()));
        let error = Model::parse(slot.bytes()).expect_err("a slot is no file");
        assert!(error.to_string().contains("parse_slot"), "{error}");
    }
    for len in [0, 8, 12, 100, file.len() - 1] {
        let cut = AlignedBytes::copy_of(&file[..len]);
        assert!(Model::parse_slot(cut.bytes()).is_err(), "cut at {len}");
    }
    let mut shifted = AlignedBytes::zeroed(file.len() + 16);
    shifted.bytes_mut()[4..4 + file.len()].copy_from_slice(&file);
    let error = Model::parse_slot(&shifted.bytes()[4..]).expect_err("it is aligned to 4");
    assert_eq!(error, ParseError::Misaligned(16));
    assert!(error.to_string().contains("Aligned"), "{error}");
}

#[test]
fn state_and_activations_may_lie_in_two_memories() {
    each(|model| {
        for config in configs(model) {
            let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
            let (states, activations) = (state_arena_bytes(model, &config), model.header().arena_bytes as usize);
            assert_eq!(states + activations, arena_bytes(model, &config));
            let (mut first, mut second) = (AlignedBytes::zeroed(states), AlignedBytes::zeroed(activations));
            second.bytes_mut().fill(0x5A);
            let mut saved = vec![0; Sampler::snapshot_bytes(model, &config)];
            {
                let mut state = Arena::new(first.bytes_mut()).expect("it is aligned");
                let mut rest = Arena::new(second.bytes_mut()).expect("it is aligned");
                let mut run = Sampler::new_apart(model, &mut state, &mut rest, &config, &Start::Seed).expect("it fits");
                for step in &whole.steps[..2] {
                    assert_eq!(run.step(), Ok(Some(*step)), "{config:?}");
                }
                let len = run.snapshot(&mut saved).expect("there is room");
                saved.truncate(len);
            }
            first.bytes_mut().fill(0xA5);
            let mut run = Run::new(
                *model,
                Apart {
                    state: first.bytes_mut(),
                    activations: second.bytes_mut(),
                },
            );
            run.resume(&saved).expect("it is genuine");
            while run.poll(3).expect("it runs") != Poll::Finished {}
            assert_eq!(run.state(), whole.state, "{config:?}");
        }
        let config = guided(model);
        let (states, activations) = (state_arena_bytes(model, &config), model.header().arena_bytes as usize);
        for (less, fewer) in [(1, 0), (0, 1)] {
            let (mut first, mut second) = (
                AlignedBytes::zeroed(states - less),
                AlignedBytes::zeroed(activations - fewer),
            );
            let mut state = Arena::new(first.bytes_mut()).expect("it is aligned");
            let mut rest = Arena::new(second.bytes_mut()).expect("it is aligned");
            let refused = Sampler::new_apart(model, &mut state, &mut rest, &config, &Start::Seed).err();
            let needed = [states, activations][fewer] as u32;
            let found = needed - 1;
            assert_eq!(refused, Some(RunError::ArenaTooSmall { needed, found }));
        }
    });
}
