//! The operators of the f16 scheme: f16 bits in and out, f32 arithmetic in the stated order.

mod attention;
mod conv;
mod group_norm;

use mote_runtime::blob::op::{AvgPool, Input, Op, Silu, Softmax, Source, TimeProj, Upsample};

use super::integer::feature_q15;
use super::network::{Call, Inputs, Parameters};
use super::planes::Planes;
use super::scalar::half::{from_q24, load, silu, store};
use super::scalar::rounding::Rounding;

/// Runs one operator on activations that are there.
pub fn run(op: &Op, parameters: &Parameters, inputs: &Inputs<'_>, call: &Call<'_>, r: Rounding) -> Option<Planes<i64>> {
    let t = inputs.out;
    let shape = [t.channels.into(), t.rows.into(), t.cols.into()];
    let store = |v: f32| store(v, r.broken);
    Some(match op {
        Op::Input(Input { scale, shift, .. }) => {
            let x = Planes::from_channels_last(shape, call.x_q24);
            x.map(|x| store(from_q24(x.into()) * scale + shift))
        }
        Op::TimeProj(TimeProj { cos_first, .. }) => {
            let phases = parameters.phases()?;
            Planes::from_fn(shape, |c, _, _| {
                let v_q15 = feature_q15(phases, *cos_first, call.time_q16, c, Rounding::default());
                store(v_q15 as f32 / 32_768.0)
            })
        }
        Op::ClassEmbed(_) => {
            let row = parameters.table()?.get(usize::from(call.class) * shape[0]..)?;
            Planes::from_fn(shape, |c, _, _| row[c])
        }
        Op::Silu(Silu { src, .. }) => inputs.get(*src)?.map(|v| store(silu(load(v)))),
        Op::Conv(c) => conv::run(c, parameters.float_filter()?, &joined(&c.source, inputs)?, inputs, r)?,
        Op::Readout(readout) => {
            let (c, filter) = (&readout.conv, parameters.at(call.time_q16)?.float_filter()?);
            conv::run(c, filter, &joined(&c.source, inputs)?, inputs, r)?
        }
        Op::Softmax(Softmax { src, .. }) => attention::softmax(&inputs.get(*src)?.map(load), r),
        Op::GroupNorm(n) => group_norm::run(n, parameters.float_table()?, &joined(&n.source, inputs)?, inputs, r)?,
        // The network is read as its two halves.
        Op::NormConv(_) => return None,
        Op::Attention(a) => {
            let load = |id| Some(inputs.get(id)?.map(load));
            attention::run(a, [&load(a.q)?, &load(a.k)?, &load(a.v)?], r)
        }
        Op::Upsample(Upsample { src, .. }) => inputs.get(*src)?.doubled(),
        Op::AvgPool(AvgPool { src, .. }) => {
            let src = inputs.get(*src)?.map(load);
            Planes::from_fn(shape, |c, y, x| {
                let at = |dy, dx| src.at(c, 2 * y + dy, 2 * x + dx);
                store((((at(0, 0) + at(0, 1)) + at(1, 0)) + at(1, 1)) * 0.25)
            })
        }
    })
}

/// The source as one tensor of f32.
fn joined(source: &Source, inputs: &Inputs<'_>) -> Option<Planes<f32>> {
    let first = inputs.get(source.first)?.map(load);
    match source.second {
        None => Some(first),
        Some((id, _)) => Some(first.concat(inputs.get(id)?.map(load))),
    }
}
