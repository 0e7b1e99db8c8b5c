//! Nodes that move no number, and those that compute extents.

use super::super::net::{Net, Result};
use super::super::operands::{Value, axis};
use super::super::tensor::{Kind, Tensor};
use super::super::view::{View, broadcast};
use super::call::{Call, listed};
use super::store;

/// Most elements of a constant that is made here.
const MOST: usize = 1 << 22;

/// The results of the node; `None` where it is of another kind.
pub(super) fn results(net: &mut Net, call: &Call<'_>) -> Result<Option<Vec<Value>>> {
    let one = |value: Result<Value>| value.map(|value| Some(vec![value]));
    let node = call.node;
    match call.op {
        "Identity" => one(call.value(0).cloned()),
        "Dropout" => {
            if call
                .given(2)
                .is_some_and(|mode| mode.constant().map_or(true, |mode| mode.scalar() != Some(0.0)))
            {
                return Err("the network was exported in training: call eval() before".to_string());
            }
            one(call.value(0).cloned())
        }
        "Constant" => one(constant(call)),
        "Cast" | "CastLike" => one(cast(net, call)),
        "Shape" => {
            let sizes = call.value(0)?.sizes();
            let rank = sizes.len() as i64;
            let bound = |v: i64| (if v < 0 { v.saturating_add(rank) } else { v }).clamp(0, rank) as usize;
            let (first, past) = (bound(node.int_or("start", 0)?), bound(node.int_or("end", rank)?));
            one(Ok(list(sizes.get(first..past).unwrap_or_default())))
        }
        "Size" => {
            let count: usize = call.value(0)?.sizes().iter().product();
            one(Ok(Value::Constant(Tensor::number(Kind::I64, count as f64))))
        }
        "ConstantOfShape" => {
            let sizes = extents(&listed(call.value(0)?.constant()?)?)?;
            let filled = call.tensor(1)?;
            let (kind, value) = filled.map_or((Kind::F32, 0.0), |t| (t.kind, t.data.first().copied().unwrap_or(0.0)));
            let count = sizes.iter().product();
            one(Ok(Value::Constant(Tensor::new(kind, sizes, vec![value; count]))))
        }
        "Range" => one(range(call)),
        "Reshape" => one(reshaped(net, call)),
        "Flatten" => {
            let sizes = call.value(0)?.sizes();
            let at = node.int_or("axis", 1)?;
            let at = if at == sizes.len() as i64 {
                sizes.len()
            } else {
                axis(at, sizes.len())?
            };
            let wanted = [sizes[..at].iter().product(), sizes[at..].iter().product()];
            one(viewed(net, call, &wanted))
        }
        "Transpose" => {
            let rank = call.value(0)?.sizes().len() as i64;
            let order = node.ints("perm")?.unwrap_or_else(|| (0..rank).rev().collect());
            one(call
                .aten("permute")
                .with("self", call.value(0)?.clone())
                .ints("dims", &order)
                .one(net))
        }
        "Unsqueeze" | "Squeeze" => one(squeezed(net, call)),
        "Expand" => {
            let wanted = extents(&listed(call.value(1)?.constant()?)?)?;
            let sizes = broadcast(&call.value(0)?.sizes(), &wanted).ok_or("its extents do not broadcast")?;
            one(call
                .aten("expand")
                .with("self", call.value(0)?.clone())
                .sizes("size", &sizes)
                .one(net))
        }
        "Tile" => {
            let times = listed(call.value(1)?.constant()?)?;
            one(call
                .aten("repeat")
                .with("self", call.value(0)?.clone())
                .ints("repeats", &times)
                .one(net))
        }
        "Concat" => {
            let parts: Result<Vec<Value>> = (0..call.operands.len()).map(|i| call.value(i).cloned()).collect();
            one(call
                .aten("cat")
                .all("tensors", parts?)
                .int("dim", node.int_or("axis", 0)?)
                .one(net))
        }
        "Split" => split(net, call).map(Some),
        "Slice" => one(sliced(net, call)),
        "Gather" => one(gathered(net, call)),
        "GatherND" => one(rows(net, call)),
        "DepthToSpace" | "SpaceToDepth" => one(shuffled(net, call)),
        "Pad" => {
            let Some(Value::Constant(tensor)) = call.given(0) else {
                return Ok(None);
            };
            one(padded(call, tensor))
        }
        _ => Ok(None),
    }
}

/// Whole numbers as a constant.
fn list(sizes: &[usize]) -> Value {
    let data: Vec<f64> = sizes.iter().map(|size| *size as f64).collect();
    Value::Constant(Tensor::new(Kind::I64, vec![data.len()], data))
}

/// Extents of a tensor that is made here.
fn extents(sizes: &[i64]) -> Result<Vec<usize>> {
    let extents: Option<Vec<usize>> = sizes.iter().map(|size| usize::try_from(*size).ok()).collect();
    let product = |sizes: &Vec<usize>| sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    let shown: Vec<&i64> = sizes.iter().take(16).collect();
    extents
        .filter(|sizes| sizes.len() <= 16 && product(sizes).is_some_and(|n| n <= MOST))
        .ok_or_else(|| format!("its extents {shown:?} are none, or too many"))
}

/// Numbers that stand in the node itself.
fn constant(call: &Call<'_>) -> Result<Value> {
    let node = call.node;
    if let Some(value) = node.int("value_int") {
        return Ok(Value::Constant(Tensor::number(Kind::I64, value as f64)));
    }
    if let Some(values) = node.ints("value_ints")? {
        let data: Vec<f64> = values.iter().map(|value| *value as f64).collect();
        return Ok(Value::Constant(Tensor::new(Kind::I64, vec![data.len()], data)));
    }
    if let Some(value) = node.number("value_float") {
        return Ok(Value::Constant(Tensor::number(Kind::F64, value)));
    }
    if let Some(values) = node
        .argument("value_floats")
        .and_then(|argument| argument.as_floats.as_ref())
    {
        let data: Vec<f64> = values.iter().map(|value| Kind::F32.round(value.value())).collect();
        return Ok(Value::Constant(Tensor::new(Kind::F32, vec![data.len()], data)));
    }
    Err("it is a constant of another kind than numbers".to_string())
}

fn cast(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let kind = match (call.op, call.given(1)) {
        ("CastLike", Some(Value::Constant(like))) => like.kind,
        ("CastLike", _) => Kind::F32,
        _ => store::kind(call.node.int_or("to", 1)?).map_err(|problem| format!("it casts to what {problem}"))?,
    };
    let x = call.value(0)?.clone();
    if matches!(x, Value::Label(_)) {
        return Ok(x);
    }
    call.aten("to").with("self", x).kind("dtype", kind.number()).one(net)
}

fn range(call: &Call<'_>) -> Result<Value> {
    let at = |i: usize| call.value(i)?.constant().cloned();
    let (start, end, step) = (at(0)?, at(1)?, at(2)?);
    let kind = start.kind;
    let first = |tensor: &Tensor| tensor.data.first().copied().unwrap_or(0.0);
    let (start, end, step) = (first(&start), first(&end), first(&step));
    let count = ((end - start) / step).ceil();
    if !(0.0..=1e6).contains(&count) {
        return Err(format!("it counts from {start} to {end} by {step}, which is too far"));
    }
    let data: Vec<f64> = (0..count as usize)
        .map(|i| kind.round(start + step * i as f64))
        .collect();
    Ok(Value::Constant(Tensor::new(kind, vec![data.len()], data)))
}

/// The first operand with other extents.
fn viewed(net: &mut Net, call: &Call<'_>, sizes: &[usize]) -> Result<Value> {
    call.aten("reshape")
        .with("self", call.value(0)?.clone())
        .sizes("shape", sizes)
        .one(net)
}

fn reshaped(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let sizes = call.value(0)?.sizes();
    let wanted = call.ints(1, "shape")?.ok_or("it has no extents")?;
    let copies = call.node.int_or("allowzero", 0)? == 0;
    let resolve = |(i, size): (usize, &i64)| match *size {
        0 if copies => sizes
            .get(i)
            .map(|size| *size as i64)
            .ok_or("it copies an axis that is not there"),
        size => Ok(size),
    };
    let wanted: std::result::Result<Vec<i64>, &str> = wanted.iter().enumerate().map(resolve).collect();
    call.aten("reshape")
        .with("self", call.value(0)?.clone())
        .ints("shape", &wanted?)
        .one(net)
}

fn squeezed(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let mut sizes = call.value(0)?.sizes();
    let axes = call.ints(1, "axes")?;
    if call.op == "Unsqueeze" {
        let axes = axes.ok_or("it has no axes")?;
        let rank = sizes.len().saturating_add(axes.len()).min(64);
        let mut axes: Vec<usize> = axes.into_iter().map(|own| axis(own, rank)).collect::<Result<_>>()?;
        axes.sort_unstable();
        for at in axes {
            if at > sizes.len() {
                return Err("its axes leave one out".to_string());
            }
            sizes.insert(at, 1);
        }
    } else {
        let chosen: Vec<usize> = match axes {
            Some(axes) => axes
                .into_iter()
                .map(|own| axis(own, sizes.len()))
                .collect::<Result<_>>()?,
            None => (0..sizes.len()).filter(|i| sizes[*i] == 1).collect(),
        };
        if chosen.iter().any(|at| sizes[*at] != 1) {
            return Err(format!("it takes an axis away of a tensor of extents {sizes:?}"));
        }
        sizes = (0..sizes.len())
            .filter(|i| !chosen.contains(i))
            .map(|i| sizes[i])
            .collect();
    }
    viewed(net, call, &sizes)
}

fn split(net: &mut Net, call: &Call<'_>) -> Result<Vec<Value>> {
    let sizes = call.value(0)?.sizes();
    let at = axis(call.node.int_or("axis", 0)?, sizes.len())?;
    let parts = match call.ints(1, "split")? {
        Some(parts) => parts,
        None => {
            let count = call.node.int_or("num_outputs", call.node.outputs.len() as i64)?;
            let count = usize::try_from(count)
                .ok()
                .filter(|count| (1..=sizes[at].max(1)).contains(count));
            let each = sizes[at].div_ceil(count.ok_or("it has no parts")?).max(1);
            (0..sizes[at].div_ceil(each))
                .map(|i| each.min(sizes[at] - i * each) as i64)
                .collect()
        }
    };
    let aten = call.aten("split_with_sizes").with("self", call.value(0)?.clone());
    aten.ints("split_sizes", &parts).int("dim", at as i64).run(net)
}

fn sliced(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let mut value = call.value(0)?.clone();
    let (starts, ends) = (call.ints(1, "starts")?, call.ints(2, "ends")?);
    let (starts, ends) = starts.zip(ends).ok_or("it has no bounds")?;
    let axes = call
        .ints(3, "axes")?
        .unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.ints(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || starts.len() > 16 {
        return Err("its bounds, axes and steps differ in number".to_string());
    }
    for i in 0..starts.len() {
        // Of a list of extents nothing may be left: those behind the last axis.
        let none = match &value {
            Value::Constant(tensor) => match tensor.sizes[..] {
                [size] => {
                    let size = size as i64;
                    let bound = |v: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(0, size);
                    bound(starts[i]) >= bound(ends[i])
                }
                _ => false,
            },
            _ => false,
        };
        value = if none && steps[i] > 0 && axes[i] == 0 {
            Value::Constant(picked(value.constant()?, 0, &[])?)
        } else if steps[i] < 0 {
            backwards(value, axes[i], [starts[i], ends[i], steps[i]])?
        } else {
            let aten = call
                .aten("slice")
                .with("self", value)
                .int("dim", axes[i])
                .int("start", starts[i]);
            aten.int("end", ends[i]).int("step", steps[i]).one(net)?
        };
    }
    Ok(value)
}

/// A slice of a constant from its end to its start.
fn backwards(value: Value, dim: i64, [start, end, step]: [i64; 3]) -> Result<Value> {
    let tensor = value
        .constant()
        .map_err(|_| "it reverses an axis, which is known of constants alone".to_string())?;
    let at = axis(dim, tensor.sizes.len())?;
    let size = tensor.sizes[at] as i64;
    let bound = |v: i64, least: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(least, size - 1);
    let (first, past) = (bound(start, 0), if end < -size { -1 } else { bound(end, -1) });
    let step = usize::try_from(step.saturating_neg()).unwrap_or(usize::MAX);
    let places: Vec<usize> = (0..size)
        .rev()
        .filter(|i| *i <= first && *i > past)
        .map(|i| i as usize)
        .step_by(step)
        .collect();
    picked(tensor, at, &places).map(Value::Constant)
}

/// The elements of a constant at `places` of an axis, in that order.
fn picked(tensor: &Tensor, at: usize, places: &[usize]) -> Result<Tensor> {
    let mut sizes = tensor.sizes.clone();
    sizes[at] = places.len();
    let (outer, inner): (usize, usize) = (sizes[..at].iter().product(), sizes[at + 1..].iter().product());
    let each = tensor.sizes[at] * inner;
    if outer.saturating_mul(inner).saturating_mul(places.len()) > Tensor::MOST {
        return Err("it has too many elements".to_string());
    }
    let pick = |data: &[f64]| -> Vec<f64> {
        let rows = (0..outer).flat_map(|row| places.iter().map(move |place| row * each + place * inner));
        rows.flat_map(|first| data[first..first + inner].iter().copied())
            .collect()
    };
    Ok(Tensor::new(tensor.kind, sizes, pick(&tensor.data)).exactly(pick(&tensor.exact)))
}

/// Rows of a table at the timestep, the last axis of whose places has one number.
fn rows(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let (table, places) = (call.value(0)?, call.value(1)?);
    let sizes = places.sizes();
    let timed = matches!(places, Value::Waves(_) | Value::Curve(_));
    if !timed || sizes.last() != Some(&1) || call.node.int_or("batch_dims", 0)? != 0 {
        return Err("it picks elements at places that are no timestep, which is not known".to_string());
    }
    let places = call
        .aten("reshape")
        .with("self", places.clone())
        .sizes("shape", &sizes[..sizes.len() - 1])
        .one(net)?;
    call.aten("embedding")
        .with("weight", table.clone())
        .with("indices", places)
        .one(net)
}

fn gathered(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let (data, indices) = (call.value(0)?, call.value(1)?);
    let sizes = data.sizes();
    let at = axis(call.node.int_or("axis", 0)?, sizes.len())?;
    if let Value::Label(_) = indices {
        let table = at == 0 && sizes.len() == 2;
        let aten = call
            .aten("embedding")
            .with("weight", data.clone())
            .with("indices", indices.clone());
        return if table {
            aten.one(net)
        } else {
            Err("it looks up a label in what is no table".to_string())
        };
    }
    if let (Value::Waves(_) | Value::Curve(_), 0) = (indices, at) {
        return call
            .aten("embedding")
            .with("weight", data.clone())
            .with("indices", indices.clone())
            .one(net);
    }
    let indices = indices
        .constant()
        .map_err(|_| "it looks up what is computed; the class label is known".to_string())?;
    let place =
        |index: &f64| axis(*index as i64, sizes[at]).map_err(|_| format!("it looks up {index} of {}", sizes[at]));
    let places: Vec<usize> = indices.data.iter().map(place).collect::<Result<_>>()?;
    let wanted = [&sizes[..at], &indices.sizes, &sizes[at + 1..]].concat();
    if let Value::Constant(tensor) = data {
        let mut picked = picked(tensor, at, &places)?;
        picked.sizes = wanted;
        return Ok(Value::Constant(picked));
    }
    // An arithmetic progression is a slice.
    let (first, step) = match places[..] {
        [] => return Err("it looks up nothing".to_string()),
        [only] => (only, 1),
        [first, second, ..] => (
            first,
            second
                .checked_sub(first)
                .filter(|step| *step > 0)
                .ok_or("it reorders an axis")?,
        ),
    };
    if places.iter().enumerate().any(|(i, place)| *place != first + i * step) {
        return Err("it picks elements of an axis that do not lie evenly".to_string());
    }
    let past = first + (places.len() - 1) * step + 1;
    let slice = call
        .aten("slice")
        .with("self", data.clone())
        .int("dim", at as i64)
        .int("start", first as i64);
    let slice = slice.int("end", past as i64).int("step", step as i64).one(net)?;
    call.aten("reshape")
        .with("self", slice)
        .sizes("shape", &wanted)
        .one(net)
}

fn shuffled(net: &mut Net, call: &Call<'_>) -> Result<Value> {
    let factor = usize::try_from(call.node.int_or("blocksize", 1)?)
        .ok()
        .filter(|f| (1..1 << 8).contains(f));
    let f = factor.ok_or("its factor is no number above 0")?;
    let sizes = call.value(0)?.sizes();
    let [batch, channels, rows, cols] = sizes[..] else {
        return Err("its input is no picture".to_string());
    };
    let columns_first = call.node.text("mode") == Some("CRD");
    let (parts, order, wanted) = if call.op == "SpaceToDepth" {
        let parts = vec![batch, channels, rows / f, f, cols / f, f];
        (
            parts,
            [0, 3, 5, 1, 2, 4],
            vec![batch, channels * f * f, rows / f, cols / f],
        )
    } else {
        let depth = channels / (f * f);
        let wanted = vec![batch, depth, rows * f, cols * f];
        if columns_first {
            (vec![batch, depth, f, f, rows, cols], [0, 1, 4, 2, 5, 3], wanted)
        } else {
            (vec![batch, f, f, depth, rows, cols], [0, 3, 4, 1, 5, 2], wanted)
        }
    };
    let parts = viewed(net, call, &parts)?;
    let moved = call.aten("permute").with("self", parts).ints("dims", &order).one(net)?;
    call.aten("reshape")
        .with("self", moved)
        .sizes("shape", &wanted)
        .one(net)
}

/// A constant with more elements around it.
fn padded(call: &Call<'_>, tensor: &Tensor) -> Result<Value> {
    let pads = call.ints(1, "pads")?.ok_or("it has no pads")?;
    let value = call.number(2, "value")?.unwrap_or(0.0);
    let rank = tensor.sizes.len();
    let plain = call.node.text("mode").is_none_or(|mode| mode == "constant") && call.given(3).is_none();
    let pads: Option<Vec<usize>> = pads.into_iter().map(|pad| usize::try_from(pad).ok()).collect();
    let pads = pads.filter(|pads| plain && pads.len() == 2 * rank);
    let pads = pads.ok_or("its pads do not fit a constant")?;
    let sizes: Vec<i64> = (0..rank)
        .map(|i| tensor.sizes[i].saturating_add(pads[i]).saturating_add(pads[rank + i]) as i64)
        .collect();
    let sizes = extents(&sizes)?;
    let mut data = vec![value; sizes.iter().product()];
    let whole = View::whole(0, &sizes);
    let strides: Vec<usize> = (0..rank).map(|i| sizes[i + 1..].iter().product()).collect();
    let first: usize = (0..rank).map(|i| pads[i] * strides[i]).sum();
    let inner = View::strided(whole.source, first, &tensor.sizes, &strides);
    for (at, value) in inner.offsets().zip(tensor.data.iter()) {
        data[at] = *value;
    }
    Ok(Value::Constant(Tensor::new(tensor.kind, sizes, data)))
}
