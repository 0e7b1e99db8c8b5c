//! Nodes that are layers.

use super::super::borders::Border;
use super::super::layers::Geometry;
use super::super::net::{Net, Result};
use super::super::operands::{Value, axis};
use super::super::source::{Statistic, What};
use super::super::tensor::{Kind, Tensor};
use super::super::view::View;
use super::call::Call;
use mote_graph::ops::Pool;

/// The results of the node; `None` where it is of another kind.
pub(super) fn results(net: &mut Net, call: &Call<'_>) -> Result<Option<Vec<Value>>> {
    let one = |view: Result<View>| view.map(|view| Some(vec![Value::Activation(view)]));
    let node = call.node;
    match call.op {
        "Conv" | "ConvTranspose" => one(conv(net, call)),
        "Gemm" => one(gemm(net, call)),
        "MatMul" => {
            let aten = call.aten("matmul").with("self", call.value(0)?.clone());
            aten.with("other", call.value(1)?.clone()).run(net).map(Some)
        }
        "Einsum" => {
            let parts: Result<Vec<Value>> = (0..call.operands.len()).map(|i| call.value(i).cloned()).collect();
            let equation = node.text("equation").unwrap_or_default();
            call.aten("einsum")
                .text("equation", equation)
                .all("tensors", parts?)
                .run(net)
                .map(Some)
        }
        "Softmax" => {
            let rank = call.value(0)?.sizes().len();
            let dim = axis(node.int_or("axis", if call.opset < 13 { 1 } else { -1 })?, rank)?;
            if call.opset < 13 && dim + 1 != rank {
                return Err("it is over several axes, as softmaxes before operator set 13 are".to_string());
            }
            call.aten("softmax")
                .with("self", call.value(0)?.clone())
                .int("dim", dim as i64)
                .run(net)
                .map(Some)
        }
        "Attention" => {
            let plain = (3..call.operands.len()).all(|i| call.given(i).is_none());
            let zero = |name: &str| node.number_or(name, 0.0).is_ok_and(|value| value == 0.0);
            if !plain || !zero("is_causal") || !zero("softcap") || call.value(0)?.sizes().len() != 4 {
                return Err("it has a mask, a bound, a past, or heads in one axis, which is not known".to_string());
            }
            let mut aten = call.aten("scaled_dot_product_attention");
            if node.argument("scale").is_some() {
                aten = aten.number("scale", node.number_or("scale", 1.0)?);
            }
            for (i, name) in ["query", "key", "value"].into_iter().enumerate() {
                aten = aten.with(name, call.value(i)?.clone());
            }
            aten.run(net).map(Some)
        }
        "InstanceNormalization" => one(instance_norm(net, call)),
        "GroupNormalization" => one(group_norm(net, call)),
        "LayerNormalization" | "RMSNormalization" => one(layer_norm(net, call)),
        "LpNormalization" => {
            if node.int_or("p", 2)? != 2 {
                return Err("it is a norm of another order than 2".to_string());
            }
            let view = call.view(net, 0)?;
            let dim = axis(node.int_or("axis", -1)?, view.axes.len())?;
            let length = net.statistic(&view, dim, true, Statistic::Length { floor: 0.0 })?;
            one(net
                .quotient(&view, &length)
                .and_then(|view| view.ok_or_else(|| "it is no norm".to_string())))
        }
        "BatchNormalization" => {
            if node.int_or("training_mode", 0)? != 0 {
                return Err("the network was exported in training: call eval() before".to_string());
            }
            let names = ["self", "weight", "bias", "running_mean", "running_var"];
            let mut aten = call.aten("batch_norm").number("eps", node.number_or("epsilon", 1e-5)?);
            for (i, name) in names.into_iter().enumerate() {
                aten = aten.with(name, call.value(i)?.clone());
            }
            aten.run(net).map(Some)
        }
        "ReduceMean" | "ReduceL2" => reduced(net, call).map(|value| Some(vec![value])),
        "GlobalAveragePool" => {
            let rank = call.value(0)?.sizes().len();
            let ones = vec![1; rank.saturating_sub(2)];
            let aten = call.aten("adaptive_avg_pool2d").with("self", call.value(0)?.clone());
            aten.ints("output_size", &ones).run(net).map(Some)
        }
        "Resize" => one(resized(net, call)),
        "Pad" => one(padded(net, call)),
        "AveragePool" | "MaxPool" => one(pooled(net, call)),
        _ => Ok(None),
    }
}

/// The numbers (row, col) of an attribute that has one for each axis of positions; a signal has one row.
fn pair(call: &Call<'_>, name: &str, default: usize, signal: bool) -> Result<[usize; 2]> {
    let neutral = usize::from(default > 0);
    let list = call.node.ints(name)?.unwrap_or_default();
    let number = |value: i64| usize::try_from(value).ok().filter(|value| *value < 1 << 16);
    let pair = match (&list[..], signal) {
        ([], true) => Some([neutral, default]),
        ([], false) => Some([default; 2]),
        ([cols], true) => number(*cols).map(|cols| [neutral, cols]),
        ([rows, cols], false) => number(*rows).zip(number(*cols)).map(|(rows, cols)| [rows, cols]),
        _ => None,
    };
    let shown: Vec<&i64> = list.iter().take(8).collect();
    pair.ok_or_else(|| format!("its `{name}` is {shown:?}"))
}

/// Zeros at the top, left, bottom and right.
fn pads(call: &Call<'_>, signal: bool) -> Result<[usize; 4]> {
    let list = call.node.ints("pads")?.unwrap_or_default();
    let pads: Option<Vec<usize>> = list
        .iter()
        .map(|pad| usize::try_from(*pad).ok().filter(|pad| *pad < 1 << 16))
        .collect();
    match (pads.as_deref(), signal) {
        (Some([]), _) => Ok([0; 4]),
        (Some([left, right]), true) => Ok([0, *left, 0, *right]),
        (Some([top, left, bottom, right]), false) => Ok([*top, *left, *bottom, *right]),
        _ => Err("its `pads` do not fit its input".to_string()),
    }
}

fn conv(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let node = call.node;
    let weight = call.tensor(1)?.ok_or("it has no weight")?;
    let view = call.view(net, 0)?;
    let (signal, transposed) = (weight.sizes.len() == 3, call.op == "ConvTranspose");
    let (stride, dilation) = (pair(call, "strides", 1, signal)?, pair(call, "dilations", 1, signal)?);
    let kernel = match weight.sizes[..] {
        [_, _, cols] => [1, cols],
        [_, _, rows, cols] => [rows, cols],
        _ => return Err(format!("its weight has extents {:?}", weight.sizes)),
    };
    let pad = match node.text("auto_pad").unwrap_or("NOTSET") {
        "NOTSET" | "" => pads(call, signal)?,
        "VALID" => [0; 4],
        same @ ("SAME_UPPER" | "SAME_LOWER") if stride == [1; 2] && !transposed => {
            let all = [0, 1].map(|i| dilation[i].saturating_mul(kernel[i].saturating_sub(1)).min(1 << 16));
            let (less, more) = (all.map(|n| n / 2), all.map(|n| n.div_ceil(2)));
            let (first, last) = if same == "SAME_UPPER" {
                (less, more)
            } else {
                (more, less)
            };
            [first[0], first[1], last[0], last[1]]
        }
        _ => return Err("its padding follows from its extents, which is known of a stride of 1".to_string()),
    };
    let groups = usize::try_from(node.int_or("group", 1)?).map_err(|_| "it has no groups")?;
    if transposed && (dilation != [1; 2] || groups != 1 || node.argument("output_shape").is_some()) {
        return Err("it is transposed, and dilated, or has groups or a given extent, which is not known".to_string());
    }
    let output_pad = if transposed {
        Some(pair(call, "output_padding", 0, signal)?)
    } else {
        None
    };
    let geometry = Geometry {
        stride,
        pad,
        dilation,
        groups,
        output_pad,
    };
    net.conv(&view, weight, call.tensor(2)?, geometry)
}

fn gemm(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let node = call.node;
    if node.number_or("alpha", 1.0)? != 1.0 || node.number_or("beta", 1.0)? != 1.0 || node.int_or("transA", 0)? != 0 {
        return Err("it scales its operands, or turns the first, which is not known".to_string());
    }
    let mut weight = call.tensor(1)?.ok_or("it has no weight")?;
    if node.int_or("transB", 0)? == 0 {
        let turned = View::whole(0, &weight.sizes).permuted(&[1, 0]);
        weight = weight.shown(&turned.ok_or("its weight has no two axes")?);
    }
    if weight.sizes.len() != 2 {
        return Err("its weight has no two axes".to_string());
    }
    let bias = call.tensor(2)?;
    if bias.as_ref().is_some_and(|bias| bias.data.len() != weight.sizes[0]) {
        return Err("its bias is not one number for each output".to_string());
    }
    let bias = bias.map(|bias| Tensor {
        sizes: vec![bias.data.len()],
        ..bias
    });
    let view = call.view(net, 0)?;
    net.linear(&view, weight, bias)
}

/// The tensor, or none where it leaves every number as it is: all are `neutral`.
fn needed(tensor: Option<Tensor>, neutral: f64) -> Option<Tensor> {
    tensor.filter(|tensor| tensor.data.iter().any(|value| *value != neutral))
}

/// Instance normalization; of groups of channels that are one axis, group normalization.
fn instance_norm(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let view = call.view(net, 0)?;
    let eps = call.node.number_or("epsilon", 1e-5)?;
    let affine = [needed(call.tensor(1)?, 1.0), needed(call.tensor(2)?, 0.0)];
    let sizes = view.sizes();
    let groups = *sizes.get(1).ok_or("its input has no channels")?;
    let whole = net.dense(&view)?;
    let [channels, rows, cols] = net.shape(whole.source)?;
    if channels == groups {
        return net.group_norm(&view, groups, eps, affine);
    }
    let flat = whole.joined(1..sizes.len());
    let all = View::whole(0, &[channels * rows * cols]).axes.remove(0);
    if flat != all || !whole.axes[0].is_empty() || groups == 0 || !channels.is_multiple_of(groups) {
        return Err("its groups are no channels one after the other".to_string());
    }
    let image = net.shown_as(whole.source, 4);
    let spread = |tensor: Option<Tensor>| tensor.map(|tensor| each(&tensor, channels / groups));
    let [scale, shift] = affine;
    let norm = net.group_norm(&image, groups, eps, [spread(scale), spread(shift)])?;
    Ok(whole.over(norm.source))
}

/// Every number so many times.
fn each(tensor: &Tensor, times: usize) -> Tensor {
    let data: Vec<f64> = tensor
        .data
        .iter()
        .flat_map(|value| std::iter::repeat_n(*value, times))
        .collect();
    Tensor::new(tensor.kind, vec![data.len()], data)
}

fn group_norm(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let view = call.view(net, 0)?;
    let channels = *view.sizes().get(1).ok_or("its input has no channels")?;
    let groups = usize::try_from(call.node.int_or("num_groups", 1)?).unwrap_or(0);
    let fits = groups > 0 && channels.is_multiple_of(groups);
    let spread = |tensor: Option<Tensor>| match tensor {
        // Before operator set 21 a number a group.
        Some(tensor) if fits && call.opset < 21 && tensor.data.len() == groups => {
            Some(each(&tensor, channels / groups))
        }
        other => other,
    };
    let affine = [
        spread(needed(call.tensor(1)?, 1.0)),
        spread(needed(call.tensor(2)?, 0.0)),
    ];
    if affine.iter().flatten().any(|tensor| tensor.data.len() != channels) {
        return Err("its scale or bias is not one number for each group or channel".to_string());
    }
    net.group_norm(&view, groups, call.node.number_or("epsilon", 1e-5)?, affine)
}

fn layer_norm(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let view = call.view(net, 0)?;
    let rank = view.axes.len();
    if axis(call.node.int_or("axis", -1)?, rank)? + 1 != rank {
        return Err("it normalizes over several axes; over the last one is known".to_string());
    }
    let centred = call.op == "LayerNormalization";
    let affine = [needed(call.tensor(1)?, 1.0), needed(call.tensor(2)?, 0.0)];
    net.last_norm(&view, centred, call.node.number_or("epsilon", 1e-5)?, affine)
}

fn reduced(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let axes = call.ints(1, "axes")?.unwrap_or_default();
    let op = if call.op == "ReduceMean" {
        "mean"
    } else {
        "linalg_vector_norm"
    };
    // An axis of the whole list arrives as a list of one number, or as the number alone.
    let aten = call.aten(op).with("self", call.value(0)?.clone()).ints("dim", &axes);
    aten.flag("keepdim", call.node.int_or("keepdims", 1)? != 0).one(net)
}

fn resized(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let node = call.node;
    let view = call.view(net, 0)?;
    let sizes = view.sizes();
    let scales = call.tensor(2)?.filter(|tensor| !tensor.data.is_empty());
    let wanted = call.tensor(3)?.filter(|tensor| !tensor.data.is_empty());
    let factor = |(size, wanted): (&usize, f64)| {
        let factor = wanted / *size as f64;
        (factor.fract() == 0.0 && (1.0..1e4).contains(&factor)).then_some(factor as usize)
    };
    let factors: Option<Vec<usize>> = match (&scales, &wanted) {
        (_, Some(wanted)) => sizes.iter().zip(wanted.data.iter().copied()).map(factor).collect(),
        (Some(scales), None) => {
            let products = sizes
                .iter()
                .zip(scales.data.iter())
                .map(|(size, scale)| *size as f64 * scale);
            sizes.iter().zip(products).map(factor).collect()
        }
        (None, None) => return Err("it has neither extents nor factors".to_string()),
    };
    let place = node.text("coordinate_transformation_mode").unwrap_or("half_pixel");
    let plain = match (place, node.text("nearest_mode").unwrap_or("round_prefer_floor")) {
        ("asymmetric", "floor") => true,
        // No position lies between two then, whatever is done with such.
        ("half_pixel" | "pytorch_half_pixel", "round_prefer_floor" | "round_prefer_ceil") => true,
        _ => false,
    };
    let twice = factors.as_deref().and_then(|factors| match factors {
        [1, 1, cols] if *cols == 2 => Some([1, 2]),
        [1, 1, rows, cols] if *rows <= 2 && *cols <= 2 => Some([*rows, *cols]),
        _ => None,
    });
    if let (Some("linear"), Some(twice), None) = (node.text("mode"), twice, node.argument("axes")) {
        match place {
            "half_pixel" | "pytorch_half_pixel" => return net.interpolated(&view, twice),
            "align_corners" => return net.interpolated_ends(&view, twice),
            _ => {}
        }
    }
    if !plain || node.text("mode").unwrap_or("nearest") != "nearest" || node.argument("axes").is_some() {
        return Err("it resamples otherwise than by repeating the nearest element".to_string());
    }
    match factors.as_deref() {
        Some([1, 1, cols]) => net.upsampled(&view, [1, *cols]),
        Some([1, 1, rows, cols]) => net.upsampled(&view, [*rows, *cols]),
        _ => Err(format!(
            "it resamples extents {sizes:?} by other factors than whole ones of positions"
        )),
    }
}

fn padded(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let value = call.number(2, "value")?.unwrap_or(0.0);
    let border = match call.node.text("mode") {
        Some("edge") => Some(Border::Replicate),
        Some("reflect") => Some(Border::Reflect),
        _ => None,
    };
    if border.is_none() && (call.node.text("mode").is_some_and(|mode| mode != "constant") || value != 0.0) {
        return Err("it pads by other values than 0, which is not known".to_string());
    }
    let view = call.view(net, 0)?;
    let rank = view.axes.len();
    let list = call.ints(1, "pads")?.ok_or("it has no pads")?;
    let axes = call.ints(3, "axes")?.unwrap_or_else(|| (0..rank as i64).collect());
    let mut pads = vec![[0usize; 2]; rank];
    let problem = "it pads other axes than rows and columns, or cuts";
    if list.len() != 2 * axes.len() {
        return Err(problem.to_string());
    }
    for (i, own) in axes.iter().enumerate() {
        let number = |at: usize| usize::try_from(list[at]).ok().filter(|pad| *pad < 1 << 16);
        pads[axis(*own, rank)?] = [number(i).ok_or(problem)?, number(axes.len() + i).ok_or(problem)?];
    }
    let (pad, signal) = match pads[..] {
        [[0, 0], [0, 0], [left, right]] => ([0, left, 0, right], true),
        [[0, 0], [0, 0], [top, bottom], [left, right]] => ([top, left, bottom, right], false),
        _ => return Err(problem.to_string()),
    };
    match border {
        None => net.padded(&view, pad),
        Some(Border::Reflect) if signal && pad[1] == pad[3] => net.reflected_ends(&view, pad[1]),
        Some(border) => net.bordered(&view, pad, border),
    }
}

fn pooled(net: &mut Net, call: &Call<'_>) -> Result<View> {
    let node = call.node;
    let view = call.view(net, 0)?;
    let signal = view.axes.len() == 3;
    let window = pair(call, "kernel_shape", 1, signal)?;
    let stride = pair(call, "strides", 1, signal)?;
    let plain = pads(call, signal)? == [0; 4] && pair(call, "dilations", 1, signal)? == [1; 2];
    let set = node
        .text("auto_pad")
        .is_none_or(|pad| pad == "NOTSET" || pad == "VALID");
    if !plain || !set || node.int_or("ceil_mode", 0)? != 0 || window.contains(&0) || stride.contains(&0) {
        return Err(format!(
            "it pools {window:?} positions in steps of {stride:?} with padding, dilation or a part of a window at the end, which is not known"
        ));
    }
    if node.outputs.iter().filter(|name| !name.is_empty()).count() > 1 {
        return Err("where its maxima lie is used, which is not known".to_string());
    }
    let max = call.op == "MaxPool";
    net.pooled(&view, Pool { window, stride, max })
}

/// `view` plus the constant of a linear layer whose bias is added apart.
pub(in crate::exported) fn biased(net: &Net, view: &View, tensor: &Tensor) -> Option<What> {
    let What::Conv(conv) = net.what(view) else { return None };
    let channels = net.sources[view.source].sizes[0];
    if conv.bias.is_some() || tensor.data.len() != channels || tensor.kind == Kind::Bool {
        return None;
    }
    let mut conv = conv.clone();
    conv.bias = Some(Tensor {
        sizes: vec![channels],
        ..tensor.clone()
    });
    Some(What::Conv(conv))
}
