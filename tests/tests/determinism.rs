//! The same checkpoint and options give the same bytes: twice here, and the same on every machine.

use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::sampler::{UNKNOWN, Variance};
use mote_runtime::{Arena, Config, Method, Model, Sampler, Start};
use mote_tests::checkpoints::{converted, digits};
use mote_tools::quantize::scheme::Scheme;
use sha2::{Digest, Sha256};

/// SHA-256 of the converted `digits8-micro`. It moves with the numeric version, the file format, the quantizer and the converter's
/// version; it does not move with the machine, the number of threads or the day.
const GOLDEN: [(Scheme, &str); 4] = [
    (
        Scheme::W4A8,
        "9696285255285279d1dbcaadf84ff49006a3af18c1cd27b9b269fe63dd9fda65",
    ),
    (
        Scheme::F16,
        "752e0de9e40f26768652fb4c712240a8a64b0fef964f8b3f406612dc83f3bb04",
    ),
    (
        Scheme::W8A16,
        "ef173d6c1626ae534cf34e81c5a028cc61128f5d5ed98de261f8b5ee5a425da4",
    ),
    (
        Scheme::W8A8,
        "1cbe525df27e737be1dd5f72632fd021995234bee3a50322925477e3e543415d",
    ),
];

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn conversion_gives_the_golden_bytes() {
    let found = GOLDEN.map(|(scheme, _)| (scheme, sha256(&converted(&digits(), scheme).emitted.bytes)));
    let found = found.each_ref().map(|(scheme, sha)| (*scheme, sha.as_str()));
    assert_eq!(found, GOLDEN);
}

/// Digest of the final state of `digits8-micro` as w8a8 after 10 steps from seed 7, by sampler and start.
const GOLDEN_RUNS: [(&str, u64); 8] = [
    ("ddim", 0x5404_ca09_470c_f845),
    ("ddim, eta 1", 0x13fb_de22_3169_9071),
    ("ddpm, small variance", 0x8871_7a0f_1d0a_9100),
    ("ddpm, large variance", 0xf1e3_a208_1db6_062a),
    ("dpm++", 0xe1eb_0ba4_a669_d076),
    ("heun", 0xc0b2_0d7f_2cdd_3acf),
    ("ddim, half of it known", 0x4804_6591_f087_2a1b),
    ("ddim, a third of the way to seed 8", 0x698f_d434_9322_32af),
];

#[test]
fn every_sampler_gives_the_golden_bits() {
    let memory = AlignedBytes::copy_of(&converted(&digits(), Scheme::W8A8).emitted.bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let half: Vec<i32> = (0..64).map(|i| if i < 32 { i << 19 } else { UNKNOWN }).collect();
    let run = |method: Method, eta_q16: u32, start: Start<'_>, known: Option<&[i32]>| {
        let config = Config {
            method,
            eta_q16,
            seed: 7,
            ..Config::of(model.header(), 10)
        };
        let mut memory = AlignedBytes::for_run(&model, &config);
        let mut arena = Arena::new(memory.bytes_mut()).expect("it is aligned");
        let mut run = Sampler::new(&model, &mut arena, &config, &start).expect("the run is valid");
        if let Some(known) = known {
            run.inpaint(known).expect("it has the sample's length");
        }
        while run.step().expect("the step runs").is_some() {}
        run.digest()
    };
    let between = Start::Between {
        second: 8,
        part_q16: 21_845,
    };
    let found = [
        run(Method::Ddim, 0, Start::Seed, None),
        run(Method::Ddim, 1 << 16, Start::Seed, None),
        run(Method::Ddpm(Variance::Small), 0, Start::Seed, None),
        run(Method::Ddpm(Variance::Large), 0, Start::Seed, None),
        run(Method::DpmSolver2M, 0, Start::Seed, None),
        run(Method::Heun, 0, Start::Seed, None),
        run(Method::Ddim, 0, Start::Seed, Some(&half)),
        run(Method::Ddim, 0, between, None),
    ];
    for ((name, expected), found) in GOLDEN_RUNS.into_iter().zip(found) {
        println!("{name}: {found:#018x} ({expected:#018x})");
    }
    for ((name, expected), found) in GOLDEN_RUNS.into_iter().zip(found) {
        assert_eq!(found, expected, "{name} changed");
    }
}

#[test]
fn conversion_twice_gives_the_same_bytes_on_one_thread_and_on_several() {
    same_bytes(Scheme::Auto);
}

#[test]
fn rounding_by_reconstruction_gives_the_same_bytes_on_one_thread_and_on_several() {
    same_bytes(Scheme::W4A16);
}

fn same_bytes(scheme: Scheme) {
    let convert = || converted(&digits(), scheme).emitted.bytes;
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads start")
    };
    let (one, several) = (pool(1).install(convert), pool(5).install(convert));
    assert!(one == several, "{} and {}", sha256(&one), sha256(&several));
}
