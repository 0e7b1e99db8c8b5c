//! What happens around the work: inputs that are outputs, pipes, kills, two at once.

use crate::common::{digits, folder, images as data, listing, model, mote};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Everything under `folder` with what it holds.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = vec![];
    for name in listing(folder) {
        let path = folder.join(name);
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for name in listing(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

#[test]
fn no_output_eats_an_input_by_whatever_name() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    copy(&digits(), &at("ck"));
    std::fs::copy(model(), at("m.mote")).unwrap();
    std::fs::copy(data(), at("data.npz")).unwrap();
    std::fs::create_dir(at("pictures")).unwrap();
    let drawn = mote("sample {dir}/m.mote -o {dir}/7.png --steps 1", &[("dir", dir.path())]);
    assert_eq!(drawn.status, 0, "{}", drawn.stderr);
    for name in ["x.png", "mask.png", "pictures/1.png"] {
        std::fs::copy(at("7.png"), at(name)).unwrap();
    }
    std::fs::hard_link(at("m.mote"), at("same.mote")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("ck", at("link")).unwrap();
    let before = contents(dir.path());
    for (line, word) in [
        (
            "convert {dir}/ck -o {dir}/ck/unet/config.json --scheme f16",
            "is a file of the input",
        ),
        (
            "convert {dir}/ck --scheme f16 --report {dir}/m.mote -o {dir}/m.mote",
            "folder",
        ),
        (
            "train --data {dir}/data.npz --distill-from {dir}/ck -o {dir}/ck --steps 1",
            "both input and output",
        ),
        (
            "train --data {dir}/data.npz --distill-from {dir}/ck -o {dir}/link/unet --steps 1",
            "lies in the input",
        ),
        (
            "train --data {dir}/pictures -o {dir}/pictures --steps 1",
            "both input and output",
        ),
        (
            "train --data {dir}/data.npz -o {dir}/ck --steps 1",
            "no run of `mote train`",
        ),
        (
            "sample {dir}/m.mote --from {dir}/x.png -o {dir}/x.png",
            "both input and output",
        ),
        (
            "sample {dir}/m.mote --from {dir}/x.png --inpaint {dir}/mask.png -o {dir}/mask.png",
            "both input and output",
        ),
        (
            "sample {dir}/m.mote --from {dir}/7.png --out {dir} --seed 7",
            "both input and output",
        ),
        (
            "sample {dir}/m.mote --from {dir}/pictures/1.png --out {dir}/pictures",
            "both input and output",
        ),
        (
            "plan {dir}/m.mote -o {dir}/same.mote --steps 2",
            "both input and output",
        ),
    ] {
        let done = mote(line, &[("dir", dir.path())]);
        assert!(matches!(done.status, 1 | 2), "{line}: {}{}", done.stdout, done.stderr);
        assert!(
            done.stderr.contains(word) && done.stderr.contains("help"),
            "{line}: {}",
            done.stderr
        );
    }
    assert!(contents(dir.path()) == before, "an input has changed");
}

#[test]
#[cfg(unix)]
fn what_has_no_end_is_refused_at_once() {
    let dir = folder();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    copy(&digits(), &dir.path().join("ck"));
    std::fs::create_dir_all(dir.path().join("run/training")).unwrap();
    std::os::unix::fs::symlink(&pipe, dir.path().join("run/training/state.safetensors")).unwrap();
    for (name, kind) in [("pipe", "a pipe"), ("/dev/zero", "a device")] {
        let path = dir.path().join(name);
        let places = [
            ("endless", &*path),
            ("model", model()),
            ("dir", dir.path()),
            ("data", &*data()),
        ];
        for line in [
            "inspect {endless}",
            "sample {model} --from {endless} -o {dir}/x.png",
            "sample {model} --noise {endless} -o {dir}/x.png",
            "sample {model} --condition {endless} -o {dir}/x.png",
            "crosscheck {dir}/ck {endless}",
            "eval {dir}/ck --data {endless}",
            "train --data {data} -o {dir}/run --steps 1",
        ] {
            // A run's state never leads to a device here: what goes wrong must not replace one.
            let began = Instant::now();
            let done = mote(line, &places);
            assert_eq!(done.status, 1, "{line}: {}", done.stderr);
            let kind = if line.starts_with("train") { "a pipe" } else { kind };
            assert!(
                done.stderr.contains(&format!("no regular file but {kind}")),
                "{line}: {}",
                done.stderr
            );
            assert!(began.elapsed() < Duration::from_secs(60), "{line}");
        }
    }
}

/// What a file begins with is looked at before gigabytes of it are read: within this memory none of them fits.
#[test]
#[cfg(target_os = "linux")]
fn gigabytes_of_something_else_are_refused_by_their_beginning() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    for name in [
        "x.npz",
        "x.safetensors",
        "x.png",
        "x-images-idx3-ubyte",
        "x.npy",
        "x.pt",
    ] {
        let file = std::fs::File::create(at(name)).unwrap();
        // Takes no room on the disk.
        file.set_len((1 << 32) - 1).unwrap();
    }
    let (digits, model) = (digits(), model());
    let (digits, model) = (digits.display(), model.display());
    for (line, words) in [
        (
            format!("sample {model} -o o.png --noise x.safetensors"),
            "it has no header",
        ),
        (format!("sample {model} -o o.png --from x.png"), "it is no PNG file"),
        (
            format!("sample {model} -o o.png --condition x.npz"),
            "no whole NumPy archive",
        ),
        (format!("sample {model} -o o.png --condition x.npy"), "no array (.npy)"),
        (format!("crosscheck {digits} x.safetensors"), "it has no header"),
        (format!("eval {digits} --data x.npz"), "no whole NumPy archive"),
        ("train --data x.npz -o run".into(), "no whole NumPy archive"),
        ("train --data x-images-idx3-ubyte -o run".into(), "neither an IDX file"),
    ] {
        // 1 GiB of address space.
        let run = Command::new("sh")
            .args(["-c", "ulimit -v 1048576; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_mote")])
            .args(line.split(' '))
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{line}: {said}");
        assert!(
            said.contains(words) && said.contains("help") && said.contains("x"),
            "{line}: {said}"
        );
    }
}

#[test]
fn a_huge_file_is_read_no_further_than_its_first_bytes_say() {
    let dir = folder();
    let path = dir.path().join("huge.mote");
    std::fs::copy(model(), &path).unwrap();
    // Takes no room on the disk.
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 32)
        .unwrap();
    let done = mote("inspect {path}", &[("path", &path)]);
    assert!(done.status == 1 && done.stderr.contains("huge.mote"), "{}", done.stderr);
}

#[test]
fn a_folder_of_images_has_no_digests_of_another_run_and_stops_where_it_cannot_be_written() {
    let dir = folder();
    let out = dir.path().join("out");
    let places = [("model", model()), ("out", &*out)];
    assert_eq!(
        mote("sample {model} --out {out} --count 3 --steps 1", &places).status,
        0
    );
    assert_eq!(listing(&out), ["0.png", "1.png", "2.png", "digests.txt"]);
    // An image that cannot take its name stands for a disk that is full.
    std::fs::create_dir(out.join("7.png")).unwrap();
    let stopped = mote("sample {model} --out {out} --seed 5 --count 1000 --steps 1", &places);
    assert!(
        stopped.status == 1 && stopped.stderr.contains("cannot write"),
        "{}",
        stopped.stderr
    );
    assert_eq!(
        listing(&out),
        ["0.png", "1.png", "2.png", "5.png", "6.png", "7.png", "digests.txt"]
    );
    let digests = std::fs::read_to_string(out.join("digests.txt")).unwrap();
    let seeds: Vec<&str> = digests.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(seeds, ["5", "6"]);
}

#[test]
#[cfg(unix)]
#[cfg_attr(debug_assertions, ignore = "training takes minutes without optimization")]
fn two_trainings_exclude_each_other_and_an_interrupted_one_leaves_nothing_half_written() {
    let dir = folder();
    let run = dir.path().join("run");
    let places = [("data", &*data()), ("run", &*run)];
    let line = "train --data {data} -o {run} --steps 100000 --batch 8";
    let mut first = Command::new(env!("CARGO_BIN_EXE_mote"))
        .args(["train", "--steps", "100000", "--batch", "8", "--data"])
        .arg(data())
        .arg("-o")
        .arg(&run)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Nobody listens to what it says any more.
    drop(first.stderr.take());
    let (state, began) = (run.join("training/state.safetensors"), Instant::now());
    while !state.exists() && began.elapsed() < Duration::from_secs(300) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = mote(line, &places);
    assert!(
        second.status == 1 && second.stderr.contains("another `mote train` is writing"),
        "{}",
        second.stderr
    );
    assert!(first.try_wait().unwrap().is_none(), "the first has ended");
    let id = first.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(first.wait().unwrap().code(), Some(130));
    assert!(
        contents(&run)
            .iter()
            .all(|(path, _)| !path.display().to_string().contains(".mote-"))
    );
    // It can be taken up again, by the same settings.
    let other = mote("train --data {data} -o {run} --steps 1 --batch 8", &places);
    assert!(other.stderr.contains("steps was 100000, is 1"), "{}", other.stderr);
}
