//! From decoded operators to the f16 kernels.

use super::regions::Regions;
use super::shared::{Rows, geometry, is_vector};
use super::{Call, shared};
use crate::blob::io::slot;
use crate::blob::model::Model;
use crate::blob::op::{Attention, Conv, GroupNorm, Op, Source, Weights};
use crate::features::Feature;
use crate::kernels::embed;
use crate::kernels::f16::conv::{Addition, Part};
use crate::kernels::f16::group_norm::{Input, Norm};
use crate::kernels::f16::{attention, conv, group_norm, pointwise};
use crate::kernels::view::View;

pub(super) fn run(model: &Model<'_>, call: &Call<'_>, op: &Op, r: &mut Regions<'_, '_>) -> Option<()> {
    match op {
        Op::Conv(c) => run_conv(model, c, Rows::ALL, r),
        Op::Readout(readout) => run_conv(model, &readout.conv, Rows::of(model, call, readout)?, r),
        Op::GroupNorm(n) => run_group_norm(model, n, r),
        Op::Attention(a) => run_attention(a, r),
        // Of integer models only.
        Op::NormConv(_) => None,
        _ => run_small(model, call, op, r),
    }
}

fn run_small(model: &Model<'_>, call: &Call<'_>, op: &Op, r: &mut Regions<'_, '_>) -> Option<()> {
    let out = &mut r.output()?;
    match op {
        Op::Input { scale, shift, .. } => pointwise::input(call.input(), *scale, *shift, out),
        Op::TimeProj { phases, cos_first, .. } => {
            let phases = model.table(*phases, usize::from(r.out().channels) / 2)?;
            embed::time_proj(call.time_q16, phases, *cos_first, |i, v| {
                out.set(i, pointwise::feature(v))
            });
        }
        Op::ClassEmbed { table, .. } => shared::class_embed::<u16>(model, call, *table, r, out)?,
        Op::Silu { .. } => pointwise::silu(&r.operand(slot::FIRST)?, out),
        Op::Conv(_) | Op::Readout(_) | Op::GroupNorm(_) | Op::Attention(_) | Op::NormConv(_) => {}
        Op::Softmax { .. } => {
            Feature::Chain.built()?;
            let (view, channels) = (r.view(slot::FIRST)?, r.out().channels.into());
            pointwise::softmax(&view, channels, out);
        }
        Op::Upsample { .. } => shared::upsample(r, out)?,
        Op::AvgPool { .. } => {
            Feature::Resample.built()?;
            let (view, t) = (r.view(slot::FIRST)?, r.tensor(slot::FIRST));
            let size = [r.out().rows.into(), r.out().cols.into()];
            pointwise::avg_pool(&view, size, t.cols.into(), t.channels.into(), out);
        }
    }
    Some(())
}

fn run_conv(model: &Model<'_>, c: &Conv, rows: Rows, r: &mut Regions<'_, '_>) -> Option<()> {
    let g = geometry(c, r);
    let (parts, count) = parts(&c.source, r)?;
    let parts = parts.get(..count)?;
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
            operand: r.operand(slot::THIRD)?,
            factor: a.factor,
            broadcast: is_vector(r),
        }),
    };
    let scratch = r.scratch()?.get_mut(..taps + g.outs)?;
    conv::conv(parts, &g, weights, bias, add, scratch, &mut r.output()?);
    Some(())
}

/// The parts of a source, and how many there are.
fn parts<'a>(source: &Source, r: &mut Regions<'_, 'a>) -> Option<([Part<'a>; 2], usize)> {
    let mut part = |slot| {
        let channels = r.tensor(slot).channels.into();
        r.view(slot).map(|data| Part { data, channels })
    };
    let first = part(slot::FIRST)?;
    match source.second {
        Some(_) => Some(([first, part(slot::SECOND)?], 2)),
        None => Some(([first, first], 1)),
    }
}

fn run_group_norm(model: &Model<'_>, n: &GroupNorm, r: &mut Regions<'_, '_>) -> Option<()> {
    let channels = usize::from(r.out().channels);
    let affine = model.table::<f32>(n.affine, 2 * channels)?;
    let (gamma, beta) = affine.split_at_checked(channels)?;
    let scale_shift = match n.scale_shift {
        None => None,
        Some(_) => match Feature::ScaleShift.built().and_then(|()| r.view(slot::THIRD))? {
            View::F16(vector) => Some(vector),
            _ => return None,
        },
    };
    let norm = Norm {
        groups: n.groups.into(),
        channels,
        positions: r.out().positions(),
        silu: n.silu,
        eps: n.eps,
        gamma,
        beta,
        scale_shift,
    };
    let input = match n.source.second {
        None => Input::One(r.operand(slot::FIRST)?),
        Some(_) => Input::Two(parts(&n.source, r)?.0),
    };
    let scratch = r.scratch()?.get_mut(..2 * channels)?;
    group_norm::group_norm(&input, &norm, scratch, &mut r.output()?);
    Some(())
}

fn run_attention(a: &Attention, r: &mut Regions<'_, '_>) -> Option<()> {
    Feature::Attention.built()?;
    let q = r.operand(slot::FIRST)?;
    let (k, v) = (r.view(slot::SECOND)?, r.view(slot::THIRD)?);
    let positions = r.out().positions();
    let heads = attention::Heads {
        heads: a.heads.into(),
        channels: r.out().channels.into(),
        positions,
        scale: a.scale,
    };
    let scores = r.scratch()?.get_mut(..positions)?;
    attention::attention(&q, &k, &v, &heads, scores, &mut r.output()?);
    Some(())
}
