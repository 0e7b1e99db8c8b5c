//! The JSON of an exported program, as `torch/_export/serde/schema.py` writes it: the fields that are read here.
//!
//! Unknown fields are passed over, so that a newer minor version is read; what a node's meaning depends on is its target and
//! its arguments, and an argument of a kind that is not listed is refused where it is used.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A whole program.
#[derive(Debug, Deserialize)]
pub(super) struct Exported {
    pub graph_module: GraphModule,
}

/// Of the schema.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub major: i64,
    pub minor: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct GraphModule {
    pub graph: Graph,
    pub signature: Signature,
}

#[derive(Debug, Deserialize)]
pub(super) struct Graph {
    pub outputs: Vec<Argument>,
    pub nodes: Vec<Node>,
    pub tensor_values: BTreeMap<String, TensorMeta>,
}

/// What the program's inputs are.
#[derive(Debug, Deserialize)]
pub(super) struct Signature {
    pub input_specs: Vec<InputSpec>,
}

/// One of these is there.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct InputSpec {
    pub parameter: Option<ParameterSpec>,
    pub buffer: Option<BufferSpec>,
    pub tensor_constant: Option<ConstantSpec>,
    pub user_input: Option<UserInput>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParameterSpec {
    pub arg: Name,
    pub parameter_name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct BufferSpec {
    pub arg: Name,
    pub buffer_name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConstantSpec {
    pub arg: Name,
    pub tensor_constant_name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserInput {
    pub arg: Argument,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Name {
    pub name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub target: String,
    pub inputs: Vec<NamedArgument>,
    pub outputs: Vec<Argument>,
    #[serde(default)]
    pub metadata: Metadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub nn_module_stack: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedArgument {
    pub name: String,
    pub arg: Argument,
}

/// An argument: one of these is there, or a kind that is not read.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Argument {
    pub as_none: Option<bool>,
    pub as_tensor: Option<Name>,
    pub as_tensors: Option<Vec<Name>>,
    pub as_int: Option<i64>,
    pub as_ints: Option<Vec<i64>>,
    pub as_sym_int: Option<Whole>,
    pub as_sym_ints: Option<Vec<Whole>>,
    pub as_float: Option<Number>,
    pub as_floats: Option<Vec<Number>>,
    pub as_bool: Option<bool>,
    pub as_string: Option<String>,
    pub as_scalar_type: Option<i64>,
    pub as_optional_tensors: Option<Vec<Argument>>,
}

/// A size: a number, or an expression of a dynamic shape.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Whole {
    pub as_int: Option<i64>,
}

/// A float; what JSON does not have is written as a string.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Number(serde_json::Value);

impl Number {
    /// The number `value`.
    pub fn of(value: f64) -> Self {
        let number = serde_json::Number::from_f64(value).map(serde_json::Value::Number);
        let infinite = || {
            if value > 0.0 {
                "Infinity".into()
            } else {
                "-Infinity".into()
            }
        };
        Self(number.unwrap_or_else(infinite))
    }

    /// Its value; NaN for what is no number.
    pub fn value(&self) -> f64 {
        match self.0.as_str() {
            Some("Infinity") => f64::INFINITY,
            Some("-Infinity") => f64::NEG_INFINITY,
            _ => self.0.as_f64().unwrap_or(f64::NAN),
        }
    }
}

/// Type, extents and strides of a tensor.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TensorMeta {
    pub dtype: i64,
    pub sizes: Vec<Whole>,
    #[serde(default)]
    pub strides: Vec<Whole>,
    #[serde(default)]
    pub storage_offset: Whole,
}

/// `data/weights/…_weights_config.json`, and that of the constants.
#[derive(Debug, Deserialize)]
pub(super) struct Payloads {
    pub config: BTreeMap<String, Payload>,
}

/// Where a tensor lies.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Payload {
    pub path_name: String,
    #[serde(default)]
    pub use_pickle: bool,
    pub tensor_meta: Option<TensorMeta>,
}
