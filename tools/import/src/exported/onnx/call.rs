//! A node of ONNX with its operands, and the operators of aten that it becomes.

use super::super::net::{Net, Result};
use super::super::operands::Value;
use super::super::program::Node;
use super::super::reader::{self, Operands};
use super::super::schema::{Argument, Name, Number};
use super::super::tensor::Tensor;
use super::super::view::View;

/// The argument of nodes whose sines are computed in f32, whatever type the rest of the network has.
pub(super) const SINGLE: &str = "computed in f32";

/// A node with its operands.
pub(super) struct Call<'a> {
    pub op: &'a str,
    pub node: &'a Node,
    pub opset: i64,
    pub operands: &'a [Option<Value>],
}

impl<'a> Call<'a> {
    /// The operand at `position`, where it is there.
    pub fn given(&self, position: usize) -> Option<&'a Value> {
        self.operands.get(position)?.as_ref()
    }

    /// The operand at `position`.
    pub fn value(&self, position: usize) -> Result<&'a Value> {
        self.given(position)
            .ok_or_else(|| format!("it has no input {position}"))
    }

    /// The constant at `position`, where it is there.
    pub fn tensor(&self, position: usize) -> Result<Option<Tensor>> {
        self.given(position).map(|value| value.constant().cloned()).transpose()
    }

    /// The activation at `position`; features of the timestep become one.
    pub fn view(&self, net: &mut Net, position: usize) -> Result<View> {
        match self.value(position)? {
            Value::Waves(waves) => net.features(waves),
            Value::Curve(curve) => net.curved(curve),
            other => other.activation().cloned(),
        }
    }

    /// Whole numbers of the input at `position`, or of the attribute `name`, which older operator sets have in its place.
    pub fn ints(&self, position: usize, name: &str) -> Result<Option<Vec<i64>>> {
        match self.given(position) {
            Some(value) => listed(value.constant()?).map(Some),
            None => self.node.ints(name),
        }
    }

    /// A number of the input at `position`, or of the attribute `name`.
    pub fn number(&self, position: usize, name: &str) -> Result<Option<f64>> {
        match self.given(position) {
            Some(value) => {
                let number = value.constant()?.scalar();
                number
                    .map(Some)
                    .ok_or_else(|| format!("its input {position} is no single number"))
            }
            None => match self.node.argument(name) {
                Some(_) => self.node.number_or(name, 0.0).map(Some),
                None => Ok(None),
            },
        }
    }

    /// The aten operator `op` of the same place.
    pub fn aten(&self, op: &str) -> Aten {
        Aten {
            node: Node {
                name: String::new(),
                target: format!("aten.{op}.default"),
                module: self.node.module.clone(),
                arguments: vec![],
                outputs: vec![],
                positions: None,
            },
            operands: Operands::new(),
        }
    }
}

/// Most axes, bounds or parts that a node names.
const MOST_LISTED: usize = 64;

/// The numbers of a constant as a list of whole ones.
pub(super) fn listed(tensor: &Tensor) -> Result<Vec<i64>> {
    let count = tensor.data.len();
    if count > MOST_LISTED {
        return Err(format!("it names {count} axes or parts, more than {MOST_LISTED}"));
    }
    Ok(tensor.data.iter().map(|value| *value as i64).collect())
}

/// An operator of aten that is put together.
pub(super) struct Aten {
    node: Node,
    operands: Operands,
}

impl Aten {
    /// With the operand `value` under `name`.
    pub fn with(self, name: &str, value: Value) -> Self {
        self.all(name, vec![value])
    }

    /// With a list of operands under `name`.
    pub fn all(mut self, name: &str, values: Vec<Value>) -> Self {
        self.operands.insert(name.to_string(), values);
        self.set(name, |argument| argument.as_tensor = Some(Name { name: String::new() }))
    }

    /// With an argument under `name`, of which `set` says the form and the value.
    fn set(mut self, name: &str, set: impl FnOnce(&mut Argument)) -> Self {
        let mut argument = Argument::default();
        set(&mut argument);
        self.node.arguments.push((name.to_string(), argument));
        self
    }

    pub fn int(self, name: &str, value: i64) -> Self {
        self.set(name, |argument| argument.as_int = Some(value))
    }

    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        self.set(name, |argument| argument.as_ints = Some(values.to_vec()))
    }

    pub fn sizes(self, name: &str, sizes: &[usize]) -> Self {
        let sizes: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
        self.ints(name, &sizes)
    }

    pub fn number(self, name: &str, value: f64) -> Self {
        self.set(name, |argument| argument.as_float = Some(Number::of(value)))
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.set(name, |argument| argument.as_string = Some(value.to_string()))
    }

    pub fn flag(self, name: &str, value: bool) -> Self {
        self.set(name, |argument| argument.as_bool = Some(value))
    }

    /// The type that is cast to, by its number in PyTorch's schema.
    pub fn kind(self, name: &str, value: i64) -> Self {
        self.set(name, |argument| argument.as_scalar_type = Some(value))
    }

    /// Its results.
    pub fn run(self, net: &mut Net) -> Result<Vec<Value>> {
        reader::results(net, &self.node, &self.operands)
    }

    /// Its only result.
    pub fn one(self, net: &mut Net) -> Result<Value> {
        let mut results = self.run(net)?;
        match results.len() {
            1 => Ok(results.remove(0)),
            count => Err(format!("it gives {count} values")),
        }
    }
}
