//! Sources become nodes of the graph.

use super::net::{Net, Result};
use super::source::{Convolved, Map, Normalized, What};
use super::tensor::Tensor;
use super::view::View;
use mote_graph::graph::{Op, ValueId, ops};
use mote_graph::ops::Function;

impl Net {
    /// The value of a source, written now where it is not yet.
    pub fn value(&mut self, source: usize) -> Result<ValueId> {
        if let Some(value) = self.sources[source].value {
            return Ok(value);
        }
        let (what, module) = (self.sources[source].what.clone(), self.sources[source].module.clone());
        let value = self.written(&what, &module)?;
        let (found, expected) = (self.graph.shape(value).to_vec(), &self.sources[source].sizes);
        if found != *expected {
            return Err(format!("it gives {found:?}, and the file says {expected:?}"));
        }
        self.sources[source].value = Some(value);
        self.sources[source].depth = 0;
        Ok(value)
    }

    fn written(&mut self, what: &What, module: &str) -> Result<ValueId> {
        let word = what.word();
        let (op, inputs): (Op, Vec<ValueId>) = match what {
            What::Conv(conv) => return self.convolved(conv, module),
            What::Norm(norm) => return self.normalized(norm, module),
            What::Map { x, map } => (mapped(*map)?, vec![self.value(*x)?]),
            What::Sum { a, b, divisor } => {
                let (a, b) = (self.value(*a)?, self.value(*b)?);
                if self.graph.shape(a) == self.graph.shape(b) {
                    (ops::Add { divisor: *divisor }.into(), vec![a, b])
                } else if *divisor == 1.0 {
                    (ops::AddChannel.into(), vec![a, b])
                } else {
                    return Err("a sum with a vector is divided, which is not known".to_string());
                }
            }
            What::Product { x, factor } => {
                let x = self.value(*x)?;
                let factor = if self.is_whole(factor) {
                    self.value(factor.source)?
                } else {
                    self.vector(std::slice::from_ref(factor))?
                };
                (ops::Multiply.into(), vec![x, factor])
            }
            What::Modulated { x, scale, shift, one } => {
                // First what is modulated: its vector is kept for as short a time as can be.
                let x = self.value(*x)?;
                let vector = self.vector(&[scale.clone(), shift.clone()])?;
                (ops::Modulate { one: *one }.into(), vec![x, vector])
            }
            What::Joined(parts) => {
                let parts: Result<Vec<ValueId>> = parts.iter().map(|part| self.value(*part)).collect();
                let parts = self.two(parts?, module)?;
                (ops::Concat.into(), self.apart(parts, module)?)
            }
            What::Waves { features, time, single } => {
                let (features, time, single) = (features.clone(), *time, *single);
                (ops::Waves { features, time, single }.into(), vec![])
            }
            What::Curve(curve) => (self.written_curve(curve)?.into(), vec![]),
            What::Class(table) => {
                let key = table
                    .key
                    .clone()
                    .unwrap_or_else(|| "class_embedding.weight".to_string());
                let weight = self.param(&key, table.sizes.clone(), table)?;
                self.graph.classes(table.sizes[0]);
                (ops::ClassEmbed { weight }.into(), vec![])
            }
            What::Up { x, factors: [2, 2] } => (ops::Upsample2.into(), vec![self.value(*x)?]),
            What::Pool { x, pool } => {
                let [_, rows, cols] = self.shape(*x)?;
                (pooling(*pool, [rows, cols]), vec![self.value(*x)?])
            }
            What::Attention { q, k, v, heads } => {
                let inputs = vec![self.value(*q)?, self.value(*k)?, self.value(*v)?];
                (ops::Attention { heads: *heads }.into(), inputs)
            }
            other => return self.further(other, module),
        };
        self.node(module, word, op, &inputs)
    }

    /// What only networks from elsewhere have.
    fn further(&mut self, what: &What, module: &str) -> Result<ValueId> {
        let (op, x): (Op, usize) = match what {
            What::Up { x, factors } => (ops::Repeat { factors: *factors }.into(), *x),
            What::Rows { x, rows, cols } => (
                ops::Reshape {
                    rows: *rows,
                    cols: *cols,
                }
                .into(),
                *x,
            ),
            What::Blocks { x, block } => (ops::DepthToSpace { block: *block }.into(), *x),
            What::Extended { rows, x } => {
                let key = rows.key.clone().unwrap_or_else(|| format!("{module}.memory"));
                let key = self.param(&key, rows.sizes.clone(), rows)?;
                (ops::Prepend { key }.into(), *x)
            }
            What::Constant(tensor) => {
                let key = tensor.key.clone().unwrap_or_else(|| format!("{module}.constant"));
                let key = self.param(&key, tensor.sizes.clone(), tensor)?;
                return self.node(module, what.word(), ops::Constant { key }, &[]);
            }
            What::LinearAttention { q, k, v, heads, scale } => {
                let inputs = [self.value(*q)?, self.value(*k)?, self.value(*v)?];
                let (heads, scale) = (*heads, *scale);
                return self.node(module, what.word(), ops::LinearAttention { heads, scale }, &inputs);
            }
            What::Padded { .. } => {
                return Err("zeros are appended, and no convolution follows, which is not known".into());
            }
            What::Reflected { .. } => {
                return Err("ends are reflected, and no convolution of a signal follows, which is not known".into());
            }
            What::Statistic { .. } | What::Centred { .. } => {
                let problem = "a norm, a mean or a variance is used otherwise than to normalize what it is of";
                return Err(format!("{problem}, which is not known"));
            }
            _ => return Err("a product or a softmax of activations is no part of an attention that is known".into()),
        };
        let x = self.value(x)?;
        self.node(module, what.word(), op, &[x])
    }

    /// Appends a node.
    pub fn node(&mut self, module: &str, word: &str, op: impl Into<Op>, inputs: &[ValueId]) -> Result<ValueId> {
        let name = self.name(module, word);
        self.graph.push(&name, op, inputs).map_err(|error| error.to_string())
    }

    /// One vector of the numbers of `views`, one after the other.
    pub fn vector(&mut self, views: &[View]) -> Result<ValueId> {
        let source = views[0].source;
        let mut rows = vec![];
        for view in views {
            let [_, height, width] = self.shape(view.source)?;
            rows.push(view.offsets().map(|at| at / (height * width)).collect::<Vec<usize>>());
        }
        if views.iter().all(|view| view.source == source) {
            let piece = self.piece(source, &rows.concat())?;
            return self.value(piece);
        }
        let mut parts = vec![];
        for (view, rows) in views.iter().zip(rows) {
            let piece = self.piece(view.source, &rows)?;
            parts.push(piece);
        }
        let [_, height, width] = self.shape(parts[0])?;
        let channels: usize = parts.iter().map(|part| self.sources[*part].sizes[0]).sum();
        let joined = self.add(vec![channels, height, width], What::Joined(parts))?;
        self.value(joined)
    }

    /// The same values, with a copy of each that is there before: a concatenation reads no value twice.
    fn apart(&mut self, values: Vec<ValueId>, module: &str) -> Result<Vec<ValueId>> {
        let mut apart: Vec<ValueId> = vec![];
        for value in values {
            let value = if apart.contains(&value) {
                let copy = ops::Affine { scale: 1.0, shift: 0.0 };
                self.node(module, "twin", copy, &[value])?
            } else {
                value
            };
            apart.push(value);
        }
        Ok(apart)
    }

    /// Vectors as two at most, of which a device reads a concatenation: the second is the sum of all but the first, each put in its place by
    /// a matrix of ones.
    fn two(&mut self, values: Vec<ValueId>, module: &str) -> Result<Vec<ValueId>> {
        let shapes: Vec<Vec<usize>> = values.iter().map(|value| self.graph.shape(*value).to_vec()).collect();
        let vectors = shapes.iter().all(|shape| shape[1..] == [1, 1]);
        if values.len() < 3 || !vectors {
            return Ok(values);
        }
        let wide: usize = shapes[1..].iter().map(|shape| shape[0]).sum();
        let (mut first, mut sum) = (0, None);
        for (value, shape) in values[1..].iter().zip(&shapes[1..]) {
            let own = shape[0];
            let mut data = vec![0.0; wide * own];
            (0..own).for_each(|i| data[(first + i) * own + i] = 1.0);
            first += own;
            let name = self.name(module, "place");
            let weight = Tensor::new(super::tensor::Kind::F32, vec![wide, own, 1, 1], data);
            let weight = self.param(&format!("{name}.weight"), weight.sizes.clone(), &weight)?;
            let conv = ops::Conv::linear(weight, None);
            let placed = self.node(module, "place", conv, std::slice::from_ref(value))?;
            sum = Some(match sum {
                None => placed,
                Some(sum) => self.node(module, "join", ops::Add { divisor: 1.0 }, &[sum, placed])?,
            });
        }
        Ok(values.into_iter().take(1).chain(sum).collect())
    }

    fn convolved(&mut self, conv: &Convolved, module: &str) -> Result<ValueId> {
        let (x, pad) = match self.sources[conv.x].what {
            What::Padded { x, pad } if conv.output_pad.is_none() => (x, pad),
            _ => (conv.x, [0; 4]),
        };
        let x = self.value(x)?;
        let word = if conv.weight.sizes[2..] == [1, 1] {
            "linear"
        } else {
            "conv"
        };
        let name = self.name(module, word);
        let key = |tensor: &Tensor, part: &str| {
            let key = tensor.key.clone().unwrap_or_else(|| format!("{name}.{part}"));
            format!("{key}{}", conv.rows)
        };
        let weight = self.param(&key(&conv.weight, "weight"), conv.weight.sizes.clone(), &conv.weight)?;
        let bias = match &conv.bias {
            Some(bias) => Some(self.param(&key(bias, "bias"), bias.sizes.clone(), bias)?),
            None => None,
        };
        let kernel = [conv.weight.sizes[2], conv.weight.sizes[3]];
        let op: Op = match conv.output_pad {
            Some(output_pad) => ops::ConvTranspose {
                weight,
                bias,
                kernel,
                stride: conv.stride,
                pad: conv.pad,
                output_pad,
            }
            .into(),
            None => ops::Conv {
                weight,
                bias,
                kernel,
                stride: conv.stride,
                pad: [0, 1, 2, 3].map(|i| conv.pad[i] + pad[i]),
                dilation: conv.dilation,
                groups: conv.groups,
            }
            .into(),
        };
        self.graph.push(&name, op, &[x]).map_err(|error| error.to_string())
    }

    fn normalized(&mut self, norm: &Normalized, module: &str) -> Result<ValueId> {
        let x = self.value(norm.x)?;
        let name = self.name(module, "norm");
        let mut stored = |tensor: &Option<Tensor>, part: &str| -> Result<Option<String>> {
            let Some(tensor) = tensor else { return Ok(None) };
            let key = tensor.key.clone().unwrap_or_else(|| format!("{name}.{part}"));
            self.param(&key, vec![tensor.data.len()], tensor).map(Some)
        };
        let (gamma, beta) = (stored(&norm.gamma, "weight")?, stored(&norm.beta, "bias")?);
        // Times a number that gamma cannot take in without being rounded, apart.
        let op = ops::Norm {
            over: norm.over,
            centred: norm.centred,
            eps: norm.eps,
            floor: norm.floor,
            gamma,
            beta,
        };
        let y = self.graph.push(&name, op, &[x]).map_err(|error| error.to_string())?;
        if (norm.scale - 1.0).abs() < 1e-14 {
            return Ok(y);
        }
        let scale = norm.scale;
        self.node(module, "scale", ops::Affine { scale, shift: 0.0 }, &[y])
    }
}

fn mapped(map: Map) -> Result<Op> {
    Ok(match map {
        Map::Function(Function::Silu) => ops::Silu.into(),
        Map::Function(function) => ops::Pointwise { function }.into(),
        Map::Affine { scale, shift } => ops::Affine { scale, shift }.into(),
        Map::Erf | Map::Cube | Map::Above(_) => {
            return Err(
                "an error function, a third power or a comparison is no part of an activation that is known"
                    .to_string(),
            );
        }
    })
}

/// The operator of a pooling over so many rows and columns: the mean over halves has one of its own.
fn pooling(pool: ops::Pool, extents: [usize; 2]) -> Op {
    let halves = !pool.max && pool.window == [2; 2] && pool.stride == [2; 2];
    if halves && extents.iter().all(|extent| extent.is_multiple_of(2)) {
        ops::AvgPool2.into()
    } else {
        pool.into()
    }
}
