//! One network call: the operators in order, every activation kept in its own memory.

use crate::OracleError;
use crate::file::File;
use crate::file::header::{Arithmetic, Prediction};
use crate::file::tensor::{Dtype, Tensor, TensorId};
use crate::ops::{Call, ConditionShape, Context, KINDS, Operator};
use crate::planes::Planes;
use crate::scalar::rounding::Rounding;

/// An operator of the file.
#[derive(Debug)]
struct Node {
    operator: Box<dyn Operator>,
    out: Tensor,
    kind: &'static str,
}

/// The operators with their parameters, by value.
#[derive(Debug)]
pub struct Network {
    /// In order.
    nodes: Vec<Node>,
    arithmetic: Arithmetic,
    tensors: usize,
    output: TensorId,
    /// Whether each position has variances after its means, of a network that is no chain's.
    variances: bool,
}

impl Network {
    /// Reads every operator and its parameters.
    pub fn read(file: &File<'_>) -> Result<Self, OracleError> {
        let (header, mut records) = (file.header(), file.ops());
        let mut nodes = Vec::new();
        for op in 0..usize::from(header.op_count) {
            let number = records.u32().ok_or(OracleError::File { part: "ops" })?;
            let kind = usize::try_from(number).ok().and_then(|number| KINDS.get(number));
            let kind = kind.ok_or_else(|| OracleError::UnknownOperator {
                op,
                name: file.op_name(op).into(),
                number,
            })?;
            let broken = || OracleError::Operator { op, kind: kind.name };
            let operator = (kind.read)(&mut records, file).ok_or_else(broken)?;
            let out = file.tensor(operator.out()).ok_or_else(broken)?;
            nodes.push(Node {
                operator,
                out,
                kind: kind.name,
            });
        }
        let [channels, rows, cols]: [usize; 3] = [header.channels, header.rows, header.cols].map(usize::from);
        let sample = |values: usize| [values * channels, rows, cols];
        let output = file.tensor(header.output).map(|output| output.shape());
        let whole = match header.prediction {
            Prediction::Picture { shape } => drawn(&nodes) == Some(shape.map(usize::from)),
            // A Gaussian chain's network gives means, then variances; one on cumulative alphas may.
            Prediction::Kernel => output == Some(sample(2)),
            Prediction::Epsilon | Prediction::V | Prediction::Sample => {
                output == Some(sample(1)) || output == Some(sample(2))
            }
            _ => output == Some(sample(1)),
        };
        if !records.is_at_end() || !whole {
            return Err(OracleError::File { part: "ops" });
        }
        Ok(Self {
            nodes,
            arithmetic: header.arithmetic,
            tensors: file.tensor_count(),
            output: header.output,
            variances: header.prediction.is_on_alphas() && output == Some(sample(2)),
        })
    }

    /// Kinds of the operators, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.nodes.iter().map(|node| node.kind)
    }

    /// Whether it gives variances beside its prediction.
    pub fn gives_variances(&self) -> bool {
        self.variances
    }

    /// The condition vector that a run must give.
    pub fn condition(&self) -> Option<ConditionShape> {
        self.nodes.iter().find_map(|node| node.operator.condition())
    }

    /// Calls the network; `seen` gets every operator's output. Gives the network's, Q24 `(row, col, channel)`.
    pub fn call(
        &self,
        call: &Call<'_>,
        broken_rounding: Option<&str>,
        seen: &mut dyn FnMut(&Planes<i64>),
    ) -> Result<Vec<i64>, OracleError> {
        Ok(self.run(call, broken_rounding, seen)?.0)
    }

    /// Makes the picture of a latent, Q24 `(row, col, channel)`: the activations in Q24 as they are made, one below the other.
    pub fn draw(
        &self,
        call: &Call<'_>,
        broken_rounding: Option<&str>,
        seen: &mut dyn FnMut(&Planes<i64>),
    ) -> Result<Vec<i64>, OracleError> {
        Ok(self.run(call, broken_rounding, seen)?.1)
    }

    /// Runs every operator; gives the header's output, and all activations in Q24.
    fn run(
        &self,
        call: &Call<'_>,
        broken_rounding: Option<&str>,
        seen: &mut dyn FnMut(&Planes<i64>),
    ) -> Result<(Vec<i64>, Vec<i64>), OracleError> {
        let mut bands = Vec::new();
        let mut values: Vec<Option<Planes<i64>>> = vec![None; self.tensors];
        for (op, node) in self.nodes.iter().enumerate() {
            let kind = node.kind;
            let at = Context {
                values: &values,
                out: node.out,
                call,
                r: Rounding {
                    broken: broken_rounding == Some(kind),
                },
            };
            let run = |at: &Context<'_>| match self.arithmetic {
                Arithmetic::Integer => node.operator.integer(at),
                Arithmetic::F16 => node.operator.float(at),
            };
            let mut made = run(&at).ok_or(OracleError::Operator { op, kind })?;
            let whole = Context {
                r: Rounding::default(),
                ..at
            };
            if at.r.broken && run(&whole).is_some_and(|right| right.values == made.values) {
                // Nothing had to be rounded, as where a sample is bits: then the last bit of one element is wrong.
                made.values.iter_mut().take(1).for_each(|v| *v ^= 1);
            }
            seen(&made);
            if node.out.dtype == Dtype::Q24 {
                bands.extend(made.channels_last());
            }
            values[usize::from(node.operator.out().0)] = Some(made);
        }
        let output = values.into_iter().nth(self.output.0.into()).flatten();
        let output = output.ok_or(OracleError::File { part: "output" })?;
        Ok((output.channels_last().collect(), bands))
    }
}

/// The shape of the activations in Q24, one below the other; `None` where they have several widths or channels.
fn drawn(nodes: &[Node]) -> Option<[usize; 3]> {
    let bands = nodes.iter().map(|node| node.out).filter(|out| out.dtype == Dtype::Q24);
    bands
        .map(|out| out.shape())
        .reduce(|a, b| [a[0], a[1] + b[1], if a[2] == b[2] && a[0] == b[0] { a[2] } else { 0 }])
}
