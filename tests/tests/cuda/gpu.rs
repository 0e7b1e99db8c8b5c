//! The suite on a GPU, where one is; `tests/gpu/run` runs these and more.

use std::process::Command;

use mote_cuda::driver::{Device, missing};
use mote_cuda::launch::{Launch, Launcher};
use mote_cuda::{CudaError, Executor};
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::ops::Op;
use mote_runtime::{Config, Model};
use mote_tests::synthetic::Form;
use mote_tests::{chains, checkpoints};
use mote_tools::backend::{Backend, OpenModel, Sampling};
use mote_tools::quantize::scheme::Scheme;

use crate::{LIBRARY, problems, scalar, suite};

/// A GPU, or `None` with a line that says what was skipped.
pub fn gpu(what: &str) -> Option<Device> {
    match missing() {
        Some((missing, _)) => {
            println!("SKIPPED: {what} on a GPU: missing {missing}");
            None
        }
        None => Some(Device::open(0).expect("a GPU that is there")),
    }
}

/// Whether the checkpoints are not where this was built; `tests/gpu/run` then has their models, converted.
pub fn moved(what: &str) -> bool {
    let moved = !checkpoints::digits().exists();
    if moved {
        println!("SKIPPED: {what} on a GPU: the repository is not where this was built");
    }
    moved
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
fn every_sampler_and_inpainting_on_a_gpu() {
    for problem in problems::samplers() {
        if let Some(device) = gpu("every sampler") {
            suite::solve_all(device, &problem).expect("the runtime's bits");
        }
    }
}

#[test]
fn chains_of_2015_on_a_gpu() {
    for problem in chains::SCHEMES.into_iter().flat_map(problems::chains) {
        if let Some(device) = gpu("chains") {
            suite::solve_all(device, &problem).expect("the runtime's bits");
        }
    }
}

#[test]
fn wrong_uses_are_errors_on_a_gpu() {
    let Some(mut device) = gpu("wrong uses") else { return };
    let buffer = device.alloc(24).expect("memory");
    let launch = Launch {
        kernel: "probe_function",
        blocks: 1,
        threads: 32,
        shared: 0,
        args: [buffer.address, 0, 1],
    };
    let named = Launch {
        kernel: "no_such_kernel",
        ..launch
    };
    let wide = Launch {
        shared: device.limits().shared + 1,
        ..launch
    };
    for wrong in [named, wide] {
        let refused = device.launch(&wrong);
        assert!(matches!(refused, Err(CudaError::Driver(_))), "{wrong:?}: {refused:?}");
        let refused = device.record(&[launch, wrong]);
        assert!(matches!(refused, Err(CudaError::Driver(_))), "{wrong:?}: {refused:?}");
    }
    assert!(matches!(device.write(&buffer, 20, &[0; 8]), Err(CudaError::Buffer)));
    assert!(matches!(device.read(&buffer, &mut [0; 25]), Err(CudaError::Buffer)));
    // None of which keeps it from right ones.
    device.write(&buffer, 0, &[0; 24]).expect("a copy");
    let recording = device.record(&[launch]).expect("a recording");
    device.replay(recording).expect("a launch");
    device.free_all();
    assert!(matches!(device.write(&buffer, 0, &[0; 8]), Err(CudaError::Buffer)));
    assert!(matches!(device.replay(recording), Err(CudaError::Buffer)));
}

/// Of a model whose arena, with what has a window in the file lying whole behind it, is more shared memory than a block has without asking.
#[test]
fn the_backend_of_commands_on_a_gpu() {
    if gpu("the backend of commands").is_none() || moved("the backend of commands") {
        return;
    }
    let file = AlignedBytes::copy_of(
        &checkpoints::converted(&checkpoints::fashion(), Scheme::W8A16)
            .emitted
            .bytes,
    );
    let model = Model::parse(file.bytes()).expect("a valid model");
    let whole = |op: Op| {
        let norm = *op.norm().filter(|_| matches!(op, Op::NormConv(_)))?;
        let (window, source) = (model.tensor(norm.out)?, model.tensor(norm.source.first)?);
        Some(window.bytes() / usize::from(window.rows) * usize::from(source.rows))
    };
    let behind = model.ops().filter_map(whole).max().unwrap_or(0);
    assert!(model.header().arena_bytes as usize + behind > 48 << 10);
    let opened = OpenModel {
        model: &model,
        bytes: file.bytes(),
    };
    let sampling = Sampling {
        operators: true,
        ..Sampling::of_seeds(Config::of(model.header(), 1), 3..5)
    };
    let expected = Backend::Cpu.run(opened, &sampling, &|| ()).expect("a run");
    for executor in [None, Some(Executor::Layered), Some(Executor::Resident)] {
        let backend = Backend::Cuda(executor);
        assert_eq!(
            backend.run(opened, &sampling, &|| ()).expect("a run"),
            expected,
            "{backend}"
        );
        let mut streamed = Vec::new();
        let taken = backend.stream(opened, &sampling, &mut |traces| {
            streamed.extend(traces);
            std::ops::ControlFlow::Continue(())
        });
        taken.expect("a run");
        assert_eq!(streamed, expected, "{backend}");
    }
}

/// Everything between a command and the driver's library, which is none of NVIDIA's: it holds its callers to the driver's rules, and its GPU
/// is the stand-in.
#[test]
fn behind_a_stand_in_of_the_driver() {
    let folder = LIBRARY.driver().expect("the driver's stand-in compiles");
    let tests = [
        "gpu::without_a_gpu_nothing_panics_and_what_is_missing_is_named",
        "gpu::functions_of_the_contract_on_a_gpu",
        "gpu::every_operator_in_every_format_on_a_gpu",
        "gpu::every_sampler_and_inpainting_on_a_gpu",
        "gpu::chains_of_2015_on_a_gpu",
        "gpu::wrong_uses_are_errors_on_a_gpu",
        "gpu::the_backend_of_commands_on_a_gpu",
        "network::gpu::float_operators_on_a_gpu",
        "network::gpu::the_float_network_of_commands_on_a_gpu",
    ];
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(tests)
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .env("LD_LIBRARY_PATH", folder)
        .output()
        .expect("this program again");
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(
        output.status.success() && text.contains(&format!("{} passed", tests.len())),
        "{text}"
    );
    assert!(!text.contains("SKIPPED"), "{text}");
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
            if moved("trained networks") {
                return;
            }
            suite::solve_all(device, &problems::trained(scheme, large, 20, 8)).expect("the runtime's bits");
        }
    }
}
