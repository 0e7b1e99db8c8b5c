//! A small network of every layer that is known, against the loops that wrote it; and what is refused.

use crate::archive::archive;
use mote_graph::float::{Conditions, DType, Executor};
use mote_graph::graph::Graph;
use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::import::import;
use mote_tools::import::zip;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/importers/exported")
}

/// The fixture in a folder of its own, its program changed by `change`.
fn changed(change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture().join("net.pt2")).unwrap();
    let entries = zip::entries(&bytes).unwrap();
    let mut files: Vec<(String, Vec<u8>)> = entries
        .iter()
        .map(|entry| (entry.name.clone(), zip::contents(&bytes, entry).unwrap()))
        .collect();
    let program = files.iter_mut().find(|(name, _)| name.ends_with("model.json")).unwrap();
    let mut value: Value = serde_json::from_slice(&program.1).unwrap();
    change(&mut value);
    program.1 = serde_json::to_vec(&value).unwrap();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    std::fs::write(folder.path().join("net.pt2"), archive(&files)).unwrap();
    std::fs::create_dir(folder.path().join("scheduler")).unwrap();
    for name in ["mote.json", "scheduler/scheduler_config.json"] {
        std::fs::copy(fixture().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn refusal(change: impl FnOnce(&mut Value)) -> String {
    import(changed(change).path()).unwrap_err().to_string()
}

fn nodes(program: &mut Value) -> &mut Vec<Value> {
    program["graph_module"]["graph"]["nodes"].as_array_mut().unwrap()
}

fn node<'a>(program: &'a mut Value, target: &str) -> &'a mut Value {
    let is = |node: &&mut Value| node["target"].as_str().unwrap().contains(target);
    nodes(program).iter_mut().find(is).unwrap()
}

#[test]
fn every_known_layer_computes_what_the_exported_network_does() {
    let checkpoint = import(&fixture()).unwrap();
    assert_eq!(checkpoint.graph.sample_shape(), [2, 1, 8]);
    assert_eq!((checkpoint.graph.classes, checkpoint.null_class), (Some(4), Some(3)));
    assert_eq!(checkpoint.graph.condition.unwrap().channels, 3);
    let report = crosscheck(&checkpoint, &fixture().join("vectors.safetensors"), Dtype::F64).unwrap();
    assert!(report.held, "{report}");
    let names: Vec<&str> = checkpoint.graph.nodes.iter().map(|node| node.name.as_str()).collect();
    for name in [
        "enter",
        "block.norm",
        "block.modulate",
        "linear.norm",
        "linear.attention",
        "mid.to_q",
        "late.attention",
        "up",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    // The projections of queries, keys and values are rows of one stored weight.
    assert!(checkpoint.graph.params.contains_key("linear.to_qkv.weight[8:16]"));
}

/// Activations with settings, reflected ends, batch norm in f64, a vector repeated along positions, blocks side by side, a norm whose gain comes
/// first, the timestep itself beside turned sines: as PyTorch 2.15 exported and computed them.
#[test]
fn more_layers_compute_what_the_exported_network_does() {
    let home = fixture().join("more");
    let checkpoint = import(&home).unwrap();
    let report = crosscheck(&checkpoint, &home.join("vectors.safetensors"), Dtype::F64).unwrap();
    assert!(report.held, "{report}");
    let refused = mote_tools::lower::lower(&checkpoint.graph).unwrap_err().to_string();
    assert!(refused.contains("the timestep beside them"), "{refused}");
}

/// Tokens joined and cut off, rotary embeddings, standardized weights, a label and zeros as channels, a bilinear resampling: as PyTorch 2.15
/// exported and computed them.
#[test]
fn tokens_and_turned_channels_compute_what_the_exported_network_does() {
    let home = fixture().join("tokens");
    let checkpoint = import(&home).unwrap();
    let report = crosscheck(&checkpoint, &home.join("vectors.safetensors"), Dtype::F64).unwrap();
    assert!(report.held, "{report}");
}

/// Any function of the timestep, masks, gates, borders, corners, far taps and joined vectors: as PyTorch 2.15 exported and computed them. All of it
/// becomes a model: a function of the timestep is a series of sines there.
#[test]
fn functions_of_the_timestep_and_masks_compute_what_the_exported_network_does() {
    let home = fixture().join("times");
    let checkpoint = import(&home).unwrap();
    let report = crosscheck(&checkpoint, &home.join("vectors.safetensors"), Dtype::F64).unwrap();
    assert!(report.held, "{report}");
    let program = mote_tools::lower::lower_of(&checkpoint.graph, 50).unwrap();
    assert!(program.ops.iter().any(|op| program.reads_series(op)));
}

/// A decoder beside the network, exported by itself: its picture is PyTorch's, and the pipeline becomes a model with both.
#[test]
fn a_decoder_that_was_exported_makes_pictures_of_samples() {
    let home = fixture().join("tokens");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scheduler")).unwrap();
    for name in ["net.pt2", "mote.json", "scheduler/scheduler_config.json"] {
        std::fs::copy(home.join(name), folder.path().join(name)).unwrap();
    }
    let beside = folder.path().join("decoder.pt2");
    std::fs::copy(home.join("latent/decoder.pt2"), &beside).unwrap();
    let checkpoint = import(folder.path()).unwrap();
    let decoder = checkpoint.decoder.unwrap();
    assert_eq!(decoder.graph.output_shape(), [3, 8, 8]);
    let bytes = std::fs::read(home.join("latent/vectors.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        let words = tensors.tensor(name).unwrap().data().chunks_exact(8);
        words.map(|word| f64::from_le_bytes(word.try_into().unwrap())).collect()
    };
    let executor = Executor::new(&decoder.graph, DType::F64).unwrap();
    let found = executor
        .run(&numbers("latent"), &[0.0; 3], Conditions::default())
        .unwrap();
    let expected = numbers("picture");
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
    // One that reads other extents than the network makes is none of its own.
    std::fs::copy(home.join("net.pt2"), &beside).unwrap();
    let text = import(folder.path()).unwrap_err().to_string();
    for word in ["decoder.pt2", "a decoder has one", "[1, 1, 4, 4]"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn what_is_not_recognized_is_named() {
    let text = refusal(|program| node(program, "gelu")["target"] = json!("torch.ops.aten.erfinv.default"));
    for word in ["node `gelu`", "aten.erfinv.default", "module `block.act`"] {
        assert!(text.contains(word), "{text}");
    }
    let text = refusal(|program| program["schema_version"] = json!({"major": 9, "minor": 1}));
    assert!(text.contains("9.1") && text.contains("8 is read"), "{text}");
    let text = refusal(|program| node(program, "layer_norm")["inputs"][1]["arg"] = json!({"as_ints": [4, 8]}));
    assert!(text.contains("[4, 8]") && text.contains("mid.norm"), "{text}");
}

#[test]
fn graphs_that_do_not_hold_together_are_refused() {
    // A cycle: a node that reads what only a later one writes.
    let text = refusal(|program| node(program, "tanh")["inputs"][0]["arg"]["as_tensor"]["name"] = json!("conv1d_7"));
    assert!(text.contains("which nothing before it writes"), "{text}");
    let sizes = |program: &mut Value, name: &str, sizes: Value| {
        program["graph_module"]["graph"]["tensor_values"][name]["sizes"] = sizes;
    };
    let huge = json!([{"as_int": 1_i64 << 40}, {"as_int": 1_i64 << 40}]);
    let text = refusal(|program| sizes(program, "tanh", huge));
    assert!(text.contains("`tanh`") && text.contains("elements"), "{text}");
    let text = refusal(|program| sizes(program, "tanh", json!([{"as_expr": {"expr_str": "s0"}}])));
    assert!(text.contains("dynamic"), "{text}");
    let text = refusal(|program| {
        sizes(
            program,
            "p_enter_weight",
            json!([{"as_int": 4}, {"as_int": 3}, {"as_int": 2}]),
        )
    });
    assert!(text.contains("p_enter_weight"), "{text}");
    // A name of a megabyte.
    let long = "n".repeat(1 << 20);
    let text = refusal(|program| {
        let node = node(program, "gelu");
        node["target"] = json!(long);
        node["outputs"][0]["as_tensor"]["name"] = json!(long);
    });
    assert!(text.len() < 2000, "{}", text.len());
}

#[test]
fn inputs_without_a_role_are_asked_for() {
    let folder = changed(|_| {});
    let manifest = folder.path().join("mote.json");
    std::fs::remove_file(&manifest).unwrap();
    let text = import(folder.path()).unwrap_err().to_string();
    assert!(
        text.contains("mote.json is missing") && text.contains("\"observed\": ROLE"),
        "{text}"
    );
    for (inputs, layout, words) in [
        (
            json!({"x": "sample", "t": "timestep", "label": "class"}),
            "(channel, time)",
            ["`observed`", "no role"],
        ),
        (
            json!({"x": "sample", "t": "clock"}),
            "(channel, time)",
            ["`t`", "clock"],
        ),
        (
            json!({"x": "sample", "t": "timestep", "label": "class", "observed": "condition"}),
            "(time, time)",
            ["layout", "axis"],
        ),
    ] {
        let text = json!({"format": 1, "inputs": inputs, "layout": layout}).to_string();
        std::fs::write(&manifest, text).unwrap();
        let text = import(folder.path()).unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn a_policy_is_the_same_graph_from_its_export_and_from_its_weights() {
    let home = fixture().join("../policy");
    let folder = tempfile::tempdir().unwrap();
    let from = |file: &str| {
        let root = folder.path().join(file);
        std::fs::create_dir_all(root.join("scheduler")).unwrap();
        for name in ["config.json", "mote.json", "scheduler/scheduler_config.json", file] {
            std::fs::copy(home.join(name), root.join(name)).unwrap();
        }
        import(&root).unwrap()
    };
    let exported = from("net.pt2");
    let report = crosscheck(&exported, &home.join("vectors.safetensors"), Dtype::F64).unwrap();
    assert!(report.held, "{report}");
    for file in ["policy.ckpt", "model.safetensors"] {
        let native = from(file);
        same(&native.graph, &exported.graph);
        assert_eq!(native.layout, exported.layout);
    }
    // The file itself, whatever lies beside it.
    same(&import(&home.join("policy.ckpt")).unwrap().graph, &exported.graph);
}

/// Compares part by part, so that a difference is short.
fn same(found: &Graph, expected: &Graph) {
    let nodes = found.nodes.iter().zip(&expected.nodes);
    nodes.for_each(|(found, expected)| assert_eq!(found, expected));
    let params = found.params.iter().zip(&expected.params);
    params.for_each(|(found, expected)| assert!(found == expected, "{} and {}", found.0, expected.0));
    assert!(found == expected);
}

#[test]
fn a_policy_s_weights_are_all_used_and_all_there() {
    let home = fixture().join("../policy");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(home.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let settings = folder.path().join("config.json");
    std::fs::write(&settings, r#"{"_class_name": "ConditionalUnet1D"}"#).unwrap();
    let text = import(folder.path()).unwrap_err().to_string();
    assert!(text.contains("`horizon` is missing"), "{text}");
    std::fs::write(
        &settings,
        r#"{"_class_name": "ConditionalUnet1D", "horizon": 8, "n_groups": 3}"#,
    )
    .unwrap();
    let text = import(folder.path()).unwrap_err().to_string();
    assert!(text.contains("groups"), "{text}");
}

/// The fixture with a pool of windows of one position, which changes nothing, behind its GELU.
fn pooled(target: &str, arguments: Value) -> tempfile::TempDir {
    changed(|program| {
        let values = &mut program["graph_module"]["graph"]["tensor_values"];
        values["pool"] = values["gelu"].clone();
        let at = nodes(program)
            .iter()
            .position(|node| node["target"].as_str().unwrap().contains("gelu"));
        let at = at.unwrap() + 1;
        let reader = &mut nodes(program)[at];
        assert_eq!(reader["inputs"][0]["arg"]["as_tensor"]["name"], "gelu");
        reader["inputs"][0]["arg"]["as_tensor"]["name"] = json!("pool");
        let mut pool = nodes(program)[at - 1].clone();
        pool["target"] = json!(format!("torch.ops.aten.{target}.default"));
        pool["outputs"] = json!([{"as_tensor": {"name": "pool"}}]);
        let own = json!({"name": "self", "arg": {"as_tensor": {"name": "gelu"}}, "kind": 1});
        let others = arguments.as_object().unwrap().iter();
        let others = others.map(|(name, arg)| json!({"name": name, "arg": arg, "kind": 1}));
        pool["inputs"] = std::iter::once(own).chain(others).collect();
        nodes(program).insert(at, pool);
    })
}

#[test]
fn pools_are_recognized_with_their_windows() {
    for (target, max) in [("max_pool1d", true), ("avg_pool1d", false)] {
        let folder = pooled(target, json!({"kernel_size": {"as_ints": [1]}}));
        let checkpoint = import(folder.path()).unwrap();
        let is = |node: &&mote_graph::graph::Node| matches!(node.op, mote_graph::graph::Op::Pool(pool) if pool.max == max && pool.window == [1, 1]);
        assert_eq!(checkpoint.graph.nodes.iter().filter(is).count(), 1, "{target}");
        let report = crosscheck(&checkpoint, &fixture().join("vectors.safetensors"), Dtype::F64).unwrap();
        assert!(report.held, "{report}");
    }
    let padded = json!({"kernel_size": {"as_ints": [3]}, "stride": {"as_ints": [1]}, "padding": {"as_ints": [1]}});
    let text = import(pooled("max_pool1d", padded).path()).unwrap_err().to_string();
    assert!(text.contains("padding") && text.contains("aten.max_pool1d"), "{text}");
}
