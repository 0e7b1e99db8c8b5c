//! What a run measures: instructions, operators, stack; and the ways to start it.

mod common;

use common::{board, config, desktop, desktop_known, tiny_model};
use mote_firmware_sim::{Drill, Image, ImageOptions, ImageRecord, Observe, Output, Parts, RunRequest, StartFrom};
use mote_runtime::internals::sampler::{UNKNOWN, Variance};
use mote_runtime::{Config, Method, Start};

/// Every way in which a board of the table counts, and the fastest clock, whose counter wraps most often.
const CLOCKS: [&str; 9] = [
    "microbit",
    "stm32vldiscovery",
    "lm3s6965evb",
    "netduinoplus2",
    "mps2-an386",
    "mps2-an505",
    "mps2-m0",
    "mps3-an547",
    "virt",
];

fn image(name: &str, options: &ImageOptions) -> Option<Image> {
    Some(Image::link(board(name)?, &tiny_model(), options).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn a_known_loop_takes_its_instructions() {
    for name in CLOCKS {
        let Some(image) = image(name, &ImageOptions::default()) else {
            continue;
        };
        let request = RunRequest {
            drill: Some(Drill::Calibrate),
            ..RunRequest::new(config(1), [0])
        };
        let report = image.run(&request).unwrap_or_else(|error| panic!("{error}"));
        let (found, truth) = report.calibration.expect("the drill reports");
        // Around the loop: two readings of the clock, and an interrupt for each wrap.
        let slack = 2 * report.instruction_granularity.ceil() as u64 + 100;
        assert!(found.abs_diff(truth) <= slack, "{name}: {found} for {truth}");
    }
}

#[test]
fn counts_are_the_same_on_every_run() {
    for name in ["microbit", "mps2-an386", "virt"] {
        let Some(image) = image(name, &ImageOptions::default()) else {
            continue;
        };
        let run = || {
            image
                .run(&RunRequest::new(config(2), [3]))
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let (first, second) = (run(), run());
        assert_eq!(first.images, second.images, "{name}");
        assert_eq!(first.parse_instructions, second.parse_instructions, "{name}");
        assert_eq!(first.stack_bytes, second.stack_bytes, "{name}");
    }
}

#[test]
fn operators_are_counted_and_add_up() {
    for name in ["mps2-an386", "virt"] {
        let Some(image) = image(name, &ImageOptions::default()) else {
            continue;
        };
        let request = RunRequest {
            observe: Observe::OpInstructions,
            ..RunRequest::new(config(2), [3])
        };
        let observed = image.run(&request).unwrap_or_else(|error| panic!("{error}"));
        let plain = image
            .run(&RunRequest::new(config(2), [3]))
            .unwrap_or_else(|error| panic!("{error}"));
        let ops = &observed.images[0].ops;
        let numbers: Vec<_> = ops.iter().map(|op| (op.step, op.op)).collect();
        let expected: Vec<_> = (0..2).flat_map(|step| (0..4).map(move |op| (step, op))).collect();
        assert_eq!(numbers, expected, "{name}");
        let sum: u64 = ops
            .iter()
            .filter(|op| op.step == 0)
            .map(|op| op.instructions.expect("counted"))
            .sum();
        let whole = plain.images[0].steps[0].instructions.expect("timed");
        // The rest of a step: coefficients, the update of 64 values, its digest, decoding the operators.
        assert!(
            sum < whole && whole - sum < 40_000,
            "{name}: operators {sum} of {whole}"
        );
        assert!(observed.images[0].steps[0].instructions.is_none());
        assert_eq!(observed.images[0].steps[0].digest, plain.images[0].steps[0].digest);
    }
}

#[test]
fn operator_digests_agree_between_cores() {
    let digests = |name| {
        let image = image(name, &ImageOptions::default())?;
        let request = RunRequest {
            observe: Observe::OpDigests,
            ..RunRequest::new(config(2), [3])
        };
        let report = image.run(&request).unwrap_or_else(|error| panic!("{error}"));
        Some(report.images[0].ops.clone())
    };
    let (Some(arm), Some(riscv)) = (digests("microbit"), digests("virt")) else {
        return;
    };
    assert_eq!(arm.len(), 8);
    assert!(arm.iter().all(|op| op.digest.is_some() && op.instructions.is_none()));
    assert_eq!(arm, riscv);
}

#[test]
fn many_seeds_take_more_than_one_command_line() {
    let Some(image) = image("mps2-an386", &ImageOptions::default()) else {
        return;
    };
    let seeds: Vec<u64> = (0..60).map(|seed| u64::MAX - seed).collect();
    let report = image
        .run(&RunRequest::new(config(1), seeds.clone()))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.images.iter().map(|image| image.seed).collect::<Vec<_>>(), seeds);
    let last = Config {
        seed: seeds[59],
        ..config(1)
    };
    assert_eq!(
        report.images[59].steps[0].digest,
        desktop(&tiny_model(), &last, &Start::Seed).steps[0].digest
    );
}

#[test]
fn a_run_starts_from_what_is_linked_in() {
    let state: Vec<i32> = (0..64).map(|i| (i - 32) << 18).collect();
    let options = ImageOptions {
        state: state.clone(),
        ..ImageOptions::default()
    };
    let Some(image) = image("mps2-an385", &options) else {
        return;
    };
    let strength_q16 = 1 << 15;
    let starts = [
        (StartFrom::Noise, Start::Noise(&state)),
        (
            StartFrom::Image { strength_q16 },
            Start::Image {
                image_q24: &state,
                strength_q16,
            },
        ),
    ];
    for (from, start) in starts {
        let config = Config {
            seed: 5,
            eta_q16: 1 << 16,
            ..config(4)
        };
        let request = RunRequest {
            start: from,
            output: Output::Pixels,
            ..RunRequest::new(config, [5])
        };
        let report = image.run(&request).unwrap_or_else(|error| panic!("{error}"));
        let expected = desktop(&tiny_model(), &config, &start);
        assert_eq!(report.images[0].pixels, expected.pixels, "{from:?}");
        assert_eq!(report.images[0].steps.len(), expected.steps.len(), "{from:?}");
    }
}

/// The five samplers, inpainting from an image, and a start between two seeds, from one image of the firmware.
#[test]
fn every_sampler_makes_the_desktops_bits() {
    let clean: Vec<i32> = (0..64).map(|i| (i - 32) << 18).collect();
    let known: Vec<i32> = clean
        .iter()
        .map(|v| if v % (3 << 18) == 0 { UNKNOWN } else { *v })
        .collect();
    let of = |method| Config {
        method,
        seed: 5,
        ..config(4)
    };
    let options = ImageOptions {
        config: Some(of(Method::Heun)),
        parts: Some(Parts::addressed()),
        state: [clean.as_slice(), &known].concat(),
        ..ImageOptions::default()
    };
    let Some(image) = image("mps2-an386", &options) else {
        return;
    };
    let strength_q16 = 1 << 15;
    let (second, part_q16) = (u64::MAX - 3, 20_000);
    let from_image = Start::Image {
        image_q24: &clean,
        strength_q16,
    };
    let mut runs: Vec<(Method, StartFrom, Start<'_>, bool)> = [
        Method::Ddim,
        Method::Ddpm(Variance::Small),
        Method::Ddpm(Variance::Large),
        Method::DpmSolver2M,
        Method::Heun,
    ]
    .map(|method| (method, StartFrom::Image { strength_q16 }, from_image, true))
    .to_vec();
    runs.push((
        Method::DpmSolver2M,
        StartFrom::Between { second, part_q16 },
        Start::Between { second, part_q16 },
        false,
    ));
    for (method, from, start, inpaint) in runs {
        let request = RunRequest {
            start: from,
            inpaint,
            output: Output::Pixels,
            ..RunRequest::new(of(method), [5])
        };
        let report = image.run(&request).unwrap_or_else(|error| panic!("{error}"));
        let expected = desktop_known(&tiny_model(), &of(method), &start, inpaint.then_some(&known));
        let digests = |image: &ImageRecord| image.steps.iter().map(|step| step.digest).collect::<Vec<_>>();
        assert_eq!(digests(&report.images[0]), digests(&expected), "{method:?} {from:?}");
        assert_eq!(report.images[0].pixels, expected.pixels, "{method:?} {from:?}");
    }
}

#[test]
fn lines_come_as_the_run_goes() {
    let Some(image) = image("mps2-an386", &ImageOptions::default()) else {
        return;
    };
    let mut steps = 0;
    let request = RunRequest::new(config(3), [1, 2]);
    image
        .run_with(&request, &mut |line| {
            steps += usize::from(line.text.starts_with("@step "))
        })
        .expect("runs");
    assert_eq!(steps, 6);
}

/// Two cores at once, one of them twice: builds wait for each other, runs do not.
#[test]
fn boards_run_side_by_side() {
    let names = ["mps2-an386", "mps2-an500", "virt", "netduinoplus2"];
    std::thread::scope(|scope| {
        for name in names {
            scope.spawn(move || {
                let Some(image) = image(name, &ImageOptions::default()) else {
                    return;
                };
                image
                    .run(&RunRequest::new(config(2), [1]))
                    .unwrap_or_else(|error| panic!("{error}"));
            });
        }
    });
}
