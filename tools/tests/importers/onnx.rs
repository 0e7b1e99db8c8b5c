//! Small networks as both of PyTorch's exporters write them, against PyTorch's outputs in f64; and files that are refused.

use mote_graph::graph::Graph;
use mote_tools::crosscheck::{Dtype, crosscheck};
use mote_tools::import::import;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/importers/onnx")
        .join(name)
}

fn number(value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    prost::encoding::encode_varint(value, &mut bytes);
    bytes
}

/// A field that is a whole number.
fn whole(field: u64, value: i64) -> Vec<u8> {
    [number(field << 3), number(value as u64)].concat()
}

/// A field that is a message or a text.
fn part(field: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&number(field << 3 | 2)[..], &number(bytes.len() as u64), bytes].concat()
}

fn node(operator: &str, inputs: &[&str], output: &str, more: &[u8]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| part(1, name)).collect();
    part(
        1,
        [
            &inputs[..],
            &part(2, output),
            &part(3, format!("/net/{operator}")),
            &part(4, operator),
            more,
        ]
        .concat(),
    )
}

fn value(field: u64, name: &str, kind: i64, dims: &[i64]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| part(1, whole(1, *dim))).collect();
    part(
        field,
        [
            part(1, name),
            part(2, part(1, [whole(1, kind), part(2, dims)].concat())),
        ]
        .concat(),
    )
}

fn weight(dims: &[i64], more: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|dim| whole(1, *dim)).collect();
    part(5, [&dims[..], &whole(2, 1), &part(8, "weight"), more].concat())
}

/// A file with these nodes and tensors, of an operator set, whose output is `y`.
fn file(opset: i64, parts: &[Vec<u8>]) -> Vec<u8> {
    let given = [
        value(11, "sample", 1, &[1, 1, 4]),
        value(11, "timestep", 7, &[1]),
        value(12, "y", 1, &[1, 1, 4]),
    ];
    let graph = [parts.concat(), given.concat()].concat();
    [
        whole(1, 8),
        part(8, [part(1, ""), whole(2, opset)].concat()),
        part(7, graph),
    ]
    .concat()
}

fn placed(bytes: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.onnx"), bytes).unwrap();
    std::fs::create_dir(folder.path().join("scheduler")).unwrap();
    let scheduler = "scheduler/scheduler_config.json";
    std::fs::copy(fixture("image").join(scheduler), folder.path().join(scheduler)).unwrap();
    let manifest =
        r#"{"format": 1, "inputs": {"sample": "sample", "timestep": "timestep"}, "layout": "(channel, time)"}"#;
    std::fs::write(folder.path().join("mote.json"), manifest).unwrap();
    folder
}

fn refusal(bytes: &[u8]) -> String {
    let text = import(placed(bytes).path()).unwrap_err().to_string();
    assert!(text.len() < 2000, "{}", text.len());
    text
}

/// A convolution of one channel over three positions.
fn conv() -> Vec<Vec<u8>> {
    let raw: Vec<u8> = [0.5f32, 1.0, -0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    let pads = [part(1, "pads"), whole(8, 1), whole(8, 1), whole(20, 7)].concat();
    vec![
        weight(&[1, 1, 3], &part(9, raw)),
        node("Conv", &["sample", "weight"], "y", &part(5, pads)),
    ]
}

#[test]
fn both_exporters_files_compute_what_the_network_does() {
    for (network, own) in [
        ("signal", "net.onnx"),
        ("signal", "script.onnx"),
        ("image", "net.onnx"),
        ("image", "script.onnx"),
    ] {
        let folder = fixture(network);
        let checkpoint = import(&folder.join(own)).unwrap_or_else(|error| panic!("{network} {own}: {error}"));
        let report = crosscheck(&checkpoint, &folder.join("vectors.safetensors"), Dtype::F64).unwrap();
        assert!(report.held, "{network} {own}: {report}");
    }
    let (one, other) = (
        import(&fixture("signal")).unwrap(),
        import(&fixture("signal/script.onnx")).unwrap(),
    );
    let ops = |graph: &Graph| -> Vec<String> { graph.nodes.iter().map(|node| node.name.clone()).collect() };
    assert_eq!(ops(&one.graph), ops(&other.graph));
    assert_eq!((one.graph.classes, one.null_class), (Some(4), Some(3)));
    let names: Vec<&str> = one.graph.nodes.iter().map(|node| node.name.as_str()).collect();
    for name in ["enter", "norm", "down", "ln", "up", "last"] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    assert!(one.graph.params.contains_key("enter.weight"));
}

#[test]
fn what_is_not_recognized_is_named() {
    import(placed(&file(17, &conv())).path()).unwrap();
    let text = refusal(&file(17, &[node("Elu", &["sample"], "y", &[])]));
    for word in ["node `/net/Elu`", "onnx.Elu", "module `net`"] {
        assert!(text.contains(word), "{text}");
    }
    let text = refusal(&file(
        17,
        &[node("FusedConv", &["sample"], "y", &part(7, "com.microsoft"))],
    ));
    assert!(text.contains("com.microsoft.FusedConv"), "{text}");
    let text = refusal(&file(99, &conv()));
    assert!(
        text.contains("operator set is 99") && text.contains("11 to 23"),
        "{text}"
    );
    let text = refusal(&file(10, &conv()));
    assert!(text.contains("operator set is 10"), "{text}");
}

#[test]
fn a_softplus_with_a_threshold_is_one() {
    let bound = |value: f32| {
        let scalar = [whole(2, 1), part(8, "bound"), part(9, value.to_le_bytes())].concat();
        let nodes = [
            node("Softplus", &["sample"], "a", &[]),
            node("Greater", &["sample", "bound"], "b", &[]),
            node("Where", &["b", "sample", "a"], "y", &[]),
        ];
        file(18, &[&[part(5, scalar)][..], &nodes].concat())
    };
    let checkpoint = import(placed(&bound(20.0)).path()).unwrap();
    let names: Vec<&str> = checkpoint.graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert!(names.contains(&"net"), "{names:?}");
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(refusal(&bound(2.0)).contains("a softplus alone"));
}

#[test]
fn graphs_that_do_not_hold_together_are_refused() {
    // A cycle.
    let text = refusal(&file(
        17,
        &[node("Relu", &["b"], "a", &[]), node("Relu", &["a"], "b", &[])],
    ));
    assert!(text.contains("which nothing before it writes"), "{text}");
    let text = refusal(&file(
        17,
        &[node("Relu", &["sample"], "y", &[]), node("Tanh", &["sample"], "y", &[])],
    ));
    assert!(text.contains("two of its nodes write `y`"), "{text}");
    for dims in [&[1i64 << 40, 1 << 40][..], &[-1, 4], &[1 << 62, 4, 4], &[1; 17]] {
        let text = refusal(&file(17, &[weight(dims, &[]), conv().remove(1)]));
        assert!(
            text.contains("at most 16 axes") || text.contains("more than 16 numbers"),
            "{text}"
        );
    }
    let text = refusal(&file(17, &[weight(&[1, 1, 3], &part(9, [0; 8])), conv().remove(1)]));
    assert!(text.contains("has 8 bytes, and 12 were expected"), "{text}");
    // Names of a megabyte.
    let long = "n".repeat(1 << 20);
    let text = refusal(&file(17, &[node(&long, &["sample"], &long, &[])]));
    assert!(text.contains("not known"), "{text}");
    // Extents of a reshape that are a tensor of a million numbers, and a constant as large as memory.
    let dims = [
        whole(1, 1 << 20),
        whole(2, 7),
        part(8, "weight"),
        part(9, vec![1; 8 << 20]),
    ]
    .concat();
    let text = refusal(&file(
        17,
        &[part(5, dims), node("Reshape", &["sample", "weight"], "y", &[])],
    ));
    assert!(text.contains("more than 64"), "{text}");
    let huge: Vec<u8> = [1i64 << 31, 1 << 31].iter().flat_map(|v| v.to_le_bytes()).collect();
    let dims = [whole(1, 2), whole(2, 7), part(8, "weight"), part(9, huge)].concat();
    let text = refusal(&file(
        17,
        &[part(5, dims), node("ConstantOfShape", &["weight"], "y", &[])],
    ));
    assert!(text.contains("too many"), "{text}");
    // A sum of a column and a row, and a concatenation of one tensor many times: each far larger than the file.
    let ones = |name: &str, dims: &[i64]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| whole(1, *dim)).collect();
        part(
            5,
            [&dims[..], &whole(2, 2), &part(8, name), &part(9, vec![1; 1 << 20])].concat(),
        )
    };
    let both = [ones("a", &[1 << 20, 1]), ones("b", &[1, 1 << 20])];
    let text = refusal(&file(17, &[&both[..], &[node("Add", &["a", "b"], "y", &[])]].concat()));
    assert!(text.contains("elements"), "{text}");
    let axis = part(5, [part(1, "axis"), whole(3, 0), whole(20, 2)].concat());
    let text = refusal(&file(
        17,
        &[ones("a", &[1 << 20]), node("Concat", &["a"; 1000], "y", &axis)],
    ));
    assert!(text.contains("elements"), "{text}");
}

#[test]
fn files_that_lie_are_refused() {
    let whole_file = file(17, &conv());
    for length in 0..whole_file.len() {
        refusal(&whole_file[..length]);
    }
    assert!(refusal(b"").contains("0 graphs"));
    assert!(refusal(&whole_file[..whole_file.len() - 1]).contains("copy it again"));
    // A length beyond all memory, and graphs within graphs, which are passed over.
    let text = refusal(&[&number(7 << 3 | 2)[..], &number(u64::MAX - 4)].concat());
    assert!(text.contains("ends within a message"), "{text}");
    let mut nested = vec![];
    for _ in 0..10_000 {
        nested = part(1, part(5, [part(1, "body"), part(6, nested)].concat()));
    }
    refusal(&file(17, &[nested]));
}

#[test]
fn tensors_beside_the_file_stay_in_its_folder() {
    let beside = |location: &str, more: &[(&str, &str)]| {
        let entries = [&[("location", location)], more].concat();
        let entries = entries
            .iter()
            .flat_map(|(key, value)| part(13, [part(1, key), part(2, value)].concat()));
        let entries: Vec<u8> = entries.chain(whole(14, 1)).collect();
        file(17, &[weight(&[1, 1, 3], &entries), conv().remove(1)])
    };
    let folder = placed(&beside("net.onnx.data", &[("offset", "4"), ("length", "12")]));
    let numbers: Vec<u8> = [9f32, 0.5, 1.0, -0.25].iter().flat_map(|v| v.to_le_bytes()).collect();
    let data = folder.path().join("net.onnx.data");
    assert!(import(folder.path()).unwrap_err().to_string().contains("copy it too"));
    std::fs::write(&data, &numbers).unwrap();
    let checkpoint = import(folder.path()).unwrap();
    assert_eq!(checkpoint.graph.params["weight"].data, [0.5, 1.0, -0.25]);
    std::fs::write(&data, &numbers[..12]).unwrap();
    assert!(
        import(folder.path())
            .unwrap_err()
            .to_string()
            .contains("outside of the 12 bytes")
    );
    for location in ["../net.onnx.data", "/etc/hostname", "a/../../b", "", "..\\b"] {
        let text = refusal(&beside(location, &[]));
        assert!(text.contains("outside of its folder"), "{location}: {text}");
    }
    let text = refusal(&beside("net.onnx.data", &[("offset", "99999999999999999999999")]));
    assert!(text.contains("`offset`") || text.contains("copy it too"), "{text}");
    #[cfg(unix)]
    {
        let folder = placed(&beside("inside", &[]));
        let other = tempfile::NamedTempFile::new().unwrap();
        std::os::unix::fs::symlink(other.path(), folder.path().join("inside")).unwrap();
        let text = import(folder.path()).unwrap_err().to_string();
        assert!(text.contains("outside of its folder"), "{text}");
    }
}
