//! `ResnetBlock2D`.

use super::ImportError;
use super::unet::Net;
use mote_graph::graph::{Op, ValueId, ops};

/// Where a resnet changes resolution, if it does: after its first activation, and on its shortcut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Keep,
    Half,
    Double,
}

/// Appends the resnet `name` with `out` channels: `(shortcut(x) + h) / divisor`. Taps its output.
pub(super) fn resnet(
    net: &mut Net<'_, '_>,
    name: &str,
    out: usize,
    divisor: f64,
    scale: Scale,
    x: ValueId,
    embedding: ValueId,
) -> Result<ValueId, ImportError> {
    let at = |part: &str| format!("{name}.{part}");
    let groups = net.config.norm_num_groups;
    let channels = net.graph.shape(x)[0];
    let mut h = net.norm(&at("norm1"), groups, x)?;
    h = net.graph.push(&at("act1"), ops::Silu, &[h])?;
    let mut x = x;
    if let Some(op) = resample(scale) {
        x = net.graph.push(&at("resample_shortcut"), op.clone(), &[x])?;
        h = net.graph.push(&at("resample"), op, &[h])?;
    }
    h = net.conv3(&at("conv1"), out, h)?;
    if net.config.scale_shift {
        let time = net.linear(&at("time_emb_proj"), 2 * out, embedding)?;
        h = net.norm(&at("norm2"), groups, h)?;
        h = net.graph.push(&at("scale_shift"), ops::ScaleShift, &[h, time])?;
    } else {
        let time = net.linear(&at("time_emb_proj"), out, embedding)?;
        h = net.graph.push(&at("time_add"), ops::AddChannel, &[h, time])?;
        h = net.norm(&at("norm2"), groups, h)?;
    }
    h = net.graph.push(&at("act2"), ops::Silu, &[h])?;
    h = net.conv3(&at("conv2"), out, h)?;
    if channels != out {
        x = net.conv(&at("conv_shortcut"), out, 1, 1, [0; 4], x)?;
    }
    let y = net.graph.push(&at("add"), ops::Add { divisor }, &[x, h])?;
    net.graph.tap(name, y);
    Ok(y)
}

fn resample(scale: Scale) -> Option<Op> {
    match scale {
        Scale::Keep => None,
        Scale::Half => Some(Op::AvgPool2(ops::AvgPool2)),
        Scale::Double => Some(Op::Upsample2(ops::Upsample2)),
    }
}
