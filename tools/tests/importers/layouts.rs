//! Checkpoints as people have them on disk: which files are read, which are refused, and what is said.

use super::{SCHEDULER, Tensors, config, container, load, reference};
use mote_runtime::{Config, Model, RunError};
use mote_tools::convert::{ConvertError, Options, convert};
use mote_tools::import::{Checkpoint, ImportError, WEIGHTS_FILE, import};
use mote_tools::quantize::scheme::Scheme;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Another model's schedule: taking it would be seen.
const STRANGER: &str = r#"{"_class_name": "DDPMScheduler", "num_train_timesteps": 100}"#;

/// A folder of files, and the network that they are of.
struct Disk {
    dir: tempfile::TempDir,
    config: Value,
    weights: Vec<u8>,
}

impl Disk {
    fn new(changes: Value) -> Self {
        let config = config(changes);
        Self {
            dir: tempfile::tempdir().unwrap(),
            weights: container(&weights_of(&config)),
            config,
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> &Self {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), bytes).unwrap();
        self
    }

    fn network(&self, folder: &str) -> &Self {
        self.write(&format!("{folder}/config.json"), self.config.to_string())
            .write(&format!("{folder}/{WEIGHTS_FILE}"), &self.weights)
    }

    fn scheduler(&self, folder: &str, text: &str) -> &Self {
        self.write(&format!("{folder}/scheduler_config.json"), text)
    }

    fn pipeline(&self, folder: &str) -> &Self {
        self.network(&format!("{folder}/unet"))
            .scheduler(&format!("{folder}/scheduler"), SCHEDULER)
    }

    fn index(&self, folder: &str, components: Value) -> &Self {
        self.write(&format!("{folder}/model_index.json"), components.to_string())
    }

    fn import(&self, path: &str) -> Result<Checkpoint, ImportError> {
        import(&self.at(path))
    }

    /// The error of importing `path`, which names each of `parts`.
    fn refused(&self, path: &str, parts: &[&str]) -> ImportError {
        let error = self.import(path).unwrap_err();
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
        error
    }
}

fn weights_of(config: &Value) -> Tensors {
    let label = config["num_class_embeds"].as_u64().map(|classes| classes as usize - 1);
    reference(config, 1.0, label).2
}

#[test]
fn a_flat_folder_has_its_own_scheduler_and_no_neighbour_s() {
    let disk = Disk::new(json!({}));
    disk.network("models/mine")
        .scheduler("models/mine", SCHEDULER)
        .scheduler("models/scheduler", STRANGER);
    assert_eq!(disk.import("models/mine").unwrap().scheduler.num_train_timesteps, 1000);
    // Without its own there is none: the neighbour's is another model's.
    std::fs::remove_file(disk.at("models/mine/scheduler_config.json")).unwrap();
    let error = disk.refused("models/mine", &["mine/scheduler_config.json is missing"]);
    assert!(matches!(error, ImportError::NoScheduler { .. }));
    // A folder inside is its own as well.
    disk.scheduler("models/mine/scheduler", SCHEDULER);
    assert_eq!(disk.import("models/mine").unwrap().scheduler.num_train_timesteps, 1000);
}

/// Nobody is asked for a scheduler or weights of a network that is refused anyway.
#[test]
fn a_network_of_another_class_is_refused_by_its_class_first() {
    let disk = Disk::new(json!({}));
    for folder in ["flat", "pipeline/unet"] {
        disk.write(
            &format!("{folder}/config.json"),
            r#"{"_class_name": "FluxTransformer2DModel"}"#,
        );
    }
    for path in ["flat", "pipeline"] {
        disk.refused(
            path,
            &["config.json: ", "_class_name", "FluxTransformer2DModel", "UNet2DModel"],
        );
    }
    std::fs::create_dir_all(disk.at("empty")).unwrap();
    disk.refused("empty", &["holds neither unet/", "net.pt2"]);
}

#[test]
fn the_oldest_layout_has_an_index_and_all_files_in_one_folder() {
    let disk = Disk::new(json!({}));
    disk.network("a").scheduler("a", r#"{"num_train_timesteps": 50}"#).index(
        "a",
        json!({"_class_name": "DDPMPipeline", "unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}),
    );
    let found = disk.import("a").unwrap();
    assert_eq!(
        (found.scheduler.class_name.as_str(), found.scheduler.num_train_timesteps),
        ("DDPMScheduler", 50)
    );
    assert_eq!(found.scheduler_config["_class_name"], "DDPMScheduler");
}

#[test]
fn folders_of_a_pipeline_are_the_same_checkpoint() {
    let disk = Disk::new(json!({}));
    disk.pipeline("a");
    let whole = disk.import("a").unwrap();
    let part = disk.import("a/unet").unwrap();
    assert_eq!(
        (&whole.graph, &whole.name, &whole.sha256),
        (&part.graph, &part.name, &part.sha256)
    );
    // A pipeline whose scheduler lies beside the folder of the network, not in one of its own.
    disk.network("b/unet").scheduler("b", SCHEDULER);
    assert_eq!(disk.import("b").unwrap().graph, whole.graph);
    #[cfg(unix)]
    {
        // A link leads to the pipeline that the folder is a part of.
        std::os::unix::fs::symlink(disk.at("a/unet"), disk.at("link")).unwrap();
        assert_eq!(disk.import("link").unwrap().graph, whole.graph);
    }
    disk.network("c/unet_ema");
    disk.refused("c", &["give ", "c/unet_ema"]);
}

#[test]
fn a_second_network_is_refused_by_its_name() {
    let disk = Disk::new(json!({}));
    let index = json!({"_class_name": "LDMPipeline", "unet": ["diffusers", "UNet2DModel"], "vqvae": ["diffusers", "VQModel"],
        "scheduler": ["diffusers", "DDIMScheduler"]});
    disk.pipeline("a")
        .index("a", index)
        .write("a/vqvae/config.json", r#"{"_class_name": "VQModel"}"#);
    disk.refused(
        "a",
        &[
            "a/model_index.json: `vqvae` is ",
            "VQModel",
            "give its folder",
            "a/unet",
        ],
    );
    // Asked for by its own folder the network is converted, and the other one named.
    let part = disk.import("a/unet").unwrap();
    assert!(
        part.notes.iter().any(|note| note.contains("`vqvae`: VQModel")),
        "{:?}",
        part.notes
    );
    // The same without an index.
    std::fs::remove_file(disk.at("a/model_index.json")).unwrap();
    let error = disk.refused("a", &["vqvae/config.json is of VQModel", "a/unet"]);
    assert!(matches!(error, ImportError::SecondNetwork { .. }));
    let part = disk.import("a/unet").unwrap();
    assert!(
        part.notes.iter().any(|note| note.contains("VQModel")),
        "{:?}",
        part.notes
    );
    // What an index leaves out is not there.
    let index = json!({"unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDIMScheduler"],
        "vqvae": [null, null], "requires_aesthetics_score": false});
    disk.index("a", index);
    assert!(disk.import("a").unwrap().notes.is_empty());
    // A network of another class, and none.
    disk.index("a", json!({"unet": ["diffusers", "UNet2DConditionModel"]}));
    disk.refused(
        "a",
        &["model_index.json: `unet` is UNet2DConditionModel", "UNet2DModel"],
    );
    disk.index("a", json!({"scheduler": ["diffusers", "DDIMScheduler"]}));
    disk.refused("a", &["model_index.json: `unet` is missing"]);
    disk.write("a/model_index.json", "{");
    disk.refused("a", &["model_index.json", "malformed JSON"]);
}

#[test]
fn averaged_weights_are_read_and_named() {
    let disk = Disk::new(json!({}));
    disk.pipeline("a");
    let plain = disk.import("a").unwrap();
    let averaged = Disk::new(json!({
        "decay": 0.9999, "inv_gamma": 1.0, "min_decay": 0.0, "optimization_step": 7, "power": 0.75,
        "update_after_step": 0, "use_ema_warmup": false,
    }));
    disk.write("a/unet_ema/config.json", averaged.config.to_string())
        .write(&format!("a/unet_ema/{WEIGHTS_FILE}"), &averaged.weights);
    assert_eq!(disk.import("a/unet_ema").unwrap().graph, plain.graph);
    let notes = disk.import("a").unwrap().notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("a/unet_ema holds averaged weights")),
        "{notes:?}"
    );
}

#[test]
fn variants_and_shards_are_read() {
    let disk = Disk::new(json!({}));
    disk.pipeline("a");
    let plain = disk.import("a").unwrap();
    let unet = |name: &str| format!("a/unet/{name}");
    std::fs::remove_file(disk.at(&unet(WEIGHTS_FILE))).unwrap();
    disk.write(&unet("diffusion_pytorch_model.fp16.safetensors"), &disk.weights);
    let variant = disk.import("a").unwrap();
    assert_eq!((&variant.graph, &variant.sha256), (&plain.graph, &plain.sha256));
    assert!(variant.notes.iter().any(|note| note.contains("model.fp16.safetensors")));
    disk.write(&unet("diffusion_pytorch_model.bf16.safetensors"), &disk.weights);
    disk.refused(
        "a",
        &[
            "several variants",
            "bf16.safetensors, diffusion_pytorch_model.fp16",
            "leave one",
        ],
    );
    for name in ["bf16", "fp16"] {
        std::fs::remove_file(disk.at(&unet(&format!("diffusion_pytorch_model.{name}.safetensors")))).unwrap();
    }
    // Two shards, every other tensor in each.
    let names: [String; 2] =
        std::array::from_fn(|i| format!("diffusion_pytorch_model-0000{}-of-00002.safetensors", i + 1));
    let mut parts = [Tensors::new(), Tensors::new()];
    let mut map = serde_json::Map::new();
    for (i, (key, tensor)) in weights_of(&disk.config).into_iter().enumerate() {
        map.insert(key.clone(), names[i % 2].clone().into());
        parts[i % 2].insert(key, tensor);
    }
    for (name, part) in names.iter().zip(&parts) {
        disk.write(&unet(name), container(part));
    }
    let index =
        |map: &serde_json::Map<String, Value>| json!({"metadata": {"total_size": 1}, "weight_map": map}).to_string();
    let place = unet("diffusion_pytorch_model.safetensors.index.json");
    disk.write(&place, index(&map));
    assert_eq!(disk.import("a").unwrap().graph, plain.graph);
    // The variant of an index.
    std::fs::rename(
        disk.at(&place),
        disk.at(&unet("diffusion_pytorch_model.safetensors.index.fp16.json")),
    )
    .unwrap();
    assert_eq!(disk.import("a").unwrap().graph, plain.graph);
    std::fs::remove_file(disk.at(&unet("diffusion_pytorch_model.safetensors.index.fp16.json"))).unwrap();
    for (change, words) in [
        (json!("../../b.safetensors"), "names no file of this folder"),
        (json!("/b.safetensors"), "names no file of this folder"),
        (json!(7), "names no file of this folder"),
        (json!("a\u{7f}/b"), "names no file of this folder"),
        (json!(names[1]), "and the file differs"),
    ] {
        let mut wrong = map.clone();
        wrong.insert("conv_in.bias".to_string(), change);
        disk.write(&place, index(&wrong));
        disk.refused("a", &["index.json", words]);
    }
    disk.write(&place, "{}");
    disk.refused("a", &["index.json: `weight_map` is no object"]);
    disk.write(&place, index(&map));
    std::fs::remove_file(disk.at(&unet(&names[1]))).unwrap();
    disk.refused("a", &["00002-of-00002.safetensors", "cannot read"]);
}

#[test]
fn files_that_are_no_weights_are_refused_before_they_are_read() {
    let disk = Disk::new(json!({}));
    disk.pipeline("a");
    let path = disk.at("a/unet").join(WEIGHTS_FILE);
    // As large as is read, and empty.
    std::fs::File::create(&path).unwrap().set_len(4 << 30).unwrap();
    let error = disk.refused("a", &["is not a whole safetensors file: it has no header"]);
    assert!(matches!(error, ImportError::Container { .. }));
    std::fs::File::create(&path).unwrap().set_len((4 << 30) + 1).unwrap();
    disk.refused("a", &["4294967297 bytes"]);
    #[cfg(unix)]
    {
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        disk.refused("a", &["it is no regular file"]);
        std::fs::remove_file(disk.at("a/unet/config.json")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", disk.at("a/unet/config.json")).unwrap();
        disk.refused("a", &["config.json: it is no regular file"]);
    }
}

#[test]
fn the_name_and_the_bytes_are_those_of_the_checkpoint_wherever_it_lies() {
    let disk = Disk::new(json!({}));
    let models = ["x", "y/some other name"].map(|folder| {
        let checkpoint = disk.pipeline(folder).import(folder).unwrap();
        (
            convert(&checkpoint, &Options::of(Scheme::F16), &|_| {})
                .unwrap()
                .emitted
                .bytes,
            checkpoint,
        )
    });
    let [(a, checkpoint), (b, _)] = models;
    assert!(a == b);
    assert_eq!(checkpoint.name, format!("unet-1x4x4-{}", &checkpoint.sha256[..8]));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let digits = import(&root.join("../tests/data/digits8-micro")).unwrap();
    assert_eq!(digits.name, "digits8-micro");
    // Its files in another folder.
    let copied = disk.at("copied");
    for file in [
        "unet/config.json",
        &format!("unet/{WEIGHTS_FILE}"),
        "scheduler/scheduler_config.json",
    ] {
        std::fs::create_dir_all(copied.join(file).parent().unwrap()).unwrap();
        std::fs::copy(root.join("../tests/data/digits8-micro").join(file), copied.join(file)).unwrap();
    }
    assert_eq!(import(&copied).unwrap().name, "digits8-micro");
}

/// A model file's run without a label, and with one.
fn runs(checkpoint: &Checkpoint) -> (Option<u16>, [Result<(), RunError>; 3]) {
    let bytes = convert(checkpoint, &Options::of(Scheme::F16), &|_| {})
        .unwrap()
        .emitted
        .bytes;
    let memory = mote_engine::memory::AlignedBytes::copy_of(&bytes);
    let model = Model::parse(memory.bytes()).unwrap();
    let config = Config::of(model.header(), 4);
    let (labelled, guided) = (
        Config {
            class: Some(0),
            ..config
        },
        Config {
            guidance_q16: Some(1 << 16),
            ..config
        },
    );
    let guided = Config {
        class: Some(0),
        ..guided
    };
    (
        model.header().null_class,
        [config, labelled, guided].map(|config| config.validate(model.header())),
    )
}

#[test]
fn a_label_stands_for_none_only_where_the_checkpoint_or_the_user_says_so() {
    let plain = config(json!({"num_class_embeds": 5}));
    let weights = container(&weights_of(&plain));
    let mut checkpoint = load(&plain, &weights).unwrap();
    let (null, found) = runs(&checkpoint);
    assert_eq!(null, None);
    assert_eq!(
        found,
        [Err(RunError::ClassMissing), Ok(()), Err(RunError::GuidanceUnsupported)]
    );
    checkpoint.set_null_class(2).unwrap();
    assert_eq!(runs(&checkpoint), (Some(2), [Ok(()); 3]));
    let error = checkpoint.set_null_class(5).unwrap_err().to_string();
    assert_eq!(
        error,
        "config.json: `num_class_embeds` is 5: 5 is no label of this network: the null class is one from 0 to 4"
    );
    let named = config(json!({"num_class_embeds": 5, "_null_class": 4}));
    assert_eq!(runs(&load(&named, &weights).unwrap()).0, Some(4));
    for (changes, value) in [
        (json!({"num_class_embeds": 5, "_null_class": 5}), "5"),
        (json!({"_null_class": 0}), "0"),
    ] {
        let error = load(&config(changes), &weights).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("config.json: `_null_class` is {value}: ")),
            "{error}"
        );
    }
    let mut unlabelled = load(&config(json!({})), &container(&weights_of(&config(json!({}))))).unwrap();
    assert!(
        unlabelled
            .set_null_class(0)
            .unwrap_err()
            .to_string()
            .contains("has no labels")
    );
}

/// What a float graph can be and a model file cannot: refused before conversion by file, field and value.
#[test]
fn what_a_model_file_cannot_hold_is_refused_by_name() {
    for (changes, scheme, words) in [
        (
            json!({"in_channels": 6, "out_channels": 3}),
            Scheme::F16,
            &["`out_channels` is 3: ", "`in_channels` is 6"][..],
        ),
        (
            json!({"out_channels": 2}),
            Scheme::Auto,
            &["`out_channels` is 2: ", "`in_channels` is 1", "fixed variance"],
        ),
        (
            json!({"mid_block_scale_factor": -1}),
            Scheme::W8A16,
            &["`mid_block_scale_factor` is -1: ", "--scheme f16"],
        ),
        (
            json!({"num_class_embeds": 65536}),
            Scheme::F16,
            &["`num_class_embeds` is 65536: ", "65535"],
        ),
    ] {
        let config = config(changes);
        let checkpoint = load(&config, &container(&weights_of(&config))).unwrap();
        let error = convert(&checkpoint, &Options::of(scheme), &|_| {}).unwrap_err();
        assert!(matches!(error, ConvertError::Setting(_)), "{error}");
        let text = error.to_string();
        assert!(
            text.starts_with("config.json: ") && words.iter().all(|word| text.contains(word)),
            "{text}"
        );
    }
    let config = config(json!({}));
    let mut wide = load(&config, &container(&weights_of(&config))).unwrap();
    if let Some(unet) = &mut wide.unet {
        unet.time_embedding_dim = 65536;
    }
    let error = convert(&wide, &Options::of(Scheme::F16), &|_| {})
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("config.json: `block_out_channels` is [8,16]: the time embedding has 65536"),
        "{error}"
    );
}

#[test]
fn factors_that_weights_cannot_be_divided_by_are_refused() {
    for (field, values) in [
        ("mid_block_scale_factor", [json!(0), json!(1e-4), json!(-2000)]),
        ("norm_eps", [json!(-1e-5), json!(1e-13), json!(2)]),
        ("freq_shift", [json!(4), json!(4.5), json!(1e9)]),
    ] {
        for value in values {
            let config = config(json!({ (field): value.clone() }));
            let error = mote_tools::import::UnetConfig::parse("config.json", &config.to_string()).unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("config.json: `{field}` is {value}: ")),
                "{text}"
            );
        }
    }
}

#[test]
fn null_means_what_the_library_makes_of_it() {
    let parse = |changes: Value| mote_tools::import::UnetConfig::parse("config.json", &config(changes).to_string());
    let found = parse(json!({"flip_sin_to_cos": null, "add_attention": null, "center_input_sample": null})).unwrap();
    assert!(!found.flip_sin_to_cos && !found.add_attention && !found.center_input_sample);
    let without =
        parse(json!({"mid_block_type": null, "mid_block_scale_factor": null, "downsample_type": null})).unwrap();
    assert!(!without.mid_block);
    assert_eq!(parse(json!({"time_embedding_dim": 0})).unwrap().time_embedding_dim, 32);
    for field in [
        "in_channels",
        "out_channels",
        "layers_per_block",
        "freq_shift",
        "norm_eps",
        "mid_block_scale_factor",
        "act_fn",
        "block_out_channels",
        "down_block_types",
        "up_block_types",
        "resnet_time_scale_shift",
        "time_embedding_type",
        "norm_num_groups",
        "sample_size",
    ] {
        let error = parse(json!({ (field): null })).unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), (field, "null"), "{error}");
    }
}

/// The up path's first concatenation would join a tensor with itself.
#[test]
fn a_network_without_a_middle_block_converts_and_keeps_its_values() {
    for changes in [
        json!({"mid_block_type": null}),
        json!({"mid_block_type": null, "down_block_types": ["DownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "UpBlock2D"], "resnet_time_scale_shift": "scale_shift"}),
        json!({"mid_block_type": null, "block_out_channels": [8], "down_block_types": ["AttnDownBlock2D"],
            "up_block_types": ["AttnUpBlock2D"]}),
    ] {
        let config = config(changes);
        let checkpoint = load(&config, &container(&weights_of(&config))).unwrap();
        for scheme in [Scheme::F16, Scheme::W8A16, Scheme::W8A8] {
            let bytes = convert(&checkpoint, &Options::of(scheme), &|_| {})
                .unwrap()
                .emitted
                .bytes;
            let memory = mote_engine::memory::AlignedBytes::copy_of(&bytes);
            assert_eq!(
                Model::parse(memory.bytes()).unwrap().header().sample_len(),
                16,
                "{}",
                scheme.name()
            );
        }
    }
}
