//! The Python package, in an interpreter: the tests beside this file, with the digests that the library gives here.
//!
//! They need Python with NumPy and Gymnasium, which `.ci/setup` puts into `target/python`; `MOTE_PYTHON` names another interpreter. Without one this
//! fails, unless `MOTE_ALLOW_MISSING_PYTHON=1` says that it is known. Tests with PyTorch and diffusers run where the interpreter has them, and are
//! named as skipped where it does not.

use mote_tools::{Checkpoint, Conversion, Request, RunOptions, Scheme};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_package_does_what_its_tests_say() {
    let Some(python) = python() else {
        let line =
            "the Python package could not run: missing Python with NumPy and Gymnasium (bash .ci/setup installs it)";
        let allowed = std::env::var_os("MOTE_ALLOW_MISSING_PYTHON").is_some_and(|value| value == "1");
        assert!(allowed, "{line}; MOTE_ALLOW_MISSING_PYTHON=1 skips it");
        eprintln!("SKIPPED: {line}");
        return;
    };
    let package = tempfile::tempdir().unwrap();
    let mote = package.path().join("mote");
    std::fs::create_dir(&mote).unwrap();
    for entry in std::fs::read_dir(root().join("python/mote")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), mote.join(entry.file_name())).unwrap();
        }
    }
    std::fs::copy(library(), mote.join("_mote.abi3.so")).unwrap();
    let run = Command::new(python)
        .args(["-X", "utf8", "-m", "unittest", "discover", "-v", "-s"])
        .arg(root().join("tests"))
        .env("PYTHONPATH", package.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("MOTE_TEST_ROOT", root().join("../.."))
        .env("MOTE_TEST_CHECKPOINT", root().join("../assets/fashion16-tiny"))
        .env("MOTE_TEST_DIGESTS", digests().join(" "))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{text}");
    assert!(text.contains("\nOK"), "{text}");
    say_what_was_skipped(&text);
}

/// Names what did not run, past the harness, which keeps what a test that passes prints.
fn say_what_was_skipped(text: &str) {
    let reasons = text
        .lines()
        .filter_map(|line| line.split_once("skipped "))
        .map(|(_, reason)| reason);
    let reasons: BTreeSet<&str> = reasons.map(|reason| reason.trim_matches(['\'', '"'])).collect();
    for reason in reasons {
        // Not by `eprintln`, which the test runner captures.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "\nSKIPPED: {reason}").unwrap();
    }
}

/// Seeds 7 and 8 of the bundled checkpoint in f16, two steps.
fn digests() -> Vec<String> {
    let file = Conversion::new(Scheme::F16).convert(&Checkpoint::bundled().unwrap());
    let request = Request {
        run: RunOptions {
            steps: Some(2),
            ..RunOptions::default()
        },
        seed: 7,
        count: Some(2),
        ..Request::default()
    };
    let images = file.unwrap().file().unwrap().sample(&request).unwrap();
    images.iter().map(|image| format!("{:016x}", image.digest())).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An interpreter that has both.
fn python() -> Option<PathBuf> {
    let own = root().join("../../target/python/bin/python");
    let given = std::env::var_os("MOTE_PYTHON").map(PathBuf::from);
    let usable = |python: &PathBuf| {
        let found = Command::new(python)
            .args(["-c", "import numpy, gymnasium.envs.box2d"])
            .output();
        found.is_ok_and(|output| output.status.success())
    };
    given.into_iter().chain([own, "python3".into()]).find(usable)
}

/// The library that cargo built with this test: beside it, or a folder up.
fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folders = test.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join("lib_mote.so"))
        .filter(|path| path.exists());
    let newest = |path: &PathBuf| path.metadata().and_then(|facts| facts.modified()).ok();
    found
        .max_by_key(newest)
        .expect("cargo builds the library before its test")
}
