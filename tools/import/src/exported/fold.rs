//! Nodes whose result is known: made of constants alone.

use super::net::Result;
use super::operands::axis;
use super::program::Node;
use super::tensor::{Kind, Tensor};
use super::view::{View, broadcast};
use mote_graph::ops::library;

/// A new tensor that reads nothing; `None` where the node is none.
pub(super) fn made(op: &str, overload: &str, node: &Node) -> Result<Option<Tensor>> {
    let kind = node.kind("dtype");
    let sized = |value: f64| -> Result<Option<Tensor>> {
        let sizes = node.ints("size")?.ok_or("it has no extents")?;
        let sizes: Option<Vec<usize>> = sizes.into_iter().map(|size| usize::try_from(size).ok()).collect();
        let sizes = sizes.ok_or("it has an extent below 0")?;
        let count = sizes
            .iter()
            .try_fold(1usize, |n, size| n.checked_mul(*size))
            .filter(|n| *n <= Tensor::MOST);
        let count = count.ok_or("it has too many elements")?;
        Ok(Some(Tensor::new(kind.unwrap_or(Kind::F32), sizes, vec![value; count])))
    };
    match op {
        "ones" | "new_ones" => sized(1.0),
        "zeros" | "empty" | "new_zeros" => sized(0.0),
        "full" | "new_full" => sized(node.number_or("fill_value", 0.0)?),
        "scalar_tensor" => {
            let value = node.number_or("s", 0.0)?;
            Ok(Some(Tensor::number(kind.unwrap_or(Kind::F32), value)))
        }
        "arange" => {
            let start = if overload == "default" {
                0.0
            } else {
                node.number_or("start", 0.0)?
            };
            let (end, step) = (node.number_or("end", 0.0)?, node.number_or("step", 1.0)?);
            let count = ((end - start) / step).ceil();
            if !(0.0..=1e6).contains(&count) {
                return Err(format!("it counts from {start} to {end} by {step}, which is too far"));
            }
            let whole = ["start", "end", "step"]
                .iter()
                .all(|name| node.argument(name).is_none() || node.int(name).is_some());
            let kind = kind.unwrap_or(if whole { Kind::I64 } else { Kind::F32 });
            let data: Vec<f64> = (0..count as usize)
                .map(|i| kind.round(start + step * i as f64))
                .collect();
            Ok(Some(Tensor::new(kind, vec![data.len()], data)))
        }
        "linspace" => {
            let (start, end) = (node.number_or("start", 0.0)?, node.number_or("end", 1.0)?);
            let steps = node.int_or("steps", 1)?;
            if !(1..=1_000_000).contains(&steps) {
                return Err(format!("it has {steps} steps"));
            }
            let kind = kind.unwrap_or(Kind::F32);
            let step = (end - start) / (steps - 1).max(1) as f64;
            let data: Vec<f64> = (0..steps).map(|i| kind.round(start + step * i as f64)).collect();
            let exact: Vec<f64> = (0..steps).map(|i| start + step * i as f64).collect();
            Ok(Some(Tensor::new(kind, vec![data.len()], data).exactly(exact)))
        }
        _ => Ok(None),
    }
}

/// A function of every element; `None` where the node is none.
pub(super) fn mapped(op: &str, node: &Node, x: &Tensor) -> Result<Option<Tensor>> {
    let float = if x.kind.is_float() { x.kind } else { Kind::F32 };
    let of = |kind: Kind, f: &dyn Fn(f64) -> f64| {
        let data: Vec<f64> = x.data.iter().map(|v| kind.round(f(*v))).collect();
        let exact: Vec<f64> = x.exact.iter().map(|v| f(*v)).collect();
        let library = match (op, kind) {
            ("exp", Kind::F32) => Some(&(|v: f64| f64::from(library::exp(v as f32))) as &dyn Fn(f64) -> f64),
            _ => x.library.is_some().then_some(f),
        };
        let library = library.map(|f| x.library().iter().map(|v| kind.round(f(*v))).collect());
        Ok(Some(Tensor {
            library,
            ..Tensor::new(kind, x.sizes.clone(), data).exactly(exact)
        }))
    };
    match op {
        "neg" => of(x.kind, &|v| -v),
        "abs" => of(x.kind, &f64::abs),
        "square" => of(x.kind, &|v| v * v),
        "exp" => of(float, &libm::exp),
        "log" => of(float, &libm::log),
        "sqrt" => of(float, &libm::sqrt),
        "rsqrt" => of(float, &|v| 1.0 / libm::sqrt(v)),
        "reciprocal" => of(float, &|v| 1.0 / v),
        "sin" => of(float, &libm::sin),
        "cos" => of(float, &libm::cos),
        "tanh" => of(float, &libm::tanh),
        "sigmoid" => of(float, &|v| 1.0 / (1.0 + libm::exp(-v))),
        "silu" => of(float, &|v| v / (1.0 + libm::exp(-v))),
        "relu" => of(x.kind, &|v| v.max(0.0)),
        "mean" | "sum" | "var" | "std" | "linalg_vector_norm" | "norm" => statistic(op, node, x).map(Some),
        "clamp_min" => {
            let min = node.number_or("min", 0.0)?;
            of(x.kind, &|v| v.max(min))
        }
        "ones_like" => of(node.kind("dtype").unwrap_or(x.kind), &|_| 1.0),
        "zeros_like" => of(node.kind("dtype").unwrap_or(x.kind), &|_| 0.0),
        "full_like" => {
            let value = node.number_or("fill_value", 0.0)?;
            of(node.kind("dtype").unwrap_or(x.kind), &|_| value)
        }
        _ => Ok(None),
    }
}

/// Mean, sum, variance or its root over some axes of a constant, or over all.
fn statistic(op: &str, node: &Node, x: &Tensor) -> Result<Tensor> {
    let order = node.number("ord").or(node.number("p")).unwrap_or(2.0);
    if op.ends_with("norm") && order != 2.0 {
        return Err(format!("it is a norm of order {order}; 2 is known"));
    }
    let rank = x.sizes.len();
    let dims = node.ints("dim")?.unwrap_or_default();
    let dims: Result<Vec<usize>> = dims.into_iter().map(|dim| axis(dim, rank)).collect();
    let dims = dims?;
    let over = |i: &usize| dims.is_empty() || dims.contains(i);
    let inner: Vec<usize> = (0..rank).filter(over).collect();
    let outer: Vec<usize> = (0..rank).filter(|i| !over(i)).collect();
    let count: usize = inner.iter().map(|i| x.sizes[*i]).product();
    let correction = match (node.argument("correction"), node.argument("unbiased")) {
        (Some(_), _) => node.number_or("correction", 1.0)?,
        (None, Some(_)) => f64::from(node.flag("unbiased")),
        (None, None) => 1.0,
    };
    let order = [&outer[..], &inner].concat();
    let view = View::whole(0, &x.sizes)
        .permuted(&order)
        .ok_or("it names an axis twice")?;
    let of = |numbers: &[f64]| -> Vec<f64> {
        let numbers: Vec<f64> = view.offsets().map(|at| numbers[at]).collect();
        let each = numbers.chunks_exact(count.max(1));
        let value = |own: &[f64]| {
            let sum: f64 = own.iter().sum();
            let mean = sum / count as f64;
            let squares: f64 = own.iter().map(|v| (v - mean) * (v - mean)).sum();
            let variance = squares / (count as f64 - correction);
            match op {
                "sum" => sum,
                "mean" => mean,
                "linalg_vector_norm" | "norm" => libm::sqrt(own.iter().map(|v| v * v).sum()),
                "var" => variance,
                _ => libm::sqrt(variance),
            }
        };
        each.map(value).collect()
    };
    let kind = if x.kind.is_float() { x.kind } else { Kind::F32 };
    let kept = |i: usize| if over(&i) { 1 } else { x.sizes[i] };
    let sizes = match node.flag("keepdim") {
        true => (0..rank).map(kept).collect(),
        false => outer.iter().map(|i| x.sizes[*i]).collect(),
    };
    let data: Vec<f64> = of(&x.data).into_iter().map(|v| kind.round(v)).collect();
    Ok(Tensor::new(kind, sizes, data).exactly(of(&x.exact)))
}

/// A constant that is repeated so often along each axis.
pub(super) fn tiled(op: &str, node: &Node, x: &Tensor) -> Result<Tensor> {
    let name = if op == "tile" { "dims" } else { "repeats" };
    let times = node.ints(name)?.ok_or("it has no numbers of repetitions")?;
    let times: Option<Vec<usize>> = times.into_iter().map(|v| usize::try_from(v).ok()).collect();
    let mut times = times.ok_or("it repeats an axis less than once")?;
    let rank = times.len().max(x.sizes.len());
    if op != "tile" && times.len() < rank {
        return Err("it has fewer axes than its input".to_string());
    }
    times = [vec![1; rank - times.len()], times].concat();
    let own = [vec![1; rank - x.sizes.len()], x.sizes.clone()].concat();
    let wide: Vec<usize> = times.iter().zip(&own).flat_map(|(n, size)| [*n, *size]).collect();
    counted(&wide)?;
    // Each axis is one of repetitions and one of elements.
    let mut spread = View::whole(0, &own);
    for axis in (0..rank).rev() {
        spread = spread.unsqueezed(axis).ok_or("it has too many axes")?;
    }
    let spread = spread.expanded(&wide).ok_or("it repeats an axis less than once")?;
    let sizes: Vec<usize> = times.iter().zip(&own).map(|(n, size)| n * size).collect();
    let shown = x.shown(&spread);
    Ok(Tensor {
        sizes,
        key: None,
        ..shown
    })
}

/// A constant with `values` at the places of `indices`, each of which is one of an axis, the first ones in order.
pub(super) fn put(tensor: &Tensor, indices: &[&Tensor], values: &Tensor) -> Result<Tensor> {
    let count = indices.first().map_or(0, |index| index.data.len());
    let known = !indices.is_empty() && indices.len() <= tensor.sizes.len();
    if !known
        || indices
            .iter()
            .any(|index| index.sizes != [count] || index.kind.is_float() || index.kind == Kind::Bool)
    {
        return Err("it writes at places that are no lists of whole numbers of one length".to_string());
    }
    let rest = &tensor.sizes[indices.len()..];
    let each: usize = rest.iter().product();
    let spread = View::whole(0, &values.sizes).expanded(&[&[count], rest].concat());
    let values = values.shown(&spread.ok_or("its values do not fit")?);
    let mut data = tensor.data.to_vec();
    for (k, numbers) in values.data.chunks_exact(each.max(1)).enumerate() {
        let mut at = 0;
        for (index, size) in indices.iter().zip(&tensor.sizes) {
            let own = index.data[k];
            let own = if own < 0.0 { own + *size as f64 } else { own };
            if !(0.0..*size as f64).contains(&own) {
                return Err(format!("it writes at {} of {size}", index.data[k]));
            }
            at = at * size + own as usize;
        }
        for (to, from) in data[at * each..][..each].iter_mut().zip(numbers) {
            *to = tensor.kind.round(*from);
        }
    }
    Ok(Tensor::new(tensor.kind, tensor.sizes.clone(), data))
}

/// `f(a, b)` of two constants that broadcast. A number written in the program has no rank and takes the other's type.
pub(super) fn paired(a: &Tensor, b: &Tensor, divides: bool, f: impl Fn(f64, f64) -> f64) -> Result<Tensor> {
    let sizes = broadcast(&a.sizes, &b.sizes).ok_or("its constants do not broadcast")?;
    counted(&sizes)?;
    let mut kind = match (a.sizes.is_empty(), b.sizes.is_empty()) {
        (false, true) if a.kind.is_float() || !b.kind.is_float() => a.kind,
        (true, false) if b.kind.is_float() || !a.kind.is_float() => b.kind,
        (false, true) | (true, false) => Kind::F32,
        _ => a.kind.with(b.kind),
    };
    if divides && !kind.is_float() {
        kind = Kind::F32;
    }
    let spread = |tensor: &Tensor| View::whole(0, &tensor.sizes).expanded(&sizes);
    let (Some(x), Some(y)) = (spread(a), spread(b)) else {
        return Err("its constants do not broadcast".to_string());
    };
    let data: Vec<f64> = x
        .offsets()
        .zip(y.offsets())
        .map(|(i, j)| kind.round(f(kind.round(a.data[i]), kind.round(b.data[j]))))
        .collect();
    let exact: Vec<f64> = x
        .offsets()
        .zip(y.offsets())
        .map(|(i, j)| f(a.exact[i], b.exact[j]))
        .collect();
    let library = (a.library.is_some() || b.library.is_some()).then(|| {
        let (a, b) = (a.library(), b.library());
        let places = x.offsets().zip(y.offsets());
        let numbers = places.map(|(i, j)| kind.round(f(kind.round(a[i]), kind.round(b[j]))));
        numbers.collect()
    });
    Ok(Tensor {
        library,
        ..Tensor::new(kind, sizes, data).exactly(exact)
    })
}

/// Refuses extents of more elements than a tensor has.
fn counted(sizes: &[usize]) -> Result<()> {
    let count = sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
    match count {
        Some(count) if count <= Tensor::MOST => Ok(()),
        _ => Err(format!("its result has more than {} elements", Tensor::MOST)),
    }
}

/// Where elements come from: `(tensor, element)`.
pub(super) type Places = Vec<(usize, usize)>;

/// Elements of several tensors one after the other along `dim`, from where each of the result lies: `(tensor, element)`.
pub(super) fn joined(sizes: &[Vec<usize>], dim: i64) -> Result<(Vec<usize>, Places)> {
    let first = sizes.first().ok_or("it joins nothing")?;
    let dim = axis(dim, first.len())?;
    let outer: usize = first[..dim].iter().product();
    let fits = |own: &Vec<usize>| own.len() == first.len() && (0..own.len()).all(|i| i == dim || own[i] == first[i]);
    if !sizes.iter().all(fits) {
        return Err(format!("it joins tensors of extents {sizes:?}")
            .chars()
            .take(300)
            .collect());
    }
    let mut whole = first.clone();
    whole[dim] = sizes.iter().map(|own| own[dim]).fold(0, usize::saturating_add);
    counted(&whole)?;
    let mut places = vec![];
    for row in 0..outer {
        for (tensor, own) in sizes.iter().enumerate() {
            let each: usize = own[dim..].iter().product();
            places.extend((0..each).map(|i| (tensor, row * each + i)));
        }
    }
    Ok((whole, places))
}
