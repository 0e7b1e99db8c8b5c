//! The exported graph as a small typed program: constants by name, inputs, and nodes in order.

use super::archive::Archive;
use super::schema::{Argument, Exported, Payload, Signature, TensorMeta, Whole};
use super::tensor::{Kind, Tensor};
use crate::ImportError;
use mote_graph::config::printable;
use std::collections::BTreeMap;

/// The schema's version that is known.
const MAJOR: i64 = 8;
/// Most nodes of a program, and most extents of a tensor.
const MOST_NODES: usize = 200_000;
const MOST_RANK: usize = 16;

/// A program.
#[derive(Debug)]
pub(crate) struct Program {
    /// Inputs that a caller gives, in order, with their sizes.
    pub inputs: Vec<Input>,
    /// Parameters, buffers and constants: value ─▶ key of the tensor and where it lies.
    pub stored: BTreeMap<String, Stored>,
    pub nodes: Vec<Node>,
    /// The value that is the first output.
    pub output: String,
    pub(super) sizes: BTreeMap<String, Vec<usize>>,
}

/// What holds a program's tensors.
pub(super) trait Store {
    /// The file's path, for errors.
    fn path(&self) -> String;
    /// The error that the file has this problem.
    fn refuse(&self, problem: String) -> ImportError;
    /// The numbers of a tensor.
    fn tensor(&mut self, stored: &Stored) -> Result<Tensor, ImportError>;
}

/// An input that a caller gives.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub name: String,
    pub sizes: Vec<usize>,
}

/// A tensor of the file.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Its name in the module, such as `conv_in.weight`.
    pub key: String,
    place: Place,
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
enum Place {
    /// In a folder of the archive.
    Archive { folder: &'static str, payload: Payload },
    /// Its number among those of an ONNX file.
    Index(usize),
}

/// A node of the graph.
#[derive(Debug)]
pub(crate) struct Node {
    /// The first value that it writes.
    pub name: String,
    /// Such as `aten.conv2d.default`.
    pub target: String,
    /// The path of the module that it is part of, with the number of the call behind `@` from the second call on.
    pub module: String,
    pub arguments: Vec<(String, Argument)>,
    /// Values written.
    pub outputs: Vec<String>,
    /// Of a node of ONNX.
    pub positions: Option<Positions>,
}

/// What a node of ONNX has in place of named operands.
#[derive(Debug, Clone)]
pub(crate) struct Positions {
    /// Values read, in order; empty where one is left out.
    pub inputs: Vec<String>,
    /// The operator set.
    pub opset: i64,
}

impl Program {
    /// Reads the program of `archive`.
    pub fn read(archive: &mut Archive) -> Result<Self, ImportError> {
        let text = archive.program()?;
        let malformed = |error: serde_json::Error| {
            let problem = printable(&error.to_string());
            archive.refuse(format!("its program is malformed: {problem}; export the network again"))
        };
        version(archive, &text)?;
        let exported: Exported = serde_json::from_slice(&text).map_err(malformed)?;
        drop(text);
        let graph = exported.graph_module.graph;
        if graph.nodes.len() > MOST_NODES {
            let nodes = graph.nodes.len();
            return Err(archive.refuse(format!(
                "it has {nodes} nodes, more than the {MOST_NODES} that are read"
            )));
        }
        let mut sizes = BTreeMap::new();
        for (name, meta) in &graph.tensor_values {
            sizes.insert(
                name.clone(),
                extents(name, &meta.sizes).map_err(|problem| archive.refuse(problem))?,
            );
        }
        let (inputs, stored) = inputs(archive, exported.graph_module.signature, &sizes)?;
        let output = graph.outputs.first().and_then(|output| {
            let first = output.as_tensors.as_ref().and_then(|list| list.first());
            output.as_tensor.as_ref().or(first)
        });
        let output = output.ok_or_else(|| archive.refuse("its first output is no tensor".to_string()))?;
        Ok(Self {
            inputs,
            stored,
            output: output.name.clone(),
            nodes: graph.nodes.into_iter().map(node).collect(),
            sizes,
        })
    }

    /// The sizes that the file gives the value `name`.
    pub fn sizes(&self, name: &str) -> Option<&[usize]> {
        self.sizes.get(name).map(Vec::as_slice)
    }
}

impl Stored {
    /// The tensor `key` of that number in an ONNX file.
    pub fn at(key: String, index: usize) -> Self {
        Self {
            key,
            place: Place::Index(index),
        }
    }

    /// Its number in an ONNX file.
    pub fn index(&self) -> Option<usize> {
        match self.place {
            Place::Index(index) => Some(index),
            Place::Archive { .. } => None,
        }
    }
}

impl Store for Archive {
    fn path(&self) -> String {
        Archive::path(self).to_string()
    }

    fn refuse(&self, problem: String) -> ImportError {
        Archive::refuse(self, problem)
    }

    fn tensor(&mut self, stored: &Stored) -> Result<Tensor, ImportError> {
        let key = printable(&stored.key);
        let refuse = |archive: &Archive, problem: String| Err(archive.refuse(format!("tensor `{key}` {problem}")));
        let Place::Archive { folder, payload } = &stored.place else {
            return refuse(self, "is not in the archive".to_string());
        };
        let Some(meta) = payload.tensor_meta.as_ref().filter(|_| !payload.use_pickle) else {
            return refuse(self, "is stored as a pickle: export plain tensors".to_string());
        };
        let bytes = Archive::tensor(self, folder, &payload.path_name)?;
        match tensor(&key, meta, &bytes) {
            Ok(tensor) => Ok(tensor),
            Err(problem) => refuse(self, problem),
        }
    }
}

/// Refuses a version that is not known, before anything else of the program is looked at.
fn version(archive: &Archive, text: &[u8]) -> Result<(), ImportError> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema_version: super::schema::Version,
    }
    let head: Head = serde_json::from_slice(text).map_err(|error| {
        let problem = printable(&error.to_string());
        archive.refuse(format!("its program is malformed: {problem}; export the network again"))
    })?;
    let version = head.schema_version;
    if version.major == MAJOR {
        return Ok(());
    }
    Err(archive.refuse(format!(
        "its schema_version is {}.{}, and {MAJOR} is read: export the network with PyTorch 2.8 or a later one that writes {MAJOR}",
        version.major, version.minor
    )))
}

type Sources = (Vec<Input>, BTreeMap<String, Stored>);

fn inputs(
    archive: &mut Archive,
    signature: Signature,
    sizes: &BTreeMap<String, Vec<usize>>,
) -> Result<Sources, ImportError> {
    let payloads = [
        ("weights", archive.payloads("weights")?),
        ("constants", archive.payloads("constants")?),
    ];
    let (mut inputs, mut stored) = (vec![], BTreeMap::new());
    for spec in signature.input_specs {
        let named = match (spec.parameter, spec.buffer, spec.tensor_constant, spec.user_input) {
            (Some(spec), ..) => (spec.arg.name, spec.parameter_name),
            (_, Some(spec), ..) => (spec.arg.name, spec.buffer_name),
            (_, _, Some(spec), _) => (spec.arg.name, spec.tensor_constant_name),
            (.., Some(spec)) => {
                let Some(name) = spec.arg.as_tensor else {
                    continue;
                };
                let sizes = sizes.get(&name.name).cloned().unwrap_or_default();
                inputs.push(Input { name: name.name, sizes });
                continue;
            }
            _ => return Err(archive.refuse("an input is neither tensor nor parameter".to_string())),
        };
        let (value, key) = named;
        let found = payloads
            .iter()
            .find_map(|(folder, list)| Some((*folder, list.get(&key)?.clone())));
        let Some((folder, payload)) = found else {
            return Err(archive.refuse(format!("it holds no data of the tensor `{}`", printable(&key))));
        };
        let place = Place::Archive { folder, payload };
        stored.insert(value, Stored { key, place });
    }
    Ok((inputs, stored))
}

fn node(node: super::schema::Node) -> Node {
    let mut outputs = vec![];
    for output in node.outputs {
        outputs.extend(output.as_tensor.map(|name| name.name));
        outputs.extend(output.as_tensors.into_iter().flatten().map(|name| name.name));
    }
    Node {
        name: outputs.first().cloned().unwrap_or_default(),
        target: node.target.trim_start_matches("torch.ops.").to_string(),
        module: module(node.metadata.nn_module_stack.as_deref().unwrap_or_default()),
        arguments: node.inputs.into_iter().map(|input| (input.name, input.arg)).collect(),
        outputs,
        positions: None,
    }
}

/// The innermost module of a stack `key,path,class;key,path,class`.
fn module(stack: &str) -> String {
    let last = stack.rsplit(';').next().unwrap_or_default();
    let mut fields = last.split(',');
    let (key, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    match key.rsplit_once('@') {
        Some((_, call)) if !call.is_empty() => format!("{path}@{call}"),
        _ => path.to_string(),
    }
}

/// Extents of a tensor, whose product fits a count.
fn extents(name: &str, sizes: &[Whole]) -> Result<Vec<usize>, String> {
    let shown = printable(name);
    if sizes.len() > MOST_RANK {
        return Err(format!(
            "value `{shown}` has {} axes, more than {MOST_RANK}",
            sizes.len()
        ));
    }
    let mut extents = vec![];
    for size in sizes {
        let size = size.as_int.ok_or_else(|| {
            format!("value `{shown}` has a dynamic extent: export the network without dynamic_shapes")
        })?;
        extents.push(usize::try_from(size).map_err(|_| format!("value `{shown}` has an extent of {size}"))?);
    }
    let product = extents.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    match product {
        Some(n) if n <= Tensor::MOST => Ok(extents),
        _ => Err(format!(
            "value `{shown}` of extents {extents:?} has more than {} elements",
            Tensor::MOST
        )),
    }
}

/// A stored tensor of `meta` in `bytes`.
fn tensor(key: &str, meta: &TensorMeta, bytes: &[u8]) -> Result<Tensor, String> {
    let sizes = extents(key, &meta.sizes)?;
    let kind = Kind::of(meta.dtype).ok_or_else(|| format!("has element type {}, which is not read", meta.dtype))?;
    let whole = |whole: &Whole| whole.as_int.and_then(|v| usize::try_from(v).ok());
    let strides: Option<Vec<usize>> = meta.strides.iter().map(whole).collect();
    let strides = strides.filter(|strides| strides.len() == sizes.len());
    let strides = strides.ok_or_else(|| "has strides that do not fit its extents".to_string())?;
    let offset = whole(&meta.storage_offset).unwrap_or(0);
    Tensor::stored(kind, sizes, &strides, offset, bytes)
}
