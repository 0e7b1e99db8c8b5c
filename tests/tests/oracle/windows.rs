//! Convolutions of every shape: random windows, and signals.

use mote_engine::memory::AlignedBytes;
use mote_runtime::{Config, Model, Start};
use mote_tests::random::Random;
use mote_tools::quantize::scheme::Bits;

use crate::compare::assert_equal;
use crate::programs::{factors_at_random, program, signals};

fn compare(file: &AlignedBytes, what: &str) {
    let model = Model::parse(file.bytes()).expect("a valid model");
    assert_equal(file, &Config::of(model.header(), 1), &Start::Seed, what);
}

#[test]
fn random_windows_are_the_oracles() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let file = program(&mut random, seed);
        compare(&file, &format!("program {seed}"));
        let wild = factors_at_random(&file, &mut random);
        compare(&wild, &format!("program {seed}, factors at random"));
    }
}

#[test]
fn signals_are_the_oracles() {
    for (seed, cols) in (0..).zip([16, 11, 3]) {
        let mut random = Random(seed);
        let widths = [Bits::Four, Bits::Eight, Bits::Sixteen];
        let integer = signals(
            seed,
            cols,
            Some(&mut |weights| random.pick(if weights { &widths } else { &widths[1..] })),
        );
        compare(&integer, &format!("signals of {cols}"));
        compare(&signals(seed, cols, None), &format!("signals of {cols} in f16"));
    }
}
