//! From decoded operators to the integer kernels.

use super::regions::Regions;
use super::shared::{Rows, geometry, is_vector};
use super::{Call, shared};
use crate::blob::int4;
use crate::blob::io::slot;
use crate::blob::model::Model;
use crate::blob::op::{At, Attention, Conv, GroupNorm, NormConv, Op, Source, Weights};
use crate::features::Feature;
use crate::kernels::conv::{Addition, Filter, Geometry, Part};
use crate::kernels::family::padded;
use crate::kernels::group_norm::{FACTOR_WORDS, Input, Norm};
use crate::kernels::view::View;
use crate::kernels::{attention, conv, embed, group_norm, norm_conv, pointwise};
use crate::numeric::requant::SmallRequant;

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
    let out = &mut r.output()?;
    match op {
        Op::Input { requant, offset, .. } => embed::input(call.input(), *requant, *offset, out),
        Op::TimeProj { phases, cos_first, .. } => {
            let phases = model.table::<i32>(*phases, usize::from(r.out().channels) / 2)?;
            embed::time_proj(call.time_q16, bytemuck::cast_slice(phases), *cos_first, |i, v| {
                out.put(i, v)
            });
        }
        Op::ClassEmbed { table, .. } => shared::class_embed::<i16>(model, call, *table, r, out)?,
        Op::Silu {
            in_requant,
            out_requant,
            ..
        } => pointwise::silu(&r.operand(slot::FIRST)?, *in_requant, *out_requant, out),
        Op::Conv(_) | Op::Readout(_) | Op::GroupNorm(_) | Op::Attention(_) | Op::NormConv(_) => {}
        Op::Softmax { in_requant, .. } => {
            Feature::Chain.built()?;
            let (view, channels) = (r.view(slot::FIRST)?, r.out().channels.into());
            pointwise::softmax(&view, channels, *in_requant, out);
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

#[inline(never)]
fn run_conv(model: &Model<'_>, c: &Conv, rows: Rows, r: &mut Regions<'_, '_>) -> Option<()> {
    let g = geometry(c, r);
    let mut parts = NO_PARTS;
    let count = self::parts(&mut parts, &c.source, r)?;
    let channels = parts[0].channels + parts[1].channels;
    let parts = parts.get(..count)?;
    // Borrowed, not moved: a copy would take stack.
    let (Some(filter), add) = (&filter(model, c, rows, &g, channels), addition(c, r)?) else {
        return None;
    };
    conv::conv(parts, &g, filter, add, r.scratch()?, &mut r.output()?);
    Some(())
}

/// The weights of a convolution of `channels` in all.
#[inline(never)]
fn filter<'m>(model: &Model<'m>, c: &Conv, rows: Rows, g: &Geometry, channels: usize) -> Option<Filter<'m>> {
    let taps = g.kernel * g.kernel * channels;
    let weights = padded(taps) * g.outs;
    let (data, bias, requant) = match c.weights {
        Weights::W8 { data, bias, requant }
        | Weights::W16 { data, bias, requant }
        | Weights::W4 { data, bias, requant } => (data, bias, requant),
        Weights::F16 { .. } => return None,
    };
    let mult = rows.table(model, requant, g.outs)?;
    let shift = rows.table(model, At(requant.0 + (rows.groups * g.outs) as u32 * 4), g.outs)?;
    Some(match c.weights {
        Weights::W16 { .. } if Feature::W16.is_built() => Filter::W16 {
            // Rows are whole words.
            data: bytemuck::cast_slice(rows.table::<i32>(model, data, weights / 2)?),
            bias: rows.table::<i32>(model, bias, 2 * g.outs)?.as_chunks().0,
            mult,
            shift,
        },
        Weights::W4 { .. } if Feature::W4.is_built() => Filter::W4 {
            data: rows.table(model, data, int4::row_words(taps) * g.outs)?,
            bias: rows.table(model, bias, g.outs)?,
            mult,
            shift,
        },
        Weights::W8 { .. } => Filter::W8 {
            data: rows.table(model, data, weights)?,
            bias: rows.table(model, bias, g.outs)?,
            mult,
            shift,
        },
        _ => return None,
    })
}

/// The term that a convolution adds; the outer `None` where its memory does not fit.
fn addition<'a>(c: &Conv, r: &mut Regions<'_, 'a>) -> Option<Option<Addition<'a>>> {
    Some(match &c.addend {
        None => None,
        Some(a) => Some(Addition {
            operand: r.operand(slot::THIRD)?,
            requant: SmallRequant::new(a.requant),
            broadcast: is_vector(r),
        }),
    })
}

/// Parts of nothing, to be filled in where they are.
const NO_PARTS: [Part<'static>; 2] = [Part {
    view: View::I16(&[]),
    channels: 0,
    requant: None,
}; 2];

/// Finds the parts of a source, and how many there are.
#[inline(never)]
fn parts<'a>(parts: &mut [Part<'a>; 2], source: &Source, r: &mut Regions<'_, 'a>) -> Option<usize> {
    let requants = source.second.as_ref().map(|(_, requants)| requants);
    let count = 1 + usize::from(requants.is_some());
    for (i, part) in parts.iter_mut().enumerate().take(count) {
        part.channels = r.tensor(slot::FIRST + i).channels.into();
        part.view = r.view(slot::FIRST + i)?;
        if let Some(requants) = requants {
            part.requant = Some(SmallRequant::new(requants[i]));
        }
    }
    Some(count)
}

#[inline(never)]
fn run_group_norm(model: &Model<'_>, n: &GroupNorm, r: &mut Regions<'_, '_>) -> Option<()> {
    // Borrowed, not moved: a copy would take stack.
    let (Some(norm), Some(input)) = (&norm(model, n, slot::OUT, r), &norm_input(n, r)) else {
        return None;
    };
    let factors = r.scratch()?.get_mut(..norm.channels * FACTOR_WORDS)?;
    group_norm::group_norm(input, norm, factors, &mut r.output()?);
    Some(())
}

/// Parameters of a normalization whose output is in slot `out`.
#[inline(never)]
fn norm<'n, 'a: 'n>(model: &Model<'n>, n: &GroupNorm, out: usize, r: &mut Regions<'_, 'a>) -> Option<Norm<'n>> {
    let channels = usize::from(r.tensor(out).channels);
    let affine = model.table::<i32>(n.affine, 2 * channels)?;
    let (gamma, beta_q16) = affine.split_at_checked(channels)?;
    let scale_shift = match n.scale_shift {
        None => None,
        Some((_, requant)) => match Feature::ScaleShift.built().and_then(|()| r.view(slot::THIRD))? {
            View::I16(vector) => Some((vector, requant)),
            _ => return None,
        },
    };
    Some(Norm {
        groups: n.groups.into(),
        channels,
        positions: r.tensor(slot::FIRST).positions(),
        silu: n.silu,
        eps_q: n.eps_q,
        gamma,
        gamma_frac: n.gamma_frac,
        beta_q16,
        out_requant: n.out_requant,
        scale_shift,
    })
}

fn norm_input<'a>(n: &GroupNorm, r: &mut Regions<'_, 'a>) -> Option<Input<'a>> {
    if n.source.second.is_none() {
        return r.operand(slot::FIRST).map(Input::One);
    }
    let mut both = NO_PARTS;
    parts(&mut both, &n.source, r)?;
    Some(Input::Two(both))
}

#[inline(never)]
fn run_norm_conv(model: &Model<'_>, NormConv { norm: n, conv: c }: &NormConv, r: &mut Regions<'_, '_>) -> Option<()> {
    Feature::NormConv.built()?;
    let (norm, input) = (norm(model, n, slot::WINDOW, r)?, norm_input(n, r)?);
    let g = geometry(c, r);
    let (filter, add) = (filter(model, c, Rows::ALL, &g, norm.channels)?, addition(c, r)?);
    let (factors, columns) = r.scratch::<i32>()?.split_at_mut_checked(norm.channels * FACTOR_WORDS)?;
    let columns = bytemuck::try_cast_slice_mut(columns).ok()?;
    let (window, out) = (&mut r.window()?, &mut r.output()?);
    norm_conv::norm_conv(&input, &norm, factors, window, &g, &filter, add, columns, out);
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
        score: a.score,
        out_requant: a.out_requant,
    };
    let scores = r.scratch()?.get_mut(..positions)?;
    attention::attention(&q, &k, &v, &heads, scores, &mut r.output()?);
    Some(())
}
