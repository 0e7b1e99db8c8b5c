//! A diffusion transformer from its weights, against the loops that wrote it; its folders; and what is refused.

use mote_runtime::Model;
use mote_tools::convert::{Options, convert};
use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::import::import;
use mote_tools::quantize::scheme::Scheme;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const FILES: [&str; 4] = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/importers/dit")
}

/// The fixture in a folder of its own, `changes` laid over one of its JSON files.
fn changed(file: &str, changes: Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in FILES {
        let to = folder.path().join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(fixture().join(name), to).unwrap();
    }
    let path = folder.path().join(file);
    let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for (key, change) in changes.as_object().unwrap() {
        value[key] = change.clone();
    }
    std::fs::write(path, value.to_string()).unwrap();
    folder
}

fn refusal(file: &str, changes: Value) -> String {
    import(changed(file, changes).path()).unwrap_err().to_string()
}

#[test]
fn a_transformer_computes_what_its_library_does() {
    for folder in ["", "transformer"] {
        let checkpoint = import(&fixture().join(folder)).unwrap();
        assert_eq!(checkpoint.graph.sample_shape(), [1, 4, 4]);
        assert_eq!(checkpoint.graph.output_shape(), [2, 4, 4]);
        assert_eq!((checkpoint.graph.classes, checkpoint.null_class), (Some(4), Some(3)));
        let report = crosscheck(&checkpoint, &fixture().join("vectors.safetensors"), Dtype::F64).unwrap();
        assert!(report.held, "{report}");
    }
}

/// What makes variances is no part of the model file.
#[test]
fn the_mean_is_deployed() {
    let checkpoint = import(&fixture()).unwrap();
    let deployed = mote_tools::lower::deployed(&checkpoint).unwrap();
    assert_eq!(deployed.graph.output_shape(), [1, 4, 4]);
    deployed.graph.check().unwrap();
    let cut = checkpoint.graph.param_count() - deployed.graph.param_count();
    assert_eq!(cut, 4 * (8 + 1));
    for scheme in [Scheme::W8A8, Scheme::F16] {
        let converted = convert(&checkpoint, &Options::of(scheme), &|_| {}).unwrap();
        let memory = mote_engine::memory::AlignedBytes::copy_of(&converted.emitted.bytes);
        let model = Model::parse(memory.bytes()).unwrap();
        let provenance = String::from_utf8(model.provenance().to_vec()).unwrap();
        assert!(provenance.contains("learned_range"), "{provenance}");
        let kinds: Vec<&str> = model.ops().map(|op| op.kind()).collect();
        assert!(
            kinds.contains(&"constant") && kinds.last() == Some(&"rearrange"),
            "{kinds:?}"
        );
    }
}

#[test]
fn what_a_transformer_cannot_be_is_refused_by_its_setting() {
    let config = "transformer/config.json";
    for (changes, words) in [
        (json!({"norm_type": "layer_norm"}), ["norm_type", "ada_norm_zero"]),
        (json!({"activation_fn": "geglu"}), ["activation_fn", "gelu"]),
        (json!({"num_attention_heads": 3}), ["num_attention_heads", "8 channels"]),
        (json!({"num_layers": 3}), ["num_layers", "the weights have 2"]),
        (json!({"sample_size": 5}), ["patch_size", "divide"]),
        (json!({"out_channels": 1}), ["out_channels", "the weights have 2"]),
        (json!({"caption_channels": 8}), ["caption_channels", "not known"]),
    ] {
        let text = refusal(config, changes);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    let text = refusal("model_index.json", json!({"vae": ["diffusers", "AutoencoderKL"]}));
    assert!(text.contains("`vae`") && text.contains("several parts"), "{text}");
    // An autoencoder that is there is read: this one's latents have other channels.
    let pipeline = changed("model_index.json", json!({"vae": ["diffusers", "AutoencoderTiny"]}));
    let vae = pipeline.path().join("vae");
    std::fs::create_dir(&vae).unwrap();
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/importers/latent/vae");
        std::fs::copy(own.join(name), vae.join(name)).unwrap();
    }
    let text = import(pipeline.path()).unwrap_err().to_string();
    assert!(
        text.contains("latent_channels") && text.contains("no latents"),
        "{text}"
    );
    // A scheduler that says nothing of the variances that the network gives.
    let plain = changed(
        "scheduler/scheduler_config.json",
        json!({"variance_type": "fixed_small"}),
    );
    let checkpoint = import(plain.path()).unwrap();
    let error = convert(&checkpoint, &Options::of(Scheme::F16), &|_| {}).unwrap_err();
    assert!(error.to_string().contains("learned_range"), "{error}");
}
