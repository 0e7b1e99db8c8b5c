//! Files with wrong contents and right checksums: refused, or run without a panic and without a memory error.
//!
//! The cases are drawn from their number, so that a failure names the case that fails again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::schedule::coefficients::Prediction;
use mote_runtime::{Arena, Config, Model, RunError, Sampler, Start};
use mote_tests::chains;
use mote_tests::mutate::mutate;
use mote_tests::parts::Parts;
use mote_tests::random::Random;
use mote_tests::running::METHODS;
use mote_tests::synthetic::{Form, condition, conditioned, model, unguided};
use mote_tests::wider;
use mote_tools::emit::planned::planned;
use rayon::prelude::*;

/// Cases a number format.
const CASES: u64 = 60_000;
/// Arenas beyond this are not allocated; the header allows up to 1 GiB.
const ARENA_LIMIT: u32 = 1 << 24;

/// What became of a case.
enum Outcome {
    Refused,
    Ran,
}

fn run(file: &[u8]) -> Result<Outcome, RunError> {
    let memory = AlignedBytes::copy_of(file);
    let Ok(model) = Model::parse(memory.bytes()) else {
        return Ok(Outcome::Refused);
    };
    let header = model.header();
    if header.arena_bytes > ARENA_LIMIT {
        return Ok(Outcome::Ran);
    }
    let guided = header.null_class.is_some();
    let config = Config {
        class: (header.classes > 0).then_some(header.classes.saturating_sub(1)),
        guidance_q16: guided.then_some(3 << 16),
        seed: 5,
        ..Config::of(
            header,
            match (header.schedule.plan(), header.prediction) {
                (Some(plan), _) => plan.steps,
                // A Gaussian chain takes all of its steps.
                (None, Prediction::Kernel) => header.train_steps,
                _ => 1.max(header.train_steps / 4),
            },
        )
    };
    let config = match header.schedule.plan() {
        Some(_) => config,
        None => Config {
            eta_q16: 1 << 15,
            ..config
        },
    };
    // What a plan says of eta and of the number of steps is looked at when it is run.
    if header.schedule.plan().is_some() && config.validate_for(&model).is_err() {
        return Ok(Outcome::Refused);
    }
    let mut memory = AlignedBytes::for_run(&model, &config);
    let mut arena = Arena::new(memory.bytes_mut())?;
    let condition = condition(&model, 1);
    let mut run = Sampler::new(&model, &mut arena, &config, &Start::Seed)?;
    if !condition.is_empty() {
        run.condition(&condition)?;
    }
    run.step()?;
    run.step()?;
    Ok(Outcome::Ran)
}

fn fuzz(form: Form) {
    fuzz_file(&model(form), form as u64, CASES);
}

fn fuzz_file(file: &[u8], name: u64, cases: u64) {
    let original = Parts::of(file);
    let ran = AtomicUsize::new(0);
    let failed: Vec<u64> = (0..cases)
        .into_par_iter()
        .filter(|case| {
            let mut parts = original.clone();
            mutate(&mut parts, &mut Random(*case << 8 | name));
            let file = parts.file();
            match catch_unwind(AssertUnwindSafe(|| run(&file))) {
                Ok(Ok(Outcome::Refused)) | Ok(Err(RunError::ZeroSnr)) => false,
                Ok(Ok(Outcome::Ran)) => {
                    ran.fetch_add(1, Ordering::Relaxed);
                    false
                }
                Ok(Err(_)) | Err(_) => true,
            }
        })
        .collect();
    assert_eq!(failed, Vec::<u64>::new(), "cases of {name}");
    // Mutations that keep a model valid are what exercises the kernels with values that no converter writes.
    let ran = ran.into_inner() as u64;
    assert!(
        ran > cases / 100 && ran < cases / 2,
        "{ran} of {cases} were still models"
    );
}

#[test]
fn models_with_a_condition() {
    for form in Form::ALL {
        fuzz_file(&conditioned(form), form as u64 + 300, CASES / 10);
        fuzz_file(&unguided(form), form as u64 + 400, CASES / 10);
    }
}

#[test]
fn chains_of_2015() {
    for scheme in chains::SCHEMES {
        for (name, file) in chains::all(scheme) {
            fuzz_file(&file, name.len() as u64 + 100, CASES / 20);
        }
    }
}

#[test]
fn models_of_what_a_gpu_does_not_take() {
    for form in Form::ALL {
        fuzz_file(&wider::model(0, form), form as u64 + 300, CASES / 5);
        fuzz_file(&wider::windows_model(0, form), form as u64 + 400, CASES / 5);
        fuzz_file(&wider::attentions_model(0, form), form as u64 + 500, CASES / 5);
        fuzz_file(&wider::groups_model(0, form), form as u64 + 600, CASES / 5);
    }
}

#[test]
fn planned_models() {
    for (i, method) in METHODS.into_iter().enumerate() {
        let file = model(Form::W8A8);
        let memory = AlignedBytes::copy_of(&file);
        let header = *Model::parse(memory.bytes()).expect("a valid model").header();
        let config = Config {
            method,
            ..Config::of(&header, 6)
        };
        let file = planned(&file, &config).expect("the run can be planned");
        fuzz_file(&file, i as u64 + 200, CASES / 5);
    }
}

#[test]
fn pointwise_operators() {
    for (i, form) in Form::ALL.into_iter().enumerate() {
        let file = mote_tests::pointwise::model(form, 6 + i as u64);
        fuzz_file(&file, i as u64 + 300, CASES / 10);
    }
}

#[test]
fn f16_models() {
    fuzz(Form::F16);
}

#[test]
fn int16_models() {
    fuzz(Form::W8A16);
}

#[test]
fn int8_models() {
    fuzz(Form::W8A8);
}

#[test]
fn mixed_models() {
    fuzz(Form::Mixed);
}

#[test]
fn int4_models() {
    fuzz(Form::W4A8);
}
