//! Variances that a network learned: kept in the file where that is asked for, and taken by the ancestral sampler, the same on every
//! backend and as Nichol and Dhariwal 2021 write them.

use mote_engine::memory::AlignedBytes;
use mote_graph::float::samplers::share;
use mote_runtime::internals::numeric::normal::normal_q24;
use mote_runtime::internals::sampler::Variance;
use mote_runtime::internals::schedule::ddpm::Spread;
use mote_runtime::{Arena, Config, Feature, Method, Model, RunError, Sampler, Start};
use mote_tests::running::{everywhere, finish};
use mote_tools::backend::OpenModel;
use mote_tools::convert::{Options, convert};
use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::emit::planned::planned;
use mote_tools::import::{Checkpoint, import};
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::{FloatDevice, against};
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/importers/dit")
}

fn kept() -> Checkpoint {
    let mut checkpoint = import(&fixture()).expect("a checkpoint");
    checkpoint.keep_variances().expect("it gives variances");
    checkpoint
}

fn file(checkpoint: &Checkpoint, scheme: Scheme) -> AlignedBytes {
    let converted = convert(checkpoint, &Options::of(scheme), &|_| {}).expect("it converts");
    AlignedBytes::copy_of(&converted.emitted.bytes)
}

fn learned(model: &Model<'_>, steps: u32) -> Config {
    Config {
        method: Method::Ddpm(Variance::Learned),
        class: Some(1),
        seed: 3,
        ..Config::of(model.header(), steps)
    }
}

/// What PyTorch and diffusers' `DDPMScheduler` compute from the same noise.
#[test]
fn runs_are_those_of_diffusers() {
    let report = crosscheck(&kept(), &fixture().join("variance.safetensors"), Dtype::F64).expect("vectors");
    assert!(report.held, "{report}");
    assert!(report.to_string().contains("ddpm5"), "{report}");
    // Variances that are others, under the same means, are seen in the run.
    let mut other = kept();
    let bias = other
        .graph
        .params
        .iter_mut()
        .find(|(key, _)| key.contains("proj_out_2") && key.contains("bias"));
    let (_, bias) = bias.expect("the last layer has biases");
    let half = bias.data.len() / 2;
    bias.data[half..].iter_mut().for_each(|bias| *bias += 0.1);
    let report = crosscheck(&other, &fixture().join("variance.safetensors"), Dtype::F64).expect("vectors");
    let text = report.to_string();
    let run = text
        .lines()
        .find(|line| line.contains("ddpm5.x0"))
        .expect("the run is compared");
    assert!(run.contains("NOT HELD"), "{text}");
}

/// The noise of a step against `f64`, between and beyond the two fixed variances.
#[test]
fn deviations_lie_between_the_fixed_ones() {
    let q62 = |ab: f64| (ab * (1u64 << 62) as f64) as u64;
    let mut worst = 0.0f64;
    for (index, (ab, next)) in [
        (0.01, 0.02),
        (0.5, 0.9),
        (0.9, 0.9999),
        (0.3, 0.300_001),
        (1e-6, 0.999_999),
    ]
    .into_iter()
    .enumerate()
    {
        let spread = Spread::new(q62(ab), q62(next));
        for step in -40..=40 {
            let v = f64::from(step) / 20.0;
            let v_q24 = (v * f64::from(1 << 24)) as i32;
            let z_q24 = normal_q24(9, index as u32, (step + 40) as u32);
            let expected = f64::from(z_q24) * share(ab, next, v);
            let error = (f64::from(spread.noise(z_q24, v_q24)) - expected).abs() - 1.0;
            worst = worst.max(error / expected.abs().max(1.0));
        }
        // The large one at 1, the small one at -1.
        let one = 1 << 24;
        assert_eq!(spread.noise(12_345_678, one), 12_345_678);
        let small = f64::from(spread.noise(one, -one)) / f64::from(one);
        assert!((small - ((1.0 - next) / (1.0 - ab)).sqrt()).abs() < 3e-5, "{small}");
    }
    println!("largest relative error {worst:.2e}");
    assert!(worst < 6e-5, "{worst:e}");
    for ends in [
        Spread::new(5, 1 << 62),
        Spread::new(7, 7),
        Spread::new(9, 3),
        Spread::new(u64::MAX, 1),
    ] {
        assert_eq!(ends.noise(777, -(1 << 24)), 777);
    }
    // No input is too large.
    let most = Spread::new(0, (1 << 62) - 1);
    for v in [i32::MIN, -(1 << 30), 1 << 30, i32::MAX] {
        for z in [i32::MIN, i32::MAX] {
            let noise = most.noise(z, v);
            assert!(noise.unsigned_abs() <= 1 << 30, "{v} {z}: {noise}");
        }
    }
}

#[test]
fn the_same_bits_everywhere() {
    for scheme in [Scheme::F16, Scheme::W8A16, Scheme::W8A8] {
        let memory = file(&kept(), scheme);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        assert!(model.has_variances() && Feature::LearnedVariance.needed_by(&model));
        let plain = learned(&model, 5);
        let guided = Config {
            guidance_q16: Some(3 << 15),
            ..plain
        };
        let fixed = Config {
            method: Method::Ddpm(Variance::Large),
            ..plain
        };
        let other = Config {
            method: Method::Heun,
            ..guided
        };
        let digests =
            [plain, guided, fixed, other].map(|config| everywhere(memory.bytes(), &config, &Start::Seed, None));
        assert_ne!(digests[0], digests[2], "{scheme}: the variances are the network's");
        // In pieces of an operator.
        for (config, digests) in [plain, guided].iter().zip(&digests) {
            let mut arena = AlignedBytes::for_run(&model, config);
            let mut arena = Arena::new(arena.bytes_mut()).expect("it is aligned");
            let mut run = Sampler::new(&model, &mut arena, config, &Start::Seed).expect("a valid run");
            let mut found = vec![];
            while let Some(mut step) = run.begin_step().expect("it begins") {
                while !run.run_operators(&mut step, 1).expect("it runs") {}
                found.push(run.finish_step(step).expect("it ends").digest);
            }
            assert_eq!(&found, digests, "{scheme}");
        }
    }
}

/// With the variances and without the means are the same numbers in f16, where no scale depends on what stands beside them.
#[test]
fn means_are_those_of_a_file_without_variances() {
    let (both, means) = (
        file(&kept(), Scheme::F16),
        file(&import(&fixture()).expect("a checkpoint"), Scheme::F16),
    );
    let [both, means] = [&both, &means].map(|memory| Model::parse(memory.bytes()).expect("a valid model"));
    assert!(!means.has_variances());
    let config = Config {
        method: Method::Ddim,
        ..learned(&both, 5)
    };
    let [both, means] = [&both, &means].map(|model| finish(model, &config, &Start::Seed).expect("it runs").state);
    assert_eq!(both, means);
}

#[test]
fn files_are_as_close_to_the_float_network_as_without() {
    let checkpoint = kept();
    for (scheme, least) in [(Scheme::F16, 40.0), (Scheme::W8A16, 30.0)] {
        let memory = file(&checkpoint, scheme);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let opened = OpenModel {
            model: &model,
            bytes: memory.bytes(),
        };
        let config = learned(&model, 3);
        // The checkpoint as it was read: what is kept, the model says.
        let read = import(&fixture()).expect("a checkpoint");
        let found = against(opened, &read, &config, &[1, 2, 3, 4], FloatDevice::Cpu, &|| {}).expect("it runs");
        println!("{scheme}: {:.1} dB", found.x0_psnr_db_mean);
        assert!(
            found.x0_psnr_db_mean >= least,
            "{scheme}: {:.1} dB",
            found.x0_psnr_db_mean
        );
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let memory = file(&import(&fixture()).expect("a checkpoint"), Scheme::W8A8);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    let run = finish(&model, &learned(&model, 3), &Start::Seed);
    assert!(matches!(run, Err(RunError::NoVariances)), "{run:?}");
    let memory = file(&kept(), Scheme::W8A8);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    let error = planned(memory.bytes(), &learned(&model, 3)).expect_err("its noise is the network's");
    assert!(error.to_string().contains("learned variances"), "{error}");
    // Another sampler's run is planned, with the same bits.
    let config = Config {
        method: Method::Ddpm(Variance::Small),
        ..learned(&model, 3)
    };
    let run = AlignedBytes::copy_of(&planned(memory.bytes(), &config).expect("it is planned"));
    let run = Model::parse(run.bytes()).expect("a valid model");
    let [there, here] = [&run, &model].map(|model| finish(model, &config, &Start::Seed).expect("it runs"));
    assert_eq!(there, here);
    let mut plain = mote_tests::checkpoints::checkpoint(&mote_tests::checkpoints::digits());
    assert!(plain.keep_variances().is_err());
}
