//! The integer operators, planar and naive. Elements are integers with the zero point removed.

mod attention;
mod conv;
mod group_norm;

use mote_runtime::blob::op::{AvgPool, Input, Op, Silu, Softmax, Source, TimeProj, Upsample};
use mote_runtime::blob::tensor::{Dtype, Tensor};
use mote_runtime::numeric::requant::Requant;

use super::network::{Call, Inputs, Parameters};
use super::planes::Planes;
use super::scalar::rounding::{Rounding, saturate};
use super::scalar::sigmoid::silu_q16;
use super::scalar::sine::sin_cos_q30;

/// Runs one operator on activations that are there.
pub fn run(op: &Op, parameters: &Parameters, inputs: &Inputs<'_>, call: &Call<'_>, r: Rounding) -> Option<Planes<i64>> {
    let out = Out { tensor: inputs.out, r };
    Some(match op {
        Op::Input(Input { requant, offset, .. }) => {
            let shape = out.shape();
            let x = Planes::from_channels_last(shape, call.x_q24);
            x.map(|x| {
                out.store(saturate(
                    (out.scaled(*requant, x.into()) + i64::from(*offset)).into(),
                    32,
                ))
            })
        }
        Op::TimeProj(TimeProj { cos_first, .. }) => out.features(parameters.phases()?, *cos_first, call.time_q16),
        Op::ClassEmbed(_) => {
            let dim = out.shape()[0];
            let row = parameters.table()?.get(usize::from(call.class) * dim..)?;
            Planes::from_fn(out.shape(), |c, _, _| out.store(row[c]))
        }
        Op::Silu(Silu {
            src,
            in_requant,
            out_requant,
            ..
        }) => inputs
            .get(*src)?
            .map(|v| out.store(out.scaled(*out_requant, silu_q16(out.scaled(*in_requant, v))))),
        Op::Conv(c) => conv::run(c, parameters.filter()?, &joined(&c.source, inputs, r)?, inputs, &out)?,
        Op::Readout(readout) => {
            let (c, filter) = (&readout.conv, parameters.at(call.time_q16)?.filter()?);
            conv::run(c, filter, &joined(&c.source, inputs, r)?, inputs, &out)?
        }
        Op::Softmax(Softmax { src, in_requant, .. }) => attention::softmax(inputs.get(*src)?, *in_requant, &out),
        Op::GroupNorm(n) => group_norm::run(n, parameters.table()?, &joined(&n.source, inputs, r)?, inputs, &out)?,
        // The network is read as its two halves.
        Op::NormConv(_) => return None,
        Op::Attention(a) => attention::run(a, [inputs.get(a.q)?, inputs.get(a.k)?, inputs.get(a.v)?], &out),
        Op::Upsample(Upsample { src, .. }) => inputs.get(*src)?.doubled(),
        Op::AvgPool(AvgPool { src, .. }) => {
            let src = inputs.get(*src)?;
            Planes::from_fn(out.shape(), |c, y, x| {
                let window = [(0, 0), (0, 1), (1, 0), (1, 1)];
                let sum: i64 = window.iter().map(|(dy, dx)| src.at(c, 2 * y + dy, 2 * x + dx)).sum();
                out.store(r.shift(sum.into(), 2) as i64)
            })
        }
    })
}

/// The source as one tensor; a concatenation is brought to its common scale in 16 bits.
fn joined(source: &Source, inputs: &Inputs<'_>, r: Rounding) -> Option<Planes<i64>> {
    let first = inputs.get(source.first)?;
    let Some((second, factors)) = source.second else {
        return Some(first.clone());
    };
    let common = |part: &Planes<i64>, f: Requant| part.map(|v| saturate(r.requantize(v, f.mult, f.shift).into(), 16));
    Some(common(first, factors[0]).concat(common(inputs.get(second)?, factors[1])))
}

/// The output's format and the rounding.
struct Out {
    tensor: Tensor,
    r: Rounding,
}

impl Out {
    fn shape(&self) -> [usize; 3] {
        [
            self.tensor.channels.into(),
            self.tensor.rows.into(),
            self.tensor.cols.into(),
        ]
    }

    fn scaled(&self, factor: Requant, v: i64) -> i64 {
        self.r.requantize(v, factor.mult, factor.shift)
    }

    /// What is read back after `v` was stored.
    fn store(&self, v: i64) -> i64 {
        let zero = i64::from(self.tensor.zero_point);
        match self.tensor.dtype {
            Dtype::I8 => saturate((v + zero).into(), 8) - zero,
            Dtype::I16 => saturate(v.into(), 16),
            _ => v,
        }
    }

    fn features(&self, phases: &[u32], cos_first: bool, time_q16: u32) -> Planes<i64> {
        Planes::from_fn(self.shape(), |c, _, _| {
            self.store(feature_q15(phases, cos_first, time_q16, c, self.r))
        })
    }
}

/// Timestep feature `c` in Q15.
pub fn feature_q15(phases: &[u32], cos_first: bool, time_q16: u32, c: usize, r: Rounding) -> i64 {
    let turns_q48 = i128::from(phases[c % phases.len()]) * i128::from(time_q16);
    let angle = Rounding::default().shift(turns_q48, 16) % (1 << 32);
    let (sine, cosine) = sin_cos_q30(angle as u32);
    let is_cosine = (c < phases.len()) == cos_first;
    let v_q30 = if is_cosine { cosine } else { sine };
    (r.shift(v_q30.into(), 15) as i64).min(32_767)
}
