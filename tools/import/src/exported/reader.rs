//! The program's nodes, one after the other: each is folded, followed as a change of axes, or recognized as a layer.

use super::net::{Net, Result};
use super::operands::Value;
use super::program::{Node, Program, Store};
use super::tensor::{Kind, Tensor};
use super::{aten, fold, onnx, shapes};
use crate::ImportError;
use mote_graph::config::printable;
use std::collections::BTreeMap;

/// Elements of all constants that are computed.
const MOST_FOLDED: usize = 1 << 28;

/// Reads a program.
pub(super) struct Reader<'a> {
    pub net: Net,
    program: &'a Program,
    store: &'a mut dyn Store,
    values: BTreeMap<String, Value>,
    folded: usize,
}

impl<'a> Reader<'a> {
    /// A reader of `program` whose inputs have the values `given`.
    pub fn new(program: &'a Program, store: &'a mut dyn Store, net: Net, given: BTreeMap<String, Value>) -> Self {
        Self {
            net,
            program,
            store,
            values: given,
            folded: 0,
        }
    }

    /// Reads all nodes; gives the value of the program's output.
    pub fn read(&mut self) -> std::result::Result<Value, ImportError> {
        let program = self.program;
        for node in &program.nodes {
            self.net.module.clone_from(&node.module);
            let results = self.node(node)?;
            let counted = results.iter().map(|value| match value {
                Value::Constant(tensor) => tensor.data.len(),
                _ => 1,
            });
            self.folded = self.folded.saturating_add(counted.sum());
            if self.folded > MOST_FOLDED {
                return Err(self.refuse(
                    node,
                    format!("constants of more than {MOST_FOLDED} elements are computed"),
                ));
            }
            if node.outputs.len() > results.len() {
                let problem = format!(
                    "it gives {} values, and {} were expected",
                    results.len(),
                    node.outputs.len()
                );
                return Err(self.refuse(node, problem));
            }
            if let (Some(_), [value, ..]) = (writes(&node.target), &results[..]) {
                self.rewritten(node, value.clone())?;
            }
            for (name, value) in node.outputs.iter().zip(results) {
                let (found, said) = (value.sizes(), program.sizes(name));
                if let Some(said) = said.filter(|said| *said != found) {
                    let problem = format!("its result has extents {found:?}, and the file says {said:?}");
                    return Err(self.refuse(node, problem));
                }
                self.values.insert(name.clone(), value);
            }
        }
        let output = &program.output;
        let value = self
            .values
            .remove(output)
            .or_else(|| self.stored(output).ok().flatten());
        value.ok_or_else(|| {
            self.store
                .refuse(format!("its output `{}` is written by no node", printable(output)))
        })
    }

    /// The error that `node` has this problem.
    pub fn refuse(&self, node: &Node, problem: String) -> ImportError {
        ImportError::Node {
            path: self.store.path(),
            node: printable(&node.name),
            target: printable(&node.target),
            module: printable(if node.module.is_empty() {
                "(the network itself)"
            } else {
                &node.module
            }),
            problem,
        }
    }

    /// Gives every name of the value that `node` writes into its new value.
    fn rewritten(&mut self, node: &Node, value: Value) -> std::result::Result<(), ImportError> {
        let own = node.tensor("self").map(str::to_string);
        if let (Some(own), Value::Constant(_)) = (&own, &value) {
            // Nothing has seen the constant before, so nothing shows its old numbers.
            let reads = |earlier: &Node| {
                let mut read = earlier
                    .arguments
                    .iter()
                    .filter_map(|(_, argument)| argument.as_tensor.as_ref());
                !earlier.target.contains("._assert") && read.any(|tensor| tensor.name == *own)
            };
            let mut before = self
                .program
                .nodes
                .iter()
                .take_while(|earlier| !std::ptr::eq(*earlier, node));
            if before.any(reads) {
                return Err(self.refuse(node, "it writes into a constant that was read before".to_string()));
            }
            self.values.insert(own.clone(), value);
            return Ok(());
        }
        let Some(Value::Activation(old)) = own.and_then(|name| self.values.get(&name)).cloned() else {
            return Err(self.refuse(node, "it writes into what is no activation".to_string()));
        };
        if matches!(&value, Value::Activation(view) if *view == old) {
            // Dropout outside of training writes what was there.
            return Ok(());
        }
        for own in self.values.values_mut() {
            match own {
                Value::Activation(view) if *view == old => *own = value.clone(),
                Value::Activation(view) if view.source == old.source => {
                    let problem =
                        "it writes into a value of which another view is there, which is not followed".to_string();
                    return Err(self.refuse(node, problem));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, node: &Node) -> std::result::Result<Vec<Value>, ImportError> {
        if let Some(positions) = &node.positions {
            let operands = self.positional(node, &positions.inputs)?;
            let results = onnx::results(&mut self.net, node, positions, &operands);
            return results.map_err(|problem| self.refuse(node, problem));
        }
        let mut operands = BTreeMap::new();
        for (name, argument) in &node.arguments {
            if let Some(tensor) = &argument.as_tensor {
                operands.insert(name.clone(), vec![self.operand(node, &tensor.name)?]);
            }
            let list = argument.as_tensors.iter().flatten().map(|tensor| &tensor.name);
            let optional = argument.as_optional_tensors.iter().flatten();
            let optional = optional.filter_map(|argument| Some(&argument.as_tensor.as_ref()?.name));
            let names: Vec<&String> = list.chain(optional).collect();
            if !names.is_empty() {
                let values: std::result::Result<Vec<Value>, ImportError> =
                    names.into_iter().map(|name| self.operand(node, name)).collect();
                operands.insert(name.clone(), values?);
            }
        }
        let results = results(&mut self.net, node, &operands);
        results.map_err(|problem| self.refuse(node, problem))
    }

    /// Operands by position. A tensor that is named often is read once.
    fn positional(&mut self, node: &Node, names: &[String]) -> std::result::Result<Vec<Option<Value>>, ImportError> {
        let mut read: BTreeMap<&str, Value> = BTreeMap::new();
        let mut operands = vec![];
        for name in names {
            if !name.is_empty() && !read.contains_key(name.as_str()) {
                read.insert(name, self.operand(node, name)?);
            }
            operands.push(read.get(name.as_str()).cloned());
        }
        Ok(operands)
    }

    fn operand(&mut self, node: &Node, name: &str) -> std::result::Result<Value, ImportError> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        match self.stored(name)? {
            Some(value) => Ok(value),
            None => {
                let problem = format!("it reads `{}`, which nothing before it writes", printable(name));
                Err(self.refuse(node, problem))
            }
        }
    }

    /// A tensor of the file. It is read anew each time, so that not all of them are held as wide numbers.
    fn stored(&mut self, name: &str) -> std::result::Result<Option<Value>, ImportError> {
        let program = self.program;
        let Some(stored) = program.stored.get(name) else {
            return Ok(None);
        };
        let mut tensor = self.store.tensor(stored)?;
        if let Some(said) = program.sizes(name).filter(|said| *said != tensor.sizes) {
            let problem = format!(
                "tensor `{}` has extents {:?}, and the program says {said:?}",
                printable(name),
                tensor.sizes
            );
            return Err(self.store.refuse(problem));
        }
        tensor.key = Some(stored.key.chars().take(200).collect());
        let value = Value::Constant(tensor);
        if self.small(&value) {
            self.values.insert(name.to_string(), value.clone());
        }
        Ok(Some(value))
    }

    fn small(&self, value: &Value) -> bool {
        matches!(value, Value::Constant(tensor) if tensor.data.len() < 1 << 12)
    }
}

/// The operator without the line at its end, where it has one: it writes into its input.
fn written_into(op: &str) -> Option<&str> {
    op.strip_suffix('_').filter(|op| !op.is_empty() && !op.ends_with('_'))
}

/// The same of a whole target.
fn writes(target: &str) -> Option<&str> {
    written_into(target.strip_prefix("aten.")?.split('.').next()?)
        .filter(|op| *op != "detach" && *op != "requires_grad")
}

/// Operands by the names of arguments.
pub(super) type Operands = BTreeMap<String, Vec<Value>>;

/// The results of a node of aten.
pub(super) fn results(net: &mut Net, node: &Node, operands: &Operands) -> Result<Vec<Value>> {
    let plain = node.target.strip_prefix("aten.").ok_or("it is no operator of aten")?;
    let (op, overload) = plain.split_once('.').unwrap_or((plain, "default"));
    let op = written_into(op).unwrap_or(op);
    if op == "_assert_tensor_metadata" || op == "_assert_scalar" || op == "_assert_async" {
        return Ok(vec![]);
    }
    if let Some(tensor) = fold::made(op, overload, node)? {
        return Ok(vec![Value::Constant(tensor)]);
    }
    let first = |names: &[&str]| names.iter().find_map(|name| operands.get(*name)?.first());
    if let Some(x) = first(&["self", "input"]) {
        let other = first(&["other"]);
        if let (Value::Constant(tensor), "repeat" | "tile") = (x, op) {
            return Ok(vec![Value::Constant(fold::tiled(op, node, tensor)?)]);
        }
        if let Some(results) = shapes::reshaped(op, node, x, other)? {
            return Ok(results);
        }
        if aten::keeps(op, node)? {
            return Ok(vec![aten::cast(node, x.clone())?]);
        }
        if let (Value::Constant(tensor), "index_put") = (x, op) {
            if node.flag("accumulate") {
                return Err("it adds to a constant at places, which is not known".to_string());
            }
            let indices = operands.get("indices").ok_or("it has no places")?;
            let indices: Result<Vec<&Tensor>> = indices.iter().map(Value::constant).collect();
            let values = first(&["values"]).ok_or("it has no values")?.constant()?;
            return Ok(vec![Value::Constant(fold::put(tensor, &indices?, values)?)]);
        }
        if let Value::Constant(tensor) = x
            && let Some(result) = fold::mapped(op, node, tensor)?
        {
            return Ok(vec![Value::Constant(result)]);
        }
    }
    let found = aten::layer(net, op, node, operands);
    found.or_else(|problem| super::curves::results(net, op, node, operands, problem))
}

/// A number of an argument as a constant without a rank.
pub(super) fn number(node: &Node, name: &str) -> Option<Tensor> {
    let kind = if node.int(name).is_some() { Kind::I64 } else { Kind::F64 };
    Some(Tensor::number(kind, node.number(name)?))
}
