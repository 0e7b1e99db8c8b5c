//! Condition vectors on the command line, and samples that are no pictures.

use crate::common::mote;
use mote_graph::graph::{Builder, Graph, Param, ops};
use mote_graph::schedule::Prediction;
use mote_tools::{Checkpoint, Conversion, Scheme};
use std::path::Path;

/// A convolution of 2 x 1 x 6 samples plus a linear layer of 3 numbers in [-1, 1].
fn graph() -> Graph {
    let mut b = Builder::new();
    let param = |b: &mut Builder, key: &str, shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let data = (0..count).map(|i| number(i + key.len())).collect();
        let shape = shape.to_vec();
        b.param(key, Param { shape, data });
    };
    param(&mut b, "conv", &[4, 2, 1, 3]);
    param(&mut b, "given", &[4, 3, 1, 1]);
    param(&mut b, "out", &[2, 4, 1, 1]);
    let conv = |weight: &str, kernel: [usize; 2]| ops::Conv {
        weight: weight.into(),
        bias: None,
        kernel,
        stride: [1, 1],
        pad: [0, kernel[1] / 2, 0, kernel[1] / 2],
        dilation: [1, 1],
        groups: 1,
    };
    let x = b.sample([2, 1, 6]).expect("it fits");
    let x = b.push("conv", conv("conv", [1, 3]), &[x]).expect("it fits");
    let given = b.condition("given", 3, Some([-1.0, 1.0])).expect("it fits");
    let given = b.push("given.1", conv("given", [1, 1]), &[given]).expect("it fits");
    let sum = b.push("sum", ops::AddChannel, &[x, given]).expect("it fits");
    let out = b.push("out", conv("out", [1, 1]), &[sum]).expect("it fits");
    b.finish(out).expect("the graph is sound")
}

/// Numbers without a pattern, from -0.5 to 0.5.
fn number(i: usize) -> f32 {
    ((i * 7919 + 13) % 101) as f32 / 101.0 - 0.5
}

fn model(folder: &Path) -> std::path::PathBuf {
    let mut checkpoint = Checkpoint::bundled().expect("it is bundled");
    checkpoint.graph = graph();
    checkpoint.unet = None;
    checkpoint.scheduler.prediction_type = Prediction::Sample;
    let path = folder.join("m.mote");
    let file = Conversion::new(Scheme::W8A16)
        .convert(&checkpoint)
        .and_then(|made| made.file());
    file.and_then(|file| file.write(&path)).expect("it converts");
    path
}

#[test]
fn a_condition_is_given_by_numbers_or_by_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model(folder.path());
    let places = [("m", model.as_path()), ("dir", folder.path())];
    let run = |line: &str| mote(line, &places);
    let sampled = run("sample {m} -o {dir}/a.json --steps 2 --condition 0.25,-0.5,1 --json").json();
    assert_eq!(sampled["count"], 1);
    let text = std::fs::read_to_string(folder.path().join("a.json")).expect("it is written");
    let written: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(written["axes"], serde_json::json!(["channel", "time"]));
    let values = &written["samples"][0]["values"];
    assert_eq!(
        (values.as_array().map(Vec::len), values[1].as_array().map(Vec::len)),
        (Some(2), Some(6))
    );
    // Two rows in a file: two samples, the first as above; what is out of range is clamped.
    let rows: [f32; 6] = [0.25, -0.5, 1.0, 0.0, 9.0, -9.0];
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    let mut npy = b"\x93NUMPY\x01\0\x76\0".to_vec();
    npy.extend(format!("{header:<117}\n").bytes());
    rows.iter().for_each(|v| npy.extend(v.to_le_bytes()));
    std::fs::write(folder.path().join("rows.npy"), &npy).expect("it is written");
    let both = run("sample {m} --out {dir}/b.json --steps 2 --condition {dir}/rows.npy --json").json();
    assert_eq!(both["count"], 2);
    let text = std::fs::read_to_string(folder.path().join("b.json")).expect("it is written");
    let second: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(second["samples"][0], written["samples"][0]);
    let clamped = run("sample {m} -o {dir}/c.json --steps 2 --seed 1 --condition 0,1,-1 --json").json();
    assert_eq!(clamped["count"], 1);
    let text = std::fs::read_to_string(folder.path().join("c.json")).expect("it is written");
    let third: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(second["samples"][1], third["samples"][0]);
    assert_eq!(
        run("sample {m} -o {dir}/d.npz --steps 2 --condition {dir}/rows.npy --json").json()["count"],
        2
    );
    let archive = std::fs::read(folder.path().join("d.npz")).expect("it is written");
    assert!(archive.windows(11).any(|name| name == b"samples.npy"));
    let checked = run("validate {m} --backends cpu,portable --seeds 3 --steps 2 --condition {dir}/rows.npy --json");
    assert_eq!(checked.json()["held"], true);
    let shown = run("inspect {m} --json").json();
    assert_eq!(shown["condition"]["length"], 3);
    let cost = run("bench {m} --backends portable --json").json();
    assert!(cost["backends"][0]["why"].is_null(), "{cost}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let model = model(folder.path());
    let places = [("m", model.as_path()), ("dir", folder.path())];
    let header = br#"{"a":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[1,3],"data_offsets":[12,24]}}"#;
    let tensors = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 24]].concat();
    std::fs::write(folder.path().join("two.safetensors"), tensors).expect("a file");
    let archive = [&b"PK\x05\x06"[..], &[0; 18]].concat();
    std::fs::write(folder.path().join("empty.npz"), archive).expect("a file");
    for (line, words) in [
        ("sample {m} -o {dir}/a.json", "conditioned on 3 numbers"),
        (
            "sample {m} -o {dir}/a.json --condition 1,2",
            "a condition of 2 numbers, and the model takes 3",
        ),
        (
            "sample {m} -o {dir}/a.json --condition 1,2,nan",
            "number 2 of condition 0 is NaN",
        ),
        (
            "sample {m} -o {dir}/a.json --condition 1,2,",
            "number 2 of the condition is ``, which is no number",
        ),
        (
            "sample {m} -o {dir}/a.json --condition 1,0x2,3",
            "number 1 of the condition is `0x2`",
        ),
        (
            "sample {m} -o {dir}/a.json --condition 0,0,0 --zoom 2",
            "--zoom is for a picture, and",
        ),
        (
            "sample {m} -o {dir}/a.npz --condition 0,0,0 --columns 3",
            "a.npz holds numbers",
        ),
        (
            "sample {m} -o {dir}/a.json --condition {dir}/two.safetensors",
            "two.safetensors holds several tensors (a, b), none of them `cond`",
        ),
        (
            "sample {m} -o {dir}/a.json --condition {dir}/empty.npz",
            "empty.npz: holds no array: save it by numpy.savez",
        ),
        ("sample {m} -o {dir}/a.json --condition {dir}/none.npz:x", "none.npz"),
        ("sample {m} -o {dir}/a.png --condition 0,0,0", "no picture"),
        ("sample {m} --out {dir}/images --condition 0,0,0", "no picture"),
        ("sample {m} -o {dir}/a.json --condition 0,0,0 --guidance 2", "guidance"),
        ("validate {m} --backends cpu", "conditioned on 3 numbers"),
    ] {
        let done = mote(line, &places);
        assert_ne!(done.status, 0, "{line}");
        assert!(done.stderr.contains(words), "{line}: {}", done.stderr);
    }
    assert!(!folder.path().join("a.json").exists());
}
