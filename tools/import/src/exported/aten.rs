//! Operators of aten, by name, as layers of the network.

use super::attention::Operand;
use super::borders::Border;
use super::layers::Geometry;
use super::net::{Net, Result};
use super::operands::{Value, axis};
use super::program::Node;
use super::reader::{Operands, number};
use super::source::{Map, Statistic, What};
use super::tensor::{Kind, Tensor};
use super::view::View;
use super::waves::WaveKind;
use super::{arithmetic, fold, gates, masked};
use mote_graph::ops::{Function, Pool, Setting};

/// Whether the operator leaves its input's numbers and axes as they are.
pub(super) fn keeps(op: &str, node: &Node) -> Result<bool> {
    match op {
        "dropout" | "feature_dropout" | "alpha_dropout" | "native_dropout" => {
            if node.flag("train") && node.number_or("p", 0.0)? > 0.0 {
                return Err("the network was exported in training: call eval() before".to_string());
            }
            Ok(true)
        }
        "to" | "_to_copy" | "type_as" | "contiguous" | "clone" | "detach" | "alias" | "lift_fresh_copy" | "float"
        | "double" | "positive" | "requires_grad" => Ok(true),
        _ => Ok(false),
    }
}

/// A value in the type that a cast asks for. Activations have no type of their own.
pub(super) fn cast(node: &Node, value: Value) -> Result<Value> {
    Ok(match (value, node.kind("dtype")) {
        (Value::Activation(_), Some(kind)) if !kind.is_float() => {
            return Err("it makes whole numbers of an activation, which is not known".to_string());
        }
        (Value::Constant(tensor), Some(kind)) if kind != tensor.kind => {
            let data: Vec<f64> = tensor.data.iter().map(|v| kind.round(*v)).collect();
            let key = tensor.key.clone().filter(|_| data[..] == tensor.data[..]);
            let cast = Tensor::new(kind, tensor.sizes.clone(), data);
            let cast = if kind.is_float() {
                Tensor {
                    library: tensor.library,
                    ..cast.exactly(tensor.exact)
                }
            } else {
                cast
            };
            Value::Constant(Tensor { key, ..cast })
        }
        (Value::Waves(waves), Some(_)) => Value::Waves(waves.cast()),
        (Value::Curve(curve), Some(_)) => Value::Curve(curve.cast()),
        (value, _) => value,
    })
}

/// The results of a node that computes.
pub(super) fn layer(net: &mut Net, op: &str, node: &Node, operands: &Operands) -> Result<Vec<Value>> {
    let call = Call { node, operands };
    let one = |view: Result<View>| Ok(vec![Value::Activation(view?)]);
    if let Some(function) = function(op, node)? {
        return one(net.map(call.input()?, Map::Function(function)));
    }
    match op {
        "add" | "sub" | "rsub" | "mul" | "div" | "neg" | "pow" | "square" | "sqrt" | "rsqrt" | "reciprocal"
        | "addcmul" => Ok(vec![arithmetic::result(net, op, &call)?]),
        "erf" => one(net.map(call.input()?, Map::Erf)),
        "masked_fill" => {
            let value = call.value("value").and_then(|value| value.constant().ok()?.scalar());
            let value = value.filter(|value| *value < -1e4);
            let value = value.ok_or("it fills with a number that is no lowest one, which is known of attention alone")?;
            let mask = call.any(&["mask"])?.constant()?;
            let fill = |v: &f64| if *v != 0.0 { value } else { 0.0 };
            let addends: Vec<f64> = mask.data.iter().map(fill).collect();
            let addends = Tensor::new(Kind::F64, mask.sizes.clone(), addends);
            let scores = net.masked_scores(call.input()?, &addends)?;
            one(scores.ok_or_else(|| "it fills what are no scores of an attention, which is not known".to_string()))
        }
        "sin" | "cos" => call.sine(net, op == "cos"),
        "conv1d" | "conv2d" | "conv_transpose1d" | "conv_transpose2d" | "convolution" => one(call.conv(net, op)),
        "linear" | "addmm" => call.linear(net, op),
        "group_norm" => {
            let groups = usize::try_from(node.int_or("num_groups", 1)?).map_err(|_| "it has no groups")?;
            let view = call.input()?;
            one(net.group_norm(view, groups, node.number_or("eps", 1e-5)?, call.affine()?))
        }
        "instance_norm" => {
            let view = call.input()?;
            let channels = view.sizes().get(1).copied().unwrap_or(0);
            one(net.group_norm(view, channels, node.number_or("eps", 1e-5)?, call.affine()?))
        }
        "layer_norm" | "native_layer_norm" | "rms_norm" => {
            let shape = node.ints("normalized_shape")?.unwrap_or_default();
            if shape.len() != 1 && op == "rms_norm" {
                return Err(format!("it normalizes over axes {shape:?}; over the last one is known"));
            }
            let eps = node.number_or(
                "eps",
                if op == "rms_norm" {
                    f64::from(f32::EPSILON)
                } else {
                    1e-5
                },
            )?;
            if shape.len() != 1 {
                return one(call.norm_of_all(net, &shape, eps));
            }
            one(net.last_norm(call.input()?, op != "rms_norm", eps, call.affine()?))
        }
        "linalg_vector_norm" | "norm" => {
            let order = node.number("ord").or(node.number("p")).unwrap_or(2.0);
            if order != 2.0 {
                return Err(format!("it is a norm of order {order}; 2 is known"));
            }
            one(call.statistic(net, Statistic::Length { floor: 0.0 }))
        }
        "mean" => match call.averaged_over(net)? {
            Some(view) => one(Ok(view)),
            None => one(call.statistic(net, Statistic::Mean)),
        },
        "glu" => one(call.gated(net)),
        "prelu" => one(call.sloped(net)),
        "lerp" => one(call.between(net)),
        "adaptive_avg_pool1d" | "adaptive_avg_pool2d" => one(call.averaged_to(net)),
        "_weight_norm" => Ok(vec![gates::weight_norm(&call)?]),
        "var" => {
            let corrected = match node.argument("correction") {
                Some(_) => node.number_or("correction", 1.0)? != 0.0,
                None => node.argument("unbiased").is_none() || node.flag("unbiased"),
            };
            if corrected {
                return Err("it is a variance with Bessel's correction, which is not known".to_string());
            }
            one(call.statistic(
                net,
                Statistic::Square {
                    centred: true,
                    eps: 0.0,
                },
            ))
        }
        "clamp_min" | "clamp" | "clip" => {
            let (min, view) = (node.number_or("min", f64::NEG_INFINITY)?, call.input()?);
            if node.argument("max").is_some() {
                let max = node.number_or("max", f64::INFINITY)?;
                if !(min.is_finite() && max.is_finite() && min < max) {
                    return Err(
                        "it bounds values from above alone, or by what is computed; two numbers are known".to_string(),
                    );
                }
                let clamp = Function::Clamp(Setting::new(min), Setting::new(max));
                return one(net.map(view, Map::Function(clamp)));
            }
            let bounded = net.restated(view, |statistic| match statistic {
                Statistic::Length { floor } => Some(Statistic::Length { floor: floor.max(min) }),
                _ => None,
            })?;
            match bounded {
                Some(view) => Ok(vec![Value::Activation(view)]),
                None if min == 0.0 => one(net.map(view, Map::Function(Function::Relu))),
                None => Err(format!(
                    "it bounds values at {min}, which is known of norms and of 0 alone"
                )),
            }
        }
        "softmax" | "_softmax" => {
            let view = call.input()?;
            let dim = axis(node.int_or("dim", -1)?, view.axes.len())?;
            one(net.softmax(view, dim))
        }
        "scaled_dot_product_attention" => one(call.attention(net)),
        "einsum" | "matmul" | "mm" | "bmm" | "baddbmm" => super::products::result(net, op, &call),
        "embedding" => Ok(vec![call.embedding(net)?]),
        "cat" | "concat" | "concatenate" => Ok(vec![call.joined(net)?]),
        "stack" => {
            let parts = call.operands.get("tensors").ok_or("it joins nothing")?;
            let rank = parts.first().map_or(0, |part| part.sizes().len());
            let dim = axis(node.int_or("dim", 0)?, rank + 1)?;
            let mut apart = vec![];
            for part in parts {
                let Value::Activation(view) = part else {
                    return Err("it stacks what is no activation".to_string());
                };
                apart.push(view.unsqueezed(dim).ok_or("it names an axis that is not there")?);
            }
            one(net.joined(&apart, dim))
        }
        "ger" | "outer" => {
            let (x, y) = (call.any(&["self"])?, call.any(&["vec2"])?);
            match (x, y) {
                (Value::Waves(waves), Value::Constant(tensor)) if waves.sizes.len() == 1 && tensor.sizes.len() == 1 => {
                    let (rows, cols) = (waves.sizes[0], tensor.sizes[0]);
                    if rows.saturating_mul(cols) > super::waves::MOST {
                        return Err("it has too many features of the timestep".to_string());
                    }
                    let waves = waves.shown(&View::whole(0, &[rows, 1]).expanded(&[rows, cols]).ok_or("it is too large")?);
                    let spread = View::whole(0, &[1, cols]).expanded(&[rows, cols]).ok_or("it is too large")?;
                    Ok(vec![Value::Waves(waves.scaled(&tensor.shown(&spread), false)?)])
                }
                _ => Err("it multiplies vectors; the timestep times a constant vector is known".to_string()),
            }
        }
        "flip" => {
            let x = call.any(&["self"])?;
            let sizes = x.sizes();
            let dims: Result<Vec<usize>> = node.ints("dims")?.unwrap_or_default().into_iter().map(|dim| axis(dim, sizes.len())).collect();
            let mut order: Vec<usize> = View::whole(0, &sizes).offsets().collect();
            for dim in dims? {
                let inner: usize = sizes[dim + 1..].iter().product();
                let before = order.clone();
                for (at, own) in order.iter_mut().enumerate() {
                    let index = at / inner % sizes[dim];
                    *own = before[at + (sizes[dim] - 1 - index) * inner - index * inner];
                }
            }
            match x {
                Value::Waves(waves) => Ok(vec![Value::Waves(waves.picked(&order))]),
                _ => Err("it turns the order of elements, which is known of features of the timestep".to_string()),
            }
        }
        "reflection_pad1d" => match node.ints("padding")?.as_deref() {
            Some([before, behind]) if before == behind && *before >= 0 => {
                one(net.reflected_ends(call.input()?, usize::try_from(*before).unwrap_or(usize::MAX)))
            }
            other => Err(format!(
                "it reflects {other:?} positions; as many at both ends are known"
            )),
        },
        "replication_pad1d" | "replication_pad2d" | "reflection_pad2d" => {
            let border = if op.starts_with("reflection") { Border::Reflect } else { Border::Replicate };
            one(call.bordered(net, &node.ints("padding")?.unwrap_or_default(), border))
        }
        "constant_pad_nd" | "pad" => match call.any(&["self", "input"])? {
            Value::Waves(waves) => Ok(vec![call.longer(waves)?]),
            _ => one(call.padded(net)),
        },
        "upsample_nearest1d" | "upsample_nearest2d" => one(call.upsampled(net)),
        "avg_pool1d" | "avg_pool2d" | "max_pool1d" | "max_pool2d" => one(call.pooled(net, op.starts_with("max"))),
        "pixel_shuffle" | "pixel_unshuffle" => one(call.shuffled(op)),
        "batch_norm" | "_native_batch_norm_legit_no_training" => one(call.batch_norm(net)),
        "zeros_like" | "ones_like" | "full_like" => {
            let sizes = call.any(&["self", "input"])?.sizes();
            let value = match op {
                "zeros_like" => 0.0,
                "ones_like" => 1.0,
                _ => node.number_or("fill_value", 0.0)?,
            };
            let count = sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
            let count = count.filter(|n| *n <= Tensor::MOST).ok_or("it has too many elements")?;
            Ok(vec![Value::Constant(Tensor::new(Kind::F32, sizes, vec![value; count]))])
        }
        "one_hot" => Ok(vec![call.one_hot(net)?]),
        "upsample_bilinear2d" | "upsample_linear1d" => one(call.interpolated(net)),
        "upsample_bicubic2d" => Err(
            "it interpolates by cubics, which is not known: use nearest neighbours, halves of the way, or a transposed convolution".to_string(),
        ),
        _ => Err(
            "this operator is not known; say which network has it, or export it with another layer in its place"
                .to_string(),
        ),
    }
}

/// The function of every element that an operator is.
pub(super) fn function(op: &str, node: &Node) -> Result<Option<Function>> {
    let finite = |value: f64| Some(Setting::new(value)).filter(|_| value.is_finite());
    let setting = |name: &str, default: f64| {
        finite(node.number_or(name, default)?).ok_or_else(|| format!("its `{name}` is no number"))
    };
    let bounds = |low: &str, high: &str, [least, most]: [f64; 2]| {
        let (low, high) = (setting(low, least)?, setting(high, most)?);
        match low.value() < high.value() {
            true => Ok::<_, String>(Function::Clamp(low, high)),
            false => Err("its bounds hold no number between them".to_string()),
        }
    };
    Ok(Some(match op {
        "silu" => Function::Silu,
        "mish" => Function::Mish,
        "gelu" => match node.text("approximate") {
            Some("tanh") => Function::GeluTanh,
            None | Some("none") => Function::Gelu,
            Some(other) => {
                return Err(format!(
                    "its approximation `{}` is not known",
                    other.escape_debug().take(40).collect::<String>()
                ));
            }
        },
        "relu" => Function::Relu,
        "tanh" => Function::Tanh,
        "sigmoid" => Function::Sigmoid,
        "softplus" => {
            if node.number_or("beta", 1.0)? != 1.0 {
                return Err("it has a `beta` other than 1".to_string());
            }
            Function::Softplus
        }
        "leaky_relu" => Function::LeakyRelu(setting("negative_slope", 0.01)?),
        "elu" => {
            if node.number_or("scale", 1.0)? != 1.0 || node.number_or("input_scale", 1.0)? != 1.0 {
                return Err("it has scales other than 1".to_string());
            }
            Function::Elu(setting("alpha", 1.0)?)
        }
        "celu" if node.number_or("alpha", 1.0)? == 1.0 => Function::Elu(Setting::new(1.0)),
        "selu" => Function::Selu,
        "relu6" => Function::Clamp(Setting::new(0.0), Setting::new(6.0)),
        "hardtanh" => bounds("min_val", "max_val", [-1.0, 1.0])?,
        "hardswish" => Function::Hardswish,
        "hardsigmoid" => Function::Hardsigmoid,
        _ => return Ok(None),
    }))
}

/// A node with its operands.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub node: &'a Node,
    pub operands: &'a Operands,
}

impl<'a> Call<'a> {
    /// The operand `name`.
    pub fn operand(&self, name: &str) -> Option<&'a Value> {
        self.operands.get(name)?.first()
    }

    /// The first of these operands that is there.
    pub fn any(&self, names: &[&str]) -> Result<&'a Value> {
        let found = names.iter().find_map(|name| self.operand(name));
        found.ok_or_else(|| format!("it has no `{}`", names[0]))
    }

    /// The activation that it reads.
    pub fn input(&self) -> Result<&'a View> {
        self.any(&["self", "input"])?.activation()
    }

    /// A sine or cosine: a feature of the timestep, or of every element of an activation.
    fn sine(&self, net: &mut Net, cosine: bool) -> Result<Vec<Value>> {
        let kind = if cosine { WaveKind::Cosine } else { WaveKind::Sine };
        match self.any(&["self", "input"])? {
            Value::Waves(waves) => Ok(vec![Value::Waves(waves.clone().waved(kind, &net.module)?)]),
            Value::Activation(view) => {
                if let Some(curve) = net.back(view)? {
                    let operands = Operands::from([("self".to_string(), vec![Value::Curve(curve)])]);
                    return super::curves::results(
                        net,
                        if cosine { "cos" } else { "sin" },
                        self.node,
                        &operands,
                        String::new(),
                    );
                }
                // The cosine is the sine a quarter of a turn on.
                let shift = if cosine { std::f64::consts::FRAC_PI_2 } else { 0.0 };
                let turned = net.map(view, Map::Affine { scale: 1.0, shift })?;
                Ok(vec![Value::Activation(
                    net.map(&turned, Map::Function(Function::Sine))?,
                )])
            }
            _ => Err("a sine is known of the timestep and of activations".to_string()),
        }
    }

    fn tensor(&self, name: &str) -> Result<Option<Tensor>> {
        self.operand(name).map(|value| value.constant().cloned()).transpose()
    }

    fn affine(&self) -> Result<[Option<Tensor>; 2]> {
        Ok([self.tensor("weight")?, self.tensor("bias")?])
    }

    /// A pair (row, col) of whole numbers, of which one is there for a signal.
    fn pair(&self, name: &str, default: usize) -> Result<[usize; 2]> {
        let signal = self.any(&["self", "input"])?.sizes().len() == 3;
        let neutral = usize::from(default > 0);
        let list = self.node.ints(name)?.unwrap_or_default();
        let number = |v: i64| usize::try_from(v).ok().filter(|v| *v < 1 << 16);
        let pair = match (list[..].len(), signal) {
            (0, true) => Some([neutral, default]),
            (0, false) => Some([default; 2]),
            (1, true) => number(list[0]).map(|v| [neutral, v]),
            (1, false) => number(list[0]).map(|v| [v; 2]),
            (2, false) => number(list[0]).zip(number(list[1])).map(|(a, b)| [a, b]),
            _ => None,
        };
        pair.ok_or_else(|| format!("its `{name}` is {list:?}"))
    }

    fn conv(&self, net: &mut Net, op: &str) -> Result<View> {
        let node = self.node;
        let weight = self.tensor("weight")?.ok_or("it has no weight")?;
        let transposed = op.starts_with("conv_transpose") || node.flag("transposed");
        let (stride, dilation) = (self.pair("stride", 1)?, self.pair("dilation", 1)?);
        let kernel = match weight.sizes[..] {
            [_, _, cols] => [1, cols],
            [_, _, rows, cols] => [rows, cols],
            _ => return Err(format!("its weight has extents {:?}", weight.sizes)),
        };
        let pad = match node.text("padding") {
            None => {
                let [rows, cols] = self.pair("padding", 0)?;
                [rows, cols, rows, cols]
            }
            Some("valid") => [0; 4],
            Some("same") => {
                let all = [0, 1].map(|i| dilation[i].saturating_mul(kernel[i].saturating_sub(1)).min(1 << 16));
                [all[0] / 2, all[1] / 2, all[0].div_ceil(2), all[1].div_ceil(2)]
            }
            Some(_) => return Err("its padding is neither `same` nor `valid`".to_string()),
        };
        if transposed && dilation != [1; 2] {
            return Err("it is transposed and dilated, which is not known".to_string());
        }
        let groups = usize::try_from(node.int_or("groups", 1)?).map_err(|_| "it has no groups")?;
        let alike = weight.sizes[1] == 1 && weight.sizes[0] == groups && weight.scalar().is_some();
        if transposed && groups != 1 && !alike {
            return Err("it is transposed and has groups, which is not known".to_string());
        }
        let geometry = Geometry {
            stride,
            pad,
            dilation,
            groups,
            output_pad: if transposed {
                Some(self.pair("output_padding", 0)?)
            } else {
                None
            },
        };
        net.conv(self.input()?, weight, self.tensor("bias")?, geometry)
    }

    fn linear(&self, net: &mut Net, op: &str) -> Result<Vec<Value>> {
        let (weight, bias, input) = if op == "linear" {
            (self.tensor("weight")?, self.tensor("bias")?, self.any(&["input"])?)
        } else {
            let turned = |tensor: Tensor| {
                let view = View::whole(0, &tensor.sizes).permuted(&[1, 0])?;
                Some(tensor.shown(&view))
            };
            (
                self.tensor("mat2")?.and_then(turned),
                self.tensor("self")?,
                self.any(&["mat1"])?,
            )
        };
        let weight = weight.ok_or("it has no weight")?;
        let view = self.as_activation(net, input)?;
        Ok(vec![Value::Activation(net.linear(&view, weight, bias)?)])
    }

    /// An operand as an activation: features of the timestep become one.
    pub fn as_activation(&self, net: &mut Net, value: &Value) -> Result<View> {
        match value {
            Value::Waves(waves) => net.features(waves),
            Value::Curve(curve) => net.curved(curve),
            other => other.activation().cloned(),
        }
    }

    fn statistic(&self, net: &mut Net, statistic: Statistic) -> Result<View> {
        let view = self.input()?;
        let dims = self.node.ints("dim")?.unwrap_or_default();
        let [dim] = dims[..] else {
            return Err(format!("it is over axes {dims:?}; over one is known"));
        };
        let dim = axis(dim, view.axes.len())?;
        net.statistic(view, dim, self.node.flag("keepdim"), statistic)
    }

    fn attention(&self, net: &mut Net) -> Result<View> {
        let node = self.node;
        if node.number_or("dropout_p", 0.0)? > 0.0 {
            return Err("the network was exported in training: call eval() before".to_string());
        }
        let [q, k, v] = [self.any(&["query"])?, self.any(&["key"])?, self.any(&["value"])?];
        let scale = node
            .argument("scale")
            .map(|_| node.number_or("scale", 1.0))
            .transpose()?;
        let given = self.operand("attn_mask");
        let mask = |queries: usize, keys: usize| match given {
            Some(Value::Constant(tensor)) => masked::addends(tensor, queries, keys),
            Some(_) => Err("its mask is computed from the network's inputs, which is not known".to_string()),
            None if node.flag("is_causal") => Ok(Some(masked::causal(queries, keys))),
            None => Ok(None),
        };
        net.attention_under([q.activation()?, k.activation()?, v.activation()?], scale, mask)
    }

    fn embedding(&self, net: &mut Net) -> Result<Value> {
        let table = self.tensor("weight")?.ok_or("it has no table")?;
        let [rows, width] = table.sizes[..] else {
            return Err(format!("its table has extents {:?}", table.sizes));
        };
        match self.any(&["indices"])? {
            Value::Label(sizes) => {
                let source = net.add(vec![width, 1, 1], What::Class(table))?;
                let sizes = [&sizes[..], &[width]].concat();
                let view = View::whole(source, &[width]).reshaped(&sizes);
                view.map(Value::Activation)
                    .ok_or_else(|| "it looks up several labels".to_string())
            }
            Value::Constant(indices) => {
                let mut data = vec![];
                for index in indices.data.iter() {
                    let row = *index as usize;
                    if *index < 0.0 || row >= rows {
                        return Err(format!("it looks up row {index} of {rows}"));
                    }
                    data.extend_from_slice(&table.data[row * width..][..width]);
                }
                let sizes = [&indices.sizes[..], &[width]].concat();
                Ok(Value::Constant(Tensor::new(table.kind, sizes, data)))
            }
            _ => Err("it looks up what is computed; the class label is known".to_string()),
        }
    }

    fn joined(&self, net: &mut Net) -> Result<Value> {
        let parts = self.operands.get("tensors").ok_or("it joins nothing")?;
        let dim = self.node.int_or("dim", 0)?;
        let sizes: Vec<Vec<usize>> = parts.iter().map(Value::sizes).collect();
        let all = |kind: fn(&Value) -> bool| parts.iter().all(kind);
        if all(|part| matches!(part, Value::Constant(_))) {
            let tensors: Result<Vec<&Tensor>> = parts.iter().map(Value::constant).collect();
            let tensors = tensors?;
            let (sizes, places) = fold::joined(&sizes, dim)?;
            let data: Vec<f64> = places
                .into_iter()
                .map(|(tensor, at)| tensors[tensor].data[at])
                .collect();
            return Ok(Value::Constant(Tensor::new(tensors[0].kind, sizes, data)));
        }
        if all(|part| matches!(part, Value::Waves(_) | Value::Constant(_))) {
            return arithmetic::joined(parts, &sizes, dim);
        }
        let dim = axis(dim, sizes[0].len())?;
        let mut memory = None;
        if let [Value::Constant(rows), Value::Activation(view)] = &parts[..] {
            match net.extended(rows, view, dim) {
                Ok(view) => return Ok(Value::Activation(view)),
                Err(problem) => memory = Some(problem),
            }
        }
        let mut views = vec![];
        for part in parts {
            views.push(match part {
                Value::Constant(tensor) => match (&tensor.sizes[..], dim) {
                    ([1, channels, cols], 1) => {
                        let source = net.known_numbers(vec![*channels, 1, *cols], tensor.data.to_vec())?;
                        net.shown_as(source, 3)
                    }
                    ([1, channels, rows, cols], 1) => {
                        let source = net.known_numbers(vec![*channels, *rows, *cols], tensor.data.to_vec())?;
                        net.shown_as(source, 4)
                    }
                    _ => {
                        return Err(memory.unwrap_or_else(|| {
                            "constants are joined to an activation along another axis than its channels".to_string()
                        }));
                    }
                },
                part => self.as_activation(net, part)?,
            });
        }
        net.joined(&views, dim).map(Value::Activation)
    }

    /// Features of the timestep, and numbers that do not depend on it, before and behind them: diffusers appends a 0 where their count is odd.
    fn longer(&self, waves: &super::waves::Waves) -> Result<Value> {
        let list = self.node.ints("pad")?.unwrap_or_default();
        let rank = waves.sizes.len();
        let more = |at: usize| {
            list.get(at).map_or(Ok(0), |v| {
                usize::try_from(*v).map_err(|_| "it cuts features of the timestep")
            })
        };
        let (before, behind) = (more(0)?, more(1)?);
        let along = list.iter().skip(2).all(|v| *v == 0) && rank > 0;
        if !along || self.node.text("mode").is_some_and(|mode| mode != "constant") || before.max(behind) > 1 << 16 {
            return Err("it pads features of the timestep along another axis than the last".to_string());
        }
        let value = self.node.number_or("value", 0.0)?;
        let rows = |count: usize| {
            let mut sizes = waves.sizes.clone();
            sizes[rank - 1] = count;
            let len = sizes.iter().product();
            Value::Constant(Tensor::new(Kind::F64, sizes, vec![value; len]))
        };
        let parts = [
            (before, rows(before)),
            (1, Value::Waves(waves.clone())),
            (behind, rows(behind)),
        ];
        let parts: Vec<Value> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(_, part)| part)
            .collect();
        let sizes: Vec<Vec<usize>> = parts.iter().map(Value::sizes).collect();
        arithmetic::joined(&parts, &sizes, -1)
    }

    fn padded(&self, net: &mut Net) -> Result<View> {
        let node = self.node;
        let ends = match node.text("mode") {
            Some("replicate") => Some(Border::Replicate),
            Some("reflect") => Some(Border::Reflect),
            Some("circular") => {
                return Err(
                    "it joins both ends by circular padding, which is not known: train with `padding_mode='zeros'` or 'replicate'"
                        .to_string(),
                );
            }
            _ => None,
        };
        if let Some(border) = ends {
            let signal = self.input()?.axes.len() == 3;
            let list = node.ints("pad")?.unwrap_or_default();
            if !(border == Border::Reflect && signal && list.len() == 2 && list[0] == list[1]) {
                return self.bordered(net, &list, border);
            }
        }
        if node.text("mode") == Some("reflect") {
            return match node.ints("pad")?.as_deref() {
                Some([before, behind]) if before == behind && *before >= 0 => {
                    net.reflected_ends(self.input()?, usize::try_from(*before).unwrap_or(usize::MAX))
                }
                other => Err(format!(
                    "it reflects {other:?} positions; as many at both ends of a signal are known"
                )),
            };
        }
        if node.text("mode").is_some_and(|mode| mode != "constant") || node.number_or("value", 0.0)? != 0.0 {
            return Err("it pads by other values than 0, which is not known".to_string());
        }
        let list = node.ints("pad")?.unwrap_or_default();
        let list: Option<Vec<usize>> = list.into_iter().map(|v| usize::try_from(v).ok()).collect();
        match list.as_deref() {
            Some([left, right]) => net.padded(self.input()?, [0, *left, 0, *right]),
            Some([left, right, top, bottom]) => net.padded(self.input()?, [*top, *left, *bottom, *right]),
            _ => Err("it pads other axes than rows and columns, or cuts".to_string()),
        }
    }

    /// Positions beyond the ends, in PyTorch's order: left, right, top, bottom.
    fn bordered(&self, net: &mut Net, list: &[i64], border: Border) -> Result<View> {
        let list: Option<Vec<usize>> = list.iter().map(|v| usize::try_from(*v).ok()).collect();
        match list.as_deref() {
            Some([left, right]) => net.bordered(self.input()?, [0, *left, 0, *right], border),
            Some([left, right, top, bottom]) => net.bordered(self.input()?, [*top, *left, *bottom, *right], border),
            _ => Err("it pads other axes than rows and columns, or cuts".to_string()),
        }
    }

    /// A normalization over all axes but the sample's: one group, then a factor and a shift for each element.
    fn norm_of_all(&self, net: &mut Net, shape: &[i64], eps: f64) -> Result<View> {
        let view = self.input()?;
        let sizes = view.sizes();
        if sizes.is_empty() || !shape.iter().map(|v| *v as usize).eq(sizes[1..].iter().copied()) {
            return Err(format!(
                "it normalizes over axes {shape:?}; over the last one or over all is known"
            ));
        }
        let [weight, bias] = self.affine()?;
        let misfits = |tensor: &&Tensor| tensor.sizes != sizes[1..];
        if let Some(other) = weight.iter().chain(&bias).find(misfits) {
            return Err(format!(
                "it normalizes over axes {shape:?} with a tensor of extents {:?}",
                other.sizes
            ));
        }
        let norm = net.group_norm(view, 1, eps, [None, None]);
        let mut norm = norm.map_err(|problem| format!("it normalizes over axes {shape:?}: {problem}"))?;
        if let Some(weight) = weight {
            norm = net.times(&norm, &weight)?;
        }
        match bias {
            Some(bias) => net.plus(&norm, &bias),
            None => Ok(norm),
        }
    }

    /// The class label as numbers of which one is 1.
    fn one_hot(&self, net: &mut Net) -> Result<Value> {
        let classes = usize::try_from(self.node.int_or("num_classes", -1)?).unwrap_or(0);
        if !(1..=1 << 12).contains(&classes) {
            return Err(format!(
                "it has {classes} classes; 1 to 4096 are known, and must be given"
            ));
        }
        let Value::Label(sizes) = self.any(&["self"])? else {
            return Err("it is of what is computed; the class label is known".to_string());
        };
        let data: Vec<f64> = (0..classes * classes)
            .map(|i| f64::from(i % (classes + 1) == 0))
            .collect();
        let table = Tensor::new(Kind::F32, vec![classes, classes], data);
        let source = net.add(vec![classes, 1, 1], What::Class(table))?;
        let view = View::whole(source, &[classes]).reshaped(&[&sizes[..], &[classes]].concat());
        view.map(Value::Activation)
            .ok_or_else(|| "it is of several labels".to_string())
    }

    /// A linear or bilinear resampling to twice the extents.
    fn interpolated(&self, net: &mut Net) -> Result<View> {
        let factors = self.factors()?;
        if factors.iter().any(|factor| *factor > 2) {
            return Err(format!("it interpolates by factors {factors:?}; twice is known"));
        }
        match self.node.flag("align_corners") {
            true => net.interpolated_ends(self.input()?, factors),
            false => net.interpolated(self.input()?, factors),
        }
    }

    fn upsampled(&self, net: &mut Net) -> Result<View> {
        if let Some(stride) = self.parts_of_positions()? {
            return net.every(self.input()?, stride);
        }
        net.upsampled(self.input()?, self.factors()?)
    }

    /// Every how many rows and columns a resampling to fewer of them takes; `None` where it gives no fewer.
    fn parts_of_positions(&self) -> Result<Option<[usize; 2]>> {
        let sizes = self.input()?.sizes();
        let own = &sizes[2.min(sizes.len())..];
        let given = self.node.ints("output_size")?;
        let factors = self
            .node
            .argument("scale_factors")
            .and_then(|list| list.as_floats.as_ref());
        let wanted: Vec<usize> = match (given, factors) {
            (Some(list), _) => list.iter().map(|v| usize::try_from(*v).unwrap_or(0)).collect(),
            (None, Some(list)) => own
                .iter()
                .zip(list)
                .map(|(n, f)| (*n as f64 * f.value()) as usize)
                .collect(),
            _ => vec![],
        };
        let part = |(n, w): (&usize, &usize)| (*w > 0 && n.is_multiple_of(*w) && n / w < 16).then(|| n / w);
        let parts: Option<Vec<usize>> = own.iter().zip(&wanted).map(part).collect();
        let fewer = |parts: &Vec<usize>| parts.iter().any(|part| *part > 1) && wanted.len() == own.len();
        Ok(match parts.filter(fewer).as_deref() {
            Some([cols]) => Some([1, *cols]),
            Some([rows, cols]) => Some([*rows, *cols]),
            _ => None,
        })
    }

    /// The whole factors of a resampling, for rows and columns.
    fn factors(&self) -> Result<[usize; 2]> {
        let view = self.input()?;
        let sizes = view.sizes();
        let own = &sizes[2.min(sizes.len())..];
        let wanted: Option<Vec<usize>> = match self.node.ints("output_size")? {
            Some(list) => list.into_iter().map(|v| usize::try_from(v).ok()).collect(),
            None => {
                let factors = self
                    .node
                    .argument("scale_factors")
                    .and_then(|factors| factors.as_floats.as_ref());
                let factors = factors.ok_or("it has neither extents nor factors")?;
                let times = |(n, f): (&usize, &super::schema::Number)| {
                    let wanted = *n as f64 * f.value();
                    (wanted.fract() == 0.0 && (1.0..1e6).contains(&wanted)).then_some(wanted as usize)
                };
                own.iter().zip(factors).map(times).collect()
            }
        };
        let wanted = wanted.filter(|wanted| wanted.len() == own.len());
        let wanted = wanted.ok_or("its extents are no whole numbers")?;
        let whole = |(w, n): (&usize, &usize)| w.is_multiple_of(*n).then(|| w / n);
        let factors: Option<Vec<usize>> = wanted.iter().zip(own).map(whole).collect();
        match factors.as_deref() {
            Some([cols]) => Ok([1, *cols]),
            Some([rows, cols]) => Ok([*rows, *cols]),
            _ => Err(format!(
                "it resamples {own:?} positions to {wanted:?}; whole factors are known"
            )),
        }
    }

    fn pooled(&self, net: &mut Net, max: bool) -> Result<View> {
        let window = self.pair("kernel_size", 1)?;
        let given = self.node.ints("stride")?.is_some_and(|stride| !stride.is_empty());
        let stride = if given { self.pair("stride", 1)? } else { window };
        let plain = self.pair("padding", 0)? == [0; 2] && self.pair("dilation", 1)? == [1; 2];
        if !plain || self.node.flag("ceil_mode") || window.contains(&0) || stride.contains(&0) {
            return Err(format!(
                "it pools {window:?} positions in steps of {stride:?} with padding, dilation or a part of a window at the end, which is not known"
            ));
        }
        if self
            .node
            .ints("divisor_override")
            .is_ok_and(|divisor| divisor.is_some())
        {
            return Err("it divides by another number than a window's".to_string());
        }
        net.pooled(self.input()?, Pool { window, stride, max })
    }

    fn shuffled(&self, op: &str) -> Result<View> {
        let up = op == "pixel_shuffle";
        let name = if up { "upscale_factor" } else { "downscale_factor" };
        let factor = usize::try_from(self.node.int_or(name, 1)?)
            .ok()
            .filter(|f| (1..1 << 8).contains(f));
        let factor = factor.ok_or("its factor is no number above 0")?;
        let view = self.input()?;
        let [batch, channels, rows, cols] = view.sizes()[..] else {
            return Err("its input is no picture".to_string());
        };
        let square = factor * factor;
        let moved = if up {
            let parts = view.reshaped(&[batch, channels / square, factor, factor, rows, cols]);
            let order = parts.and_then(|parts| parts.permuted(&[0, 1, 4, 2, 5, 3]));
            order.and_then(|order| order.reshaped(&[batch, channels / square, rows * factor, cols * factor]))
        } else {
            let parts = view.reshaped(&[batch, channels, rows / factor, factor, cols / factor, factor]);
            let order = parts.and_then(|parts| parts.permuted(&[0, 1, 3, 5, 2, 4]));
            order.and_then(|order| order.reshaped(&[batch, channels * square, rows / factor, cols / factor]))
        };
        moved.ok_or_else(|| "its blocks do not fit its input".to_string())
    }

    fn batch_norm(&self, net: &mut Net) -> Result<View> {
        if self.node.flag("training") {
            return Err("the network was exported in training: call eval() before".to_string());
        }
        let (mean, variance) = (self.tensor("running_mean")?, self.tensor("running_var")?);
        let (mean, variance) = mean.zip(variance).ok_or("it has no running statistics")?;
        let eps = self.node.number_or("eps", 1e-5)?;
        let [weight, bias] = self.affine()?;
        let at = |tensor: &Option<Tensor>, i: usize, default: f64| {
            tensor
                .as_ref()
                .and_then(|tensor| tensor.data.get(i).copied())
                .unwrap_or(default)
        };
        let scales: Vec<f64> = variance
            .data
            .iter()
            .enumerate()
            .map(|(i, v)| at(&weight, i, 1.0) / libm::sqrt(v + eps))
            .collect();
        let shifts: Vec<f64> = mean
            .data
            .iter()
            .zip(&scales)
            .enumerate()
            .map(|(i, (m, s))| at(&bias, i, 0.0) - m * s)
            .collect();
        let view = self.input()?;
        let ones = vec![1; view.axes.len().saturating_sub(2)];
        let channels = [&[scales.len()][..], &ones].concat();
        let tensor = |data: Vec<f64>| Tensor::new(Kind::F64, channels.clone(), data);
        let scaled = net.times(view, &tensor(scales))?;
        net.plus(&scaled, &tensor(shifts))
    }

    /// An operand or a number of the argument `name`.
    pub fn value(&self, name: &str) -> Option<Value> {
        let written = || number(self.node, name).map(Value::Constant);
        self.operand(name).cloned().or_else(written)
    }

    /// Operands of a product of matrices, by labels.
    pub fn labelled(view: &View, labels: &[char]) -> Operand {
        Operand {
            view: view.clone(),
            labels: labels.to_vec(),
        }
    }
}
