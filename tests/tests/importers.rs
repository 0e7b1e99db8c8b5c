//! Mutated files of every container that is read: each ends in a value or in an error that says what is wrong, within bounded
//! time and memory, and what the importer accepts is converted or refused by name.
//!
//! Each case follows from its number alone. `MOTE_FUZZ_SECONDS=3600` goes on with new ones for that long; `MOTE_FUZZ_CASE=17` runs
//! one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mote_tests::archive;
use mote_tests::random::Random;
use mote_tests::wire;
use mote_tools::convert::{ConvertError, Options, convert};
use mote_tools::data::{self, DataOptions, Split};
use mote_tools::images::decode;
use mote_tools::import::import;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::tensors::TensorFile;

/// Cases and seconds where nothing else is asked for: whichever is reached first.
const CASES: u64 = 6000;
const SECONDS: u64 = 20;
/// A case takes milliseconds. This is for machines with much else to do.
const LONGEST: Duration = Duration::from_secs(20);
/// Memory of the whole test.
const MOST_KIB: u64 = 2 << 20;

/// Files of a pipeline, below its folder.
const PIPELINE: [&str; 4] = [
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "scheduler/scheduler_config.json",
    "model_index.json",
];
/// Files of a transformer's pipeline.
const TRANSFORMER: [&str; 4] = [
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "scheduler/scheduler_config.json",
    "model_index.json",
];
/// Files of an exported network.
const EXPORTED: [&str; 3] = ["net.pt2", "mote.json", "scheduler/scheduler_config.json"];
/// Files of networks in ONNX; the first is the network.
const ONNX: [&[&str]; 4] = [
    &["signal/net.onnx", "signal/net.onnx.data", "signal/mote.json"],
    &["signal/script.onnx", "signal/mote.json"],
    &["image/net.onnx", "image/mote.json"],
    &["image/script.onnx", "image/mote.json"],
];
/// Files of images.
const IMAGES: [&str; 7] = [
    "parts.npz",
    "packed.npz",
    "columns.npz",
    "a-images-idx3-ubyte",
    "a-labels-idx1-ubyte",
    "floats.idx",
    "b-images-idx3-ubyte.gz",
];
/// Pictures.
const PICTURES: [&str; 5] = ["gray.png", "colours.png", "transparent.png", "deep.png", "palette.png"];

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/importers")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(corpus().join(name)).expect("the corpus is there")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn mutated_files_end_in_a_value_or_in_an_error() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    if let Some(case) = number("MOTE_FUZZ_CASE") {
        return run(case, dir.path());
    }
    let seconds = number("MOTE_FUZZ_SECONDS");
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(SECONDS));
    let mut done = 0;
    while Instant::now() < end && (seconds.is_some() || done < CASES) {
        let begun = Instant::now();
        let ran = catch_unwind(AssertUnwindSafe(|| run(done, dir.path())));
        let took = begun.elapsed();
        assert!(ran.is_ok() && took < LONGEST, "MOTE_FUZZ_CASE={done}: took {took:?}");
        done += 1;
    }
    println!("{done} cases");
    assert!(done >= 100, "{done} cases only");
    if let Some(kib) = most_memory_kib() {
        assert!(kib < MOST_KIB, "{kib} KiB");
    }
}

/// The most memory that this process had, where the system tells.
fn most_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn run(case: u64, dir: &Path) {
    let mut random = Random(0x494D_504F_5254 ^ case << 20);
    match case % 11 {
        0 | 1 => pipeline(&mut random, dir),
        2 => shards(&mut random, dir),
        3 => images(&mut random, dir),
        4 => folder(&mut random, dir),
        5 => exported(&mut random, dir),
        6 => policy(&mut random, dir),
        7 => lucidrains(&mut random, dir),
        8 => transformer(&mut random, dir),
        9 => onnx(&mut random, dir),
        _ => single_files(&mut random, dir),
    }
}

/// A pipeline of which one file, or a few, are not what they were.
fn pipeline(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "pipeline");
    for name in PIPELINE {
        put(&root.join(name), &read(&format!("pipeline/{name}")));
    }
    for _ in 0..1 + random.below(2) {
        let name = random.pick(&PIPELINE);
        let bytes = std::fs::read(root.join(name)).expect("it was written");
        put(&root.join(name), &mutated(random, name, bytes));
    }
    imported(&root.join(random.pick(&["", "unet"])));
}

/// The same weights as a shard, with an index that is not what it was.
fn shards(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "shards");
    for name in ["unet/config.json", "scheduler/scheduler_config.json"] {
        put(&root.join(name), &read(&format!("pipeline/{name}")));
    }
    let shard = "diffusion_pytorch_model-00001-of-00001.safetensors";
    put(
        &root.join("unet").join(shard),
        &read(&format!("pipeline/{}", PIPELINE[1])),
    );
    let index = mutated(random, "a.json", read("shards.index.json"));
    put(
        &root.join("unet/diffusion_pytorch_model.safetensors.index.json"),
        &index,
    );
    imported(&root);
}

/// An exported program, its manifest, its scheduler: one of them is not what it was, the program as JSON within a whole archive.
fn exported(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "exported");
    for name in EXPORTED {
        put(&root.join(name), &read(&format!("exported/{name}")));
    }
    let name = random.pick(&EXPORTED);
    let bytes = read(&format!("exported/{name}"));
    let bytes = match name {
        "net.pt2" if random.below(4) > 0 => rearchived(random, &bytes, "models/model.json"),
        "net.pt2" if random.below(2) > 0 => rearchived(random, &bytes, "data/weights/model_weights_config.json"),
        _ => mutated(random, name, bytes),
    };
    put(&root.join(name), &bytes);
    opened(&root);
}

/// A network in ONNX: its messages, with lengths that are right, or its bytes; or a file beside it.
fn onnx(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "onnx");
    let files = random.pick(&ONNX);
    let scheduler = "scheduler/scheduler_config.json";
    put(&root.join(scheduler), &read(&format!("onnx/image/{scheduler}")));
    let chosen = random.pick(&[0, 0, 0, 0, 1, 2]) % files.len();
    for (i, name) in files.iter().enumerate() {
        let mut bytes = read(&format!("onnx/{name}"));
        if i == chosen {
            for _ in 0..1 + random.below(3) {
                bytes = match i == 0 && random.below(4) > 0 {
                    true => wire::mutated(random, &bytes, 0),
                    false => mutated(random, name, bytes),
                };
            }
        }
        put(&root.join(name.rsplit('/').next().unwrap_or(name)), &bytes);
    }
    let network = files[0].rsplit('/').next().unwrap_or(files[0]);
    opened(&root.join(network));
}

/// A policy's checkpoint: its pickle within a whole archive, its weights, or its settings.
fn policy(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "policy");
    let weights = random.pick(&["policy.ckpt", "model.safetensors"]);
    let names = [weights, "config.json", "mote.json", "scheduler/scheduler_config.json"];
    for name in names {
        put(&root.join(name), &read(&format!("policy/{name}")));
    }
    let name = random.pick(&names);
    let bytes = read(&format!("policy/{name}"));
    let bytes = match name {
        "policy.ckpt" if random.below(4) > 0 => rearchived(random, &bytes, "data.pkl"),
        _ => mutated(random, name, bytes),
    };
    put(&root.join(name), &bytes);
    opened(&root);
}

/// A transformer of which one file is not what it was.
fn transformer(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "dit");
    for name in TRANSFORMER {
        put(&root.join(name), &read(&format!("dit/{name}")));
    }
    let name = random.pick(&TRANSFORMER);
    put(&root.join(name), &mutated(random, name, read(&format!("dit/{name}"))));
    opened(&root.join(random.pick(&["", "transformer"])));
}

/// A network of lucidrains': its weights, its pickle within a whole archive, or its settings.
fn lucidrains(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "lucidrains");
    let (from, names): (&str, &[&str]) = match random.below(2) {
        0 => ("signal", &["model.safetensors", "config.json", "mote.json"]),
        _ => ("image", &["model-7.pt", "mote.json"]),
    };
    for name in names {
        put(&root.join(name), &read(&format!("lucidrains/{from}/{name}")));
    }
    let name = random.pick(names);
    let bytes = read(&format!("lucidrains/{from}/{name}"));
    let bytes = match name {
        "model-7.pt" if random.below(4) > 0 => rearchived(random, &bytes, "data.pkl"),
        _ => mutated(random, name, bytes),
    };
    put(&root.join(name), &bytes);
    opened(&root);
    opened(&root.join(names[0]));
}

/// Imports a folder whose network may have layers that no model file holds.
fn opened(path: &Path) {
    match import(path) {
        Err(error) => said(&error),
        Ok(checkpoint) => {
            if let Err(error) = convert(&checkpoint, &Options::of(Scheme::F16), &|_| {}) {
                said(&error);
            }
        }
    }
}

/// An archive of stored files, of which the one whose name ends so is not what it was. Its checksums are right.
fn rearchived(random: &mut Random, bytes: &[u8], name: &str) -> Vec<u8> {
    let files: Vec<(String, Vec<u8>)> = archive::stored(bytes)
        .into_iter()
        .map(|(own, contents)| match own.ends_with(name) {
            true if name.ends_with(".json") && random.below(8) > 0 => (own, json(random, &contents)),
            true => (own, raw(random, contents)),
            false => (own, contents),
        })
        .collect();
    archive::of(&files)
}

/// Imports a folder. What is accepted is converted, or refused by file, field and value.
fn imported(path: &Path) {
    match import(path) {
        Err(error) => said(&error),
        Ok(checkpoint) => match convert(&checkpoint, &Options::of(Scheme::F16), &|_| {}) {
            Ok(converted) => assert!(!converted.emitted.bytes.is_empty()),
            Err(error @ (ConvertError::Setting(_) | ConvertError::Schedule(_))) => said(&error),
            Err(error) => panic!("accepted, then refused without file, field and value: {error}"),
        },
    }
}

/// A container of images that is not what it was.
fn images(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "images");
    let name = random.pick(&IMAGES);
    for beside in IMAGES {
        put(&root.join(beside), &read(beside));
    }
    let bytes = mutated(random, name, read(name));
    put(&root.join(name), &bytes);
    // Labels are read beside images.
    loaded(&root.join(if name.starts_with("a-") {
        "a-images-idx3-ubyte"
    } else {
        name
    }));
}

fn loaded(path: &Path) {
    let wanted = DataOptions {
        shape: Some([1, 4, 4]),
        ..DataOptions::default()
    };
    for asked in [DataOptions::default(), wanted] {
        if let Err(error) = data::load(path, &asked) {
            said(&error);
        }
    }
    if let Err(error) = data::measured(path, Split::Test, 3, [3, 4, 4]) {
        said(&error);
    }
}

/// A folder of pictures, classes and whatever else lies there.
fn folder(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "folder");
    let names = [
        "a/0.png",
        "a/1.png",
        "b/0.png",
        "b/x.txt",
        ".hidden/0.png",
        "0.png",
        "1.PNG",
        "Thumbs.db",
        "._0.png",
        "c/d/0.png",
        "\u{1F600}.png",
        "e.png/0.png",
        "__MACOSX/0.png",
    ];
    for _ in 0..random.below(6) {
        let (name, picture) = (random.pick(&names), random.pick(&PICTURES));
        let bytes = if random.below(4) == 0 {
            mutated(random, picture, read(picture))
        } else {
            read(picture)
        };
        put(&root.join(name), &bytes);
    }
    loaded(&root);
}

/// Files that are read alone: noise, pictures, and either of them given as the other.
fn single_files(random: &mut Random, dir: &Path) {
    let root = emptied(dir, "single");
    let names = [&PICTURES[..], &["noise.safetensors"], &IMAGES[..]].concat();
    let name = random.pick(&names);
    let bytes = mutated(random, name, read(name));
    if let Err(error) = decode(&bytes) {
        said(&error);
    }
    let path = root.join("file");
    put(&path, &bytes);
    match TensorFile::read(&path) {
        Err(error) => said(&error),
        Ok(file) => {
            for key in file.keys() {
                let _ = (file.floats(&key), file.numbers(&key));
            }
        }
    }
    loaded(&path);
    imported(&root);
}

/// An error is a sentence, and no text of a file reaches a terminal with control characters.
fn said(error: &dyn std::error::Error) {
    let text = error.to_string();
    assert!(text.len() > 8 && text.len() < 4000, "{} bytes: {text:.200}", text.len());
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

fn emptied(dir: &Path, name: &str) -> PathBuf {
    let root = dir.join(name);
    let _ = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(&root).expect("a folder");
    root
}

fn put(path: &Path, bytes: &[u8]) {
    if let Some(folder) = path.parent() {
        // A file may be there already under the folder's name.
        let _ = std::fs::create_dir_all(folder);
    }
    let _ = std::fs::write(path, bytes);
}

fn mutated(random: &mut Random, name: &str, bytes: Vec<u8>) -> Vec<u8> {
    if name.ends_with(".json") && random.below(5) > 0 {
        return json(random, &bytes);
    }
    if name.ends_with(".safetensors") && random.below(2) == 0 {
        return container(random, &bytes);
    }
    raw(random, bytes)
}

/// Bytes changed, cut, doubled, moved or taken from another file.
fn raw(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.pick(&[0, 1, 0x7F, 0x80, 0xFF, b'{', b'"']),
            2 => bytes.truncate(at),
            3 => {
                let count = random.below(40);
                bytes.extend((0..count).map(|_| random.bits() as u8));
            }
            4 => {
                let end = (at + random.below(64)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            5 => {
                let end = (at + random.below(64)).min(bytes.len());
                bytes.drain(at..end);
            }
            6 => {
                let extreme = random.pick(&[0, 1, u64::MAX, 1 << 31, 1 << 32, 1 << 40, (1 << 32) - 1]);
                let word = if random.below(2) == 0 {
                    extreme.to_le_bytes()
                } else {
                    extreme.to_be_bytes()
                };
                for (to, from) in bytes.iter_mut().skip(at).zip(word).take(random.pick(&[2, 4, 8])) {
                    *to = from;
                }
            }
            _ => {
                let other = read(random.pick(&IMAGES));
                let (from, to) = (random.below(other.len()), at.min(bytes.len()));
                bytes.splice(to..to, other[from..].iter().copied().take(64));
            }
        }
    }
    bytes
}

/// Values that settings are not made for.
const VALUES: [&str; 34] = [
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1",
    "2",
    "3",
    "8",
    "0.5",
    "-0.0",
    "1e-30",
    "1e30",
    "1e400",
    "65535",
    "65536",
    "4294967296",
    "18446744073709551616",
    "NaN",
    "Infinity",
    "-Infinity",
    "\"\"",
    "\"x\"",
    "\"\\u001b[2J\"",
    "\"UNet2DModel\"",
    "\"AttnDownBlock2D\"",
    "[]",
    "{}",
    "[4]",
    "[4, 4]",
    "[4, 8]",
    "[null]",
    "[\"DownBlock2D\"]",
    "[\"ResnetUpsampleBlock2D\"]",
];

/// A line of an indented JSON file with another value, without its value, twice, under another name, or gone.
fn json(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..1 + random.below(2) {
        let at = random.below(lines.len());
        let Some((key, value)) = lines.get(at).and_then(|line| line.split_once(':')) else {
            continue;
        };
        let comma = if value.ends_with(',') { "," } else { "" };
        match random.below(10) {
            0..=6 if !value.ends_with('[') && !value.ends_with('{') => {
                lines[at] = format!("{key}: {}{comma}", random.pick(&VALUES));
            }
            7 => lines.insert(
                at,
                format!(
                    "  \"{}\": {},",
                    random.pick(&["x", "_x", "\\u001b[31m", "use_karras_sigmas"]),
                    random.pick(&VALUES)
                ),
            ),
            8 if !comma.is_empty() => drop(lines.remove(at)),
            _ => {
                let depth = random.pick(&[1, 50, 5000]);
                lines[at] = format!("{key}: {}{}{comma}", "[".repeat(depth), "]".repeat(depth));
            }
        }
    }
    lines.join("\n").into_bytes()
}

/// The header of a safetensors file changed as JSON, its length with it.
fn container(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return bytes.to_vec();
    };
    let length = (u64::from_le_bytes(*length) as usize).min(rest.len());
    let (header, data) = rest.split_at(length);
    let lines = String::from_utf8_lossy(header).replace(", \"", ",\n\"");
    let header = if random.below(2) == 0 {
        json(random, lines.as_bytes())
    } else {
        let from = random.pick(&["F16", "[4, ", "[0, ", ".weight", "conv_in"]);
        let to = random.pick(&[
            "F64",
            "F8_E5M2",
            "I8",
            "[1, ",
            "[9999999999, ",
            "",
            "\\u0000",
            "\\u001b[2J",
        ]);
        lines.replacen(from, to, 1 + random.below(3)).into_bytes()
    };
    [&(header.len() as u64).to_le_bytes()[..], &header, data].concat()
}

/// What the corpus is, unchanged, is read.
#[test]
fn the_corpus_is_read() {
    let checkpoint = import(&corpus().join("pipeline")).expect("the smallest network is a checkpoint");
    assert_eq!(
        (checkpoint.graph.sample_shape(), checkpoint.graph.classes),
        ([1, 4, 4], Some(3))
    );
    convert(&checkpoint, &Options::of(Scheme::F16), &|_| {})
        .expect("it has a concatenation of a tensor with itself, and converts");
    for (name, shape, classes) in [
        ("parts.npz", [1, 4, 4], 3),
        ("packed.npz", [3, 4, 4], 0),
        ("columns.npz", [1, 4, 4], 0),
        ("a-images-idx3-ubyte", [1, 4, 4], 3),
        ("floats.idx", [1, 4, 4], 0),
        ("b-images-idx3-ubyte.gz", [1, 4, 4], 0),
    ] {
        let data = data::load(&corpus().join(name), &DataOptions::default()).expect(name);
        assert_eq!((data.shape, data.classes), (shape, classes), "{name}");
    }
    for (name, channels) in PICTURES.into_iter().zip([1, 3, 3, 1, 3]) {
        assert_eq!(decode(&read(name)).expect(name).channels, channels, "{name}");
    }
    for name in ["exported", "policy", "policy/policy.ckpt"] {
        let checkpoint = import(&corpus().join(name)).expect(name);
        assert_eq!(checkpoint.graph.sample_shape(), [2, 1, 8], "{name}");
    }
    for (name, shape) in [("signal", [1, 1, 12]), ("image", [1, 4, 4])] {
        let checkpoint = import(&corpus().join("lucidrains").join(name)).expect(name);
        assert_eq!(checkpoint.graph.sample_shape(), shape, "{name}");
        // The timestep itself is a feature of the signal's network, which no operator has.
        let converted = convert(&checkpoint, &Options::of(Scheme::F16), &|_| {});
        assert_eq!(converted.is_ok(), name == "image", "{name}");
    }
    let checkpoint = import(&corpus().join("dit")).expect("a transformer");
    assert_eq!((checkpoint.graph.classes, checkpoint.null_class), (Some(4), Some(3)));
    convert(&checkpoint, &Options::of(Scheme::F16), &|_| {}).expect("its mean converts");
    let noise = TensorFile::read(&corpus().join("noise.safetensors")).expect("noise");
    assert_eq!(noise.floats("noise").expect("floats").shape, [1, 1, 4, 4]);
    assert!(noise.floats("labels").is_err());
}
