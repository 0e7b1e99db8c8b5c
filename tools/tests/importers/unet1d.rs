//! Small networks of diffusers 0.42.1 against what PyTorch 2.15 computed with them in f64; and what is refused.

use mote_graph::graph::Op;
use mote_tools::backend::predict::Question;
use mote_tools::convert::{Options, convert};
use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::import::{Checkpoint, ImportError, WEIGHTS_FILE, import};
use mote_tools::quantize::scheme::Scheme;
use safetensors::Dtype as Type;
use safetensors::tensor::TensorView;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn home(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/importers/unet1d")
        .join(name)
}

/// The kernel that diffusers calls cubic.
const CUBIC: [f64; 8] = [
    -0.011_718_75,
    -0.035_156_25,
    0.113_281_25,
    0.433_593_75,
    0.433_593_75,
    0.113_281_25,
    -0.035_156_25,
    -0.011_718_75,
];

/// The weights of which the reference was computed: a sequence that covers -0.5 to 0.5 evenly, one number after the other, tensors by name.
fn weights(shapes: &BTreeMap<String, Vec<usize>>) -> Vec<u8> {
    let mut next = 0u64;
    let mut tensors = BTreeMap::new();
    for (key, shape) in shapes {
        let count: usize = shape.iter().product();
        let fan = (count / shape[0]) as f64;
        let value = |u: f64| match key.as_str() {
            _ if shape.len() > 1 => u * (3.4 / fan.sqrt()),
            "time_proj.weight" => u * 0.02,
            key if key.ends_with("weight") => 1.0 + 0.3 * u,
            _ => 0.2 * u,
        };
        let mut drawn = || {
            let bits = next.wrapping_mul(2_654_435_761).wrapping_add(12_345) & 0xffff_ffff;
            next += 1;
            value(bits as f64 / 4_294_967_296.0 - 0.5)
        };
        let numbers: Vec<f64> = match key.ends_with("kernel") {
            true => CUBIC
                .map(|tap| if key.ends_with("up.kernel") { 2.0 * tap } else { tap })
                .to_vec(),
            false => (0..count).map(|_| drawn()).collect(),
        };
        let bytes: Vec<u8> = numbers.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
        tensors.insert(key.clone(), (shape.clone(), bytes));
    }
    let views = tensors.iter().map(|(key, (shape, bytes))| {
        let view = TensorView::new(Type::F32, shape.clone(), bytes).unwrap();
        (key.clone(), view)
    });
    safetensors::serialize(views, None).unwrap()
}

/// The network `name`, its configuration changed by `change`, and its weights' shapes by `shapes`.
fn read(name: &str, change: impl FnOnce(&mut Value)) -> Result<Checkpoint, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    for part in ["unet", "scheduler"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
    }
    let text = std::fs::read_to_string(home(name).join("unet/config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    change(&mut config);
    std::fs::write(folder.path().join("unet/config.json"), config.to_string()).unwrap();
    let shapes = std::fs::read_to_string(home(name).join("shapes.json")).unwrap();
    let bytes = weights(&serde_json::from_str(&shapes).unwrap());
    std::fs::write(folder.path().join("unet").join(WEIGHTS_FILE), bytes).unwrap();
    let scheduler = "scheduler/scheduler_config.json";
    std::fs::copy(home(name).join(scheduler), folder.path().join(scheduler)).unwrap();
    import(folder.path())
}

#[test]
fn both_families_of_blocks_compute_what_the_library_s_do() {
    for (name, shape) in [("dance", [2, 1, 16]), ("temporal", [3, 1, 12])] {
        let checkpoint = read(name, |_| ()).unwrap();
        assert_eq!(checkpoint.graph.sample_shape(), shape);
        let report = crosscheck(&checkpoint, &home(name).join("vectors.safetensors"), Dtype::F64).unwrap();
        assert!(report.held, "{name}: {report}");
    }
}

/// Every layer has an operator on a device: reflected ends, a vector at all positions, rates below zero, a sum with a concatenation.
#[test]
fn every_layer_has_an_operator() {
    for name in ["dance", "temporal"] {
        mote_tools::lower::lower(&read(name, |_| ()).unwrap().graph).unwrap();
    }
}

/// A convolution with a sum writes 8 in size at most. Beyond that the sum is an operator of its own, and the output is that of f16.
#[test]
fn an_output_beyond_8_keeps_its_size() {
    let mut checkpoint = read("dance", |_| ()).unwrap();
    let graph = &mut checkpoint.graph;
    let written_by = |value| graph.nodes.iter().position(|node| Some(node.output) == value).unwrap();
    let sum = written_by(graph.output);
    for value in graph.nodes[sum].inputs.clone() {
        let Op::Conv(conv) = &graph.nodes[written_by(Some(value))].op else {
            panic!("the sum is of two convolutions");
        };
        for key in [Some(conv.weight.clone()), conv.bias.clone()].into_iter().flatten() {
            graph
                .params
                .get_mut(&key)
                .unwrap()
                .data
                .iter_mut()
                .for_each(|v| *v *= 16.0);
        }
    }
    let [expected, found] = [Scheme::F16, Scheme::W16A16].map(|scheme| {
        let converted = convert(&checkpoint, &Options::of(scheme), &|_| ()).unwrap();
        let sample = (0..32).map(|i| (i * 7 % 32 - 16) << 20).collect();
        let question = Question {
            x_q24: sample,
            timestep: 500.0,
            class: None,
            condition: None,
        };
        converted.file().unwrap().predict(&[question]).unwrap().remove(0)
    });
    let real = |v: i32| f64::from(v) / 16_777_216.0;
    let largest = expected.iter().map(|v| real(*v).abs()).fold(0.0, f64::max);
    assert!(largest > 16.0, "the output ends at {largest}");
    let off = expected.iter().zip(&found).map(|(a, b)| (real(*a) - real(*b)).abs());
    let off = off.fold(0.0, f64::max);
    assert!(off < 0.02 * largest, "{off} of {largest}");
}

#[test]
fn what_is_no_denoiser_is_refused_by_name() {
    for (key, value, expected) in [
        (
            "mid_block_type",
            "ValueFunctionMidBlock1D",
            "a value function makes no sample",
        ),
        ("out_block_type", "ValueFunction", "a value function makes no sample"),
        ("time_embedding_type", "learned", "fourier and positional"),
        ("some_setting", "", "not known"),
    ] {
        let error = read("dance", |config| config[key] = value.into())
            .unwrap_err()
            .to_string();
        assert!(error.contains(key) && error.contains(expected), "{error}");
    }
    let error = read("dance", |config| config["up_block_types"][0] = "UpBlock9D".into());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("UpBlock9D") && error.contains("AttnUpBlock1D"),
        "{error}"
    );
}
