//! `AutoencoderKL.decode` as a graph (Rombach et al. 2022): residual blocks, one attention, nearest-neighbour doubling.

use super::{MAX_CHANNELS, MAX_LAYERS, MAX_LEVELS, MAX_SIDE, Net, Scaling, latent_shape};
use crate::ImportError;
use crate::weights::Weights;
use mote_graph::config::Fields;
use mote_graph::graph::{Builder, Graph, ValueId, ops};

/// Added to variances; the library's decoder has no setting for it.
const EPS: f64 = 1e-6;

/// Builds the decoder.
pub(super) fn build(
    mut f: Fields,
    scaling: Scaling,
    weights: &mut Weights<'_>,
    latent: Option<[usize; 3]>,
) -> Result<Graph, ImportError> {
    let channels = f.integer("latent_channels", 1, MAX_CHANNELS)?.unwrap_or(4);
    let out = f.integer("out_channels", 1, MAX_CHANNELS)?.unwrap_or(3);
    let widths = f
        .integers("block_out_channels", 1, MAX_CHANNELS)?
        .unwrap_or_else(|| vec![64]);
    let layers = f.integer("layers_per_block", 1, MAX_LAYERS)?.unwrap_or(1);
    let groups = f.integer("norm_num_groups", 1, MAX_CHANNELS)?.unwrap_or(32);
    let blocks = f
        .strings("up_block_types")?
        .unwrap_or_else(|| vec!["UpDecoderBlock2D".to_string()]);
    if widths.is_empty() || widths.len() > MAX_LEVELS || blocks.len() != widths.len() {
        return Err(f
            .error(
                "up_block_types",
                "expected one for each of block_out_channels, of 1 to 12",
            )
            .into());
    }
    if blocks.iter().any(|block| block != "UpDecoderBlock2D") {
        return Err(f.error("up_block_types", "supported: UpDecoderBlock2D").into());
    }
    if f.string("act_fn", "silu")? != "silu" {
        return Err(f.error("act_fn", "supported: silu").into());
    }
    let attends = f.bool("mid_block_add_attention", true)?;
    let post = f.bool("use_post_quant_conv", true)?;
    let side = f
        .integer("sample_size", 1, MAX_SIDE)?
        .map(|side| side >> (widths.len() - 1));
    f.ignore(&["in_channels", "down_block_types", "use_quant_conv"]);
    let shape = latent_shape(
        &f,
        channels,
        latent,
        side.filter(|side| *side > 0).map(|side| [side; 2]),
    )?;
    f.finish()?;
    let mut net = Net {
        graph: Builder::new(),
        weights,
    };
    let mut x = net.graph.sample(shape)?;
    let scaled = ops::Affine {
        scale: scaling.scale,
        shift: scaling.shift,
    };
    x = net.graph.push("latent", scaled, &[x])?;
    if post {
        x = net.conv("post_quant_conv", channels, 1, true, x)?;
    }
    let widest = widths[widths.len() - 1];
    x = net.conv("decoder.conv_in", widest, 3, true, x)?;
    x = net.resnet("decoder.mid_block.resnets.0", widest, groups, x)?;
    if attends {
        x = net.attention("decoder.mid_block.attentions.0", groups, x)?;
    }
    x = net.resnet("decoder.mid_block.resnets.1", widest, groups, x)?;
    for (level, width) in widths.iter().rev().enumerate() {
        let at = format!("decoder.up_blocks.{level}");
        for j in 0..=layers {
            x = net.resnet(&format!("{at}.resnets.{j}"), *width, groups, x)?;
        }
        if level + 1 < widths.len() {
            x = net
                .graph
                .push(&format!("{at}.upsamplers.0.upsample"), ops::Upsample2, &[x])?;
            x = net.conv(&format!("{at}.upsamplers.0.conv"), *width, 3, true, x)?;
        }
    }
    x = net.norm("decoder.conv_norm_out", groups, x)?;
    x = net.graph.push("decoder.conv_act", ops::Silu, &[x])?;
    x = net.conv("decoder.conv_out", out, 3, true, x)?;
    Ok(net.graph.finish(x)?)
}

impl Net<'_, '_> {
    fn norm(&mut self, name: &str, groups: usize, x: ValueId) -> Result<ValueId, ImportError> {
        let channels = self.graph.shape(x)[0];
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        for key in [&weight, &bias] {
            let param = self.weights.take(key, &[channels])?;
            self.graph.param(key, param);
        }
        Ok(self
            .graph
            .push(name, ops::Norm::group(groups, EPS, weight, bias), &[x])?)
    }

    /// `ResnetBlock2D` without a time embedding.
    fn resnet(&mut self, name: &str, out: usize, groups: usize, x: ValueId) -> Result<ValueId, ImportError> {
        let at = |part: &str| format!("{name}.{part}");
        let mut h = self.norm(&at("norm1"), groups, x)?;
        h = self.graph.push(&at("act1"), ops::Silu, &[h])?;
        h = self.conv(&at("conv1"), out, 3, true, h)?;
        h = self.norm(&at("norm2"), groups, h)?;
        h = self.graph.push(&at("act2"), ops::Silu, &[h])?;
        h = self.conv(&at("conv2"), out, 3, true, h)?;
        let mut x = x;
        if self.graph.shape(x)[0] != out {
            x = self.conv(&at("conv_shortcut"), out, 1, true, x)?;
        }
        Ok(self.graph.push(&at("add"), ops::Add { divisor: 1.0 }, &[x, h])?)
    }

    /// Attention of one head over positions, with a residual connection. Old files have its layers under other names.
    fn attention(&mut self, name: &str, groups: usize, x: ValueId) -> Result<ValueId, ImportError> {
        let at = |part: &str| format!("{name}.{part}");
        let old = self.weights.has(&at("query.weight"));
        let layer = |new: &str, legacy: &str| at(if old { legacy } else { new });
        let width = self.graph.shape(x)[0];
        let h = self.norm(&at("group_norm"), groups, x)?;
        // Linear layers: kernel 0 has weights of two extents.
        let q = self.conv(&layer("to_q", "query"), width, 0, true, h)?;
        let k = self.conv(&layer("to_k", "key"), width, 0, true, h)?;
        let v = self.conv(&layer("to_v", "value"), width, 0, true, h)?;
        let h = self
            .graph
            .push(&at("attend"), ops::Attention { heads: 1 }, &[q, k, v])?;
        let h = self.conv(&layer("to_out.0", "proj_attn"), width, 0, true, h)?;
        Ok(self.graph.push(&at("add"), ops::Add { divisor: 1.0 }, &[x, h])?)
    }
}
