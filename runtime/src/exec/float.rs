//! From decoded operators to the f16 kernels.

use super::regions::Regions;
use super::shared::{Rows, geometry, is_vector};
use super::{Call, shared};
use crate::blob::model::Model;
use crate::blob::op::{Attention, Conv, GroupNorm, Op, Weights};
use crate::features::Feature;
use crate::kernels::embed;
use crate::kernels::f16::conv::{Addition, Part};
use crate::kernels::f16::group_norm::{Input, Norm};
use crate::kernels::f16::{attention, conv, group_norm, pointwise};
use crate::kernels::view::View;

pub(super) fn run(model: &Model<'_>, call: &Call<'_>, op: &Op, r: &mut Regions<'_, '_>) -> Option<()> {
    match op {
        Op::Input { scale, shift, .. } => pointwise::input(call.x_q24, *scale, *shift, &mut r.output::<u8>()?.0),
        Op::TimeProj { phases, cos_first, .. } => {
            let phases = model.table(*phases, usize::from(r.out_tensor.channels) / 2)?;
            let (mut out, _) = r.output::<u8>()?;
            embed::time_proj(call.timestep, phases, *cos_first, |i, v| {
                out.set(i, pointwise::feature(v))
            });
        }
        Op::ClassEmbed { table, .. } => shared::class_embed::<u16>(model, call, *table, r)?,
        Op::Silu { src, .. } => {
            let src = r.operand(*src)?;
            pointwise::silu(&src, &mut r.output::<u8>()?.0);
        }
        Op::Conv(c) => run_conv(model, c, Rows::ALL, r)?,
        Op::Readout(readout) => run_conv(model, &readout.conv, Rows::of(model, call, readout)?, r)?,
        Op::Softmax { src, .. } => {
            Feature::Chain.built()?;
            let (view, channels) = (r.view(*src)?, r.out_tensor.channels.into());
            pointwise::softmax(&view, channels, &mut r.output::<u8>()?.0);
        }
        Op::GroupNorm(n) => run_group_norm(model, n, r)?,
        Op::Attention(a) => run_attention(a, r)?,
        // Of integer models only.
        Op::NormConv(_) => return None,
        Op::Upsample { src, .. } => shared::upsample(*src, r)?,
        Op::AvgPool { src, .. } => {
            Feature::Resample.built()?;
            let (view, t) = (r.view(*src)?, r.tensor(*src));
            let size = [r.out_tensor.rows.into(), r.out_tensor.cols.into()];
            pointwise::avg_pool(&view, size, t.cols.into(), t.channels.into(), &mut r.output::<u8>()?.0);
        }
    }
    Some(())
}

fn run_conv(model: &Model<'_>, c: &Conv, rows: Rows, r: &mut Regions<'_, '_>) -> Option<()> {
    let g = geometry(c, r)?;
    let (views, count) = r.parts(&c.source)?;
    let parts = views.map(|(data, channels)| Part { data, channels });
    let parts = &parts[..count];
    let taps = g.kernel * g.kernel * parts.iter().map(|p| p.channels).sum::<usize>();
    let Weights::F16 { data, bias } = c.weights else {
        return None;
    };
    let (weights, bias) = (
        rows.table(model, data, taps * g.outs)?,
        rows.table(model, bias, g.outs)?,
    );
    let add = match c.addend {
        None => None,
        Some(a) => Some(Addition {
            operand: r.operand(a.tensor)?,
            factor: a.factor,
            broadcast: is_vector(r, a.tensor)?,
        }),
    };
    let (mut out, scratch) = r.output::<f32>()?;
    conv::conv(
        parts,
        &g,
        weights,
        bias,
        add,
        scratch.get_mut(..taps + g.outs)?,
        &mut out,
    );
    Some(())
}

fn run_group_norm(model: &Model<'_>, n: &GroupNorm, r: &mut Regions<'_, '_>) -> Option<()> {
    let channels = usize::from(r.out_tensor.channels);
    let affine = model.table::<f32>(n.affine, 2 * channels)?;
    let (gamma, beta) = affine.split_at_checked(channels)?;
    let scale_shift = match n.scale_shift {
        None => None,
        Some((id, _)) => match Feature::ScaleShift.built().and(r.view(id))? {
            View::F16(vector) => Some(vector),
            _ => return None,
        },
    };
    let norm = Norm {
        groups: n.groups.into(),
        channels,
        positions: r.out_tensor.positions(),
        silu: n.silu,
        eps: n.eps,
        gamma,
        beta,
        scale_shift,
    };
    let input = match n.source.second {
        None => Input::One(r.operand(n.source.first)?),
        Some(_) => Input::Two(r.parts(&n.source)?.0.map(|(data, channels)| Part { data, channels })),
    };
    let (mut out, scratch) = r.output::<f32>()?;
    group_norm::group_norm(&input, &norm, scratch.get_mut(..2 * channels)?, &mut out);
    Some(())
}

fn run_attention(a: &Attention, r: &mut Regions<'_, '_>) -> Option<()> {
    Feature::Attention.built()?;
    let (q, k, v) = (r.operand(a.q)?, r.view(a.k)?, r.view(a.v)?);
    let positions = r.out_tensor.positions();
    let heads = attention::Heads {
        heads: a.heads.into(),
        channels: r.out_tensor.channels.into(),
        positions,
        scale: a.scale,
    };
    let (mut out, scores) = r.output::<f32>()?;
    attention::attention(&q, &k, &v, &heads, scores.get_mut(..positions)?, &mut out);
    Some(())
}
