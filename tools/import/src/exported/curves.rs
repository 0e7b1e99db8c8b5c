//! Functions of the timestep alone that are no lines, sines and cosines: tables by step, logarithms, powers, sums of such.
//!
//! They are kept as the steps that compute them, so that a network has the same numbers at any timestep. An activation that depends on
//! the timestep alone goes back to such steps where a sine is taken of it, of which a device has no table.

use super::aten::{self, Call};
use super::fold;
use super::net::{Net, Result};
use super::operands::{Value, axis};
use super::program::Node;
use super::reader::{Operands, number};
use super::source::{Map, What};
use super::tensor::{Kind, Tensor};
use super::view::{View, broadcast};
use super::waves::{MOST, WaveKind, Waves};
use mote_graph::ops::{self, CurveMap, CurveStep, Numbers, Pairing, Setting};

/// Most steps of all functions of a network, and most numbers of them.
const MOST_STEPS: usize = 1 << 14;
const MOST_NUMBERS: usize = 1 << 24;
/// Most layers on the way back from an activation.
const MOST_BACK: usize = 64;

/// A tensor of them.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    pub(super) sizes: Vec<usize>,
    /// The step that holds the numbers.
    step: usize,
    /// Which of them these are, in order.
    places: Vec<usize>,
    /// The network's time of timestep `t` is `time[0] * t + time[1]`.
    pub(super) time: [f64; 2],
    /// Whether they are in f32, whatever type the rest of the network has.
    narrow: bool,
    /// Whether a cast made them so, or ended it, and is no step yet.
    cast: bool,
}

/// Steps of all functions of a network, and how many numbers each has.
#[derive(Debug, Default)]
pub(super) struct Steps {
    all: Vec<CurveStep>,
    lengths: Vec<usize>,
    numbers: usize,
}

impl Steps {
    fn push(&mut self, step: CurveStep, len: usize) -> Result<usize> {
        self.numbers = self.numbers.saturating_add(len);
        if self.all.len() >= MOST_STEPS || self.numbers > MOST_NUMBERS {
            return Err("the network has too many functions of the timestep".to_string());
        }
        self.all.push(step);
        self.lengths.push(len);
        Ok(self.all.len() - 1)
    }
}

impl Curve {
    /// What `view` shows of these.
    pub(super) fn shown(&self, view: &View) -> Self {
        Self {
            sizes: view.sizes(),
            places: view.offsets().map(|at| self.places[at]).collect(),
            ..self.clone()
        }
    }

    /// After a cast: the first is to f32, the next one back to the network's own type.
    pub(super) fn cast(self) -> Self {
        let (narrow, cast) = (!self.narrow, true);
        Self { narrow, cast, ..self }
    }

    fn expanded(&self, sizes: &[usize]) -> Result<Self> {
        let count = sizes.iter().try_fold(1usize, |n, size| n.checked_mul(*size));
        if count.is_none_or(|n| n == 0 || n > MOST) {
            return Err(format!("it has more than {MOST} features of the timestep, or none"));
        }
        let view = View::whole(0, &self.sizes).expanded(sizes);
        Ok(self.shown(&view.ok_or("its operands do not broadcast")?))
    }
}

impl Net {
    /// The step of the numbers of `curve`, in order.
    fn step(&mut self, curve: &Curve) -> Result<usize> {
        let len = curve.places.len();
        let mut step = curve.step;
        if !curve.places.iter().copied().eq(0..self.steps.lengths[step]) {
            let places = curve.places.iter().map(|at| (curve.step, *at)).collect();
            step = self.steps.push(CurveStep::Picked(places), len)?;
        }
        if curve.cast {
            let map = if curve.narrow { CurveMap::Single } else { CurveMap::Wide };
            step = self.steps.push(CurveStep::Map { x: step, map }, len)?;
        }
        Ok(step)
    }

    fn curve(&mut self, step: CurveStep, sizes: Vec<usize>, like: &Curve) -> Result<Curve> {
        let len = sizes.iter().product();
        let step = self.steps.push(step, len)?;
        Ok(Curve {
            sizes,
            step,
            places: (0..len).collect(),
            narrow: like.narrow,
            cast: false,
            time: like.time,
        })
    }

    /// Known numbers beside functions of the timestep.
    fn known(&mut self, tensor: &Tensor, like: &Curve) -> Result<Curve> {
        let numbers = Numbers {
            exact: tensor.exact.to_vec(),
            single: tensor.data.iter().map(|v| f64::from(*v as f32)).collect(),
            library: tensor.library().iter().map(|v| f64::from(*v as f32)).collect(),
        };
        let like = Curve {
            narrow: false,
            ..like.clone()
        };
        self.curve(CurveStep::Numbers(numbers), tensor.sizes.clone(), &like)
    }

    fn of_waves(&mut self, waves: &Waves) -> Result<Curve> {
        let like = Curve {
            sizes: vec![],
            step: 0,
            places: vec![],
            time: waves.time,
            narrow: false,
            cast: false,
        };
        let time = self.curve(CurveStep::Time, vec![1], &like)?;
        // Their cast comes after the sines, so these are in f32.
        let (narrow, cast) = (waves.single, waves.single);
        let time = Curve { narrow, cast, ..time }.expanded(&[waves.data.len()])?;
        let list = |of: &dyn Fn(&super::waves::Wave) -> f64| -> Vec<f64> { waves.data.iter().map(of).collect() };
        let many = |list: [Vec<f64>; 3]| {
            let [exact, single, library] = list;
            CurveStep::Numbers(Numbers { exact, single, library })
        };
        let before = list(&|wave| wave.before);
        let rest = list(&|wave| wave.rate / wave.before);
        let factors = [
            [before.clone(), before.clone(), before],
            [rest, list(&|wave| wave.single), list(&|wave| wave.library)],
        ];
        let mut found = time;
        for factor in factors {
            if factor.iter().flatten().any(|v| *v != 1.0) {
                let factor = self.curve(many(factor), found.sizes.clone(), &like)?;
                found = self.paired(&found, &factor, Pairing::Product)?;
            }
        }
        let phases = list(&|wave| wave.phase);
        if phases.iter().any(|v| *v != 0.0) {
            let phases = self.curve(
                many([phases.clone(), phases.clone(), phases]),
                found.sizes.clone(),
                &like,
            )?;
            found = self.paired(&found, &phases, Pairing::Sum)?;
        }
        let line = self.step(&found)?;
        let len = waves.data.len();
        let mut own = [line; 3];
        for (i, (kind, map)) in [(WaveKind::Sine, CurveMap::Sine), (WaveKind::Cosine, CurveMap::Cosine)]
            .into_iter()
            .enumerate()
        {
            if waves.data.iter().any(|wave| wave.kind == kind) {
                own[1 + i] = self.steps.push(CurveStep::Map { x: line, map }, len)?;
            }
        }
        let place = |(at, wave): (usize, &super::waves::Wave)| {
            let kind = match wave.kind {
                WaveKind::Line => 0,
                WaveKind::Sine => 1,
                WaveKind::Cosine => 2,
            };
            (own[kind], at)
        };
        let places = waves.data.iter().enumerate().map(place).collect();
        let like = Curve { narrow, ..like };
        let found = self.curve(CurveStep::Picked(places), waves.sizes.clone(), &like)?;
        Ok(if narrow { found.cast() } else { found })
    }

    fn mapped(&mut self, x: &Curve, map: CurveMap) -> Result<Curve> {
        let step = CurveStep::Map { x: self.step(x)?, map };
        self.curve(step, x.sizes.clone(), x)
    }

    fn paired(&mut self, a: &Curve, b: &Curve, pair: Pairing) -> Result<Curve> {
        let sizes = broadcast(&a.sizes, &b.sizes).ok_or("its operands do not broadcast")?;
        let (a, b) = (a.expanded(&sizes)?, b.expanded(&sizes)?);
        let like = Curve {
            narrow: a.narrow || b.narrow,
            ..a.clone()
        };
        let step = CurveStep::Pair {
            a: self.step(&a)?,
            b: self.step(&b)?,
            pair,
        };
        self.curve(step, sizes, &like)
    }

    /// `value` as a function of the timestep; `None` where it is none.
    fn as_curve(&mut self, value: &Value, like: &Curve) -> Result<Option<Curve>> {
        match value {
            Value::Constant(tensor) if tensor.data.len() <= MOST => self.known(tensor, like).map(Some),
            Value::Waves(waves) => self.of_waves(waves).map(Some),
            Value::Curve(curve) => Ok(Some(curve.clone())),
            _ => Ok(None),
        }
    }

    /// The steps that lead to `curve`, as an operator of the graph.
    pub(super) fn written_curve(&mut self, curve: &Curve) -> Result<ops::Curves> {
        let last = self.step(curve)?;
        let mut wanted = vec![false; last + 1];
        wanted[last] = true;
        for at in (0..=last).rev() {
            if wanted[at] {
                self.steps.all[at].reads().into_iter().for_each(|x| wanted[x] = true);
            }
        }
        let mut names = vec![0; last + 1];
        let mut steps = vec![];
        for at in (0..=last).filter(|at| wanted[*at]) {
            names[at] = steps.len();
            steps.push(renamed(&self.steps.all[at], &names));
        }
        Ok(ops::Curves {
            steps,
            time: curve.time,
        })
    }

    /// Features as an activation.
    pub(super) fn curved(&mut self, curve: &Curve) -> Result<View> {
        let whole = View::whole(0, &curve.sizes);
        let repeats = |axis: &usize| {
            let size = curve.sizes[*axis];
            let stride: usize = curve.sizes[axis + 1..].iter().product();
            let first = |at: usize| at - at / stride % size * stride;
            size > 1 && (0..curve.places.len()).all(|at| curve.places[at] == curve.places[first(at)])
        };
        let along: Vec<usize> = (2..curve.sizes.len()).filter(repeats).collect();
        let mut once = whole;
        along.into_iter().for_each(|axis| once.axes[axis] = vec![]);
        let once = curve.shown(&once);
        let count = once.places.len();
        let (extents, all) = (once.sizes.clone(), curve.sizes.clone());
        let source = self.add(vec![count, 1, 1], What::Curve(once))?;
        let view = View::whole(source, &[count]).reshaped(&extents);
        view.and_then(|view| view.expanded(&all))
            .ok_or_else(|| "features of the timestep cannot be seen so".to_string())
    }

    /// The function of the timestep that an activation is; `None` where it depends on more.
    pub(super) fn back(&mut self, view: &View) -> Result<Option<Curve>> {
        if view.len() > MOST {
            return Ok(None);
        }
        let found = self.back_from(view.source, MOST_BACK)?;
        Ok(found.map(|curve| curve.shown(view)))
    }

    fn back_from(&mut self, source: usize, left: usize) -> Result<Option<Curve>> {
        let count: usize = self.sources[source].sizes.iter().product();
        let Some(left) = left.checked_sub(1).filter(|_| count <= MOST) else {
            return Ok(None);
        };
        match self.sources[source].what.clone() {
            What::Waves { features, time, single } => {
                let waves = Waves {
                    sizes: vec![features.len()],
                    data: features,
                    time,
                    single,
                    module: String::new(),
                };
                self.of_waves(&waves).map(Some)
            }
            What::Curve(curve) => Ok(Some(Curve {
                sizes: vec![count],
                ..curve
            })),
            What::Map { x, map } => {
                let Some(x) = self.back_from(x, left)? else {
                    return Ok(None);
                };
                match map {
                    Map::Function(function) => self.mapped(&x, CurveMap::Function(function)).map(Some),
                    Map::Affine { scale, shift } => {
                        let scale = self.known(&Tensor::number(Kind::F64, scale), &x)?;
                        let shift = self.known(&Tensor::number(Kind::F64, shift), &x)?;
                        let product = self.paired(&x, &scale, Pairing::Product)?;
                        self.paired(&product, &shift, Pairing::Sum).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            What::Sum { a, b, divisor: 1.0 } => {
                let (Some(a), Some(b)) = (self.back_from(a, left)?, self.back_from(b, left)?) else {
                    return Ok(None);
                };
                self.paired(&a, &b, Pairing::Sum).map(Some)
            }
            What::Conv(conv)
                if conv.groups == 1
                    && conv.output_pad.is_none()
                    && conv.weight.sizes[2..] == [1, 1]
                    && conv.weight.data.len() <= MOST =>
            {
                let Some(x) = self.back_from(conv.x, left)? else {
                    return Ok(None);
                };
                let matrix = self.known(&conv.weight, &x)?;
                let outs = conv.weight.sizes[0];
                let step = CurveStep::Linear {
                    x: self.step(&x)?,
                    matrix: matrix.step,
                };
                let product = self.curve(step, vec![outs], &x)?;
                match conv.bias {
                    None => Ok(Some(product)),
                    Some(bias) => {
                        let bias = self.known(&bias, &x)?;
                        self.paired(&product, &bias, Pairing::Sum).map(Some)
                    }
                }
            }
            _ => Ok(None),
        }
    }
}

fn renamed(step: &CurveStep, names: &[usize]) -> CurveStep {
    match step.clone() {
        CurveStep::Map { x, map } => CurveStep::Map { x: names[x], map },
        CurveStep::Pair { a, b, pair } => CurveStep::Pair {
            a: names[a],
            b: names[b],
            pair,
        },
        CurveStep::Picked(places) => {
            CurveStep::Picked(places.into_iter().map(|(step, at)| (names[step], at)).collect())
        }
        CurveStep::Row { table, at, width } => CurveStep::Row {
            table: names[table],
            at: names[at],
            width,
        },
        CurveStep::Linear { x, matrix } => CurveStep::Linear {
            x: names[x],
            matrix: names[matrix],
        },
        step => step,
    }
}

/// The results of a node that reads functions of the timestep, for which `problem` says why it is no other layer.
pub(super) fn results(
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
