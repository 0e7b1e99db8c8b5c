//! ONNX, the second door to the same recognition: `net.onnx`, as either of PyTorch's exporters writes it.
//!
//! ```text
//! net.onnx ──▶ wire.rs, message.rs ──▶ Program: tensors (store.rs), inputs, nodes in order
//!                                        │ reader.rs, operand by operand
//!              ┌─────────────────────────┼────────────────────────────┐
//!              ▼                         ▼                            ▼
//! plumbing.rs: extents and axes   arithmetic.rs: numbers       layers.rs: layers
//!              └─────────────────────────┼────────────────────────────┘
//!                                        ▼ call.rs
//!                          operators of aten, as a torch.export has them
//! ```
//!
//! There is one recognizer: a node of ONNX becomes one or a few operators of aten, once its operands are known. What an exporter
//! computes at run time from extents is a constant then.

mod arithmetic;
mod call;
mod layers;
mod meant;
mod message;
mod modules;
mod plumbing;
mod store;
mod wire;

use super::net::{Net, Result};
use super::operands::Value;
use super::program::{Input, Node, Positions, Program, Store, Stored};
use super::schema::{Argument, Name, Number};
use super::tensor::Tensor;
use crate::ImportError;
use message::{Attribute, Messages, Model};
use mote_graph::config::printable;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(super) use layers::biased;
pub(super) use store::Source;

/// Operator sets that are known.
const OPSETS: std::ops::RangeInclusive<i64> = 11..=23;
/// Most nodes of a graph, and most extents of a tensor.
const MOST_NODES: usize = 200_000;
const MOST_RANK: usize = 16;

/// Reads the network of the ONNX file `path`.
pub(super) fn read(path: &Path) -> std::result::Result<(Program, Source), ImportError> {
    let mut source = Source::read(path)?;
    let model = Messages::model(&source.bytes).map_err(|problem| source.refuse(problem))?;
    let (program, tensors) = program(model).map_err(|problem| source.refuse(problem))?;
    source.tensors = tensors;
    source.read_beside()?;
    Ok((program, source))
}

/// The results of the node on `operands`, of which those that are left out are `None`.
pub(super) fn results(
    net: &mut Net,
    node: &Node,
    positions: &Positions,
    operands: &[Option<Value>],
) -> Result<Vec<Value>> {
    let op = node.target.strip_prefix("onnx.").unwrap_or_default();
    let call = call::Call {
        op,
        node,
        opset: positions.opset,
        operands,
    };
    if let Some(results) = plumbing::results(net, &call)? {
        return Ok(results);
    }
    if let Some(result) = arithmetic::result(net, &call)? {
        return Ok(vec![result]);
    }
    if let Some(results) = layers::results(net, &call)? {
        return Ok(results);
    }
    Err(
        "this operator is not known; say which network has it, or export it with another layer in its place"
            .to_string(),
    )
}

/// The program of a model, and its tensors.
fn program(model: Model) -> wire::Result<(Program, Vec<message::Tensor>)> {
    if model.graphs != 1 {
        let found = model.graphs;
        return Err(format!(
            "it holds {found} graphs, and one was expected: it is no file of torch.onnx.export, or damaged"
        ));
    }
    let opset = opset(&model.opsets)?;
    if model.sparse {
        return Err("it has sparse tensors, which are not read".to_string());
    }
    if model.nodes.len() > MOST_NODES {
        let nodes = model.nodes.len();
        return Err(format!(
            "it has {nodes} nodes, more than the {MOST_NODES} that are read"
        ));
    }
    let mut tensors = vec![];
    let mut stored = BTreeMap::new();
    for tensor in model.initializers {
        let name = tensor.name.clone();
        extents(&tensor.dims).map_err(|problem| format!("tensor `{}` {problem}", printable(&name)))?;
        stored.insert(name.clone(), Stored::at(name, tensors.len()));
        tensors.push(tensor);
    }
    let mut inputs = vec![];
    let mut sizes = BTreeMap::new();
    for value in model.inputs.iter().filter(|value| !stored.contains_key(&value.name)) {
        let name = printable(&value.name);
        let dims: Option<Vec<i64>> = value.sizes.as_ref().and_then(|sizes| sizes.iter().copied().collect());
        let dims = dims.ok_or_else(|| {
            format!("input `{name}` has a dynamic extent: export the network for a batch of 1, without dynamic axes or shapes")
        })?;
        let known = extents(&dims).map_err(|problem| format!("input `{name}` {problem}"))?;
        inputs.push(Input {
            name: value.name.clone(),
            sizes: known.clone(),
        });
        sizes.insert(value.name.clone(), known);
    }
    for value in model.values.iter().chain(&model.outputs) {
        let dims: Option<Vec<i64>> = value.sizes.as_ref().and_then(|sizes| sizes.iter().copied().collect());
        if let Some(dims) = dims {
            let known = extents(&dims).map_err(|problem| format!("value `{}` {problem}", printable(&value.name)))?;
            sizes.insert(value.name.clone(), known);
        }
    }
    let output = model.outputs.first().ok_or("it has no output")?.name.clone();
    let mut written: BTreeSet<String> = inputs.iter().map(|input| input.name.clone()).collect();
    let mut nodes = vec![];
    for node in model.nodes {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if !written.insert(name.clone()) {
                return Err(format!("two of its nodes write `{}`", printable(name)));
            }
        }
        nodes.extend(self::node(node, opset, &mut stored, &mut tensors)?);
    }
    modules::again(&mut nodes, &stored);
    let program = Program {
        inputs,
        stored,
        nodes,
        output,
        sizes,
    };
    Ok((program, tensors))
}

/// The operator set of the plain domain.
fn opset(opsets: &[(String, i64)]) -> wire::Result<i64> {
    let plain = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    match opsets.iter().find(|(domain, _)| plain(domain)) {
        Some((_, version)) if OPSETS.contains(version) => Ok(*version),
        Some((_, version)) => Err(format!(
            "its operator set is {version}, and {} to {} are read: export the network with opset_version=18",
            OPSETS.start(),
            OPSETS.end()
        )),
        None => Err("it names no operator set, so it is no file of torch.onnx.export".to_string()),
    }
}

/// A node, or none where it is a constant: that is a tensor.
fn node(
    node: message::Node,
    opset: i64,
    stored: &mut BTreeMap<String, Stored>,
    tensors: &mut Vec<message::Tensor>,
) -> wire::Result<Option<Node>> {
    let name = if node.name.is_empty() {
        node.outputs.first()
    } else {
        Some(&node.name)
    };
    let name = name.cloned().unwrap_or_default();
    let plain = node.domain.is_empty() || node.domain == "ai.onnx";
    let mut inputs = node.inputs;
    let mut arguments = vec![];
    for attribute in node.attributes {
        let Attribute { name: own, tensor, .. } = attribute;
        if let Some(tensor) = tensor {
            let constant = plain && node.operator == "Constant" && own == "value";
            let value = match (constant, node.outputs.first()) {
                (true, Some(output)) => output.clone(),
                _ => format!("{name}\0{own}"),
            };
            extents(&tensor.dims)
                .map_err(|problem| format!("the constant of node `{}` {problem}", printable(&name)))?;
            stored.insert(value.clone(), Stored::at(value.clone(), tensors.len()));
            tensors.push(tensor);
            if constant {
                return Ok(None);
            }
            // Behind the inputs: one operator, ConstantOfShape, has such an attribute.
            inputs.push(value);
            continue;
        }
        let argument = argument(&Attribute {
            name: String::new(),
            tensor: None,
            ..attribute
        });
        arguments.push((own, argument));
    }
    let module = modules::of(&node.scopes, &name, &inputs, stored);
    if node.classes.contains("diffusers.models.embeddings.Timesteps") {
        // Its sines are cast afterwards; that the exporter leaves out, where all is f32.
        arguments.push((
            call::SINGLE.to_string(),
            Argument {
                as_bool: Some(true),
                ..Argument::default()
            },
        ));
    }
    Ok(Some(Node {
        name,
        target: if plain {
            format!("onnx.{}", node.operator)
        } else {
            format!("{}.{}", node.domain, node.operator)
        },
        module,
        arguments,
        outputs: node.outputs,
        positions: Some(Positions { inputs, opset }),
    }))
}

/// An attribute as an argument.
fn argument(attribute: &Attribute) -> Argument {
    let decimal = |single: f32| Number::of(meant::float(single));
    match attribute.kind {
        1 => Argument {
            as_float: attribute.float.map(decimal),
            ..Argument::default()
        },
        2 => Argument {
            as_int: attribute.int,
            ..Argument::default()
        },
        3 => Argument {
            as_string: attribute.text.clone(),
            ..Argument::default()
        },
        6 => Argument {
            as_floats: Some(attribute.floats.iter().map(|single| decimal(*single)).collect()),
            ..Argument::default()
        },
        7 => Argument {
            as_ints: Some(attribute.ints.clone()),
            ..Argument::default()
        },
        _ => Argument {
            as_tensor: Some(Name { name: String::new() }),
            ..Argument::default()
        },
    }
}

/// Extents whose product is one that a tensor may have.
fn extents(dims: &[i64]) -> wire::Result<Vec<usize>> {
    let sizes: Option<Vec<usize>> = dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let bounded = |sizes: &Vec<usize>| {
        let product = sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
        sizes.len() <= MOST_RANK && product.is_some_and(|n| n <= Tensor::MOST)
    };
    let shown: Vec<&i64> = dims.iter().take(MOST_RANK).collect();
    sizes.filter(bounded).ok_or_else(|| {
        format!(
            "has extents {shown:?}: at most {MOST_RANK} axes and {} elements are read",
            Tensor::MOST
        )
    })
}
