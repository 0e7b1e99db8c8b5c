//! The CUDA kernels against the runtime, bit for bit: on the stand-in, in every order of threads; on a GPU where one is.

mod backend;
#[path = "../oracle/builder.rs"]
mod builder;
mod gpu;
mod mutations;
mod network;
mod problems;
#[path = "../engine/programs.rs"]
#[allow(dead_code)] // large programs are for the engine
mod programs;
mod ptx;
mod scalar;
mod suite;

use std::sync::LazyLock;

use mote_tests::chains;
use mote_tests::standin::{Library, SCHEDULES, Standin};
use mote_tests::synthetic::Form;
use mote_tools::quantize::scheme::Scheme;

static LIBRARY: LazyLock<Library> = LazyLock::new(|| Library::compile(None).expect("the kernels compile"));

fn device(schedule: u32) -> Standin {
    LIBRARY.device(schedule).expect("the stand-in")
}

fn hold(problem: &suite::Problem, schedule: u32) {
    if let Err(first) = suite::solve(device(schedule), problem) {
        panic!("schedule {schedule}: {first}");
    }
}

#[test]
fn random_programs_give_the_runtimes_bits() {
    for seed in 0..24 {
        for problem in problems::random(seed) {
            hold(&problem, (seed % u64::from(SCHEDULES)) as u32);
        }
    }
}

#[test]
fn every_operator_in_every_format_gives_the_runtimes_bits_in_every_order_of_threads() {
    for form in Form::ALL {
        let problem = problems::everything(form);
        for schedule in 0..SCHEDULES {
            hold(&problem, schedule);
        }
    }
}

#[test]
fn planned_runs_give_the_runtimes_bits() {
    for (problem, schedule) in problems::plans().iter().zip((0..SCHEDULES).cycle()) {
        hold(problem, schedule);
    }
}

#[test]
fn every_sampler_and_inpainting_give_the_runtimes_bits_in_every_order_of_threads() {
    for problem in problems::samplers() {
        for schedule in 0..SCHEDULES {
            hold(&problem, schedule);
        }
    }
}

#[test]
fn chains_of_2015_give_the_runtimes_bits() {
    for (i, scheme) in chains::SCHEMES.into_iter().enumerate() {
        for (j, problem) in problems::chains(scheme).iter().enumerate() {
            hold(problem, (i + j) as u32);
        }
    }
}

#[test]
fn trained_networks_give_the_runtimes_bits() {
    for (i, scheme) in Scheme::ALL.into_iter().enumerate() {
        hold(&problems::trained(scheme, false, 4, 3), i as u32 % SCHEDULES);
    }
}

#[test]
fn functions_of_the_contract_give_the_runtimes_bits() {
    for schedule in [0, 3] {
        if let Err(first) = scalar::solve(device(schedule)) {
            panic!("schedule {schedule}: {first}");
        }
    }
}

#[test]
fn a_network_with_attention_gives_the_runtimes_bits() {
    for (i, scheme) in [Scheme::F16, Scheme::W8A16, Scheme::W8A8].into_iter().enumerate() {
        hold(&problems::trained(scheme, true, 1, 1), i as u32 + 1);
    }
}
