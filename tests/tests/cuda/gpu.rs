//! The suite on a GPU, where one is; `tests/gpu/run` runs these and more.

use mote_host::cuda::CudaError;
use mote_host::cuda::driver::{Device, missing};
use mote_tests::synthetic::Form;
use mote_tools::quantize::scheme::Scheme;

use crate::{problems, scalar, suite};

/// A GPU, or `None` with a line that says what was skipped.
fn gpu(what: &str) -> Option<Device> {
    match missing() {
        Some((missing, _)) => {
            println!("SKIPPED: {what} on a GPU: missing {missing}");
            None
        }
        None => Some(Device::open(0).expect("a GPU that is there")),
    }
}

#[test]
fn without_a_gpu_nothing_panics_and_what_is_missing_is_named() {
    match (missing(), Device::open(0)) {
        (Some((what, how)), Err(CudaError::Missing { what: named, how: help })) => {
            assert_eq!((what, how), (named, help));
        }
        (None, Ok(_)) => {}
        (found, opened) => panic!("{found:?}, but {opened:?}"),
    }
}

#[test]
fn functions_of_the_contract_on_a_gpu() {
    if let Some(device) = gpu("functions of the contract") {
        scalar::solve(device).expect("the runtime's bits");
    }
}

#[test]
fn every_operator_in_every_format_on_a_gpu() {
    for form in Form::ALL {
        if let Some(device) = gpu("every operator") {
            suite::solve_all(device, &problems::everything(form)).expect("the runtime's bits");
        }
    }
}

#[test]
fn random_programs_on_a_gpu() {
    for seed in 0..100 {
        let Some(mut device) = gpu("random programs") else {
            return;
        };
        for problem in problems::random(seed) {
            suite::solve_all(&mut device, &problem).expect("the runtime's bits");
        }
    }
}

#[test]
fn trained_networks_on_a_gpu() {
    for large in [false, true] {
        for scheme in Scheme::ALL {
            let Some(device) = gpu("trained networks") else { return };
            suite::solve_all(device, &problems::trained(scheme, large, 20, 8)).expect("the runtime's bits");
        }
    }
}
