//! Sums, products, quotients and powers, of constants, of functions of the timestep, and of activations.

use super::aten::Call;
use super::net::{Net, Result};
use super::operands::Value;
use super::source::{Map, Statistic, What};
use super::tensor::{Kind, Tensor};
use super::view::{View, broadcast};
use super::waves::{MOST, Waves};
use super::{fold, gelu};
use mote_graph::ops::Function;

/// The result of an arithmetic node.
pub(super) fn result(net: &mut Net, op: &str, call: &Call<'_>) -> Result<Value> {
    let value = |name: &str| call.value(name).ok_or_else(|| format!("it has no `{name}`"));
    let x = value("self")?;
    match op {
        "add" | "sub" | "rsub" => {
            let other = value("other")?;
            let alpha = call.node.number_or("alpha", 1.0)?;
            let (mut a, mut b) = if op == "rsub" { (other, x) } else { (x, other) };
            let sign = if op == "add" { 1.0 } else { -1.0 };
            if op == "rsub" && alpha != 1.0 {
                a = times(net, &a, &number(alpha))?;
            } else if sign * alpha != 1.0 {
                b = times(net, &b, &number(sign * alpha))?;
            }
            plus(net, &a, &b)
        }
        "mul" => times(net, &x, &value("other")?),
        "neg" => times(net, &x, &number(-1.0)),
        "div" => {
            if call.node.text("rounding_mode").is_some() {
                return Err("it divides with a rounding, which is not known".to_string());
            }
            over(net, &x, &value("other")?)
        }
        "addcmul" => {
            let product = times(net, &value("tensor1")?, &value("tensor2")?)?;
            let product = times(net, &product, &number(call.node.number_or("value", 1.0)?))?;
            plus(net, &product, &x)
        }
        "pow" | "square" => {
            let power = if op == "square" {
                number(2.0)
            } else {
                value("exponent")?
            };
            if let (Value::Constant(base), Value::Constant(exponents)) = (&x, &power)
                && exponents.scalar().is_none()
            {
                return fold::paired(base, exponents, true, libm::pow).map(Value::Constant);
            }
            let power = power.constant()?.scalar().ok_or("its exponent is no single number")?;
            raised(net, &x, power)
        }
        "sqrt" => raised(net, &x, 0.5),
        "rsqrt" => raised(net, &x, -0.5),
        _ => raised(net, &x, -1.0),
    }
}

fn number(value: f64) -> Value {
    Value::Constant(Tensor::number(Kind::F64, value))
}

fn plus(net: &mut Net, a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (Value::Constant(a), Value::Constant(b)) => fold::paired(a, b, false, |x, y| x + y).map(Value::Constant),
        (Value::Waves(waves), Value::Constant(tensor)) | (Value::Constant(tensor), Value::Waves(waves)) => {
            let (waves, tensor) = spread(waves, tensor)?;
            waves.shifted(&tensor).map(Value::Waves)
        }
        (Value::Activation(view), Value::Constant(tensor)) | (Value::Constant(tensor), Value::Activation(view)) => {
            if let Some(more) = tensor.scalar() {
                let restated = net.restated(view, |statistic| match statistic {
                    Statistic::Square { centred, eps } => Some(Statistic::Square {
                        centred,
                        eps: eps + more,
                    }),
                    _ => None,
                })?;
                if let Some(view) = restated {
                    return Ok(Value::Activation(view));
                }
            }
            net.plus(view, tensor).map(Value::Activation)
        }
        _ => net.sum(a.activation()?, b.activation()?).map(Value::Activation),
    }
}

fn times(net: &mut Net, a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (Value::Constant(a), Value::Constant(b)) => fold::paired(a, b, false, |x, y| x * y).map(Value::Constant),
        (Value::Waves(waves), Value::Constant(tensor)) | (Value::Constant(tensor), Value::Waves(waves)) => {
            let (waves, tensor) = spread(waves, tensor)?;
            waves.scaled(&tensor, false).map(Value::Waves)
        }
        (Value::Activation(view), Value::Constant(tensor)) | (Value::Constant(tensor), Value::Activation(view)) => {
            net.times(view, tensor).map(Value::Activation)
        }
        _ => {
            let (a, b) = (a.activation()?, b.activation()?);
            let whole = match gelu::written_out(net, a, b)? {
                None => written_out(net, a, b)?,
                found => found,
            };
            match whole {
                Some(view) => Ok(Value::Activation(view)),
                None => net.product(a, b).map(Value::Activation),
            }
        }
    }
}

fn over(net: &mut Net, a: &Value, b: &Value) -> Result<Value> {
    match (a, b) {
        (Value::Constant(a), Value::Constant(b)) => fold::paired(a, b, true, |x, y| x / y).map(Value::Constant),
        (_, Value::Constant(tensor)) => {
            let zero = tensor.data.contains(&0.0);
            if zero {
                return Err("it divides by 0".to_string());
            }
            let inverse = |numbers: &[f64]| -> Vec<f64> { numbers.iter().map(|v| 1.0 / v).collect() };
            if let Value::Waves(waves) = a {
                let single: Vec<f64> = tensor.data.iter().map(|v| f64::from(*v as f32)).collect();
                let inverses = Tensor::new(Kind::F64, tensor.sizes.clone(), inverse(&single));
                let (waves, inverses) = spread(waves, &inverses.exactly(inverse(&tensor.exact)))?;
                return waves.scaled(&inverses, true).map(Value::Waves);
            }
            let (data, exact) = (inverse(&tensor.data), inverse(&tensor.exact));
            times(
                net,
                a,
                &Value::Constant(Tensor::new(Kind::F64, tensor.sizes.clone(), data).exactly(exact)),
            )
        }
        (Value::Activation(x), Value::Activation(y)) => {
            let quotient = net.quotient(x, y)?;
            let quotient = quotient.ok_or("an activation is divided by another, which is known of norms alone")?;
            Ok(Value::Activation(quotient))
        }
        _ => Err("it divides by what is computed, which is known of norms alone".to_string()),
    }
}

fn raised(net: &mut Net, x: &Value, power: f64) -> Result<Value> {
    if let Value::Constant(tensor) = x {
        let kind = if tensor.kind.is_float() || power == 2.0 {
            tensor.kind
        } else {
            Kind::F32
        };
        let data: Vec<f64> = tensor.data.iter().map(|v| kind.round(libm::pow(*v, power))).collect();
        let exact: Vec<f64> = tensor.exact.iter().map(|v| libm::pow(*v, power)).collect();
        return Ok(Value::Constant(
            Tensor::new(kind, tensor.sizes.clone(), data).exactly(exact),
        ));
    }
    let view = x.activation()?;
    let restated = net.restated(view, |statistic| match (statistic, power) {
        (Statistic::Square { centred, eps }, 0.5 | -0.5) => Some(Statistic::Root {
            centred,
            eps,
            inverse: power < 0.0,
        }),
        (Statistic::Root { centred, eps, inverse }, -1.0) => Some(Statistic::Root {
            centred,
            eps,
            inverse: !inverse,
        }),
        _ => None,
    })?;
    if let Some(view) = restated {
        return Ok(Value::Activation(view));
    }
    if power == 2.0 {
        let squared = net.squared(view)?;
        let squared = squared.map_or_else(|| net.product(view, view), Ok)?;
        return Ok(Value::Activation(squared));
    }
    if power == 3.0 {
        return net.map(view, Map::Cube).map(Value::Activation);
    }
    Err(format!("a power of {power} is known of norms alone"))
}

/// SiLU and Mish, written as a product of their input and a function of it.
fn written_out(net: &mut Net, a: &View, b: &View) -> Result<Option<View>> {
    for (x, gate) in [(a, b), (b, a)] {
        let What::Map {
            x: inner,
            map: Map::Function(function),
        } = *net.what(gate)
        else {
            continue;
        };
        if gate.over(x.source) != *x {
            continue;
        }
        let known = match (function, &net.sources[inner].what) {
            (Function::Sigmoid, _) if inner == x.source => Function::Silu,
            (
                Function::Tanh,
                What::Map {
                    x: most,
                    map: Map::Function(Function::Softplus),
                },
            ) if *most == x.source => Function::Mish,
            _ => continue,
        };
        return net.map(x, Map::Function(known)).map(Some);
    }
    Ok(None)
}

/// Functions of the timestep and a constant, both of the extents that they broadcast to.
fn spread(waves: &Waves, tensor: &Tensor) -> Result<(Waves, Tensor)> {
    let sizes = broadcast(&waves.sizes, &tensor.sizes).ok_or("its operands do not broadcast")?;
    if sizes
        .iter()
        .try_fold(1usize, |n, size| n.checked_mul(*size))
        .is_none_or(|n| n == 0 || n > MOST)
    {
        return Err(format!("it has more than {MOST} features of the timestep, or none"));
    }
    let whole = |own: &[usize]| {
        View::whole(0, own)
            .expanded(&sizes)
            .ok_or("its operands do not broadcast")
    };
    let waves = waves.shown(&whole(&waves.sizes)?);
    Ok((waves, tensor.shown(&whole(&tensor.sizes)?)))
}

/// Functions of the timestep one after the other.
pub(super) fn joined(parts: &[Value], sizes: &[Vec<usize>], dim: i64) -> Result<Value> {
    let (sizes, places) = fold::joined(sizes, dim)?;
    if places.len() > MOST {
        return Err(format!("it has more than {MOST} features of the timestep"));
    }
    let first = parts.iter().find_map(|part| {
        if let Value::Waves(waves) = part {
            Some(waves)
        } else {
            None
        }
    });
    let mut joined = first.ok_or("it joins no features")?.clone();
    joined.sizes = sizes;
    joined.data.clear();
    for (part, at) in places {
        joined.data.push(match &parts[part] {
            Value::Waves(waves) => {
                joined.single |= waves.single;
                waves.data[at]
            }
            other => super::waves::level(other.constant()?.data[at]),
        });
    }
    Ok(Value::Waves(joined))
}
