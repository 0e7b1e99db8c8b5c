//! Any function of the timestep alone, step by step as a network computes it.

use super::{Forward, Function, Inputs, Operator, Setting, Shape, TimeFeatures, library};
use crate::graph::GraphError;
use crate::{DType, Real};

/// Known numbers in each of the arithmetics of [`TimeFeatures`], all of one length.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// In f64.
    pub exact: Vec<f64>,
    /// In f32, every step rounded to the nearest.
    pub single: Vec<f64>,
    /// In f32 as PyTorch's x86 builds round it.
    pub library: Vec<f64>,
}

/// A function of one number, of those that [`Function`] does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurveMap {
    /// An activation.
    Function(Function),
    /// `e^x`.
    Exp,
    /// The natural logarithm.
    Log,
    /// The sine.
    Sine,
    /// The cosine.
    Cosine,
    /// The absolute value.
    Absolute,
    /// `x` to this power.
    Power(Setting),
    /// A cast to f32: what follows is computed in f32, even where all else is in f64.
    Single,
    /// The cast back to the network's own type.
    Wide,
}

/// A function of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// `a + b`.
    Sum,
    /// `a - b`.
    Difference,
    /// `a * b`.
    Product,
    /// `a / b`.
    Quotient,
    /// `a` to the power `b`.
    Power,
    /// The larger one.
    Largest,
    /// The smaller one.
    Least,
}

/// A step, which reads steps before it by their place.
#[derive(Debug, Clone, PartialEq)]
pub enum CurveStep {
    /// The network's time, one number.
    Time,
    /// Known numbers.
    Numbers(Numbers),
    /// A function of every number.
    Map {
        /// What it reads.
        x: usize,
        /// The function.
        map: CurveMap,
    },
    /// A function of two steps of one length, number by number.
    Pair {
        /// The first.
        a: usize,
        /// The second.
        b: usize,
        /// The function.
        pair: Pairing,
    },
    /// Numbers of steps, each by its step and its place there.
    Picked(Vec<(usize, usize)>),
    /// The row of a table, of this many numbers, at the whole number that another step gives.
    Row {
        /// The table's step, row after row.
        table: usize,
        /// The row's number, one.
        at: usize,
        /// Numbers of a row.
        width: usize,
    },
    /// A matrix `(out, in)` times a step.
    Linear {
        /// What it reads.
        x: usize,
        /// The matrix's step, row after row.
        matrix: usize,
    },
}

/// Features that are any function of the timestep: no inputs, `(features, 1, 1)`. The last step gives them.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// What is computed, one after the other.
    pub steps: Vec<CurveStep>,
    /// The network's time of timestep `t` is `time[0] * t + time[1]`.
    pub time: [f64; 2],
}

impl CurveMap {
    fn value(self, x: f64, how: TimeFeatures) -> f64 {
        match self {
            Self::Function(Function::Sine) | Self::Sine => how.sin(x),
            Self::Function(function) => function.value(x),
            Self::Exp if how == TimeFeatures::Library => f64::from(library::exp(x as f32)),
            Self::Exp => libm::exp(x),
            Self::Log => libm::log(x),
            Self::Cosine => how.cos(x),
            Self::Absolute => x.abs(),
            Self::Power(power) => raised(x, power.value()),
            Self::Single | Self::Wide => x,
        }
    }
}

/// `x` to a power; roots and squares are rounded once.
fn raised(x: f64, power: f64) -> f64 {
    match power {
        2.0 => x * x,
        0.5 => libm::sqrt(x),
        -0.5 => 1.0 / libm::sqrt(x),
        -1.0 => 1.0 / x,
        power => libm::pow(x, power),
    }
}

impl Pairing {
    fn value(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Sum => a + b,
            Self::Difference => a - b,
            Self::Product => a * b,
            Self::Quotient => a / b,
            Self::Power => raised(a, b),
            Self::Largest => a.max(b),
            Self::Least => a.min(b),
        }
    }
}

impl CurveStep {
    /// The steps that it reads.
    #[must_use]
    pub fn reads(&self) -> Vec<usize> {
        match self {
            Self::Time | Self::Numbers(_) => vec![],
            Self::Map { x, .. } => vec![*x],
            Self::Pair { a, b, .. } => vec![*a, *b],
            Self::Picked(places) => places.iter().map(|(step, _)| *step).collect(),
            Self::Row { table, at, .. } => vec![*table, *at],
            Self::Linear { x, matrix } => vec![*x, *matrix],
        }
    }
}

impl Curves {
    /// Numbers of each step; `None` where a step reads what is not there.
    #[must_use]
    pub fn lengths(&self) -> Option<Vec<usize>> {
        let mut known: Vec<usize> = vec![];
        for step in &self.steps {
            let of = |x: &usize| known.get(*x).copied();
            known.push(match step {
                CurveStep::Time => 1,
                CurveStep::Numbers(numbers) => {
                    let len = numbers.exact.len();
                    (numbers.single.len() == len && numbers.library.len() == len && len > 0).then_some(len)?
                }
                CurveStep::Map { x, .. } => of(x)?,
                CurveStep::Pair { a, b, .. } => of(a).filter(|len| of(b) == Some(*len))?,
                CurveStep::Picked(places) => {
                    let all = places.iter().all(|(step, at)| of(step).is_some_and(|len| *at < len));
                    (all && !places.is_empty()).then_some(places.len())?
                }
                CurveStep::Row { table, at, width } => {
                    let whole = *width > 0 && of(at) == Some(1) && of(table)?.is_multiple_of(*width);
                    whole.then_some(*width)?
                }
                CurveStep::Linear { x, matrix } => {
                    let (rows, rest) = (of(matrix)? / of(x)?, of(matrix)? % of(x)?);
                    (rest == 0).then_some(rows)?
                }
            });
        }
        known.last().is_some().then_some(known)
    }

    /// Whether each step is computed in f32 in a network of type `network`. All are in one of f32. In one of f64 casts say it; where features
    /// are in f32 by themselves, all that leads to a cast is as well.
    fn singles(&self, how: TimeFeatures, network: DType) -> Vec<bool> {
        let cast = |step: &CurveStep| match step {
            CurveStep::Map {
                map: CurveMap::Single, ..
            } => Some(true),
            CurveStep::Map {
                map: CurveMap::Wide, ..
            } => Some(false),
            _ => None,
        };
        let single = matches!(how, TimeFeatures::F32 | TimeFeatures::Library);
        if network == DType::F32 || how == TimeFeatures::F64Throughout {
            return vec![network == DType::F32; self.steps.len()];
        }
        let mut all = vec![false; self.steps.len()];
        for (at, step) in self.steps.iter().enumerate() {
            let behind = step.reads().iter().any(|x| all[*x]);
            all[at] = cast(step).unwrap_or(behind);
        }
        if single {
            let mut leads = vec![false; self.steps.len()];
            for (at, step) in self.steps.iter().enumerate().rev() {
                if leads[at] || cast(step).is_some() {
                    step.reads().into_iter().for_each(|x| leads[x] = true);
                }
            }
            all.iter_mut().zip(leads).for_each(|(own, leads)| *own |= leads);
        }
        all
    }

    /// Every feature at timestep `t`, in a network of that type.
    #[must_use]
    pub fn at(&self, t: f64, how: TimeFeatures, network: DType) -> Vec<f64> {
        let singles = self.singles(how, network);
        let mut all: Vec<Vec<f64>> = vec![];
        for (step, single) in self.steps.iter().zip(singles) {
            let how = match (single, how) {
                (true, TimeFeatures::F64) => TimeFeatures::F32,
                (true, TimeFeatures::LibraryRates) => TimeFeatures::Library,
                (false, TimeFeatures::F32) => TimeFeatures::F64,
                (false, TimeFeatures::Library) => TimeFeatures::LibraryRates,
                (_, how) => how,
            };
            let stored = |value: f64| if single { f64::from(value as f32) } else { value };
            let found = match step {
                CurveStep::Time => vec![self.time[0] * t + self.time[1]],
                CurveStep::Numbers(numbers) => match how {
                    TimeFeatures::F32 => numbers.single.clone(),
                    TimeFeatures::Library | TimeFeatures::LibraryRates => numbers.library.clone(),
                    TimeFeatures::F64 | TimeFeatures::F64Throughout => numbers.exact.clone(),
                },
                CurveStep::Map { x, map } => all[*x].iter().map(|v| map.value(*v, how)).collect(),
                CurveStep::Pair { a, b, pair } => {
                    let both = all[*a].iter().zip(&all[*b]);
                    both.map(|(a, b)| pair.value(*a, *b)).collect()
                }
                CurveStep::Picked(places) => places.iter().map(|(step, at)| all[*step][*at]).collect(),
                CurveStep::Row { table, at, width } => {
                    let rows = all[*table].len() / width;
                    let row = (all[*at][0].max(0.0) as usize).min(rows - 1);
                    all[*table][row * width..][..*width].to_vec()
                }
                CurveStep::Linear { x, matrix } => {
                    let row = |row: &[f64]| row.iter().zip(&all[*x]).map(|(m, v)| m * v).sum();
                    all[*matrix].chunks_exact(all[*x].len()).map(row).collect()
                }
            };
            all.push(found.into_iter().map(stored).collect());
        }
        all.pop().unwrap_or_default()
    }
}

impl Operator for Curves {
    fn shape(&self, inputs: &Inputs<'_>) -> Result<Shape, GraphError> {
        inputs.count(0)?;
        let lengths = self.lengths();
        inputs.require(
            lengths.is_some() && self.time.iter().all(|v| v.is_finite()),
            "steps of a function of the timestep",
            "steps that read earlier ones of fitting lengths",
            "others",
        )?;
        Ok([lengths.and_then(|all| all.last().copied()).unwrap_or(1), 1, 1])
    }

    fn forward<T: Real>(&self, pass: Forward<'_, T>) {
        for (sample, t) in pass.batch.times.iter().enumerate() {
            let column = pass.y.iter_mut().skip(sample).step_by(pass.extents.n);
            let values = self.at(*t, pass.batch.features, T::DTYPE);
            column.zip(values).for_each(|(y, v)| *y = T::of(v));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `W log(t / 8)` beside the row of a table, in both types, and steps that do not fit.
    #[test]
    fn steps_follow_each_other() {
        let numbers = |list: &[f64]| {
            CurveStep::Numbers(Numbers {
                exact: list.to_vec(),
                single: list.to_vec(),
                library: list.to_vec(),
            })
        };
        let mut curves = Curves {
            steps: vec![
                CurveStep::Time,
                numbers(&[8.0]),
                CurveStep::Pair {
                    a: 0,
                    b: 1,
                    pair: Pairing::Quotient,
                },
                CurveStep::Map {
                    x: 2,
                    map: CurveMap::Log,
                },
                numbers(&[2.0, -1.0]),
                CurveStep::Linear { x: 3, matrix: 4 },
                numbers(&[0.5, 1.5, 2.5]),
                CurveStep::Row {
                    table: 6,
                    at: 0,
                    width: 1,
                },
                CurveStep::Picked(vec![(7, 0), (5, 1), (5, 0)]),
            ],
            time: [2.0, 0.0],
        };
        let log = libm::log(0.25);
        assert_eq!(curves.at(1.0, TimeFeatures::F64, DType::F64), [2.5, -log, 2.0 * log]);
        let single = f64::from(log as f32);
        assert_eq!(
            curves.at(1.0, TimeFeatures::F32, DType::F32),
            [2.5, -single, 2.0 * single]
        );
        assert_eq!(curves.lengths().unwrap().last(), Some(&3));
        curves.steps.push(CurveStep::Picked(vec![(8, 3)]));
        assert_eq!(curves.lengths(), None);
    }
}
