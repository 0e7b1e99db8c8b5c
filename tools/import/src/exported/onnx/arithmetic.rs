//! Functions of every element: of constants, of the timestep, and of activations.

use super::super::fold;
use super::super::net::{Net, Result};
use super::super::operands::Value;
use super::super::source::{Map, What};
use super::super::tensor::{Kind, Tensor};
use super::super::view::{View, broadcast};
use super::call::{Call, SINGLE};
use super::meant;
use mote_graph::ops::Function;

/// The result of the node; `None` where it is of another kind.
pub(super) fn result(net: &mut Net, call: &Call<'_>) -> Result<Option<Value>> {
    if let Some(folded) = folded(call)? {
        return Ok(Some(Value::Constant(folded)));
    }
    let aten = |op: &str| -> Result<super::call::Aten> { Ok(call.aten(op).with("self", call.value(0)?.clone())) };
    let unary = match call.op {
        "Neg" => "neg",
        "Sqrt" => "sqrt",
        "Reciprocal" => "reciprocal",
        "Exp" => "exp",
        "Log" => "log",
        "Abs" => "abs",
        "Relu" => "relu",
        "Sigmoid" => "sigmoid",
        "Tanh" => "tanh",
        "Softplus" => "softplus",
        "Mish" => "mish",
        "Erf" => "erf",
        "HardSwish" => "hardswish",
        "Selu" if call.node.arguments.is_empty() => "selu",
        _ => "",
    };
    if !unary.is_empty() {
        return aten(unary)?.one(net).map(Some);
    }
    match call.op {
        "Elu" => {
            // PyTorch's exporters always write it.
            let alpha = call
                .node
                .number("alpha")
                .ok_or("it does not say its `alpha`, as PyTorch's do")?;
            aten("elu")?.number("alpha", alpha).one(net).map(Some)
        }
        "LeakyRelu" => {
            let slope = call.node.number_or("alpha", 0.01)?;
            aten("leaky_relu")?.number("negative_slope", slope).one(net).map(Some)
        }
        "HardSigmoid" => {
            let [slope, middle] = [call.node.number_or("alpha", 0.2)?, call.node.number_or("beta", 0.5)?];
            if (slope - 1.0 / 6.0).abs() > 1e-6 || middle != 0.5 {
                return Err(format!(
                    "its slope is {slope} and its middle {middle}; a sixth and a half are known"
                ));
            }
            aten("hardsigmoid")?.one(net).map(Some)
        }
        "PRelu" => {
            let slopes = call.tensor(1)?.ok_or("it has no slopes")?;
            let channels = call.value(0)?.sizes().get(1).copied().unwrap_or(1);
            let wide = slopes.sizes.iter().filter(|size| **size > 1).count();
            if slopes.data.len() != 1 && (slopes.data.len() != channels || wide != 1) {
                return Err("its slopes are not one for all channels or one for each".to_string());
            }
            aten("prelu")?
                .with("weight", Value::Constant(slopes))
                .one(net)
                .map(Some)
        }
        "Add" | "Sub" | "Mul" => {
            let (a, b) = (call.value(0)?.clone(), call.value(1)?.clone());
            let anew = call.node.flag(SINGLE);
            let (a, b) = match (a, b) {
                (a @ Value::Waves(_), Value::Constant(b)) => (a, Value::Constant(meant::frequencies(&b, anew))),
                (Value::Constant(a), b @ Value::Waves(_)) => (Value::Constant(meant::frequencies(&a, anew)), b),
                other => other,
            };
            let op = call.op.to_lowercase();
            call.aten(&op).with("self", a).with("other", b).one(net).map(Some)
        }
        "Div" => {
            if let Value::Constant(numerator) = call.value(0)? {
                let inverse = call.aten("reciprocal").with("self", call.value(1)?.clone()).one(net)?;
                let aten = call
                    .aten("mul")
                    .with("self", inverse)
                    .with("other", Value::Constant(numerator.clone()));
                return aten.one(net).map(Some);
            }
            aten("div")?.with("other", call.value(1)?.clone()).one(net).map(Some)
        }
        "Pow" => aten("pow")?.with("exponent", call.value(1)?.clone()).one(net).map(Some),
        "Sin" | "Cos" => {
            let waves = aten(if call.op == "Sin" { "sin" } else { "cos" })?.one(net)?;
            Ok(Some(match waves {
                Value::Waves(waves) if call.node.flag(SINGLE) => Value::Waves(waves.cast()),
                other => other,
            }))
        }
        "Gelu" => {
            let kind = call.node.text("approximate").unwrap_or("none");
            aten("gelu")?.text("approximate", kind).one(net).map(Some)
        }
        "Swish" if call.node.number_or("alpha", 1.0)? == 1.0 => aten("silu")?.one(net).map(Some),
        "Clip" => {
            let mut clamp = aten("clamp")?.number("min", call.number(1, "min")?.unwrap_or(f64::NEG_INFINITY));
            if let Some(max) = call.number(2, "max")? {
                clamp = clamp.number("max", max);
            }
            clamp.one(net).map(Some)
        }
        "Max" if call.operands.len() == 2 => {
            let (a, b) = (call.value(0)?.clone(), call.value(1)?.clone());
            let (x, least) = if matches!(a, Value::Constant(_)) {
                (b, a)
            } else {
                (a, b)
            };
            let least = least
                .constant()?
                .scalar()
                .ok_or("it is a maximum with several numbers")?;
            call.aten("clamp")
                .with("self", x)
                .number("min", least)
                .one(net)
                .map(Some)
        }
        "Greater" => {
            let bound = call.value(1)?.constant().ok().and_then(|bound| bound.scalar());
            let bound = bound.ok_or("it compares activations, which is not known")?;
            let view = call.view(net, 0)?;
            net.map(&view, Map::Above(bound))
                .map(|view| Some(Value::Activation(view)))
        }
        "Where" => softplus(net, call).map(Some),
        "Sum" | "Mean" | "Min" | "Max" => Err("it is of activations, which is not known".to_string()),
        _ => Ok(None),
    }
}

/// The result where all operands are known numbers.
fn folded(call: &Call<'_>) -> Result<Option<Tensor>> {
    let constants: Option<Vec<&Tensor>> = call
        .operands
        .iter()
        .map(|operand| match operand {
            Some(Value::Constant(tensor)) => Some(tensor),
            _ => None,
        })
        .collect();
    let Some(constants) = constants.filter(|constants| !constants.is_empty()) else {
        return Ok(None);
    };
    let whole = constants.iter().all(|tensor| !tensor.kind.is_float());
    let truth = |value: bool| if value { 1.0 } else { 0.0 };
    let paired = |kind: Option<Kind>, f: &dyn Fn(f64, f64) -> f64| {
        let [a, b] = constants[..] else {
            return Err("it has not two inputs".to_string());
        };
        let result = fold::paired(a, b, false, f)?;
        Ok(Some(match kind {
            None => result,
            Some(kind) => Tensor { kind, ..result },
        }))
    };
    let flag = Some(Kind::Bool);
    match call.op {
        "Div" if whole => {
            if constants.last().is_some_and(|divisor| divisor.data.contains(&0.0)) {
                return Err("it divides by 0".to_string());
            }
            paired(None, &|a, b| (a / b).trunc())
        }
        "Mod" => paired(None, &|a, b| if b == 0.0 { 0.0 } else { a - b * (a / b).floor() }),
        "Min" => paired(None, &f64::min),
        "Max" => paired(None, &f64::max),
        "Equal" => paired(flag, &|a, b| truth(a == b)),
        "Less" => paired(flag, &|a, b| truth(a < b)),
        "LessOrEqual" => paired(flag, &|a, b| truth(a <= b)),
        "Greater" => paired(flag, &|a, b| truth(a > b)),
        "GreaterOrEqual" => paired(flag, &|a, b| truth(a >= b)),
        "And" => paired(flag, &|a, b| truth(a != 0.0 && b != 0.0)),
        "Or" => paired(flag, &|a, b| truth(a != 0.0 || b != 0.0)),
        "Not" => Ok(constants.first().map(|x| mapped(x, Kind::Bool, |v| truth(v == 0.0)))),
        "Floor" => Ok(constants.first().map(|x| mapped(x, x.kind, f64::floor))),
        "Ceil" => Ok(constants.first().map(|x| mapped(x, x.kind, f64::ceil))),
        "Where" => {
            let [condition, a, b] = constants[..] else {
                return Err("it has not three inputs".to_string());
            };
            chosen(condition, a, b).map(Some)
        }
        "ReduceProd" | "ReduceSum" => {
            let sums = call.op == "ReduceSum";
            let x = constants[0];
            if call.ints(1, "axes")?.is_some_and(|axes| axes.len() != x.sizes.len()) {
                return Err("it reduces a part of a constant's axes".to_string());
            }
            let value = if sums {
                x.data.iter().sum()
            } else {
                x.data.iter().product()
            };
            let sizes = if call.node.int_or("keepdims", 1)? != 0 {
                vec![1; x.sizes.len()]
            } else {
                vec![]
            };
            Ok(Some(Tensor::new(x.kind, sizes, vec![value])))
        }
        _ => Ok(None),
    }
}

fn mapped(x: &Tensor, kind: Kind, f: impl Fn(f64) -> f64) -> Tensor {
    let data: Vec<f64> = x.data.iter().map(|value| f(*value)).collect();
    Tensor::new(kind, x.sizes.clone(), data)
}

/// `x` where it is above 20 or more, else its softplus, which is its softplus.
fn softplus(net: &Net, call: &Call<'_>) -> Result<Value> {
    let [
        Value::Activation(condition),
        Value::Activation(x),
        Value::Activation(other),
    ] = [call.value(0)?, call.value(1)?, call.value(2)?]
    else {
        return Err("it chooses among activations and constants, which is not known".to_string());
    };
    match (net.what(condition), net.what(other)) {
        (
            What::Map {
                x: compared,
                map: Map::Above(bound),
            },
            What::Map {
                x: inner,
                map: Map::Function(Function::Softplus),
            },
        ) if [compared, inner] == [&x.source; 2]
            && *bound >= 20.0
            && condition.over(x.source) == *x
            && other.over(x.source) == *x =>
        {
            Ok(Value::Activation(other.clone()))
        }
        _ => Err("it chooses among activations, which is known of a softplus alone".to_string()),
    }
}

/// Of each element the one of `a` where the condition holds, else that of `b`.
fn chosen(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let problem = "its inputs do not broadcast";
    let sizes = broadcast(&condition.sizes, &a.sizes)
        .and_then(|sizes| broadcast(&sizes, &b.sizes))
        .ok_or(problem)?;
    if sizes
        .iter()
        .try_fold(1usize, |n, size| n.checked_mul(*size))
        .is_none_or(|n| n > Tensor::MOST)
    {
        return Err("it has too many elements".to_string());
    }
    let spread = |tensor: &Tensor| -> Result<Vec<f64>> {
        let view = View::whole(0, &tensor.sizes).expanded(&sizes).ok_or(problem)?;
        Ok(tensor.shown(&view).data.to_vec())
    };
    let (condition, first, second) = (spread(condition)?, spread(a)?, spread(b)?);
    let data: Vec<f64> = (0..condition.len())
        .map(|i| if condition[i] != 0.0 { first[i] } else { second[i] })
        .collect();
    Ok(Tensor::new(a.kind, sizes, data))
}
