//! Nodes that read functions of the timestep.

use super::super::aten::{self, Call};
use super::super::fold;
use super::super::net::{Net, Result};
use super::super::operands::{Value, axis};
use super::super::program::Node;
use super::super::reader::{Operands, number};
use super::super::tensor::{Kind, Tensor};
use super::super::waves::MOST;
use super::{Curve, MOST_NUMBERS};
use mote_graph::ops::{CurveMap, CurveStep, Pairing, Setting};

/// The results of a node that reads functions of the timestep, for which `problem` says why it is no other layer.
pub(in crate::exported) fn results(
    net: &mut Net,
    op: &str,
    node: &Node,
    operands: &Operands,
    problem: String,
) -> Result<Vec<Value>> {
    let all = || operands.values().flatten();
    let Some(first) = all().find(|value| matches!(value, Value::Waves(_) | Value::Curve(_))) else {
        return Err(problem);
    };
    let like = match first {
        Value::Curve(curve) => curve.clone(),
        Value::Waves(waves) => net.of_waves(waves)?,
        _ => return Err(problem),
    };
    if all().all(|value| matches!(value, Value::Waves(_) | Value::Curve(_) | Value::Constant(_)))
        && let Some(curve) = alone(net, op, &Call { node, operands }, &like)?
    {
        return Ok(vec![Value::Curve(curve)]);
    }
    beside(net, op, node, operands, &like, problem)
}

/// A function of such functions and of constants; `None` where it is not known as one.
fn alone(net: &mut Net, op: &str, call: &Call<'_>, like: &Curve) -> Result<Option<Curve>> {
    let node = call.node;
    if let Some(map) = map(op, node)? {
        let x = call.any(&["self", "input"])?;
        let Some(x) = net.as_curve(x, like)? else {
            return Ok(None);
        };
        return net.mapped(&x, map).map(Some);
    }
    let pair = match op {
        "neg" => {
            let Some(x) = net.as_curve(call.any(&["self"])?, like)? else {
                return Ok(None);
            };
            let minus = net.known(&Tensor::number(Kind::F64, -1.0), like)?;
            return net.paired(&x, &minus, Pairing::Product).map(Some);
        }
        "add" | "sub" | "rsub" => Pairing::Sum,
        "mul" => Pairing::Product,
        "div" if node.text("rounding_mode").is_none() => Pairing::Quotient,
        "pow" => Pairing::Power,
        "maximum" | "max" => Pairing::Largest,
        "minimum" | "min" => Pairing::Least,
        "clamp" | "clamp_min" | "clamp_max" => {
            let Some(mut x) = net.as_curve(call.any(&["self", "input"])?, like)? else {
                return Ok(None);
            };
            for (name, pair) in [("min", Pairing::Largest), ("max", Pairing::Least)] {
                if let Some(Value::Constant(bound)) = call.value(name) {
                    let bound = net.known(&bound, like)?;
                    x = net.paired(&x, &bound, pair)?;
                }
            }
            return Ok(Some(x));
        }
        "ger" | "outer" => {
            let (Some(mut a), Some(b)) = (
                net.as_curve(call.any(&["self"])?, like)?,
                net.as_curve(call.any(&["vec2"])?, like)?,
            ) else {
                return Ok(None);
            };
            a.sizes.push(1);
            return net.paired(&a, &b, Pairing::Product).map(Some);
        }
        "cat" | "concat" | "concatenate" | "stack" => return joined(net, op, call, like).map(Some),
        "embedding" => return row(net, call.operand("weight"), call.operand("indices"), like),
        "index" | "index_select" => {
            let lists = node
                .argument("indices")
                .and_then(|list| list.as_optional_tensors.as_ref());
            let first = lists.is_none_or(|list| list.len() == 1);
            let at = call.operand("indices").or(call.operand("index"));
            let rows = op == "index" || node.int_or("dim", 0)? == 0;
            return if first && rows {
                row(net, call.operand("self"), at, like)
            } else {
                Ok(None)
            };
        }
        _ => return Ok(None),
    };
    let value = |name: &str| call.value(name).or_else(|| number(node, name).map(Value::Constant));
    let second = if op == "pow" { "exponent" } else { "other" };
    let (Some(x), Some(y)) = (value("self"), value(second)) else {
        return Ok(None);
    };
    let (Some(mut a), Some(mut b)) = (net.as_curve(&x, like)?, net.as_curve(&y, like)?) else {
        return Ok(None);
    };
    let alpha = node.number_or("alpha", 1.0)?;
    if alpha != 1.0 {
        let alpha = net.known(&Tensor::number(Kind::F64, alpha), like)?;
        let scaled = if op == "rsub" { &mut a } else { &mut b };
        *scaled = net.paired(scaled, &alpha, Pairing::Product)?;
    }
    match op {
        "sub" => net.paired(&a, &b, Pairing::Difference),
        "rsub" => net.paired(&b, &a, Pairing::Difference),
        _ => net.paired(&a, &b, pair),
    }
    .map(Some)
}

/// The function of every number that an operator is.
fn map(op: &str, node: &Node) -> Result<Option<CurveMap>> {
    let power = |power: f64| Some(CurveMap::Power(Setting::new(power)));
    Ok(match op {
        "exp" => Some(CurveMap::Exp),
        "log" => Some(CurveMap::Log),
        "sin" => Some(CurveMap::Sine),
        "cos" => Some(CurveMap::Cosine),
        "abs" => Some(CurveMap::Absolute),
        "square" => power(2.0),
        "sqrt" => power(0.5),
        "rsqrt" => power(-0.5),
        "reciprocal" => power(-1.0),
        _ => aten::function(op, node)?.map(CurveMap::Function),
    })
}

/// Functions of the timestep one after the other.
fn joined(net: &mut Net, op: &str, call: &Call<'_>, like: &Curve) -> Result<Curve> {
    let parts = call.operands.get("tensors").ok_or("it joins nothing")?;
    let mut curves = vec![];
    for part in parts {
        let own = net.as_curve(part, like)?;
        curves.push(own.ok_or("it joins more than functions of the timestep")?);
    }
    let mut dim = call.node.int_or("dim", 0)?;
    if op == "stack" {
        let at = axis(dim, curves[0].sizes.len() + 1)?;
        dim = at as i64;
        curves.iter_mut().for_each(|curve| curve.sizes.insert(at, 1));
    }
    let sizes: Vec<Vec<usize>> = curves.iter().map(|curve| curve.sizes.clone()).collect();
    let (sizes, places) = fold::joined(&sizes, dim)?;
    if places.len() > MOST {
        return Err(format!("it has more than {MOST} features of the timestep"));
    }
    let steps: Result<Vec<usize>> = curves.iter().map(|curve| net.step(curve)).collect();
    let steps = steps?;
    let step = CurveStep::Picked(places.into_iter().map(|(part, at)| (steps[part], at)).collect());
    let like = Curve {
        narrow: curves.iter().any(|curve| curve.narrow),
        ..like.clone()
    };
    net.curve(step, sizes, &like)
}

/// The row of a constant at the whole number that a function of the timestep is.
fn row(net: &mut Net, table: Option<&Value>, at: Option<&Value>, like: &Curve) -> Result<Option<Curve>> {
    let (Some(Value::Constant(table)), Some(at)) = (table, at) else {
        return Ok(None);
    };
    let Some(at) = net.as_curve(at, like)?.filter(|at| at.places.len() == 1) else {
        return Err("it looks up several rows by the timestep, which is not known".to_string());
    };
    let [rows, rest @ ..] = &table.sizes[..] else {
        return Err("it looks up a table without rows".to_string());
    };
    let width: usize = rest.iter().product();
    if *rows == 0 || width == 0 || table.data.len() > MOST_NUMBERS {
        return Err(format!("its table has extents {:?}", table.sizes));
    }
    let sizes = [&at.sizes[..], rest].concat();
    let numbers = net.known(table, like)?;
    let step = CurveStep::Row {
        table: numbers.step,
        at: net.step(&at)?,
        width,
    };
    net.curve(step, sizes, &at).map(Some)
}

/// A node that reads functions of the timestep beside activations: they become activations, repeated along channels where they are one number.
fn beside(
    net: &mut Net,
    op: &str,
    node: &Node,
    operands: &Operands,
    like: &Curve,
    problem: String,
) -> Result<Vec<Value>> {
    let rank = operands
        .values()
        .flatten()
        .map(|value| value.sizes().len())
        .max()
        .unwrap_or(0);
    let widest = operands.values().flatten().filter_map(|value| match value {
        Value::Activation(view) => Some(view.sizes()),
        _ => None,
    });
    let widest = widest.max_by_key(|sizes| sizes.iter().product::<usize>());
    let channel = |axis: usize| widest.as_ref().and_then(|sizes| sizes.get(axis).copied()).unwrap_or(1);
    let mut tries = vec![None];
    if widest.as_ref().is_some_and(|sizes| sizes.len() == rank) && rank > 1 {
        tries = vec![Some(1), Some(rank - 1), None];
    }
    let divides = op == "div"
        && matches!(
            operands.get("other").and_then(|list| list.first()),
            Some(Value::Waves(_) | Value::Curve(_))
        );
    for along in tries {
        let mut all = operands.clone();
        for (name, list) in &mut all {
            for value in list {
                let Some(mut curve) = (match value {
                    Value::Waves(_) | Value::Curve(_) => net.as_curve(value, like)?,
                    _ => None,
                }) else {
                    continue;
                };
                if divides && name == "other" {
                    curve = net.mapped(&curve, CurveMap::Power(Setting::new(-1.0)))?;
                }
                if let Some(axis) = along.filter(|_| curve.places.len() == 1) {
                    let mut sizes = vec![1; rank];
                    sizes[axis] = channel(axis);
                    curve.sizes = vec![1; rank];
                    curve = curve.expanded(&sizes)?;
                }
                *value = Value::Activation(net.curved(&curve)?);
            }
        }
        let op = if divides { "mul" } else { op };
        if let Ok(found) = aten::layer(net, op, node, &all) {
            return Ok(found);
        }
    }
    Err(problem)
}
