//! Steps in pieces, and snapshots with padding behind them, as C calls for them.

use std::mem::zeroed;
use std::ptr::null_mut;

use mote::*;
use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model, Start, arena_bytes};
use mote_tests::running::finish;
use mote_tests::synthetic::{Form, model};

const STEPS: u32 = 4;

#[test]
fn steps_in_pieces_have_the_bits_of_steps_and_padded_snapshots_go_on() {
    let file = AlignedBytes::copy_of(&model(Form::W8A8));
    let parsed = Model::parse(file.bytes()).expect("the model is valid");
    let choice = Config {
        seed: 5,
        class: Some(1),
        guidance_q16: Some(3 << 16),
        ..Config::of(parsed.header(), STEPS)
    };
    let whole = finish(&parsed, &choice, &Start::Seed).expect("the run is valid");
    let mut arena = AlignedBytes::zeroed(arena_bytes(&parsed, &choice));
    let (at, len) = (arena.bytes_mut().as_mut_ptr(), arena.bytes().len());
    let mut saved = [0xFFu8; 1024];
    // SAFETY: storage is zeros, memory is there and stays where it is.
    unsafe {
        let (mut model, mut run): (mote_model, mote_run) = (zeroed(), zeroed());
        let (mut config, mut pending): (mote_config, mote_pending) = (zeroed(), zeroed());
        let mut step: mote_step_info = zeroed();
        let (mut done, mut written) = (9, 0);
        assert_eq!(
            mote_open(&mut model, file.bytes().as_ptr().cast(), file.bytes().len()),
            mote_status::MOTE_OK
        );
        assert_eq!(mote_config_init(&mut config, &model, STEPS), mote_status::MOTE_OK);
        (config.seed, config.class_label) = (5, 1);
        (config.guided, config.guidance_q16) = (1, 3 << 16);
        assert_eq!(mote_begin_step(&mut run, &mut pending), mote_status::MOTE_NOT_STARTED);
        assert_eq!(
            mote_start(&mut run, &model, at.cast(), len, &config),
            mote_status::MOTE_OK
        );
        assert_eq!(
            mote_run_operators(&mut run, &mut pending, 1, &mut done),
            mote_status::MOTE_NOT_STARTED
        );
        assert_eq!(
            mote_finish_step(&mut run, &mut pending, &mut step),
            mote_status::MOTE_NOT_STARTED
        );
        for expected in &whole.steps {
            assert_eq!(mote_begin_step(&mut run, &mut pending), mote_status::MOTE_OK);
            let mut calls = 0;
            loop {
                assert_eq!(
                    mote_run_operators(&mut run, &mut pending, 1, &mut done),
                    mote_status::MOTE_OK
                );
                calls += 1;
                if done == 1 {
                    break;
                }
            }
            assert_eq!(calls, 2 * u32::from(parsed.header().op_count) + 2);
            assert_eq!(
                mote_finish_step(&mut run, &mut pending, &mut step),
                mote_status::MOTE_OK
            );
            assert_eq!(
                (step.index, step.timestep, step.digest),
                (expected.index, expected.timestep, expected.digest)
            );
            // The snapshot goes to a slot that is longer, and the run goes on from there.
            assert_eq!(
                mote_save(&run, saved.as_mut_ptr().cast(), saved.len(), &mut written),
                mote_status::MOTE_OK
            );
            assert!(written < saved.len());
            let slot = saved.as_ptr().cast();
            assert_eq!(
                mote_resume(&mut run, &model, at.cast(), len, slot, saved.len()),
                mote_status::MOTE_OK
            );
        }
        assert_eq!(mote_begin_step(&mut run, &mut pending), mote_status::MOTE_FINISHED);
        assert_eq!(
            mote_run_operators(&mut run, &mut pending, 1, &mut done),
            mote_status::MOTE_NOT_STARTED
        );
        // A step that another way of running has made is not run again.
        assert_eq!(
            mote_start(&mut run, &model, at.cast(), len, &config),
            mote_status::MOTE_OK
        );
        assert_eq!(mote_begin_step(&mut run, &mut pending), mote_status::MOTE_OK);
        assert_eq!(mote_step(&mut run, null_mut()), mote_status::MOTE_OK);
        assert_eq!(
            mote_run_operators(&mut run, &mut pending, 1, &mut done),
            mote_status::MOTE_STEP_BEGUN
        );
        assert_eq!(
            mote_finish_step(&mut run, &mut pending, null_mut()),
            mote_status::MOTE_STEP_BEGUN
        );
        assert_eq!(mote_begin_step(&mut run, null_mut()), mote_status::MOTE_NULL);
        assert_eq!(
            mote_run_operators(&mut run, &mut pending, 1, null_mut()),
            mote_status::MOTE_NULL
        );
    }
}
