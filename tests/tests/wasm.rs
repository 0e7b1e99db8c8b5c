//! The module that the page samples with gives the engine's bits, in an interpreter: every start, every sampler, every bundled checkpoint.

use mote_runtime::internals::sampler::{UNKNOWN, Variance};
use mote_runtime::{Config, Feature, Method};
use mote_tests::checkpoints::{digits, fashion};
use mote_tests::policy::{observations, policy};
use mote_tools::backend::{BackendError, ImageRequest, Origin, Sampling};
use mote_tools::{
    Backend, Checkpoint, Conditions, Conversion, Error, ErrorKind, ModelFile, Request, RunOptions, Scheme,
};

fn converted(checkpoint: &Checkpoint, scheme: Scheme) -> ModelFile {
    let converted = Conversion::new(scheme).convert(checkpoint).and_then(|made| made.file());
    converted.unwrap_or_else(|error| panic!("{scheme}: {error}"))
}

/// Steps, states and pixels alike.
fn agrees(file: &ModelFile, sampling: &Sampling) {
    let run = |backend: Backend| {
        let traces = backend.run(file.opened(), sampling, &|| ());
        traces.unwrap_or_else(|error| panic!("{backend}: {error}"))
    };
    let expected = run(Backend::Cpu);
    assert!(expected.iter().all(|trace| !trace.steps.is_empty()));
    assert_eq!(run(Backend::Wasm), expected, "{:?}", sampling.config);
}

#[test]
fn every_bundled_checkpoint_has_the_engine_s_bits_under_four_samplers() {
    for (path, scheme, steps, seeds) in [
        (digits(), Scheme::W8A8, 4, 4),
        (digits(), Scheme::W4A16, 3, 2),
        (digits(), Scheme::F16, 2, 1),
        (fashion(), Scheme::W8A8, 2, 1),
    ] {
        let file = converted(&Checkpoint::open(&path).expect("it is bundled"), scheme);
        for method in [
            Method::Ddim,
            Method::Ddpm(Variance::Small),
            Method::DpmSolver2M,
            Method::Heun,
        ] {
            let config = Config {
                method,
                ..Config::of(file.model().header(), steps)
            };
            agrees(&file, &Sampling::of_seeds(config, 0..seeds));
        }
    }
}

#[test]
fn every_start_has_the_engine_s_bits() {
    let file = converted(&Checkpoint::open(digits()).expect("it is bundled"), Scheme::W8A16);
    let config = Config::of(file.model().header(), 4);
    let ramp: Vec<i32> = (0..64).map(|i| (i - 32) << 19).collect();
    let origins = [
        Origin::Seed,
        Origin::Noise(ramp.clone()),
        Origin::Image {
            image_q24: ramp.clone().into(),
            strength_q16: 49_152,
        },
        Origin::Between {
            second: u64::MAX,
            part_q16: 21_845,
        },
    ];
    let wanted = |origin: &Origin| ImageRequest {
        seed: u64::MAX - 7,
        origin: origin.clone(),
        condition: None,
    };
    let mut sampling = Sampling {
        images: origins.iter().map(wanted).collect(),
        ..Sampling::of_seeds(config, [])
    };
    agrees(&file, &sampling);
    sampling.known = Some(ramp.iter().map(|x| if *x < 0 { *x } else { UNKNOWN }).collect());
    sampling.images.truncate(1);
    agrees(&file, &sampling);
}

#[test]
fn a_policy_has_the_engine_s_actions() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("demos.npy");
    std::fs::write(&path, observations(8)).expect("it is written");
    let file = converted(&policy(Some(&path)), Scheme::W8A16);
    let request = Request {
        run: RunOptions {
            steps: Some(2),
            ..RunOptions::default()
        },
        condition: Some(Conditions::parse(path.display().to_string()).expect("the file is read")),
        count: Some(2),
        ..Request::default()
    };
    agrees(&file, &request.sampling(file.model()).expect("it can be asked for"));
}

#[test]
fn what_the_module_leaves_out_is_refused_by_its_part() {
    let file = converted(&Checkpoint::open(digits()).expect("it is bundled"), Scheme::W8A8);
    let config = Config {
        method: Method::Consistency,
        ..Config::of(file.model().header(), 2)
    };
    let refused = Backend::Wasm.run(file.opened(), &Sampling::of_seeds(config, [1]), &|| ());
    let error = refused.expect_err("the module has no consistency sampling");
    assert!(
        matches!(error, BackendError::NotInPage(Feature::Consistency)),
        "{error}"
    );
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("'consistency'"), "{error}");
}
