//! The backend as commands use it: the same traces as the CPU's, whatever the batch, the executor and the start.

use mote_cuda::ops::Kernel;
use mote_cuda::program::Program;
use mote_cuda::run::{Executor, Gpu, Sampling};
use mote_cuda::{CudaError, Start};
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::sampler::UNKNOWN;
use mote_runtime::{Config, Method, Model, RunError};
use mote_tests::synthetic::{self, Form};
use mote_tests::{chains, checkpoints};
use mote_tools::backend::cuda::stream_on;
use mote_tools::backend::{Backend, BackendError, ImageRequest, OpenModel, Origin, Trace};
use mote_tools::quantize::scheme::Scheme;
use std::ops::ControlFlow;

use crate::{device, problems, suite};

const EXECUTORS: [Option<Executor>; 3] = [None, Some(Executor::Layered), Some(Executor::Resident)];

fn digits() -> AlignedBytes {
    AlignedBytes::copy_of(
        &checkpoints::converted(&checkpoints::digits(), Scheme::W8A8)
            .emitted
            .bytes,
    )
}

fn on_standin(
    opened: OpenModel<'_>,
    sampling: &mote_tools::backend::Sampling,
    executor: Option<Executor>,
    batch: Option<usize>,
) -> Vec<Trace> {
    let mut traces = Vec::new();
    let mut take = |some: Vec<Trace>| {
        assert!(batch.is_none_or(|batch| some.len() <= batch));
        traces.extend(some);
        ControlFlow::Continue(())
    };
    stream_on(device(0), opened, sampling, executor, batch, &mut take).expect("a run");
    traces
}

#[test]
fn traces_are_the_cpus_whatever_the_batch_and_the_executor() {
    let file = digits();
    let model = Model::parse(file.bytes()).expect("a valid model");
    let opened = OpenModel {
        model: &model,
        bytes: file.bytes(),
    };
    let config = Config {
        eta_q16: 30_000,
        ..Config::of(model.header(), 2)
    };
    let sampling = mote_tools::backend::Sampling::of_seeds(config, 5..12);
    let expected = Backend::Cpu.run(opened, &sampling, &|| ()).expect("a run");
    for executor in EXECUTORS {
        for batch in [Some(1), Some(3), None] {
            assert_eq!(
                on_standin(opened, &sampling, executor, batch),
                expected,
                "{executor:?}, batches of {batch:?}"
            );
        }
    }
}

#[test]
fn images_may_start_anywhere() {
    let file = digits();
    let model = Model::parse(file.bytes()).expect("a valid model");
    let opened = OpenModel {
        model: &model,
        bytes: file.bytes(),
    };
    let given: Vec<i32> = (0..model.header().sample_len() as i32)
        .map(|i| (i - 20) << 18)
        .collect();
    let image = |strength_q16| Origin::Image {
        image_q24: given.clone().into(),
        strength_q16,
    };
    let origins = [
        Origin::Seed,
        Origin::Noise(given.clone()),
        Origin::Noise(given.iter().map(|v| -v).collect()),
        image(1 << 15),
        image(1 << 15),
        // No step is left to run.
        image(0),
        image(1 << 16),
        Origin::Between {
            second: 9,
            part_q16: 20_000,
        },
        Origin::Between {
            second: 9,
            part_q16: 1 << 16,
        },
        Origin::Seed,
        Origin::Seed,
    ];
    let images = origins.into_iter().enumerate().map(|(i, origin)| ImageRequest {
        seed: 40 + i as u64,
        origin,
        condition: None,
    });
    let whole = mote_tools::backend::Sampling {
        known: None,
        known_noise: 0,
        config: Config::of(model.header(), 4),
        images: images.collect(),
        operators: false,
    };
    // Of a run that begins in the middle, the first step of DPM-Solver++ is of first order all the same.
    let part = mote_tools::backend::Sampling {
        known: Some(given.iter().map(|v| if v % 3 == 0 { UNKNOWN } else { v / 2 }).collect()),
        config: Config {
            method: Method::DpmSolver2M,
            ..whole.config
        },
        ..whole.clone()
    };
    for sampling in [whole, part] {
        let expected = Backend::Cpu.run(opened, &sampling, &|| ()).expect("a run");
        for executor in EXECUTORS {
            assert_eq!(on_standin(opened, &sampling, executor, None), expected, "{executor:?}");
        }
    }
}

#[test]
fn chains_start_anywhere_and_take_no_known_image() {
    for (name, file) in chains::all(Scheme::W8A16) {
        let file = AlignedBytes::copy_of(&file);
        let model = Model::parse(file.bytes()).expect("a valid model");
        let opened = OpenModel {
            model: &model,
            bytes: file.bytes(),
        };
        let given: Vec<i32> = (0..model.header().sample_len() as i32).map(|i| (i - 3) << 23).collect();
        let origins = [
            Origin::Seed,
            Origin::Noise(given.clone()),
            Origin::Image {
                image_q24: given.clone().into(),
                strength_q16: 30_000,
            },
        ];
        let images = origins.into_iter().zip(3..).map(|(origin, seed)| ImageRequest {
            seed,
            origin,
            condition: None,
        });
        let mut sampling = mote_tools::backend::Sampling {
            known: None,
            known_noise: 0,
            config: Config::of(model.header(), model.header().train_steps),
            images: images.collect(),
            operators: true,
        };
        let expected = Backend::Cpu.run(opened, &sampling, &|| ()).expect("a run");
        for executor in EXECUTORS {
            assert_eq!(
                on_standin(opened, &sampling, executor, None),
                expected,
                "{name}, {executor:?}"
            );
        }
        sampling.known = Some(given);
        let refused = stream_on(device(0), opened, &sampling, None, None, &mut |_| {
            ControlFlow::Continue(())
        });
        assert!(
            matches!(refused, Err(BackendError::Run(RunError::ChainSampler))),
            "{refused:?}"
        );
    }
}

#[test]
fn what_a_block_cannot_hold_runs_layered_and_is_refused_by_name_otherwise() {
    let file = AlignedBytes::copy_of(&synthetic::model(Form::W8A16));
    let model = Model::parse(file.bytes()).expect("a valid model");
    let config = Config::of(model.header(), 1);
    let images = [(1, Start::Seed)];
    let sampling = |executor| Sampling {
        config,
        images: &images,
        known: None,
        operators: false,
        executor,
        batch: None,
        recorded: true,
    };
    let mut small = device(0);
    small.shared = 512;
    let mut gpu = Gpu::prepare(small, &model).expect("a valid model");
    assert_eq!(gpu.executor(&config), Executor::Layered);
    let mut made = 0;
    gpu.run(&sampling(None), |images| {
        made += images.len();
        ControlFlow::Continue(())
    })
    .expect("a run");
    assert_eq!(made, 1);
    let refused = gpu.run(&sampling(Some(Executor::Resident)), |_| ControlFlow::Continue(()));
    assert!(
        matches!(refused, Err(CudaError::Shared { found: 512, .. })),
        "{refused:?}"
    );
    let gpu = Gpu::prepare(device(0), &model).expect("a valid model");
    assert_eq!(gpu.executor(&config), Executor::Resident);
}

#[test]
fn activations_are_joined_unless_a_block_has_room_without_only() {
    let problem = problems::joined();
    let model = Model::parse(problem.file.bytes()).expect("a valid model");
    let [bytes, plain] = [true, false].map(|join| {
        let program = Program::new(&model, join).expect("a valid model");
        assert_eq!(program.layers.iter().any(|layer| layer.kernel == Kernel::Join), join);
        program.arena_bytes
    });
    assert!(bytes > plain);
    for shared in [227 << 10, bytes] {
        let limited = || {
            let mut limited = device(1);
            limited.shared = shared as u32;
            limited
        };
        let gpu = Gpu::prepare(limited(), &model).expect("a valid model");
        assert_eq!(gpu.executor(&problem.configs[0]), Executor::Resident, "{shared}");
        suite::solve(limited(), &problem).expect("the runtime's bits");
    }
}

#[test]
fn a_run_that_the_sampler_refuses_is_refused() {
    let file = AlignedBytes::copy_of(&synthetic::model(Form::W8A8));
    let model = Model::parse(file.bytes()).expect("a valid model");
    let mut gpu = Gpu::prepare(device(0), &model).expect("a valid model");
    let mut refused = |config, start| {
        let images = [(1, start)];
        let sampling = Sampling {
            config,
            images: &images,
            known: None,
            operators: false,
            executor: None,
            batch: None,
            recorded: true,
        };
        match gpu.run(&sampling, |_| ControlFlow::Continue(())) {
            Err(CudaError::Run(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let config = Config::of(model.header(), 1);
    let many = Config { steps: 21, ..config };
    assert_eq!(refused(many, Start::Seed), RunError::Steps { found: 21, max: 20 });
    let short = RunError::Length { expected: 16, found: 3 };
    assert_eq!(refused(config, Start::Noise(&[1, 2, 3])), short);
}
