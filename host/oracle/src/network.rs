//! One network call: the operators in order, every activation kept in its own memory.

use mote_runtime::Model;
use mote_runtime::blob::header::Arithmetic;
use mote_runtime::blob::op::{ClassEmbed, Conv, GroupNorm, Op, Source, TimeProj, Weights};
use mote_runtime::blob::tensor::{Tensor, TensorId};

use super::planes::Planes;
use super::scalar::half::load;
use super::scalar::rounding::Rounding;
use super::{OracleError, float, integer, tables};

/// What the network is called with.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// State in Q24, `(row, col, channel)`.
    pub x_q24: &'a [i32],
    /// Training timestep.
    pub timestep: u32,
    /// Row of the class table.
    pub class: u16,
}

/// Weights of an integer convolution.
#[derive(Debug)]
pub struct Filter {
    /// `(out, row, col, in)`.
    pub weights: Vec<i64>,
    /// A channel.
    pub bias: Vec<i64>,
    /// Multiplier and shift a channel.
    pub factors: Vec<(i32, u8)>,
}

/// Weights of an f16 convolution.
#[derive(Debug)]
pub struct FloatFilter {
    /// `(row, col, in, out)`.
    pub weights: Vec<f32>,
    /// A channel.
    pub bias: Vec<f32>,
}

/// What an operator has in the weights section.
#[derive(Debug)]
pub enum Parameters {
    /// Nothing.
    None,
    /// Turns a timestep, Q32.
    Phases(Vec<u32>),
    /// A class table, or gamma and beta.
    Table(Vec<i64>),
    /// Gamma and beta.
    FloatTable(Vec<f32>),
    /// An integer convolution's.
    Filter(Filter),
    /// An f16 convolution's.
    FloatFilter(FloatFilter),
    /// A convolution's by group of timesteps: first timesteps, and the parameters of each.
    Groups(Vec<u32>, Vec<Parameters>),
}

impl Parameters {
    /// Those of the group that a timestep belongs to.
    pub(super) fn at(&self, timestep: u32) -> Option<&Self> {
        let Self::Groups(first, groups) = self else {
            return Some(self);
        };
        groups.get(
            first
                .iter()
                .filter(|first| **first <= timestep)
                .count()
                .checked_sub(1)?,
        )
    }

    pub(super) fn phases(&self) -> Option<&[u32]> {
        if let Self::Phases(v) = self { Some(v) } else { None }
    }

    pub(super) fn table(&self) -> Option<&[i64]> {
        if let Self::Table(v) = self { Some(v) } else { None }
    }

    pub(super) fn float_table(&self) -> Option<&[f32]> {
        if let Self::FloatTable(v) = self { Some(v) } else { None }
    }

    pub(super) fn filter(&self) -> Option<&Filter> {
        if let Self::Filter(v) = self { Some(v) } else { None }
    }

    pub(super) fn float_filter(&self) -> Option<&FloatFilter> {
        if let Self::FloatFilter(v) = self { Some(v) } else { None }
    }
}

/// The activations that are there, and the record of the one to be made.
pub struct Inputs<'a> {
    values: &'a [Option<Planes<i64>>],
    /// Record of the output.
    pub out: Tensor,
}

impl Inputs<'_> {
    /// An activation that an earlier operator has made.
    pub fn get(&self, id: TensorId) -> Option<&Planes<i64>> {
        self.values.get(usize::from(id.0))?.as_ref()
    }
}

/// An operator, or half of one that is two.
#[derive(Debug)]
struct Node {
    op: Op,
    out: Tensor,
    parameters: Parameters,
    /// Of the file's operator.
    kind: &'static str,
    /// Whether that ends here.
    ends: bool,
}

/// The operators with their parameters, by value.
#[derive(Debug)]
pub struct Network {
    /// In order.
    nodes: Vec<Node>,
    arithmetic: Arithmetic,
    tensors: usize,
    output: TensorId,
}

impl Network {
    /// Reads every operator and its parameters.
    pub fn read(model: &Model<'_>) -> Result<Self, OracleError> {
        let mut nodes = Vec::new();
        for (index, op) in model.ops().enumerate() {
            let broken = OracleError::Operator {
                op: index,
                kind: op.kind(),
            };
            for (half, ends) in halves(op) {
                nodes.push(Node::read(model, half, op.kind(), ends).ok_or(broken)?);
            }
        }
        let header = model.header();
        Ok(Self {
            nodes,
            arithmetic: header.arithmetic,
            tensors: model.tensor_count().into(),
            output: header.output,
        })
    }

    /// Kinds of the operators, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.nodes.iter().filter(|node| node.ends).map(|node| node.kind)
    }

    /// Calls the network; `seen` gets every operator's output. Gives the last one, Q24 `(row, col, channel)`.
    pub fn call(
        &self,
        call: &Call<'_>,
        broken_rounding: Option<&str>,
        seen: &mut dyn FnMut(&Planes<i64>),
    ) -> Result<Vec<i64>, OracleError> {
        let mut values: Vec<Option<Planes<i64>>> = vec![None; self.tensors];
        let mut index = 0;
        for node in &self.nodes {
            let kind = node.kind;
            let r = Rounding {
                broken: broken_rounding == Some(kind),
            };
            let inputs = Inputs {
                values: &values,
                out: node.out,
            };
            let run = |r: Rounding| match self.arithmetic {
                Arithmetic::Integer => integer::run(&node.op, &node.parameters, &inputs, call, r),
                Arithmetic::F16 => float::run(&node.op, &node.parameters, &inputs, call, r),
            };
            let mut made = run(r).ok_or(OracleError::Operator { op: index, kind })?;
            if r.broken && run(Rounding::default()).is_some_and(|right| right.values == made.values) {
                // Nothing had to be rounded, as where a sample is bits: then the last bit of one element is wrong.
                made.values.iter_mut().take(1).for_each(|v| *v ^= 1);
            }
            if node.ends {
                seen(&made);
                index += 1;
            }
            values[usize::from(node.op.io().out().0)] = Some(made);
        }
        let output = values.into_iter().nth(self.output.0.into()).flatten();
        let last = OracleError::Operator {
            op: index,
            kind: "output",
        };
        output.map(|planes| planes.channels_last().collect()).ok_or(last)
    }
}

/// A normalization inside a convolution as the two that it stands for; with each, whether the operator ends with it.
fn halves(op: Op) -> Vec<(Op, bool)> {
    match op {
        Op::NormConv(both) => vec![(Op::GroupNorm(both.norm), false), (Op::Conv(both.conv), true)],
        op => vec![(op, true)],
    }
}

impl Node {
    fn read(model: &Model<'_>, op: Op, kind: &'static str, ends: bool) -> Option<Self> {
        let mut out = model.tensor(op.io().out())?;
        if let Op::GroupNorm(norm) = &op {
            // A window's record has fewer rows.
            out.rows = model.tensor(norm.source.first)?.rows;
        }
        Some(Self {
            op,
            out,
            parameters: parameters(model, &op)?,
            kind,
            ends,
        })
    }
}

fn parameters(model: &Model<'_>, op: &Op) -> Option<Parameters> {
    let float = model.header().arithmetic == Arithmetic::F16;
    let channels = usize::from(model.tensor(op.io().out())?.channels);
    Some(match op {
        Op::TimeProj(TimeProj { phases, .. }) => Parameters::Phases(tables::uint32(model, *phases, channels / 2)?),
        Op::ClassEmbed(ClassEmbed { table, .. }) => {
            let count = usize::from(model.header().classes) * channels;
            let read = if float { tables::f16_bits } else { tables::int16 };
            Parameters::Table(read(model, *table, count)?)
        }
        Op::GroupNorm(GroupNorm { affine, .. }) if float => {
            Parameters::FloatTable(tables::f32s(model, *affine, 2 * channels)?)
        }
        Op::GroupNorm(GroupNorm { affine, .. }) => Parameters::Table(tables::int32(model, *affine, 2 * channels)?),
        Op::Conv(conv) => filter(model, conv, channels)?,
        Op::Readout(readout) => {
            let groups = usize::from(readout.groups);
            let all = filter(model, &readout.conv, groups * channels)?;
            Parameters::Groups(tables::uint32(model, readout.first, groups)?, split(all, groups))
        }
        _ => Parameters::None,
    })
}

/// The tables of all groups, each group's for itself.
fn split(all: Parameters, groups: usize) -> Vec<Parameters> {
    fn part<T: Clone>(values: &[T], group: usize, groups: usize) -> Vec<T> {
        let len = values.len() / groups;
        values[group * len..(group + 1) * len].to_vec()
    }
    let one = |g| match &all {
        Parameters::Filter(f) => Parameters::Filter(Filter {
            weights: part(&f.weights, g, groups),
            bias: part(&f.bias, g, groups),
            factors: part(&f.factors, g, groups),
        }),
        Parameters::FloatFilter(f) => Parameters::FloatFilter(FloatFilter {
            weights: part(&f.weights, g, groups),
            bias: part(&f.bias, g, groups),
        }),
        _ => Parameters::None,
    };
    (0..groups).map(one).collect()
}

fn filter(model: &Model<'_>, conv: &Conv, outs: usize) -> Option<Parameters> {
    let kernel = usize::from(conv.kernel);
    let taps = kernel * kernel * joined_channels(model, &conv.source)?;
    let count = taps * outs;
    // Integer rows are stored with zeros up to the next multiple of four taps.
    let row = taps.div_ceil(4) * 4;
    let rows = |stored: Vec<i64>| stored.chunks(row).flat_map(|r| r[..taps].to_vec()).collect();
    Some(match conv.weights {
        Weights::W8 { data, bias, requant } => Parameters::Filter(Filter {
            weights: rows(tables::int8(model, data, row * outs)?),
            bias: tables::int32(model, bias, outs)?,
            factors: tables::factors(model, requant, outs)?,
        }),
        Weights::W4 { data, bias, requant } => Parameters::Filter(Filter {
            weights: tables::int4(model, data, outs, count / outs)?,
            bias: tables::int32(model, bias, outs)?,
            factors: tables::factors(model, requant, outs)?,
        }),
        Weights::W16 { data, bias, requant } => Parameters::Filter(Filter {
            weights: rows(tables::int16(model, data, row * outs)?),
            bias: tables::int64(model, bias, outs)?,
            factors: tables::factors(model, requant, outs)?,
        }),
        Weights::F16 { data, bias } => Parameters::FloatFilter(FloatFilter {
            weights: tables::f16_bits(model, data, count)?.into_iter().map(load).collect(),
            bias: tables::f32s(model, bias, outs)?,
        }),
    })
}

fn joined_channels(model: &Model<'_>, source: &Source) -> Option<usize> {
    let channels = |id| model.tensor(id).map(|t| usize::from(t.channels));
    let second = source.second.map_or(Some(0), |(id, _)| channels(id))?;
    Some(channels(source.first)? + second)
}
