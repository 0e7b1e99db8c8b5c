//! Steps in pieces: the same bits, whatever is between two operators.

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Arena, Config, Model, Poll, Run, RunError, Sampler, Start, arena_bytes};
use mote_tests::checkpoints::{converted, digits};
use mote_tests::random::Random;
use mote_tests::running::finish;
use mote_tests::synthetic::Form;
use mote_tools::quantize::scheme::Scheme;

use super::{STEPS, configs, each, forever, guided};

#[path = "../../../runtime/examples/yielding.rs"]
mod yielding;

/// The steps of a run in pieces of `count()` operators, by [`Run::poll`].
fn polled(
    model: &Model<'_>,
    config: &Config,
    mut count: impl FnMut() -> u16,
) -> (Vec<mote_runtime::Step>, Vec<i32>, u32) {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut run = Run::new(*model, memory.bytes_mut());
    run.start(config, &Start::Seed).expect("it fits");
    let (mut steps, mut polls) = (Vec::new(), 0);
    loop {
        polls += 1;
        match run.poll(count()).expect("it runs") {
            Poll::Operators => {}
            Poll::Step(step) => steps.push(step),
            Poll::Finished => return (steps, run.state().to_vec(), polls),
        }
    }
}

#[test]
fn every_sampler_has_the_same_bits_in_pieces_of_any_size() {
    each(|model| {
        for config in configs(model) {
            let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
            let mut random = Random(0x5eed);
            for size in [1, 7, u16::MAX, 0] {
                let count = || if size > 0 { size } else { 1 + random.below(9) as u16 };
                let (steps, state, polls) = polled(model, &config, count);
                assert_eq!(
                    (steps, state),
                    (whole.steps.clone(), whole.state.clone()),
                    "{config:?} by {size}"
                );
                let calls = STEPS * if config.guidance_q16.is_some() { 2 } else { 1 };
                let operators = u32::from(model.header().op_count) * calls;
                // Heun's second call is not in the last step.
                let least = if size == 1 { operators } else { STEPS };
                assert!(polls >= least, "{polls} polls of {size}, {operators} operators");
            }
        }
    });
}

#[test]
fn a_sampler_in_pieces_has_the_bits_of_one_in_steps() {
    each(|model| {
        let config = guided(model);
        let whole = finish(model, &config, &Start::Seed).expect("the run is valid");
        let mut memory = AlignedBytes::for_run(model, &config);
        let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
        let mut run = Sampler::new(model, &mut arena, &config, &Start::Seed).expect("the run is valid");
        // Whole steps and steps in pieces in turn.
        for expected in &whole.steps {
            let step = if expected.index % 2 == 0 {
                let mut step = run.begin_step().expect("it begins").expect("there is one");
                while !run.run_operators(&mut step, 3).expect("it runs") {}
                assert!(step.is_done());
                run.finish_step(step).expect("it is done")
            } else {
                run.step().expect("it runs").expect("there is one")
            };
            assert_eq!(&step, expected);
        }
        assert!(run.begin_step().expect("it is finished").is_none());
        assert_eq!(run.state(), whole.state);
    });
}

#[test]
fn what_is_between_steps_is_refused_within_one() {
    let model = forever(Form::W8A8);
    let config = guided(&model);
    let mut memory = AlignedBytes::for_run(&model, &config);
    let mut run = Run::new(model, memory.bytes_mut());
    assert_eq!(run.begin_step(), Ok(false), "nothing was started");
    assert_eq!(run.run_operators(1), Ok(true));
    run.start(&config, &Start::Seed).expect("it fits");
    assert_eq!(run.begin_step(), Ok(true));
    assert_eq!(run.run_operators(2), Ok(false));
    // A second beginning is the first's.
    assert_eq!(run.begin_step(), Ok(true));
    let mut saved = vec![0; Sampler::snapshot_bytes(&model, &config)];
    assert_eq!(run.snapshot(&mut saved), Err(RunError::StepBegun));
    assert_eq!(run.inpaint(&[0; 16]), Err(RunError::StepBegun));
    assert_eq!(run.condition(&[]), Err(RunError::StepBegun));
    let first = run.finish_step().expect("it runs").expect("there is one");
    let whole = finish(&model, &config, &Start::Seed).expect("the run is valid");
    assert_eq!(first, whole.steps[0]);
    assert!(run.snapshot(&mut saved).is_ok());
    // A new run forgets the step that was begun.
    assert_eq!(run.begin_step(), Ok(true));
    assert_eq!(run.run_operators(5), Ok(false));
    run.start(&config, &Start::Seed).expect("it fits");
    assert_eq!(run.step(), Ok(Some(whole.steps[0])));
}

#[test]
fn a_step_is_its_own_runs() {
    let model = forever(Form::W8A8);
    let config = guided(&model);
    let mut memory = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed).expect("the run is valid");
    let mut first = run.begin_step().expect("it begins").expect("there is one");
    run.step().expect("it runs");
    assert_eq!(run.run_operators(&mut first, 1), Err(RunError::StepBegun));
    assert_eq!(run.finish_step(first), Err(RunError::StepBegun));
}

#[test]
fn an_async_task_yields_between_operators() {
    let model = forever(Form::W8A16);
    let config = guided(&model);
    let whole = finish(&model, &config, &Start::Seed).expect("the run is valid");
    let mut memory = AlignedBytes::zeroed(arena_bytes(&model, &config));
    let mut run = Run::new(model, memory.bytes_mut());
    run.start(&config, &Start::Seed).expect("it fits");
    let (drawn, turns) = yielding::block_on(yielding::draw(&mut run, 1));
    assert_eq!(drawn, Ok(()));
    assert_eq!(run.state(), whole.state);
    assert!(turns > STEPS * 2 * u32::from(model.header().op_count), "{turns} turns");
}

/// Polls of one operator each, with convolutions split.
fn split(model: &Model<'_>, config: &Config, macs: u32) -> (u64, u32) {
    let mut memory = AlignedBytes::for_run(model, config);
    let mut run = Run::new(*model, memory.bytes_mut());
    run.split(macs);
    run.start(config, &Start::Seed).expect("it fits");
    let mut polls = 0;
    while run.poll(1).expect("it runs") != Poll::Finished {
        polls += 1;
    }
    (run.digest(), polls)
}

#[test]
fn convolutions_that_are_split_have_the_bits_of_whole_ones() {
    each(|model| {
        let macs = model.header().macs as u32;
        let float = model.header().arithmetic == mote_runtime::internals::model::header::Arithmetic::F16;
        for config in configs(model).into_iter().step_by(3) {
            let whole = split(model, &config, u32::MAX);
            let mut polls = whole.1;
            for most in [macs / 5, macs / 20, 100, 1, 0] {
                let found = split(model, &config, most);
                assert_eq!(found.0, whole.0, "{config:?}, {most} at once");
                assert!(found.1 >= polls, "pieces get smaller");
                polls = found.1;
            }
            assert_eq!(polls == whole.1, float, "networks in f16 are not split, others are");
        }
    });
}

#[test]
fn no_piece_of_a_trained_network_is_larger_than_asked_for_where_a_row_is_not() {
    let bytes = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let memory = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config::of(model.header(), 2);
    let whole = split(&model, &config, u32::MAX);
    // Whole, the largest convolutions have 15.2 % of the work, in 8 rows; pieces of 2 rows are below a twentieth.
    let macs = model.header().macs as u32;
    let found = split(&model, &config, macs / 20);
    assert_eq!(found.0, whole.0);
    assert!(
        (whole.1 + 20..whole.1 + 40).contains(&found.1),
        "{} polls, {} whole",
        found.1,
        whole.1
    );
}
