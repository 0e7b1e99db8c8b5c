//! `AutoencoderTiny.decode` as a graph (TAESD: Bohan, "Tiny AutoEncoder for Stable Diffusion").

use super::{MAX_CHANNELS, MAX_LAYERS, MAX_LEVELS, Net, Scaling, latent_shape};
use crate::ImportError;
use crate::weights::Weights;
use mote_graph::config::Fields;
use mote_graph::graph::{Builder, Graph, Param, ValueId, ops};
use mote_graph::ops::Function;

/// A latent is clamped to this by a hyperbolic tangent.
const MAGNITUDE: f64 = 3.0;

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
        .integers("decoder_block_out_channels", 1, MAX_CHANNELS)?
        .unwrap_or_else(|| vec![64; 4]);
    let blocks = f
        .integers("num_decoder_blocks", 0, MAX_LAYERS)?
        .unwrap_or_else(|| vec![3, 3, 3, 1]);
    if blocks.len() != widths.len() || blocks.is_empty() || blocks.len() > MAX_LEVELS {
        return Err(f
            .error(
                "num_decoder_blocks",
                "expected a number for each of decoder_block_out_channels, of 1 to 12",
            )
            .into());
    }
    if widths.iter().any(|width| *width != widths[0]) {
        let problem = "the library's blocks take what the level before gives: all levels must have the same channels";
        return Err(f.error("decoder_block_out_channels", problem).into());
    }
    if f.integer("upsampling_scaling_factor", 1, 16)?.unwrap_or(2) != 2 {
        return Err(f.error("upsampling_scaling_factor", "supported: 2").into());
    }
    if f.string("act_fn", "relu")? != "relu" {
        return Err(f.error("act_fn", "supported: relu").into());
    }
    if f.string("upsample_fn", "nearest")? != "nearest" {
        return Err(f.error("upsample_fn", "supported: nearest").into());
    }
    f.ignore(&[
        "in_channels",
        "encoder_block_out_channels",
        "num_encoder_blocks",
        "latent_magnitude",
        "latent_shift",
        "block_out_channels",
        "sample_size",
    ]);
    let shape = latent_shape(&f, channels, latent, None)?;
    f.finish()?;
    let mut net = Net {
        graph: Builder::new(),
        weights,
    };
    let mut x = net.graph.sample(shape)?;
    let scaled = ops::Affine {
        scale: scaling.scale / MAGNITUDE,
        shift: scaling.shift / MAGNITUDE,
    };
    x = net.graph.push("latent", scaled, &[x])?;
    let tanh = ops::Pointwise {
        function: Function::Tanh,
    };
    x = net.graph.push("clamp", tanh, &[x])?;
    let back = ops::Affine {
        scale: MAGNITUDE,
        shift: 0.0,
    };
    x = net.graph.push("clamp.scale", back, &[x])?;
    x = net.conv("decoder.layers.0", widths[0], 3, true, x)?;
    x = net.relu("decoder.layers.1", x)?;
    let mut layer = 2;
    for (level, (count, width)) in blocks.iter().zip(&widths).enumerate() {
        for _ in 0..*count {
            x = net.block(&format!("decoder.layers.{layer}"), *width, x)?;
            layer += 1;
        }
        if level + 1 == blocks.len() {
            // What is left is from 0 to 1: the library's last line makes it -1 to 1.
            x = net.conv_as(&format!("decoder.layers.{layer}"), [out, 3], true, doubled, x)?;
        } else {
            x = net
                .graph
                .push(&format!("decoder.layers.{layer}"), ops::Upsample2, &[x])?;
            x = net.conv(&format!("decoder.layers.{}", layer + 1), *width, 3, false, x)?;
            layer += 2;
        }
    }
    Ok(net.graph.finish(x)?)
}

/// `2 y - 1` of a convolution's output.
fn doubled(params: &mut [Param]) {
    params
        .iter_mut()
        .flat_map(|param| &mut param.data)
        .for_each(|w| *w *= 2.0);
    params[1].data.iter_mut().for_each(|b| *b -= 1.0);
}

impl Net<'_, '_> {
    fn relu(&mut self, name: &str, x: ValueId) -> Result<ValueId, ImportError> {
        let relu = ops::Pointwise {
            function: Function::Relu,
        };
        Ok(self.graph.push(name, relu, &[x])?)
    }

    /// `AutoencoderTinyBlock`: `relu(conv(relu(conv(relu(conv(x))))) + x)`.
    fn block(&mut self, name: &str, width: usize, x: ValueId) -> Result<ValueId, ImportError> {
        let at = |part: &str| format!("{name}.{part}");
        let mut h = x;
        for (conv, act) in [("conv.0", Some("conv.1")), ("conv.2", Some("conv.3")), ("conv.4", None)] {
            h = self.conv(&at(conv), width, 3, true, h)?;
            if let Some(act) = act {
                h = self.relu(&at(act), h)?;
            }
        }
        let sum = self.graph.push(&at("add"), ops::Add { divisor: 1.0 }, &[x, h])?;
        self.relu(&at("fuse"), sum)
    }
}
