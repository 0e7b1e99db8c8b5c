//! From decoded operators to the integer kernels.

use super::regions::Regions;
use super::shared::{Rows, geometry, is_vector};
use super::{Call, shared};
use crate::blob::int4;
use crate::blob::model::Model;
use crate::blob::op::{At, Attention, Conv, GroupNorm, NormConv, Op, Source, Weights};
use crate::blob::tensor::TensorId;
use crate::features::Feature;
use crate::kernels::conv::{Addition, Filter, Geometry, Part};
use crate::kernels::family::padded;
use crate::kernels::group_norm::{FACTOR_WORDS, Input, Norm};
use crate::kernels::view::View;
use crate::kernels::{attention, conv, embed, group_norm, norm_conv, pointwise};
use crate::numeric::requant::{Requant, SmallRequant};

pub(super) fn run(model: &Model<'_>, call: &Call<'_>, op: &Op, r: &mut Regions<'_, '_>) -> Option<()> {
    match op {
        Op::Conv(c) => run_conv(model, c, Rows::ALL, r),
        Op::Readout(readout) => run_conv(model, &readout.conv, Rows::of(model, call, readout)?, r),
        Op::GroupNorm(n) => run_group_norm(model, n, r),
        Op::Attention(a) => run_attention(a, r),
        Op::NormConv(both) => run_norm_conv(model, both, r),
        _ => run_small(model, call, op, r),
    }
}

/// Apart from the others, whose stack it would enlarge.
#[inline(never)]
fn run_small(model: &Model<'_>, call: &Call<'_>, op: &Op, r: &mut Regions<'_, '_>) -> Option<()> {
    match op {
        Op::Input { requant, offset, .. } => {
            embed::input(call.x_q24, *requant, *offset, &mut r.output::<u8>()?.0);
        }
        Op::TimeProj { phases, cos_first, .. } => {
            let phases = model.table(*phases, usize::from(r.out_tensor.channels) / 2)?;
            let (mut out, _) = r.output::<u8>()?;
            embed::time_proj(call.timestep, phases, *cos_first, |i, v| out.put(i, v));
        }
        Op::ClassEmbed { table, .. } => shared::class_embed::<i16>(model, call, *table, r)?,
        Op::Silu {
            src,
            in_requant,
            out_requant,
            ..
        } => {
            let src = r.operand(*src)?;
            pointwise::silu(&src, *in_requant, *out_requant, &mut r.output::<u8>()?.0);
        }
        Op::Conv(_) | Op::Readout(_) | Op::GroupNorm(_) | Op::Attention(_) | Op::NormConv(_) => {}
        Op::Softmax { src, in_requant, .. } => {
            Feature::Chain.built()?;
            let (view, channels) = (r.view(*src)?, r.out_tensor.channels.into());
            pointwise::softmax(&view, channels, *in_requant, &mut r.output::<u8>()?.0);
        }
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

#[inline(never)]
fn run_conv(model: &Model<'_>, c: &Conv, rows: Rows, r: &mut Regions<'_, '_>) -> Option<()> {
    let g = geometry(c, r)?;
    // Borrowed, not moved: a copy would take stack.
    let Some((parts, count)) = &parts(&c.source, r) else {
        return None;
    };
    let parts = parts.get(..*count)?;
    let channels = parts.iter().map(|p| p.channels).sum();
    let (Some(filter), add) = (&filter(model, c, rows, &g, channels), addition(c, r)?) else {
        return None;
    };
    let (mut out, columns) = r.output::<i16>()?;
    conv::conv(parts, &g, filter, add, columns, &mut out);
    Some(())
}

/// The weights of a convolution of `channels` in all.
#[inline(never)]
fn filter<'m>(model: &Model<'m>, c: &Conv, rows: Rows, g: &Geometry, channels: usize) -> Option<Filter<'m>> {
    let taps = g.kernel * g.kernel * channels;
    let weights = padded(taps) * g.outs;
    let requant = |at: At| {
        Some((
            rows.table(model, at, g.outs)?,
            rows.table(model, At(at.0 + (rows.groups * g.outs) as u32 * 4), g.outs)?,
        ))
    };
    Some(match c.weights {
        Weights::W8 {
            data,
            bias,
            requant: at,
        } => {
            let (mult, shift) = requant(at)?;
            Filter::W8 {
                data: rows.table(model, data, weights)?,
                bias: rows.table(model, bias, g.outs)?,
                mult,
                shift,
            }
        }
        Weights::W4 {
            data,
            bias,
            requant: at,
        } => {
            Feature::W4.built()?;
            let (mult, shift) = requant(at)?;
            Filter::W4 {
                data: rows.table(model, data, int4::row_words(taps) * g.outs)?,
                bias: rows.table(model, bias, g.outs)?,
                mult,
                shift,
            }
        }
        Weights::W16 {
            data,
            bias,
            requant: at,
        } => {
            Feature::W16.built()?;
            let (mult, shift) = requant(at)?;
            Filter::W16 {
                data: rows.table(model, data, weights)?,
                bias: rows.table(model, bias, g.outs)?,
                mult,
                shift,
            }
        }
        Weights::F16 { .. } => return None,
    })
}

/// The term that a convolution adds; the outer `None` where its memory does not fit.
fn addition<'a>(c: &Conv, r: &Regions<'_, 'a>) -> Option<Option<Addition<'a>>> {
    Some(match c.addend {
        None => None,
        Some(a) => Some(Addition {
            operand: r.operand(a.tensor)?,
            requant: SmallRequant::new(a.requant),
            broadcast: is_vector(r, a.tensor)?,
        }),
    })
}

/// The parts of a source, and how many there are.
#[inline(never)]
fn parts<'a>(source: &Source, r: &Regions<'_, 'a>) -> Option<([Part<'a>; 2], usize)> {
    let requants = source.second.map(|(_, requants)| requants);
    let first = part(source.first, requants.map(|r| r[0]), r)?;
    match source.second {
        Some((id, _)) => Some(([first, part(id, requants.map(|r| r[1]), r)?], 2)),
        None => Some(([first, first], 1)),
    }
}

#[inline(never)]
fn part<'a>(id: TensorId, requant: Option<Requant>, r: &Regions<'_, 'a>) -> Option<Part<'a>> {
    Some(Part {
        view: r.view(id)?,
        channels: r.tensor(id).channels.into(),
        requant: requant.map(SmallRequant::new),
    })
}

#[inline(never)]
fn run_group_norm(model: &Model<'_>, n: &GroupNorm, r: &mut Regions<'_, '_>) -> Option<()> {
    // Borrowed, not moved: a copy would take stack.
    let (Some(norm), Some(input)) = (&norm(model, n, r), &norm_input(n, r)) else {
        return None;
    };
    let (mut out, factors) = r.output::<i32>()?;
    let factors = factors.get_mut(..norm.channels * FACTOR_WORDS)?;
    group_norm::group_norm(input, norm, factors, &mut out);
    Some(())
}

/// Parameters of a normalization.
#[inline(never)]
fn norm<'a>(model: &Model<'a>, n: &GroupNorm, r: &Regions<'_, 'a>) -> Option<Norm<'a>> {
    let (source, channels) = (r.tensor(n.source.first), usize::from(r.tensor(n.out).channels));
    let affine = model.table::<i32>(n.affine, 2 * channels)?;
    let (gamma, beta_q16) = affine.split_at_checked(channels)?;
    let scale_shift = match n.scale_shift {
        None => None,
        Some((id, requant)) => match Feature::ScaleShift.built().and(r.view(id))? {
            View::I16(vector) => Some((vector, requant)),
            _ => return None,
        },
    };
    Some(Norm {
        groups: n.groups.into(),
        channels,
        positions: source.positions(),
        silu: n.silu,
        eps_q: n.eps_q,
        gamma,
        gamma_frac: n.gamma_frac,
        beta_q16,
        out_requant: n.out_requant,
        scale_shift,
    })
}

fn norm_input<'a>(n: &GroupNorm, r: &Regions<'_, 'a>) -> Option<Input<'a>> {
    Some(match n.source.second {
        None => Input::One(r.operand(n.source.first)?),
        Some(_) => Input::Two(parts(&n.source, r)?.0),
    })
}

#[inline(never)]
fn run_norm_conv(model: &Model<'_>, NormConv { norm: n, conv: c }: &NormConv, r: &mut Regions<'_, '_>) -> Option<()> {
    Feature::NormConv.built()?;
    let (norm, input) = (norm(model, n, r)?, norm_input(n, r)?);
    let window = r.tensor(n.out);
    let source = r.tensor(n.source.first);
    let g = Geometry {
        input: [source.rows.into(), source.cols.into()],
        ..geometry(c, r)?
    };
    let (filter, add) = (filter(model, c, Rows::ALL, &g, norm.channels)?, addition(c, r)?);
    let (mut out, scratch, mut window) = r.windowed(&window)?;
    let (factors, columns) = scratch.split_at_mut_checked(norm.channels * FACTOR_WORDS * 4)?;
    let factors = bytemuck::try_cast_slice_mut(factors).ok()?;
    let columns = bytemuck::try_cast_slice_mut(columns).ok()?;
    norm_conv::norm_conv(&input, &norm, factors, &mut window, &g, &filter, add, columns, &mut out);
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
        score: a.score,
        out_requant: a.out_requant,
    };
    let (mut out, scores) = r.output::<i32>()?;
    attention::attention(&q, &k, &v, &heads, scores.get_mut(..positions)?, &mut out);
    Some(())
}
