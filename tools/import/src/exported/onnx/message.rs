//! The messages of `onnx.proto` of which a network is made: the fields that are read here.
//!
//! Messages that could hold themselves (subgraphs, types of sequences) are passed over, so that no file makes a reader go deep.

use super::wire::{Fields, Result, Wire, bytes, integer, integers, text};
use std::ops::Range;

/// Most names, attributes and numbers in lists of a file.
const MOST_ITEMS: usize = 4 << 20;
/// Most numbers of a list that is no tensor.
const MOST_LIST: usize = 1 << 16;
/// Most numbers of a tensor that is not stored as raw bytes.
const MOST_TYPED: usize = 16 << 20;

/// A model.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// Operator sets, by domain.
    pub opsets: Vec<(String, i64)>,
    pub nodes: Vec<Node>,
    pub initializers: Vec<Tensor>,
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
    pub values: Vec<Value>,
    pub graphs: usize,
    pub sparse: bool,
}

/// A node.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub name: String,
    pub operator: String,
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<Attribute>,
    /// Python's lists of the modules around it and of their classes, as PyTorch's exporter writes them.
    pub scopes: String,
    pub classes: String,
}

/// An attribute of a node. Those of other kinds hold nothing.
#[derive(Debug, Default)]
pub(super) struct Attribute {
    pub name: String,
    pub float: Option<f32>,
    pub int: Option<i64>,
    pub text: Option<String>,
    pub tensor: Option<Tensor>,
    pub floats: Vec<f32>,
    pub ints: Vec<i64>,
    /// The number of its kind.
    pub kind: i64,
}

/// A tensor, and where its numbers lie.
#[derive(Debug, Clone, Default)]
pub(super) struct Tensor {
    pub name: String,
    pub dims: Vec<i64>,
    pub kind: i64,
    pub raw: Option<Range<usize>>,
    /// Little-endian numbers that do not lie so in the file.
    pub typed: Vec<u8>,
    /// Key and value.
    pub external: Vec<(String, String)>,
    pub elsewhere: bool,
}

/// A value's name, and its extents where all are known.
#[derive(Debug, Default)]
pub(super) struct Value {
    pub name: String,
    /// `None` for an extent that has a name.
    pub sizes: Option<Vec<Option<i64>>>,
}

/// Reads the messages of a file.
pub(super) struct Messages<'a> {
    file: &'a [u8],
    left: usize,
}

impl<'a> Messages<'a> {
    /// The model in `file`.
    pub fn model(file: &'a [u8]) -> Result<Model> {
        let mut messages = Self { file, left: MOST_ITEMS };
        let mut model = Model::default();
        for field in Fields::new(file, &(0..file.len())) {
            match field? {
                (7, wire) => {
                    model.graphs += 1;
                    messages.graph(&mut model, &bytes(wire)?)?;
                }
                (8, wire) => {
                    let (mut domain, mut version) = (String::new(), 0);
                    for field in Fields::new(file, &bytes(wire)?) {
                        match field? {
                            (1, wire) => domain = text(file, wire)?,
                            (2, wire) => version = integer(&wire)?,
                            _ => {}
                        }
                    }
                    messages.count(1)?;
                    model.opsets.push((domain, version));
                }
                _ => {}
            }
        }
        Ok(model)
    }

    fn count(&mut self, items: usize) -> Result<()> {
        let left = self.left.checked_sub(items);
        self.left = left.ok_or_else(|| format!("it has more than {MOST_ITEMS} names and attributes"))?;
        Ok(())
    }

    fn graph(&mut self, model: &mut Model, range: &Range<usize>) -> Result<()> {
        for field in Fields::new(self.file, range) {
            let (number, wire) = field?;
            if matches!(number, 1 | 5 | 11 | 12 | 13) {
                self.count(1)?;
            }
            match number {
                1 => model.nodes.push(self.node(&bytes(wire)?)?),
                5 => model.initializers.push(self.tensor(&bytes(wire)?)?),
                11 => model.inputs.push(self.value(&bytes(wire)?)?),
                12 => model.outputs.push(self.value(&bytes(wire)?)?),
                13 => model.values.push(self.value(&bytes(wire)?)?),
                15 => model.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, range: &Range<usize>) -> Result<Node> {
        let mut node = Node::default();
        for field in Fields::new(self.file, range) {
            let (number, wire) = field?;
            if matches!(number, 1 | 2 | 5) {
                self.count(1)?;
            }
            match number {
                1 => node.inputs.push(text(self.file, wire)?),
                2 => node.outputs.push(text(self.file, wire)?),
                3 => node.name = text(self.file, wire)?,
                4 => node.operator = text(self.file, wire)?,
                5 => node.attributes.push(self.attribute(&bytes(wire)?)?),
                7 => node.domain = text(self.file, wire)?,
                9 => {
                    let (key, value) = self.entry(&bytes(wire)?)?;
                    match key.as_str() {
                        "pkg.torch.onnx.name_scopes" => node.scopes = value,
                        "pkg.torch.onnx.class_hierarchy" => node.classes = value,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok(node)
    }

    fn attribute(&mut self, range: &Range<usize>) -> Result<Attribute> {
        let mut attribute = Attribute::default();
        let float = |wire: &Wire| match wire {
            Wire::Fixed32(bytes) => Ok(f32::from_le_bytes(*bytes)),
            _ => Err("a field that is a float is none".to_string()),
        };
        for field in Fields::new(self.file, range) {
            match field? {
                (1, wire) => attribute.name = text(self.file, wire)?,
                (2, wire) => attribute.float = Some(float(&wire)?),
                (3, wire) => attribute.int = Some(integer(&wire)?),
                (4, wire) => attribute.text = Some(String::from_utf8_lossy(&self.file[bytes(wire)?]).into_owned()),
                (5, wire) => attribute.tensor = Some(self.tensor(&bytes(wire)?)?),
                (7, Wire::Bytes(packed)) => {
                    let words = self.file[packed].chunks_exact(4).take(MOST_LIST);
                    let words = words.filter_map(|word| Some(f32::from_le_bytes(*word.first_chunk()?)));
                    attribute.floats.extend(words);
                }
                (7, wire) => attribute.floats.push(float(&wire)?),
                (8, wire) => integers(self.file, wire, &mut attribute.ints, MOST_LIST)?,
                (20, wire) => attribute.kind = integer(&wire)?,
                _ => {}
            }
        }
        self.count(attribute.ints.len() + attribute.floats.len())?;
        Ok(attribute)
    }

    fn tensor(&mut self, range: &Range<usize>) -> Result<Tensor> {
        let mut tensor = Tensor::default();
        let mut wholes = vec![];
        for field in Fields::new(self.file, range) {
            match field? {
                (1, wire) => integers(self.file, wire, &mut tensor.dims, 16)?,
                (2, wire) => tensor.kind = integer(&wire)?,
                // Packed floats lie as raw ones do.
                (4 | 10, Wire::Bytes(packed)) if tensor.raw.is_none() => tensor.raw = Some(packed),
                (4, Wire::Fixed32(word)) => tensor.typed.extend(word),
                (10, Wire::Fixed64(word)) => tensor.typed.extend(word),
                (5 | 7, wire) => integers(self.file, wire, &mut wholes, MOST_TYPED)?,
                (8, wire) => tensor.name = text(self.file, wire)?,
                (9, wire) => tensor.raw = Some(bytes(wire)?),
                (13, wire) => {
                    self.count(1)?;
                    let entry = self.entry(&bytes(wire)?)?;
                    tensor.external.push(entry);
                }
                (14, wire) => tensor.elsewhere = integer(&wire)? != 0,
                _ => {}
            }
        }
        if !wholes.is_empty() {
            self.count(wholes.len() / 4)?;
            tensor.typed = packed(tensor.kind, &wholes);
        }
        Ok(tensor)
    }

    fn value(&mut self, range: &Range<usize>) -> Result<Value> {
        let mut value = Value::default();
        for field in Fields::new(self.file, range) {
            match field? {
                (1, wire) => value.name = text(self.file, wire)?,
                (2, wire) => {
                    // TypeProto, its tensor_type, and the shape of that.
                    for kind in self.inner(&bytes(wire)?, 1)? {
                        for shape in self.inner(&kind, 2)? {
                            value.sizes = Some(self.shape(&shape)?);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(value)
    }

    /// The messages in the field `number` of the message at `range`.
    fn inner(&self, range: &Range<usize>, number: u32) -> Result<Vec<Range<usize>>> {
        let mut found = vec![];
        for field in Fields::new(self.file, range) {
            match field? {
                (own, Wire::Bytes(range)) if own == number => found = vec![range],
                _ => {}
            }
        }
        Ok(found)
    }

    fn shape(&mut self, range: &Range<usize>) -> Result<Vec<Option<i64>>> {
        let mut sizes = vec![];
        for field in Fields::new(self.file, range) {
            let (1, wire) = field? else { continue };
            let mut size = None;
            for field in Fields::new(self.file, &bytes(wire)?) {
                if let (1, wire) = field? {
                    size = Some(integer(&wire)?);
                }
            }
            self.count(1)?;
            sizes.push(size);
        }
        Ok(sizes)
    }

    fn entry(&self, range: &Range<usize>) -> Result<(String, String)> {
        let mut entry = (String::new(), String::new());
        for field in Fields::new(self.file, range) {
            match field? {
                (1, wire) => entry.0 = text(self.file, wire)?,
                (2, wire) => entry.1 = text(self.file, wire)?,
                _ => {}
            }
        }
        Ok(entry)
    }
}

/// Whole numbers as the bytes that elements of the type `kind` have. Bits of half floats stand there as numbers too.
fn packed(kind: i64, numbers: &[i64]) -> Vec<u8> {
    let width = match kind {
        2 | 3 | 9 => 1,
        4 | 5 | 10 | 16 => 2,
        6 | 12 => 4,
        _ => 8,
    };
    let bytes = numbers.iter().flat_map(|number| {
        let bytes = number.to_le_bytes();
        bytes.into_iter().take(width)
    });
    bytes.collect()
}
