//! Boots every board under QEMU and holds it to the bits that the desktop makes.

mod common;

use common::{board, config, desktop, tiny_model};
use mote_firmware_sim::{Image, ImageOptions, Output, RunReport, RunRequest, boards};
use mote_runtime::Start;

const STEPS: u32 = 4;
const SEEDS: [u64; 2] = [7, 0xfedc_ba98_7654_3210];

/// Runs the tiny model and compares digests, pixels and state.
fn boots_and_agrees(name: &str) {
    let Some(board) = board(name) else { return };
    let model = tiny_model();
    let image = Image::link(board, &model, &ImageOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let request = RunRequest {
        output: Output::PixelsAndState,
        ..RunRequest::new(config(STEPS), SEEDS)
    };
    let report = image.run(&request).unwrap_or_else(|error| panic!("{error}"));
    for (seed, found) in SEEDS.into_iter().zip(&report.images) {
        let expected = desktop(&model, &mote_runtime::Config { seed, ..config(STEPS) }, &Start::Seed);
        for (found, expected) in found.steps.iter().zip(&expected.steps) {
            assert_eq!(
                (found.index, found.t, found.digest),
                (expected.index, expected.t, expected.digest),
                "{name}"
            );
        }
        assert_eq!(found.pixels, expected.pixels, "{name}");
        assert_eq!(found.state, expected.state, "{name}");
    }
    is_plausible(&report, model.len() as u64);
    println!(
        "{name}: {:?}, stack {}, step {:?}, start {}, parse {} instructions",
        report.sizes,
        report.stack_bytes,
        report.images[0].steps[0].instructions,
        report.images[0].start_instructions,
        report.parse_instructions
    );
}

fn is_plausible(report: &RunReport, model_bytes: u64) {
    assert_eq!(report.sizes.flash_model_bytes, model_bytes);
    assert!(report.sizes.flash_bytes >= report.sizes.flash_code_bytes + model_bytes);
    assert!(
        (256..report.sizes.stack_reserved_bytes).contains(&report.stack_bytes),
        "{}",
        report.stack_bytes
    );
    // Two small convolutions over 64 positions: tens of thousands of instructions, far from millions.
    for step in report.images.iter().flat_map(|image| &image.steps) {
        let instructions = step.instructions.expect("steps are timed");
        assert!((10_000..4_000_000).contains(&instructions), "{instructions}");
    }
}

macro_rules! each_board {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { boots_and_agrees($name); })*

        /// A board in the table without a test here would never be booted.
        #[test]
        fn every_board_has_a_test() {
            let tested = [$($name),*];
            let missing: Vec<_> = boards().iter().map(|board| board.name).filter(|name| !tested.contains(name)).collect();
            assert!(missing.is_empty(), "no test for {missing:?}");
        }
    };
}

each_board! {
    microbit: "microbit",
    stm32vldiscovery: "stm32vldiscovery",
    lm3s6965evb: "lm3s6965evb",
    netduinoplus2: "netduinoplus2",
    mps2_an385: "mps2-an385",
    mps2_an386: "mps2-an386",
    mps2_an500: "mps2-an500",
    mps2_an505: "mps2-an505",
    mps2_m0: "mps2-m0",
    mps3_an547: "mps3-an547",
    virt: "virt",
}
