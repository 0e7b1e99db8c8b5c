//! Where stderr is no terminal, every command that takes long says in plain lines how far it is; `--quiet` says nothing.

use crate::common::{Done, digits, folder, images, mote, mote_in, mote_with, vectors};

/// A line at every millisecond: no work is so short that none comes.
const OFTEN: (&str, &str) = ("MOTE_PROGRESS", "0.001");

fn run(dir: &std::path::Path, line: &str) -> Done {
    let [digits, vectors, images] = [digits(), vectors(), images()];
    let places = [
        ("model", crate::common::model()),
        ("digits", &*digits),
        ("vectors", &*vectors),
        ("images", &*images),
        ("dir", dir),
    ];
    mote_with(line, &places, OFTEN)
}

/// `what: 3 of 9 (33 %), 0:01 gone, 0:02 left`, the last two of any length.
fn is_standing(line: &str, what: &str) -> bool {
    let Some((said, counts)) = line.split_once(": ") else {
        return false;
    };
    let numbers = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_digit() || ":. of(%)gonelft,".contains(c))
    };
    said.starts_with(what) && counts.contains(" of ") && counts.contains(" gone") && numbers(counts)
}

#[test]
fn every_long_command_says_how_far_it_is_and_what_is_left() {
    let folder = folder();
    let dir = folder.path();
    for (line, whats) in [
        (
            "convert {digits} -o {dir}/a.mote --scheme w8a8 --report {dir}/r",
            &["calibrating", "drawing the report"][..],
        ),
        (
            "convert {digits} -o {dir}/b.mote --scheme auto",
            &["measuring sensitivity"],
        ),
        (
            "sample {model} --out {dir}/s.npz --count 400 --backend portable",
            &["sampling on portable"],
        ),
        (
            "validate {model} --against {digits} --seeds 24 --backends portable",
            &["portable", "float network"],
        ),
        ("diff {model} {model} --seeds 400", &["sampling"]),
        ("crosscheck {digits} {vectors}", &["comparing"]),
        (
            "train --data {images} -o {dir}/t --preset digits8-micro --steps 20 --batch 8",
            &["training"],
        ),
        ("eval {digits} --data {images} --images 8", &["measuring"]),
    ] {
        let done = run(dir, line);
        assert_eq!(done.status, 0, "{line}: {}", done.stderr);
        for what in whats {
            let found: Vec<&str> = done.stderr.lines().filter(|line| is_standing(line, what)).collect();
            assert!(
                found.iter().any(|line| line.ends_with(" left")),
                "{line}: {what}: {}",
                done.stderr
            );
        }
        // Nothing of a bar gets into a log.
        assert!(!done.stderr.contains(['\r', '\u{1b}']), "{line}: {}", done.stderr);
    }
}

#[test]
fn quiet_says_nothing_of_progress() {
    let folder = folder();
    for line in [
        "sample {model} --out {dir}/s.npz --count 100 --quiet",
        "--quiet convert {digits} -o {dir}/b.mote --scheme w8a8 --report {dir}/r",
        "train -q --data {images} -o {dir}/t --preset digits8-micro --steps 3 --batch 8",
    ] {
        let done = run(folder.path(), line);
        assert_eq!(done.status, 0, "{line}: {}", done.stderr);
        assert!(
            !done.stderr.contains(" gone") && !done.stderr.contains("at work"),
            "{line}: {}",
            done.stderr
        );
    }
}

#[test]
fn a_command_without_parts_says_that_it_is_at_work() {
    let folder = folder();
    let done = run(folder.path(), "doctor");
    assert!(
        done.stderr
            .lines()
            .any(|line| line.starts_with("mote doctor: at work for 0:")),
        "{}",
        done.stderr
    );
}

#[test]
fn short_work_says_nothing_and_stdout_is_the_same() {
    let folder = folder();
    let line = "sample {model} -o {dir}/a.png --json";
    let usual = mote_in(folder.path(), line);
    assert_eq!(usual.stderr, "");
    let told = run(folder.path(), line);
    let [mut usual, mut told] = [usual, told].map(|done| done.json());
    // How long it took is no part of the result.
    for value in [&mut usual, &mut told] {
        value.as_object_mut().unwrap().retain(|key, _| !key.contains("second"));
    }
    assert_eq!(usual, told);
    // What cannot be a time is the usual one.
    let places = [("model", crate::common::model()), ("dir", folder.path())];
    assert_eq!(mote_with(line, &places, ("MOTE_PROGRESS", "often")).status, 0);
    assert_eq!(mote("sample --quiet --help", &[]).status, 0);
}
