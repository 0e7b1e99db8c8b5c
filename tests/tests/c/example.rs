//! The example, built by CMake and clang for a board of each kind of core, makes the images that this machine makes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mote_engine::memory::AlignedBytes;
use mote_firmware_sim::{Board, CArchive, End, Firmware, Image, ImageOptions, Limits, Parts, RunRequest, run_elf};
use mote_runtime::{Config, Model, Start, arena_bytes};
use mote_tests::boards::board;
use mote_tests::checkpoints::{converted, digits, fashion};
use mote_tests::running::finish;
use mote_tools::quantize::scheme::Scheme;

use crate::archive::digits_parts;
use crate::tools::{have, root, run};

/// A firmware in C, as its README says.
fn build(board: &Board, archive: &CArchive, model: &Path, arena: usize, program: &str, folder: &Path) -> PathBuf {
    let source = root("runtime/c/examples/bare");
    run(Command::new("cmake")
        .arg("-S")
        .arg(&source)
        .arg("-B")
        .arg(folder)
        .arg("--toolchain")
        .arg(source.join("clang.cmake"))
        .args([format!("-DBOARD={}", board.name), format!("-DARENA_BYTES={arena}")])
        .args([format!("-DMODEL={}", model.display()), format!("-DMAIN={program}")])
        .arg(format!("-DMOTE_ARCHIVE={}", archive.path().display())));
    run(Command::new("cmake").arg("--build").arg(folder));
    folder.join("firmware")
}

/// What the firmware of `program` writes on a board.
fn output(board: &'static Board, parts: &Parts, model: &[u8], arena: usize, program: &str) -> Option<String> {
    if !["cmake", "clang", "make"].into_iter().all(have) {
        return None;
    }
    let archive = CArchive::build(board, parts).unwrap_or_else(|error| panic!("{error}"));
    Some(output_of(board, &archive, model, arena, program))
}

/// The same, linked with this archive.
fn output_of(board: &Board, archive: &CArchive, model: &[u8], arena: usize, program: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.mote");
    std::fs::write(&file, model).expect("it can be written");
    let elf = build(board, archive, &file, arena, program, &folder.path().join("build"));
    let limits = Limits {
        time: Duration::from_secs(60),
        bytes: 1 << 16,
    };
    let (end, output) = run_elf(board, &elf, limits).unwrap_or_else(|error| panic!("{error}"));
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(
        matches!(end, End::Exit { success: true, .. }),
        "{}: {end:?}\n{output}",
        board.name
    );
    output
}

/// The lines of the example's log that name steps.
fn steps(model: &Model<'_>, seeds: [u64; 2]) -> Vec<String> {
    let run = |seed| {
        let config = Config {
            seed,
            ..Config::of(model.header(), 20)
        };
        finish(model, &config, &Start::Seed).expect("it runs here").steps
    };
    let steps = seeds.into_iter().flat_map(run);
    steps
        .map(|step| format!("step {} {:016x}", step.index, step.digest))
        .collect()
}

#[test]
fn the_example_draws_the_same_images_on_every_kind_of_core() {
    let bytes = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let memory = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let expected = steps(&model, [7, 8]);
    let arena = arena_bytes(&model, &Config::of(model.header(), 20));
    let boards = [
        ("microbit", Firmware::Compact),
        ("mps2-an386", Firmware::Fast),
        ("mps2-an505", Firmware::Fast),
        ("virt", Firmware::Compact),
    ];
    for (name, firmware) in boards {
        let Some(board) = board(name) else { return };
        let Some(output) = output(board, &digits_parts().of_firmware(firmware), &bytes, arena, "main.c") else {
            return;
        };
        let lines: Vec<&str> = output.lines().filter(|line| line.starts_with("step ")).collect();
        assert_eq!(lines, expected, "{name}");
    }
}

/// Every function on a board, and the instructions of a step beside those of a firmware in Rust.
#[test]
fn every_function_works_on_a_board_and_a_step_costs_what_it_costs_from_rust() {
    let bytes = converted(&digits(), Scheme::W8A8).emitted.bytes;
    let memory = AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).expect("the model is valid");
    let config = Config {
        seed: 7,
        ..Config::of(model.header(), 20)
    };
    let Some(board) = board("mps2-an386") else { return };
    let parts = Parts::addressed();
    let program = root("tests/tests/c/face.c");
    let Some(output) = output(board, &parts, &bytes, 8192, &program.display().to_string()) else {
        return;
    };
    let said = |what: &str| -> u64 {
        let line = output.lines().find_map(|line| line.strip_prefix(what));
        line.and_then(|number| number.trim().parse().ok())
            .unwrap_or_else(|| panic!("{what} is not in\n{output}"))
    };
    assert_eq!(said("failures"), 0, "{output}");
    let here = finish(&model, &config, &Start::Seed).expect("it runs here");
    assert!(
        output.contains(&format!("digest {:016x}\n", here.steps[19].digest)),
        "{output}"
    );
    let options = ImageOptions {
        parts: Some(parts),
        ..ImageOptions::default()
    };
    let image = Image::link(board, &bytes, &options).unwrap_or_else(|error| panic!("{error}"));
    let report = image
        .run(&RunRequest::new(config, [7]))
        .unwrap_or_else(|error| panic!("{error}"));
    let steps = report.images[0].steps.iter();
    let rust: u64 = steps.map(|step| step.instructions.expect("steps are timed")).sum();
    let c = board.clock.instructions(said("ticks"));
    println!("instructions of 20 steps from Rust {rust}, from C {c}");
    assert!(c as f64 <= rust as f64 * 1.01, "C {c}, Rust {rust}");
}

/// A step in pieces: with two operators a piece no stretch of digits8-micro takes more than a tenth of a step; none of fashion16-tiny, split, takes more
/// than a twentieth. All pieces of digits8-micro take 0.79 % more than the step; 1 % is aimed at.
#[test]
fn pieces_are_short_and_cost_little() {
    let Some(board) = board("mps2-an386") else { return };
    if !["cmake", "clang", "make"].into_iter().all(have) {
        return;
    }
    let parts = Parts::addressed();
    let archive = CArchive::build_whole(board, &parts).unwrap_or_else(|error| panic!("{error}"));
    let program = root("tests/tests/c/pieces.c").display().to_string();
    for (path, what, most) in [(digits(), "two", 0.10), (fashion(), "split", 0.05)] {
        let bytes = converted(&path, Scheme::W8A8).emitted.bytes;
        let memory = AlignedBytes::copy_of(&bytes);
        let model = Model::parse(memory.bytes()).expect("the model is valid");
        let arena = arena_bytes(&model, &Config::of(model.header(), 3));
        let output = output_of(board, &archive, &bytes, arena, &program);
        let said = |what: &str| -> f64 {
            let line = output.lines().find_map(|line| line.strip_prefix(what));
            line.and_then(|number| number.parse().ok())
                .unwrap_or_else(|| panic!("{what} is not in\n{output}"))
        };
        let step = said("step ");
        let (longest, all) = (said(&format!("{what} longest ")), said(&format!("{what} sum ")));
        println!(
            "{}: the longest stretch is {:.2} % of a step, pieces take {:+.2} %\n{output}",
            path.display(),
            100.0 * longest / step,
            100.0 * (all / step - 1.0)
        );
        assert!(longest <= most * step, "{output}");
        assert!(all <= 1.01 * step || what == "split", "{output}");
    }
}
