//! Functions of the timestep alone that are no lines, sines and cosines: tables by step, logarithms, powers, sums of such.
//!
//! They are kept as the steps that compute them, so that a network has the same numbers at any timestep. An activation that depends on
//! the timestep alone goes back to such steps where a sine is taken of it, of which a device has no table.

mod back;
mod nodes;

pub(super) use nodes::results;

use super::net::{Net, Result};
use super::operands::Value;
use super::source::What;
use super::tensor::Tensor;
use super::view::{View, broadcast};
use super::waves::{MOST, WaveKind, Waves};
use mote_graph::ops::{self, CurveMap, CurveStep, Numbers, Pairing};

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
