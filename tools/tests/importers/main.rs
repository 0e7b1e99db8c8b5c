//! Configurations that no shared checkpoint has, held to the naive reference; and everything that must be refused.

#[path = "../../import/src/zip/archive.rs"]
mod archive;
mod exported;
mod layouts;
mod lucidrains;
mod onnx;
mod policies;
mod reference;
mod transformer;
mod unet1d;

use mote_graph::float::{DType, Executor};
use mote_tools::import::{Checkpoint, ImportError, Parts, UnetConfig, import_parts};
use reference::{Image, Unet};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SCHEDULER: &str = r#"{"_class_name": "DDIMScheduler"}"#;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A small network with every field present; `changes` are laid over it.
fn config(changes: Value) -> Value {
    let mut config = json!({
        "_class_name": "UNet2DModel", "_diffusers_version": "0.42.1", "act_fn": "silu", "add_attention": true,
        "attention_head_dim": 4, "attn_norm_num_groups": null, "block_out_channels": [8, 16],
        "center_input_sample": false, "class_embed_type": null, "downsample_padding": 1, "downsample_type": "conv",
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "dropout": 0.1, "flip_sin_to_cos": true,
        "freq_shift": 0, "in_channels": 1, "layers_per_block": 1, "mid_block_scale_factor": 1,
        "norm_eps": 1e-5, "norm_num_groups": 4, "num_class_embeds": null, "num_train_timesteps": null,
        "out_channels": 1, "resnet_time_scale_shift": "default", "sample_size": 4, "time_embedding_dim": null,
        "time_embedding_type": "positional", "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "upsample_type": "conv",
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn container(tensors: &Tensors) -> Vec<u8> {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(key, (shape, data))| (key, shape, data.iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(key, shape, data)| (*key, TensorView::new(Dtype::F32, (*shape).clone(), data).unwrap()));
    serialize(views, None).unwrap()
}

fn load(config: &Value, weights: &[u8]) -> Result<Checkpoint, ImportError> {
    import_parts(Parts {
        name: "test",
        config: &config.to_string(),
        weights,
        scheduler: SCHEDULER,
    })
}

/// The reference's sample and output for `config`, and the weights that it made up.
fn reference(config: &Value, t: f64, label: Option<usize>) -> (Image, Image, Tensors) {
    let size = &config["sample_size"];
    let side = |i: usize| size.get(i).unwrap_or(size).as_u64().unwrap() as usize;
    let shape = [config["in_channels"].as_u64().unwrap() as usize, side(0), side(1)];
    let sample = Image::new(shape, |c, y, x| ((3 * c + 5 * y + 7 * x) as f64 * 0.7).sin() * 1.5);
    let mut unet = Unet::new(config);
    let out = unet.forward(&sample, t, label);
    (sample, out, unet.weights)
}

/// Imports what the reference made up, runs it, and holds it to the reference.
fn agrees(changes: Value) -> Checkpoint {
    let config = config(changes);
    let label = config["num_class_embeds"].as_u64().map(|classes| classes as usize - 1);
    for t in [0usize, 37, 999] {
        let (sample, expected, weights) = reference(&config, t as f64, label);
        let checkpoint = load(&config, &container(&weights)).unwrap();
        let labels: Vec<usize> = label.into_iter().collect();
        let executor = Executor::new(&checkpoint.graph, DType::F64).unwrap();
        let found: Vec<f64> = executor.run(&sample.data, &[t], &labels).unwrap();
        assert_eq!(checkpoint.graph.output_shape(), expected.shape);
        let error = found
            .iter()
            .zip(&expected.data)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        let size = expected.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(error <= 1e-12 * size.max(1.0), "t = {t}: {error:e} of {size}");
        assert!(size > 1e-3 && size < 1e3, "{size} is no test");
        if t == 999 {
            return checkpoint;
        }
    }
    unreachable!()
}

#[test]
fn the_original_dialect() {
    agrees(json!({
        "norm_eps": 1e-6, "freq_shift": 1, "flip_sin_to_cos": false, "downsample_padding": 0,
        "attention_head_dim": null, "sample_size": 8, "block_out_channels": [8, 8, 16],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"], "in_channels": 3, "out_channels": 3,
    }));
}

#[test]
fn resampling_inside_resnets() {
    agrees(json!({
        "down_block_types": ["AttnDownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D"],
        "downsample_type": "resnet", "upsample_type": "resnet",
    }));
    agrees(json!({
        "down_block_types": ["ResnetDownsampleBlock2D", "DownBlock2D"],
        "up_block_types": ["ResnetUpsampleBlock2D", "UpBlock2D"], "resnet_time_scale_shift": "scale_shift",
    }));
    // Plain blocks ignore the types.
    agrees(json!({
        "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
        "downsample_type": "resnet", "upsample_type": "resnet",
    }));
}

#[test]
fn scale_shift_and_the_middle_block() {
    let without = agrees(json!({"resnet_time_scale_shift": "scale_shift"}));
    assert!(
        !without
            .graph
            .params
            .contains_key("mid_block.attentions.0.group_norm.weight")
    );
    let with = agrees(json!({"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 2}));
    assert!(
        with.graph
            .params
            .contains_key("mid_block.attentions.0.group_norm.weight")
    );
    agrees(json!({"attn_norm_num_groups": 8, "mid_block_scale_factor": 1.25}));
    agrees(json!({"add_attention": false, "mid_block_scale_factor": 2}));
    agrees(json!({"mid_block_type": null}));
}

#[test]
fn shapes_and_embeddings() {
    agrees(json!({"sample_size": [4, 8], "in_channels": 2, "out_channels": 5, "center_input_sample": true}));
    agrees(json!({"num_class_embeds": 3, "time_embedding_dim": 20}));
    agrees(json!({"layers_per_block": 3}));
    agrees(json!({
        "block_out_channels": [6], "down_block_types": ["AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D"],
        "norm_num_groups": 3, "attention_head_dim": 2, "sample_size": [3, 5],
    }));
    // Head size 5 into 8 and 16 channels: one and three heads, and inner widths of 5 and 15.
    agrees(json!({"attention_head_dim": 5, "down_block_types": ["AttnDownBlock2D", "AttnDownBlock2D"]}));
    // An odd number of timestep features ends in a zero.
    agrees(json!({"block_out_channels": [9, 12], "norm_num_groups": 3, "attention_head_dim": 3}));
}

#[test]
fn missing_fields_take_the_library_s_defaults() {
    let full = config(
        json!({"attention_head_dim": 8, "norm_num_groups": 32, "block_out_channels": [32, 64],
        "layers_per_block": 2, "in_channels": 3, "out_channels": 3}),
    );
    let sparse = json!({"_class_name": "UNet2DModel", "sample_size": 4, "block_out_channels": [32, 64],
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]});
    let weights = container(&reference(&full, 1.0, None).2);
    assert_eq!(
        load(&full, &weights).unwrap().graph,
        load(&sparse, &weights).unwrap().graph
    );
    let mut google = sparse.clone();
    google["block_out_channels"] = json!([224, 448]);
    assert!(UnetConfig::parse("c", &google.to_string()).is_ok());
}

#[test]
fn legacy_attention_names_give_the_same_graph() {
    let config = config(json!({}));
    let weights = reference(&config, 1.0, None).2;
    let modern = load(&config, &container(&weights)).unwrap();
    for convolutional in [false, true] {
        let mut old = Tensors::new();
        for (key, (mut shape, data)) in weights.clone() {
            let renames = [
                (".to_q.", ".query."),
                (".to_k.", ".key."),
                (".to_v.", ".value."),
                (".to_out.0.", ".proj_attn."),
            ];
            let rename = renames.into_iter().find(|(new, _)| key.contains(new));
            if convolutional && rename.is_some() && shape.len() == 2 {
                shape.extend([1, 1]);
            }
            old.insert(
                rename.map_or(key.clone(), |(new, old)| key.replace(new, old)),
                (shape, data),
            );
        }
        assert_eq!(load(&config, &container(&old)).unwrap().graph, modern.graph);
    }
    let mut both = weights.clone();
    both.insert(
        "mid_block.attentions.0.query.weight".to_string(),
        (vec![16, 16], vec![0.0; 256]),
    );
    assert!(matches!(
        load(&config, &container(&both)),
        Err(ImportError::TwoNames { .. })
    ));
}

#[test]
fn half_precision_and_double_weights() {
    let config = config(json!({}));
    let weights = reference(&config, 1.0, None).2;
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = weights
            .iter()
            .map(|(key, (shape, data))| {
                let one = |v: &f32| match dtype {
                    Dtype::F16 => half::f16::from_f32(*v).to_le_bytes().to_vec(),
                    Dtype::BF16 => half::bf16::from_f32(*v).to_le_bytes().to_vec(),
                    _ => f64::from(*v).to_le_bytes().to_vec(),
                };
                (key, shape.clone(), data.iter().flat_map(one).collect())
            })
            .collect();
        let views = bytes
            .iter()
            .map(|(key, shape, data)| (*key, TensorView::new(dtype, shape.clone(), data).unwrap()));
        let graph = load(&config, &serialize(views, None).unwrap()).unwrap().graph;
        let (found, original) = (&graph.params["conv_in.weight"].data, &weights["conv_in.weight"].1);
        let tolerance = if dtype == Dtype::F64 { 0.0 } else { 2e-3 };
        assert!(found.iter().zip(original).all(|(a, b)| (a - b).abs() <= tolerance));
    }
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let config = config(json!({}));
    let weights = reference(&config, 1.0, None).2;
    let with = |change: &dyn Fn(&mut Tensors)| {
        let mut changed = weights.clone();
        change(&mut changed);
        load(&config, &container(&changed)).unwrap_err()
    };
    let key = "down_blocks.0.resnets.0.conv1.weight";
    assert!(matches!(with(&|w| drop(w.remove(key))), ImportError::MissingTensor { key: k, .. } if k == key));
    // What DataParallel and torch.compile put before every name.
    for prefix in ["module.", "_orig_mod."] {
        let wrapped = with(&|w| {
            *w = w
                .iter()
                .map(|(key, tensor)| (format!("{prefix}{key}"), tensor.clone()))
                .collect()
        });
        let said = wrapped.to_string();
        assert!(
            said.contains(&format!("the file has `{prefix}time_embedding.linear_1.weight`")),
            "{said}"
        );
        assert!(
            said.contains(&format!("put `{prefix}` before the names")) && said.contains("save_pretrained"),
            "{said}"
        );
    }
    let extra = with(&|w| drop(w.insert("ema.decay".to_string(), (vec![1], vec![0.5]))));
    assert!(matches!(extra, ImportError::ExtraTensor { key, count: 1, .. } if key == "ema.decay"));
    let shape = with(&|w| w.get_mut(key).unwrap().0 = vec![8, 8, 9]);
    assert!(matches!(shape, ImportError::TensorShape { found, .. } if found == [8, 8, 9]));
    for bad in [f32::NAN, f32::INFINITY] {
        let error = with(&|w| w.get_mut(key).unwrap().1[17] = bad);
        assert!(matches!(error, ImportError::NotFinite { index: 17, .. }), "{error}");
    }
    let whole = container(&weights);
    for end in [0, 7, 8, 100, whole.len() / 2, whole.len() - 1] {
        assert!(
            matches!(load(&config, &whole[..end]), Err(ImportError::Container { .. })),
            "cut at {end}"
        );
    }
    let mut huge = whole.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(load(&config, &huge), Err(ImportError::Container { .. })));
}

#[test]
fn settings_that_are_not_supported_are_refused_by_name() {
    let weights = container(&reference(&config(json!({})), 1.0, None).2);
    for (field, value) in [
        ("_class_name", json!("UNet2DConditionModel")),
        ("time_embedding_type", json!("fourier")),
        ("time_embedding_type", json!("learned")),
        ("act_fn", json!("gelu")),
        ("class_embed_type", json!("timestep")),
        ("class_embed_type", json!("identity")),
        ("down_block_types", json!(["SkipDownBlock2D", "AttnDownBlock2D"])),
        ("up_block_types", json!(["AttnUpBlock2D", "CrossAttnUpBlock2D"])),
        ("down_block_types", json!(["DownBlock2D"])),
        ("mid_block_type", json!("UNetMidBlock2DCrossAttn")),
        ("resnet_time_scale_shift", json!("ada_group")),
        ("downsample_type", json!("fir")),
        ("downsample_padding", json!(2)),
        ("norm_num_groups", json!(3)),
        ("norm_num_groups", json!(0)),
        ("norm_num_groups", json!(null)),
        ("attn_norm_num_groups", json!(5)),
        ("attention_head_dim", json!(0)),
        ("attention_head_dim", json!(17)),
        ("attention_head_dim", json!([4, 4])),
        ("block_out_channels", json!([0, 16])),
        ("block_out_channels", json!([])),
        ("block_out_channels", json!([8, 1e18])),
        ("layers_per_block", json!(18446744073709551615u64)),
        ("layers_per_block", json!(0)),
        ("sample_size", json!(null)),
        ("sample_size", json!(5)),
        ("sample_size", json!(1u64 << 40)),
        ("sample_size", json!([4, 4, 4])),
        ("in_channels", json!(-1)),
        ("norm_eps", json!(0)),
        ("mid_block_scale_factor", json!(0)),
        ("freq_shift", json!(4)),
        ("freq_shift", json!("1")),
        ("num_class_embeds", json!(1e15)),
        ("attention_legacy_order", json!(true)),
    ] {
        let error = load(&config(json!({ (field): value.clone() })), &weights).unwrap_err();
        let ImportError::Config(error) = error else {
            panic!("{field} = {value}: {error}")
        };
        assert_eq!(error.field, field, "{error}");
        assert!(error.to_string().starts_with("config.json: "), "{error}");
    }
}

/// Large but allowed numbers end in an error about tensors or shapes, without work or memory in proportion.
#[test]
fn absurd_sizes_end_early() {
    let weights = container(&reference(&config(json!({})), 1.0, None).2);
    for changes in [
        json!({"layers_per_block": 64, "block_out_channels": [16384, 16384]}),
        json!({"sample_size": 8192}),
        json!({"num_class_embeds": 1 << 20}),
    ] {
        assert!(load(&config(changes), &weights).is_err());
    }
}

#[test]
fn same_bytes_same_graph() {
    let config = config(json!({}));
    let weights = container(&reference(&config, 1.0, None).2);
    let (a, b) = (load(&config, &weights).unwrap(), load(&config, &weights).unwrap());
    assert_eq!((a.graph, a.sha256), (b.graph, b.sha256));
}
