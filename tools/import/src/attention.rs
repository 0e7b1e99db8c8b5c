//! `Attention` as `UNet2DModel` uses it: over positions, with a residual connection.

use super::ImportError;
use super::unet::Net;
use mote_graph::graph::{ValueId, ops};

/// Appends the attention `name`: `(x + to_out(attend(norm(x)))) / divisor`. Without `groups` there is no normalization.
/// Taps its output.
///
/// The inner width is heads times head size, which is less than the channel count where the head size does not divide it.
pub(super) fn attention(
    net: &mut Net<'_, '_>,
    name: &str,
    groups: Option<usize>,
    divisor: f64,
    x: ValueId,
) -> Result<ValueId, ImportError> {
    let at = |part: &str| format!("{name}.{part}");
    let channels = net.graph.shape(x)[0];
    let (heads, depth) = net.config.heads(channels);
    let inner = heads * depth;
    let h = match groups {
        Some(groups) => net.norm(&at("group_norm"), groups, x)?,
        None => x,
    };
    let q = net.linear_renamed(&at("to_q"), &at("query"), inner, h)?;
    let k = net.linear_renamed(&at("to_k"), &at("key"), inner, h)?;
    let v = net.linear_renamed(&at("to_v"), &at("value"), inner, h)?;
    let h = net.graph.push(&at("attend"), ops::Attention { heads }, &[q, k, v])?;
    let h = net.linear_renamed(&at("to_out.0"), &at("proj_attn"), channels, h)?;
    let y = net.graph.push(&at("add"), ops::Add { divisor }, &[x, h])?;
    net.graph.tap(name, y);
    Ok(y)
}
