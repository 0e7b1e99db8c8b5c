//! Projects that are built and run. Two kinds of core always, every one of them where `MOTE_EVERY_CORE=1`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mote_firmware_sim::{Board, CArchive, End, Firmware, Limits, Parts, build_project, run_elf};
use mote_runtime::Feature;
use mote_tests::boards::board;
use mote_tools::project::Kind;

use crate::project::{Place, steps};

/// A board of each family of cores, those that are always built first.
const BOARDS: [&str; 7] = [
    "microbit",
    "virt",
    "lm3s6965evb",
    "netduinoplus2",
    "mps2-an505",
    "mps3-an547",
    "mps2-an500",
];
const ALWAYS: usize = 2;

fn boards() -> Vec<&'static Board> {
    let every = std::env::var_os("MOTE_EVERY_CORE").is_some_and(|value| value == "1");
    let names = if every { &BOARDS[..] } else { &BOARDS[..ALWAYS] };
    names.iter().filter_map(|name| board(name)).collect()
}

/// What the image writes on its board.
fn output(board: &Board, elf: &Path) -> String {
    let limits = Limits {
        time: Duration::from_secs(60),
        bytes: 1 << 16,
    };
    let (end, output) = run_elf(board, elf, limits).unwrap_or_else(|error| panic!("{error}"));
    let output = String::from_utf8_lossy(&output).into_owned();
    assert!(
        matches!(end, End::Exit { success: true, .. }),
        "{}: {end:?}\n{output}",
        board.name
    );
    output
}

fn logged(output: &str) -> Vec<&str> {
    output.lines().filter(|line| line.starts_with("step ")).collect()
}

/// Versions of the packages that projects use, which are here because the firmware is built with them.
fn lock_versions(project: &Path) {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware-sim/firmware/Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).expect("it can be copied");
}

#[test]
fn projects_in_rust_draw_the_image_of_this_machine() {
    let (place, expected) = (Place::new(), steps());
    for board in boards() {
        let (folder, _) = place.project(&format!("rust-{}", board.name), Kind::Rust, board.name);
        lock_versions(&folder);
        let elf =
            build_project(board, &folder, &format!("rust-{}", board.name)).unwrap_or_else(|error| panic!("{error}"));
        let output = output(board, &elf);
        assert_eq!(logged(&output), expected, "{}", board.name);
        assert!(output.contains(" cycles of the core"), "{output}");
    }
}

/// The archive for a board: that of the tests of `runtime/c`.
fn archive(board: &'static Board) -> CArchive {
    let parts = Parts::of([Feature::Integer, Feature::W16, Feature::Schedule]);
    let firmware = match board.name {
        "microbit" | "virt" => Firmware::Compact,
        _ => Firmware::Fast,
    };
    CArchive::build(board, &parts.of_firmware(firmware)).unwrap_or_else(|error| panic!("{error}"))
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// Builds a project in C; its image.
fn built(board: &'static Board, folder: &Path, name: &str) -> PathBuf {
    let build = folder.join("build");
    let archive = archive(board);
    run(Command::new("cmake")
        .arg("-S")
        .arg(folder)
        .arg("-B")
        .arg(&build)
        .arg(format!("-DMOTE_ARCHIVE={}", archive.path().display())));
    run(Command::new("cmake").arg("--build").arg(&build));
    build.join(name)
}

fn have_c() -> bool {
    let missing = ["cmake", "clang", "make"]
        .into_iter()
        .find(|program| Command::new(program).arg("--version").output().is_err());
    let Some(program) = missing else { return true };
    let allowed = std::env::var_os("MOTE_ALLOW_MISSING_QEMU").is_some_and(|value| value == "1");
    assert!(allowed, "{program} is missing (bash .ci/setup)");
    eprintln!("SKIPPED: {program} is missing");
    false
}

#[test]
fn projects_in_c_draw_the_image_of_this_machine() {
    if !have_c() {
        return;
    }
    let (place, expected) = (Place::new(), steps());
    for board in boards() {
        let name = format!("c-{}", board.name);
        let (folder, _) = place.project(&name, Kind::C, board.name);
        let output = output(board, &built(board, &folder, &name));
        assert_eq!(logged(&output), expected, "{}", board.name);
        assert!(output.contains(" cycles of the core"), "{output}");
    }
}

/// A reset after the run was saved: it goes on where it was, to the same image.
#[test]
fn a_run_goes_on_after_a_reset() {
    if !have_c() {
        return;
    }
    // One whose flash is memory, and one that is written through its controller.
    for name in ["mps2-an386", "microbit"] {
        let Some(board) = board(name) else { return };
        let place = Place::new();
        let (folder, _) = place.project("resets", Kind::C, name);
        let main = folder.join("main.c");
        let text = std::fs::read_to_string(&main).expect("it was written");
        let saved = "            snapshot_save(saved, length);\n";
        assert_eq!(text.matches(saved).count(), 1);
        // SYSRESETREQ of the core's AIRCR.
        let reset = format!(
            "{saved}            *(volatile uint32_t *)0xE000ED0Cu = 0x05FA0004u;\n            for (;;) {{\n            }}\n"
        );
        std::fs::write(&main, text.replace(saved, &reset)).expect("it can be written");
        let output = output(board, &built(board, &folder, "resets"));
        assert_eq!(output.matches("goes on\n").count(), 1, "{output}");
        assert_eq!(logged(&output), steps(), "{name}");
    }
}

/// A part that the model needs is taken out of Cargo.toml: the build names it.
#[test]
fn a_feature_too_few_is_an_error_of_the_build() {
    let Some(board) = board("microbit") else { return };
    let place = Place::new();
    let (folder, _) = place.project("short", Kind::Rust, board.name);
    lock_versions(&folder);
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("it was written");
    let features = "features = [\"integer\", \"w16\", \"schedule\", \"fast\"]";
    assert!(text.contains(features), "{text}");
    std::fs::write(
        &manifest,
        text.replace(features, "features = [\"integer\", \"schedule\"]"),
    )
    .expect("it can be written");
    let error = build_project(board, &folder, "short")
        .expect_err("w16 is missing")
        .to_string();
    for words in [
        "digits.mote needs the feature 'w16' of mote-runtime",
        r#"must hold [\"integer\", \"w16\", \"schedule\"]"#,
    ] {
        assert!(
            error.contains(words) || error.contains(&words.replace('\\', "")),
            "{error}"
        );
    }
}
