//! Runs in shards: any sharding joins to the same bytes, and parts that are no whole run are refused.

use crate::common::{digits, fashion, folder, images, listing, model, mote};
use std::path::{Path, PathBuf};

const RUN: &str = "sample {model} --steps 1 --seed 7 --count 21";

/// The parts of `run` in `of` shards, in a folder of their own.
fn parts(dir: &Path, run: &str, of: usize, ending: &str) -> Vec<PathBuf> {
    let names = (0..of).map(|i| {
        let part = dir.join(format!("part-{i}-of-{of}.{ending}"));
        let places = [
            ("model", model()),
            ("digits", &*digits()),
            ("data", &*images()),
            ("part", &*part),
        ];
        let done = mote(&format!("{run} --out {{part}} --shard {i}/{of}"), &places);
        assert_eq!(done.status, 0, "{}", done.stderr);
        part
    });
    names.collect()
}

/// `mote merge` of these files, with what follows them on the line.
fn merge(parts: &[PathBuf], rest: &str, dir: &Path) -> crate::common::Done {
    let files: Vec<String> = parts.iter().map(|part| part.display().to_string()).collect();
    mote(&format!("merge {} {rest}", files.join(" ")), &[("dir", dir)])
}

#[test]
fn any_sharding_of_images_joins_to_the_same_bytes() {
    let dir = folder();
    let whole = dir.path().join("whole.npz");
    let object = mote(
        &format!("{RUN} --out {{whole}} --json"),
        &[("model", model()), ("whole", &whole)],
    )
    .json();
    let expected = std::fs::read(&whole).unwrap();
    for of in [1, 2, 5, 16] {
        let mut files = parts(dir.path(), RUN, of, "npz");
        // Some order that is not theirs.
        files.rotate_left(of / 3);
        files.reverse();
        let merged = merge(&files, "-o {dir}/all.npz --json", dir.path()).json();
        assert_eq!(merged["digest"], object["digest"]);
        assert_eq!((&merged["count"], &merged["parts"]), (&21.into(), &of.into()));
        assert!(
            std::fs::read(dir.path().join("all.npz")).unwrap() == expected,
            "{of} shards"
        );
    }
    // What was merged is the one shard of one.
    let again = merge(&[whole], "-o {dir}/again.npz", dir.path());
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert!(std::fs::read(dir.path().join("again.npz")).unwrap() == expected);
}

/// Fails unless merging `files` is refused with all of `words`, and nothing is written.
fn refused(files: &[PathBuf], status: i32, words: &[&str]) {
    let dir = folder();
    let done = merge(files, "-o {dir}/all.npz", dir.path());
    assert_eq!(done.status, status, "{}{}", done.stdout, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "no '{word}' in {}", done.stderr);
    }
    assert_eq!(listing(dir.path()), Vec::<String>::new());
}

#[test]
fn parts_that_are_no_whole_run_are_refused_by_range_and_file() {
    let dir = folder();
    let five = parts(dir.path(), RUN, 5, "npz");
    let two = parts(dir.path(), RUN, 2, "npz");
    let four: Vec<PathBuf> = [0, 1, 3, 4].map(|i| five[i].clone()).to_vec();
    refused(
        &four,
        1,
        &["none of the 4 files holds images 8 to 11 of 21", "--shard 2/5", "help"],
    );
    let twice = [&five[..], &five[2..3]].concat();
    refused(
        &twice,
        1,
        &["part-2-of-5.npz is given twice: it holds images 8 to 11", "leave one"],
    );
    let overlap = [&five[..], &two[1..]].concat();
    refused(
        &overlap,
        1,
        &[
            "part-2-of-5.npz and ",
            "part-1-of-2.npz both hold images 10 to 11 of 21",
        ],
    );
    for (option, difference) in [
        ("--steps 2 --seed 7 --count 21", "its options.steps is 2, not 1"),
        ("--steps 1 --seed 8 --count 21", "not 7"),
        ("--steps 1 --seed 7 --count 22", "its count is 22, not 21"),
        (
            "--steps 1 --seed 7 --count 21 --eta 0.5",
            "its options.eta_q16 is 32768, not 0",
        ),
    ] {
        let other = folder();
        let others = parts(other.path(), &format!("sample {{model}} {option}"), 5, "npz");
        let mixed = [&five[..4], &others[4..]].concat();
        refused(
            &mixed,
            1,
            &["part-4-of-5.npz is a part of another run than ", difference, "help"],
        );
    }
}

#[test]
fn what_is_no_part_is_refused() {
    let dir = folder();
    let whole = parts(dir.path(), RUN, 1, "npz").remove(0);
    let bytes = std::fs::read(&whole).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let with = |name: &str, at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        file(name, &bytes)
    };
    let place = |word: &[u8]| bytes.windows(word.len()).position(|found| found == word).unwrap();
    refused(&[dir.path().join("none.npz")], 1, &["cannot read", "none.npz", "help"]);
    refused(&[dir.path().to_owned()], 1, &["is no regular file"]);
    refused(&[file("empty.npz", b"")], 1, &["empty.npz is not a whole archive"]);
    refused(
        &[file("short.npz", &bytes[..bytes.len() - 1])],
        1,
        &["short.npz is not a whole archive"],
    );
    // A pixel, a digest, and the name of the run.
    let pixel = place(b"images.npy") + 10 + 128;
    refused(
        &[with("pixel.npz", pixel)],
        1,
        &["pixel.npz is damaged", "CRC-32 of its array images"],
    );
    let digest = place(b"digests.npy") + 11 + 128;
    refused(&[with("digest.npz", digest)], 1, &["CRC-32 of its array digests"]);
    let name = place(b"first_seed");
    refused(&[with("name.npz", name)], 1, &["CRC-32 of its array run"]);
    // An archive of something else.
    refused(
        &[crate::common::images()],
        1,
        &["digits8.npz does not say which run it is of"],
    );
    // Nothing that was read is written over.
    let done = merge(std::slice::from_ref(&whole), "-o {dir}/part-0-of-1.npz", dir.path());
    assert!(
        done.status == 2 && done.stderr.contains("both input and output"),
        "{}",
        done.stderr
    );
    let done = merge(std::slice::from_ref(&whole), "", dir.path());
    assert!(
        done.status == 2 && done.stderr.contains("give -o ALL.npz"),
        "{}",
        done.stderr
    );
    assert!(std::fs::read(&whole).unwrap() == bytes);
}

/// The bits of this float network depend on the images that are computed beside one: sums of batches of two are others than of sixteen.
#[test]
fn batches_of_the_float_network_are_those_of_the_whole_run() {
    let dir = folder();
    let (clothes, checkpoint) = (dir.path().join("clothes.mote"), fashion());
    let places = [("clothes", &*clothes), ("fashion", &*checkpoint), ("dir", dir.path())];
    mote("convert {fashion} -o {clothes} --scheme w8a8 --json", &places).json();
    let survey = "validate {clothes} --against {fashion} --steps 2 --distribution 34 --json";
    mote(&format!("{survey} --out {{dir}}/whole.moments"), &places).json();
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    for of in [2, 5] {
        let files: Vec<PathBuf> = (0..of).map(|i| dir.path().join(format!("{i}.moments"))).collect();
        for i in 0..of {
            mote(&format!("{survey} --out {{dir}}/{i}.moments --shard {i}/{of}"), &places).json();
        }
        merge(&files, "-o {dir}/all.moments --json", dir.path()).json();
        assert!(read("all.moments") == read("whole.moments"), "{of} shards");
    }
}

/// Five batches of the float network, the last of which is shorter.
const SURVEY: &str = "validate {model} --against {digits} --steps 1 --seed 3 --distribution 70 --data {data}";

#[test]
fn any_sharding_of_statistics_joins_to_the_same_bytes_and_distances() {
    let dir = folder();
    let places = [
        ("model", model()),
        ("digits", &*digits()),
        ("data", &*images()),
        ("dir", dir.path()),
    ];
    let unsharded = mote(
        &format!("{SURVEY} --backends cpu --seeds 1 --oracle-seeds 1 --json"),
        &places,
    )
    .json();
    let text = mote(&format!("{SURVEY} --backends cpu --seeds 1 --oracle-seeds 1"), &places).stdout;
    let tables = &text[text.find("Fr\u{e9}chet").unwrap()..];
    assert_eq!(
        mote(&format!("{SURVEY} --out {{dir}}/whole.moments"), &places).status,
        0
    );
    let expected = std::fs::read(dir.path().join("whole.moments")).unwrap();
    for of in [1, 2, 5, 16] {
        let mut files = parts(dir.path(), SURVEY, of, "moments");
        files.rotate_left(of / 3);
        files.reverse();
        let merged = merge(&files, "-o {dir}/all.moments --json", dir.path()).json();
        assert_eq!(merged["distribution"], unsharded["distribution"]);
        assert_eq!(merged["held"], true);
        assert!(
            std::fs::read(dir.path().join("all.moments")).unwrap() == expected,
            "{of} shards"
        );
        let printed = merge(&files, "", dir.path());
        assert_eq!(printed.status, 0, "{}", printed.stderr);
        assert!(printed.stdout.contains(tables), "{}, not {tables}", printed.stdout);
    }
}

#[test]
fn statistics_that_are_no_whole_run_are_refused() {
    let dir = folder();
    let five = parts(dir.path(), SURVEY, 5, "moments");
    let no_data = SURVEY.replace(" --data {data}", "");
    let without_one: Vec<PathBuf> = [4, 3, 1, 0].map(|i| five[i].clone()).to_vec();
    let check = |files: &[PathBuf], words: &[&str]| {
        let out = folder();
        let done = merge(files, "-o {dir}/all.moments", out.path());
        assert_eq!(done.status, 1, "{}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "no '{word}' in {}", done.stderr);
        }
        assert_eq!(listing(out.path()), Vec::<String>::new());
    };
    check(
        &without_one,
        &["none of the 4 files holds images 32 to 47 of 70", "--shard 2/5", "help"],
    );
    check(
        &[&five[..], &five[1..2]].concat(),
        &["part-1-of-5.moments is given twice: it holds images 16 to 31"],
    );
    let others = folder();
    let others = (parts(others.path(), &no_data, 5, "moments"), others);
    check(
        &[&five[..4], &others.0[4..]].concat(),
        &[
            "part-4-of-5.moments is a part of another run",
            "its data.levels is nothing, not ",
        ],
    );
    let archive = parts(dir.path(), RUN, 1, "npz");
    check(
        &[&five[..], &archive[..]].concat(),
        &["part-0-of-1.npz is a part of another run"],
    );
    // A sum that its checksum does not know.
    let mut bytes = std::fs::read(&five[0]).unwrap();
    let name = b"bottleneck.other.npy";
    let at = bytes.windows(name.len()).position(|found| found == name).unwrap() + name.len() + 128 + 40;
    bytes[at] ^= 1;
    let damaged = dir.path().join("damaged.moments");
    std::fs::write(&damaged, bytes).unwrap();
    check(
        &[&five[1..], &[damaged][..]].concat(),
        &["damaged.moments is damaged", "CRC-32 of its array bottleneck.other"],
    );
}

/// Bytes of a part, changed and cut: an error or the same images, and no panic.
#[test]
fn damaged_parts_are_errors() {
    let dir = folder();
    let whole = parts(dir.path(), "sample {model} --steps 1 --count 1", 1, "npz").remove(0);
    let bytes = std::fs::read(&whole).unwrap();
    let (path, out) = (dir.path().join("damaged.npz"), dir.path().join("all.npz"));
    let merged = |damaged: &[u8]| {
        std::fs::write(&path, damaged).unwrap();
        mote_tools::merge(&[&path], Some(out.as_path()))
            .is_ok()
            .then(|| std::fs::read(&out).unwrap())
    };
    assert_eq!(merged(&bytes).as_ref(), Some(&bytes));
    // Some of them only: a part that merges is synced to the disk.
    for at in (0..bytes.len()).step_by(3) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xFF;
        assert!(merged(&damaged).is_none_or(|found| found == bytes), "byte {at}");
        assert!(merged(&bytes[..at]).is_none(), "{at} bytes");
    }
}

#[test]
fn shards_that_cannot_be_are_refused() {
    for (options, words) in [
        ("--out {dir}/x.npz --shard 16/16", "0/16 to 15/16"),
        ("--out {dir}/x.npz --shard 3", "such as 3/16"),
        ("--out {dir}/x.npz --shard 0/0", "1 to 1000000"),
        ("--out {dir}/x --shard 0/2", "give --out FILE.npz"),
        ("-o {dir}/x.png --shard 0/2", "--output"),
        ("--out {dir}/x.json --shard 0/2", "give --out FILE.npz"),
        ("--out {dir}/x.npz --interpolate 3 --shard 0/2", "--interpolate"),
    ] {
        unwritten(&format!("sample {{model}} --steps 1 {options}"), words);
    }
    for (options, words) in [
        ("--distribution 9 --shard 0/2", "--out"),
        ("--out {dir}/x.moments --shard 0/2", "--distribution"),
        (
            "--distribution 9 --out {dir}/x.npz --shard 0/2",
            "a name that ends in .moments",
        ),
        ("--distribution 9 --out {dir}/x.moments --layers", "--layers"),
        ("--distribution 9 --out {dir}/x.moments --seeds 3", "--seeds"),
        (
            "--distribution 9 --out {dir}/x.moments --backends oracle",
            "give --backends cpu",
        ),
    ] {
        unwritten(&format!("validate {{model}} --against {{digits}} {options}"), words);
    }
}

/// Fails unless `line` is bad usage with these words, and nothing is written.
fn unwritten(line: &str, words: &str) {
    let dir = folder();
    let places = [("model", model()), ("digits", &*digits()), ("dir", dir.path())];
    let done = mote(line, &places);
    assert!(
        done.status == 2 && done.stderr.contains(words),
        "{line}: {}",
        done.stderr
    );
    assert_eq!(listing(dir.path()), Vec::<String>::new(), "{line}");
}
