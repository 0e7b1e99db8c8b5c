//! Nodes that move no number: views, permutations, slices, repetitions.

use super::net::Result;
use super::operands::{Value, axis};
use super::program::Node;
use super::view::View;

/// Axes of an operand, whatever holds its numbers.
fn axes_of(value: &Value) -> View {
    match value {
        Value::Activation(view) => view.clone(),
        other => View::whole(0, &other.sizes()),
    }
}

/// The operand with other axes.
fn with(value: &Value, view: View) -> Value {
    match value {
        Value::Constant(tensor) => Value::Constant(tensor.shown(&view)),
        Value::Waves(waves) => Value::Waves(waves.shown(&view)),
        Value::Curve(curve) => Value::Curve(curve.shown(&view)),
        Value::Activation(_) => Value::Activation(view),
        Value::Label(_) => Value::Label(view.sizes()),
    }
}

/// The results of `node` on `value`; `None` where it is of another kind.
pub(super) fn reshaped(op: &str, node: &Node, value: &Value, other: Option<&Value>) -> Result<Option<Vec<Value>>> {
    let view = axes_of(value);
    let rank = view.axes.len();
    let sizes = view.sizes();
    let at = |name: &str, default: i64| axis(node.int_or(name, default)?, rank);
    let one = |view: Option<View>| {
        let view = view.ok_or_else(|| format!("a tensor of extents {sizes:?} cannot be seen as it asks"))?;
        Ok(Some(vec![with(value, view)]))
    };
    match op {
        "view" | "reshape" | "_unsafe_view" => {
            let wanted = node.ints("size")?.or(node.ints("shape")?).ok_or("it has no extents")?;
            one(view.reshaped(&resolved(&wanted, view.len())?))
        }
        "view_as" | "reshape_as" => one(other.and_then(|other| view.reshaped(&other.sizes()))),
        "flatten" => {
            let (first, last) = (at("start_dim", 0)?, at("end_dim", -1)?);
            let mut wanted = sizes[..first].to_vec();
            wanted.push(
                sizes
                    .get(first..=last)
                    .ok_or("its axes are out of order")?
                    .iter()
                    .product(),
            );
            wanted.extend(&sizes[last + 1..]);
            one(view.reshaped(&wanted))
        }
        "unflatten" => {
            let dim = at("dim", 0)?;
            let inner = resolved(&node.ints("sizes")?.ok_or("it has no extents")?, sizes[dim])?;
            one(view.reshaped(&[&sizes[..dim], &inner, &sizes[dim + 1..]].concat()))
        }
        "transpose" | "swapaxes" | "swapdims" => {
            let (a, b) = match op {
                "transpose" | "swapdims" => (at("dim0", 0)?, at("dim1", 0)?),
                _ => (at("axis0", 0)?, at("axis1", 0)?),
            };
            let mut order: Vec<usize> = (0..rank).collect();
            order.swap(a, b);
            one(view.permuted(&order))
        }
        "t" | "numpy_T" | "mT" => {
            let mut order: Vec<usize> = (0..rank).collect();
            order.reverse();
            one(view.permuted(&order).filter(|_| rank <= 2))
        }
        "permute" => {
            let dims = node.ints("dims")?.ok_or("it has no order")?;
            let order: Result<Vec<usize>> = dims.into_iter().map(|dim| axis(dim, rank)).collect();
            one(view.permuted(&order?))
        }
        "movedim" | "moveaxis" => one(view.permuted(&moved(node, rank)?)),
        "im2col" => one(Some(unfolded(node, &view)?)),
        "col2im" => one(Some(folded(node, &view)?)),
        "unsqueeze" => one(view.unsqueezed(axis(node.int_or("dim", 0)?, rank + 1)?)),
        "squeeze" => {
            let dims = match node.ints("dim")? {
                Some(dims) => dims
                    .into_iter()
                    .map(|dim| axis(dim, rank))
                    .collect::<Result<Vec<usize>>>()?,
                None => (0..rank).collect(),
            };
            let kept = (0..rank).filter(|i| !(dims.contains(i) && sizes[*i] == 1));
            let axes = kept.map(|i| view.axes[i].clone()).collect();
            one(Some(View { axes, ..view.clone() }))
        }
        "expand" | "broadcast_to" => {
            let wanted = node.ints("size")?.ok_or("it has no extents")?;
            let before = wanted
                .len()
                .checked_sub(rank)
                .ok_or("it has fewer axes than its input")?;
            let size = |(i, wanted): (usize, &i64)| match *wanted {
                -1 if i >= before => Ok(sizes[i - before]),
                wanted => usize::try_from(wanted).map_err(|_| format!("it repeats {wanted} times")),
            };
            let wanted: Result<Vec<usize>> = wanted.iter().enumerate().map(size).collect();
            let view = bounded(&wanted?).and_then(|wanted| view.expanded(&wanted));
            one(view)
        }
        "expand_as" => one(other.and_then(|other| view.expanded(&other.sizes()))),
        "repeat" | "tile" => {
            let name = if op == "tile" { "dims" } else { "repeats" };
            let mut times = node.ints(name)?.ok_or("it has no numbers of repetitions")?;
            if op == "tile" && times.len() < rank {
                times = [vec![1; rank - times.len()], times].concat();
            }
            let before = times
                .len()
                .checked_sub(rank)
                .ok_or("it has fewer axes than its input")?;
            let repeats = |(i, times): (usize, &i64)| *times == 1 || i < before || sizes[i - before] == 1;
            if !times.iter().enumerate().all(repeats) {
                return Err("it repeats an axis of several elements".to_string());
            }
            let size = |(i, times): (usize, &i64)| {
                let own = if i < before { 1 } else { sizes[i - before] };
                usize::try_from(*times).ok()?.checked_mul(own)
            };
            let wanted: Option<Vec<usize>> = times.iter().enumerate().map(size).collect();
            one(wanted
                .and_then(|wanted| bounded(&wanted))
                .and_then(|wanted| view.expanded(&wanted)))
        }
        "select" => {
            let dim = at("dim", 0)?;
            let index = axis(node.int_or("index", 0)?, sizes[dim])?;
            one(view.sliced(dim, index, 1, 1).map(|mut view| {
                view.axes.remove(dim);
                view
            }))
        }
        "slice" | "narrow" => {
            let dim = at("dim", 0)?;
            let size = sizes[dim] as i64;
            let bound = |v: i64| if v < 0 { (v + size).max(0) } else { v.min(size) };
            let (first, past) = match op {
                "slice" => (bound(node.int_or("start", 0)?), bound(node.int_or("end", i64::MAX)?)),
                _ => {
                    let first = bound(node.int_or("start", 0)?);
                    (first, bound(first.saturating_add(node.int_or("length", 0)?)))
                }
            };
            let step = node.int_or("step", 1)?.max(1) as usize;
            let count = usize::try_from(past - first).unwrap_or(0).div_ceil(step);
            one(view.sliced(dim, first as usize, count, step))
        }
        "chunk" | "split" | "split_with_sizes" | "unbind" => {
            let dim = at("dim", 0)?;
            let mut views = vec![];
            let mut first = 0;
            for count in parts(op, node, sizes[dim])? {
                let mut part = view
                    .sliced(dim, first, count, 1)
                    .ok_or("its parts do not fit its input")?;
                if op == "unbind" {
                    part.axes.remove(dim);
                }
                views.push(with(value, part));
                first += count;
            }
            Ok(Some(views))
        }
        _ => Ok(None),
    }
}

/// The order of axes after some were moved.
fn moved(node: &Node, rank: usize) -> Result<Vec<usize>> {
    let list = |name: &str| -> Result<Vec<usize>> {
        let list = match node.int(name) {
            Some(one) => vec![one],
            None => node.ints(name)?.unwrap_or_default(),
        };
        list.into_iter().map(|i| axis(i, rank)).collect()
    };
    let (from, to) = (list("source")?, list("destination")?);
    let mut order = vec![None; rank];
    if from.len() != to.len() {
        return Err("it moves more axes than it has places for".to_string());
    }
    for (from, to) in from.iter().zip(&to) {
        order[*to] = Some(*from);
    }
    let mut rest = (0..rank).filter(|i| !from.contains(i));
    let all: Option<Vec<usize>> = order.into_iter().map(|own| own.or_else(|| rest.next())).collect();
    all.ok_or_else(|| "it moves an axis twice".to_string())
}

/// Rows and columns of blocks that lie side by side.
fn blocks(node: &Node) -> Result<[usize; 2]> {
    let pair = |name: &str, default: i64| -> Result<[i64; 2]> {
        match node.ints(name)?.as_deref() {
            Some([a, b]) => Ok([*a, *b]),
            Some([a]) => Ok([*a; 2]),
            _ => Ok([default; 2]),
        }
    };
    let kernel = pair("kernel_size", 1)?;
    let plain = pair("dilation", 1)? == [1; 2] && pair("padding", 0)? == [0; 2] && pair("stride", 1)? == kernel;
    match kernel.map(usize::try_from) {
        [Ok(p), Ok(q)] if plain && p > 0 && q > 0 => Ok([p, q]),
        _ => Err("its blocks overlap, have gaps or are padded; blocks side by side are known".to_string()),
    }
}

/// `unfold`: the elements of each block one after the other, of axes sample, channel and block.
fn unfolded(node: &Node, view: &View) -> Result<View> {
    let [p, q] = blocks(node)?;
    let [n, c, rows, cols] = view.sizes()[..] else {
        return Err("its input is no picture".to_string());
    };
    let blocks = view.reshaped(&[n, c, rows / p, p, cols / q, q]);
    let order = blocks.and_then(|blocks| blocks.permuted(&[0, 1, 3, 5, 2, 4]));
    let all = order.and_then(|order| order.reshaped(&[n, c * p * q, rows / p * (cols / q)]));
    all.ok_or_else(|| "its blocks do not fit its input".to_string())
}

/// `fold`, the way back.
fn folded(node: &Node, view: &View) -> Result<View> {
    let [p, q] = blocks(node)?;
    let problem = "its blocks do not fit its input";
    let (own, wanted) = (view.sizes(), node.ints("output_size")?.unwrap_or_default());
    let (&[n, channels, _], [rows, cols]) = (&own[..], &wanted[..]) else {
        return Err(problem.to_string());
    };
    let extent = |v: &i64| usize::try_from(*v).ok().filter(|v| *v < 1 << 16);
    let (rows, cols) = extent(rows).zip(extent(cols)).ok_or(problem)?;
    let (c, p_q) = (channels / (p * q), [rows / p, cols / q]);
    let blocks = view.reshaped(&[n, c, p, q, p_q[0], p_q[1]]);
    let order = blocks.and_then(|blocks| blocks.permuted(&[0, 1, 4, 2, 5, 3]));
    let all = order.and_then(|order| order.reshaped(&[n, c, rows, cols]));
    all.ok_or_else(|| problem.to_string())
}

/// Extents of parts of an axis of `size`.
fn parts(op: &str, node: &Node, size: usize) -> Result<Vec<usize>> {
    let even = |each: usize| -> Vec<usize> {
        let each = each.max(1);
        (0..size.div_ceil(each)).map(|i| each.min(size - i * each)).collect()
    };
    if op == "unbind" {
        return Ok(vec![1; size]);
    }
    if op == "chunk" {
        let chunks = usize::try_from(node.int_or("chunks", 1)?).unwrap_or(0).max(1);
        return Ok(even(size.div_ceil(chunks)));
    }
    if let Some(each) = node.int("split_size") {
        return Ok(even(usize::try_from(each).unwrap_or(0)));
    }
    let list = node
        .ints("split_sizes")?
        .or(node.ints("split_size")?)
        .ok_or("it has no extents")?;
    let list: Option<Vec<usize>> = list.into_iter().map(|part| usize::try_from(part).ok()).collect();
    let sum = |list: &Vec<usize>| list.iter().try_fold(0usize, |sum, part| sum.checked_add(*part)) == Some(size);
    list.filter(sum)
        .ok_or_else(|| "its parts do not fit its input".to_string())
}

/// Extents with the one that is -1 as it follows from `len`.
fn resolved(wanted: &[i64], len: usize) -> Result<Vec<usize>> {
    let mut known = wanted.iter().filter(|size| **size >= 0);
    let known = known
        .try_fold(1usize, |n, size| n.checked_mul(*size as usize))
        .filter(|n| *n > 0);
    let known = known.ok_or_else(|| format!("its extents {wanted:?} are none"))?;
    Ok(wanted
        .iter()
        .map(|size| if *size < 0 { len / known } else { *size as usize })
        .collect())
}

/// Extents whose product is one that a tensor may have.
fn bounded(sizes: &[usize]) -> Option<Vec<usize>> {
    let product = sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size))?;
    (product <= super::tensor::Tensor::MOST).then(|| sizes.to_vec())
}
