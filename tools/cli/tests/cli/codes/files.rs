//! The files that the rows name.

use super::tensors::Tensors;
use crate::common::{digits, model, mote, vectors};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};

const CONFIG: &str = "unet/config.json";
const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";
const SCHEDULER: &str = "scheduler/scheduler_config.json";

/// Writes `bytes` to `name` in `dir`, in folders that are made.
pub fn write(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Folder of an importer's small checkpoint.
fn importer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/data/importers")
        .join(name)
}

/// All files of `from`, in the folder `to`.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}

/// A checkpoint under another name, with `settings` of one of its files.
fn changed(from: &Path, to: &Path, file: &str, settings: &[(&str, Value)]) {
    copy(from, to);
    let path = to.join(file);
    let mut object: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    settings.iter().for_each(|(key, value)| object[*key] = value.clone());
    std::fs::write(path, object.to_string()).unwrap();
}

/// The digits' checkpoint without weights.
fn bare(dir: &Path, name: &str) -> PathBuf {
    let folder = dir.join(name);
    for part in [CONFIG, SCHEDULER] {
        write(&folder, part, &std::fs::read(digits().join(part)).unwrap());
    }
    folder
}

/// Runs a command that prepares what another is refused.
fn prepared(dir: &Path, line: &str) {
    let done = mote(line, &[("model", model()), ("digits", &digits()), ("dir", dir)]);
    assert_eq!(done.status, 0, "{line}: {}", done.stderr);
}

/// Makes all of them in `dir`.
pub fn made(dir: &Path) {
    models(dir);
    pictures(dir);
    settings(dir);
    weights(dir);
    chains(dir);
    references(dir);
    runs(dir);
}

fn models(dir: &Path) {
    let whole = std::fs::read(model()).unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    write(dir, "cut.mote", &whole[..whole.len() / 2]);
    write(dir, "format.mote", &with(4, 99));
    write(dir, "numeric.mote", &with(6, 99));
    write(dir, "sum.mote", &with(whole.len() / 2, whole[whole.len() / 2] ^ 1));
    prepared(dir, "plan {model} -o {dir}/planned.mote");
    prepared(dir, "plan {model} -o {dir}/multistep.mote --sampler dpm++");
    let of = |name: &str, from: &str, more: &str| {
        let line = format!("convert {{from}} -o {{dir}}/{name}.mote {more}");
        let done = mote(&line, &[("from", &importer(from)), ("dir", dir)]);
        assert_eq!(done.status, 0, "{line}: {}", done.stderr);
    };
    of("labels", "pipeline", "--scheme f16");
    of("latent", "latent", "--scheme f16");
    of("decoder", "latent/vae", "--latent 4x4 --scheme f16");
    of("variances", "dit", "--learned-variance keep --scheme f16");
    of("lander", "../lander-policy", "--scheme f16");
    prepared(dir, "split {model} -o {dir}/apart.mote");
}

fn pictures(dir: &Path) {
    write(dir, "cut.png", b"\x89PNG\r\n\x1a\n");
    write(
        dir,
        "huge.png",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x3b\x9a\xca\0\x3b\x9a\xca\0\x08\0\0\0\0\x41\xf7\x59\x38\0\0\0\0IDAT\x35\xaf\x06\x1e",
    );
    let images = |name: &str, count: usize| {
        let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, count as u8, 0, 0, 0, 8, 0, 0, 0, 8];
        bytes.extend((0..64 * count).map(|i| i as u8));
        write(dir, &format!("{name}-images-idx3-ubyte"), &bytes);
    };
    images("three", 3);
    images("sixteen", 16);
    write(
        dir,
        "short-images-idx3-ubyte",
        b"\0\0\x08\x03\0\0\0\x02\0\0\0\x08\0\0\0\x08",
    );
    prepared(dir, "sample {model} -o {dir}/eight.png --steps 1");
}

fn settings(dir: &Path) {
    write(dir, "empty/nothing", b"");
    let network = br#"{"_class_name": "UNet2DModel"}"#;
    write(dir, "flat/config.json", network);
    write(dir, "two/unet/config.json", network);
    write(dir, "two/prior/config.json", br#"{"_class_name": "PriorTransformer"}"#);
    let scheduler = |name: &str, fields: &[(&str, Value)]| changed(&digits(), &dir.join(name), SCHEDULER, fields);
    scheduler("betas", &[("trained_betas", json!([0.1, 0.2]))]);
    let zero = ("rescale_betas_zero_snr", json!(true));
    scheduler(
        "rescaled",
        &[zero.clone(), ("beta_start", json!(0.0)), ("beta_end", json!(0.0))],
    );
    scheduler("flat-noise", &[("beta_start", json!(0.0))]);
    scheduler("zero-snr", std::slice::from_ref(&zero));
    prepared(dir, "convert {dir}/zero-snr -o {dir}/zero-snr.mote --scheme f16");
    let config = |name: &str, fields: &[(&str, Value)]| changed(&digits(), &dir.join(name), CONFIG, fields);
    config("wider", &[("block_out_channels", json!([12, 24]))]);
    config("deeper", &[("layers_per_block", json!(2))]);
    changed(&digits(), &dir.join("formats"), "model_index.json", &[]);
    let formats = json!({"format": 1, "scheme": "w8a8", "activations": {}, "weights": {}});
    write(dir, "formats/quantization.json", formats.to_string().as_bytes());
    // Other layers than are known, and no word of what the inputs are.
    copy(&importer("onnx/image"), &dir.join("foreign"));
    let mut program = std::fs::read(dir.join("foreign/net.onnx")).unwrap();
    let layers = |program: &[u8]| program.windows(4).rposition(|name| name == b"Conv");
    while let Some(layer) = layers(&program) {
        program[layer..layer + 4].copy_from_slice(b"Vnoc");
    }
    write(dir, "foreign/net.onnx", &program);
    std::fs::remove_file(dir.join("foreign/script.onnx")).unwrap();
    copy(&importer("onnx/image"), &dir.join("roles"));
    std::fs::remove_file(dir.join("roles/mote.json")).unwrap();
}

fn weights(dir: &Path) {
    bare(dir, "bare");
    write(&bare(dir, "binary"), "unet/diffusion_pytorch_model.bin", b"");
    write(&bare(dir, "headless"), WEIGHTS, b"\xff");
    write(dir, "net/net.pt2", b"PK");
    write(&bare(dir, "renamed"), "unet/model.safetensors", b"");
    let sparse = bare(dir, "sparse").join(WEIGHTS);
    File::create(sparse).unwrap().set_len(8 << 30).unwrap();
    let whole = std::fs::read(digits().join(WEIGHTS)).unwrap();
    for variant in ["fp16", "non_ema"] {
        let name = format!("unet/diffusion_pytorch_model.{variant}.safetensors");
        write(&bare(dir, "variants"), &name, &whole);
    }
    let index = json!({"weight_map": {"conv_in.weight": "a.safetensors", "conv_in.bias": "b.safetensors"}});
    let shards = bare(dir, "shards");
    write(&shards, &format!("{WEIGHTS}.index.json"), index.to_string().as_bytes());
    for name in ["a", "b"] {
        let one = Tensors::of(&whole).only(&["conv_in.weight"]).bytes();
        write(&shards, &format!("unet/{name}.safetensors"), &one);
    }
    let with = |name: &str, change: &dyn Fn(&mut Tensors)| {
        let mut tensors = Tensors::of(&whole);
        change(&mut tensors);
        write(&bare(dir, name), WEIGHTS, &tensors.bytes());
    };
    with("whole-numbers", &|tensors| tensors.retyped("conv_in.bias", "I32"));
    with("nan", &|tensors| tensors.set("conv_in.bias", f32::NAN));
    with("beyond", &|tensors| tensors.set("conv_out.weight", 3e38));
    let labelled = std::fs::read(importer("pipeline").join(WEIGHTS)).unwrap();
    let without = Tensors::of(&labelled).without("class_embedding.weight");
    let none = [("num_class_embeds", Value::Null)];
    changed(&importer("pipeline"), &dir.join("unlabelled"), CONFIG, &none);
    write(dir, &format!("unlabelled/{WEIGHTS}"), &without.bytes());
    let query = "mid_block.attentions.0.to_q.weight";
    let attention = [("add_attention", json!(true))];
    changed(&digits(), &dir.join("two-names"), CONFIG, &attention);
    let mut twice = Tensors::of(&whole);
    let norm = ["weight", "bias"].map(|part| (format!("mid_block.attentions.0.group_norm.{part}"), vec![12]));
    let both = [query, "mid_block.attentions.0.query.weight"].map(|name| (name.to_owned(), vec![12, 12]));
    for (name, shape) in norm.into_iter().chain(both) {
        twice.add_shaped(&name, &shape);
    }
    write(dir, &format!("two-names/{WEIGHTS}"), &twice.bytes());
    with("stranger", &|tensors| tensors.add("stranger", &[1.0]));
}

fn chains(dir: &Path) {
    write(dir, "chain/chain.json", b"{}");
    prepared(dir, "train --preset swiss-roll -o {dir}/roll --steps 1");
    prepared(dir, "convert {dir}/roll -o {dir}/roll.mote");
    prepared(dir, "train --preset heartbeat -o {dir}/pulses --steps 1");
    prepared(dir, "convert {dir}/pulses -o {dir}/pulses.mote");
    let facts = std::fs::read(dir.join("roll/chain.json")).unwrap();
    write(dir, "no-tensors/chain.json", &facts);
    write(dir, "other-tensors/chain.json", &facts);
    write(dir, "other-tensors/chain.safetensors", &Tensors::default().bytes());
}

fn references(dir: &Path) {
    write(dir, "headless.safetensors", b"\xff");
    write(dir, "empty.safetensors", b"\x02\0\0\0\0\0\0\0{}");
    let all = std::fs::read(vectors()).unwrap();
    let passes = Tensors::of(&all).only(&["fwd.x", "fwd.t", "fwd.out"]);
    write(dir, "half.safetensors", &passes.only(&["fwd.out", "fwd.t"]).bytes());
    let mut negative = passes;
    negative.replace("fwd.t", &[-1.0; 5]);
    write(dir, "negative.safetensors", &negative.bytes());
}

fn runs(dir: &Path) {
    let line = "train --data {dir}/sixteen-images-idx3-ubyte -o {dir}/other --steps 1 --batch 2";
    prepared(dir, line);
    copy(&dir.join("other"), &dir.join("spoilt"));
    write(dir, "spoilt/training/state.safetensors", b"\xff");
    std::fs::create_dir_all(dir.join("busy/training")).unwrap();
}
