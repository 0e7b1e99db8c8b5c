//! Runs in shards: any sharding joins to the same bytes, and parts that are no whole run are refused.

use crate::common::{folder, listing, model, mote};
use std::path::{Path, PathBuf};

const RUN: &str = "sample {model} --steps 1 --seed 7 --count 21";

/// The parts of `run` in `of` shards, in a folder of their own.
fn parts(dir: &Path, run: &str, of: usize, ending: &str) -> Vec<PathBuf> {
    let names = (0..of).map(|i| {
        let part = dir.join(format!("part-{i}-of-{of}.{ending}"));
        let done = mote(
            &format!("{run} --out {{part}} --shard {i}/{of}"),
            &[("model", model()), ("part", &part)],
        );
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
        assert!(std::fs::read(dir.path().join("all.npz")).unwrap() == expected, "{of} shards");
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
    refused(&twice, 1, &["part-2-of-5.npz is given twice: it holds images 8 to 11", "leave one"]);
    let overlap = [&five[..], &two[1..]].concat();
    refused(
        &overlap,
        1,
        &["part-2-of-5.npz and ", "part-1-of-2.npz both hold images 10 to 11 of 21"],
    );
    for (option, difference) in [
        ("--steps 2 --seed 7 --count 21", "its options.steps is 2, not 1"),
        ("--steps 1 --seed 8 --count 21", "not 7"),
        ("--steps 1 --seed 7 --count 22", "its count is 22, not 21"),
        ("--steps 1 --seed 7 --count 21 --eta 0.5", "its options.eta_q16 is 32768, not 0"),
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
    refused(&[file("short.npz", &bytes[..bytes.len() - 1])], 1, &["short.npz is not a whole archive"]);
    // A pixel, a digest, and the name of the run.
    let pixel = place(b"images.npy") + 10 + 128;
    refused(&[with("pixel.npz", pixel)], 1, &["pixel.npz is damaged", "CRC-32 of its array images"]);
    let digest = place(b"digests.npy") + 11 + 128;
    refused(&[with("digest.npz", digest)], 1, &["CRC-32 of its array digests"]);
    let name = place(b"first_seed");
    refused(&[with("name.npz", name)], 1, &["CRC-32 of its array run"]);
    // An archive of something else.
    refused(&[crate::common::images()], 1, &["digits8.npz does not say which run it is of"]);
    // Nothing that was read is written over.
    let done = merge(std::slice::from_ref(&whole), "-o {dir}/part-0-of-1.npz", dir.path());
    assert!(done.status == 2 && done.stderr.contains("both input and output"), "{}", done.stderr);
    let done = merge(std::slice::from_ref(&whole), "", dir.path());
    assert!(done.status == 2 && done.stderr.contains("give -o ALL.npz"), "{}", done.stderr);
    assert!(std::fs::read(&whole).unwrap() == bytes);
}

/// Every byte of a part, changed and cut: an error or the same images, and no panic.
#[test]
fn damaged_parts_are_errors() {
    let dir = folder();
    let whole = parts(dir.path(), "sample {model} --steps 1 --count 1", 1, "npz").remove(0);
    let bytes = std::fs::read(&whole).unwrap();
    let (path, out) = (dir.path().join("damaged.npz"), dir.path().join("all.npz"));
    let merged = |damaged: &[u8]| {
        std::fs::write(&path, damaged).unwrap();
        mote_tools::merge(&[&path], Some(&out)).is_ok().then(|| std::fs::read(&out).unwrap())
    };
    assert_eq!(merged(&bytes).as_ref(), Some(&bytes));
    for at in 0..bytes.len() {
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
        ("-o {dir}/x.png --shard 0/2", "--out"),
        ("--out {dir}/x.npz --interpolate 3 --shard 0/2", "--interpolate"),
    ] {
        let dir = folder();
        let places = [("model", model()), ("dir", dir.path())];
        let done = mote(&format!("sample {{model}} --steps 1 {options}"), &places);
        assert!(done.status == 2 && done.stderr.contains(words), "{options}: {}", done.stderr);
        assert_eq!(listing(dir.path()), Vec::<String>::new(), "{options}");
    }
}
