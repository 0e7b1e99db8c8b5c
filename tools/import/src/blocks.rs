//! Down, middle and up blocks.

use super::attention::attention;
use super::resnet::{Scale, resnet};
use super::unet::Net;
use super::{BlockKind, ImportError, Resample};
use mote_graph::graph::{ValueId, ops};

/// Appends down block `level`; every resnet's output (after its attention) and the downsampler's go onto `skips`.
pub(super) fn down_block(
    net: &mut Net<'_, '_>,
    level: usize,
    mut x: ValueId,
    embedding: ValueId,
    skips: &mut Vec<ValueId>,
) -> Result<ValueId, ImportError> {
    let name = format!("down_blocks.{level}");
    let kind = net.config.down_blocks[level];
    let channels = net.config.block_out_channels[level];
    let mut outputs = Vec::new();
    for j in 0..net.config.layers_per_block {
        x = resnet(
            net,
            &format!("{name}.resnets.{j}"),
            channels,
            1.0,
            Scale::Keep,
            x,
            embedding,
        )?;
        if kind == BlockKind::Attention {
            let groups = Some(net.config.norm_num_groups);
            x = attention(net, &format!("{name}.attentions.{j}"), groups, 1.0, x)?;
        }
        outputs.push(x);
    }
    if level + 1 < net.config.block_out_channels.len() {
        let at = format!("{name}.downsamplers.0");
        x = if inside_resnet(kind, net.config.downsample_type) {
            resnet(net, &at, channels, 1.0, Scale::Half, x, embedding)?
        } else {
            // Padding 0 is one row and column of zeros at bottom and right.
            let pad = if net.config.downsample_padding == 0 {
                [0, 0, 1, 1]
            } else {
                [1; 4]
            };
            let y = net.conv(&format!("{at}.conv"), channels, 3, 2, pad, x)?;
            net.graph.tap(at, y);
            y
        };
        outputs.push(x);
    }
    net.graph.tap(&name, x);
    for (j, output) in outputs.iter().enumerate() {
        net.graph.tap(format!("{name}.skip.{j}"), *output);
    }
    skips.extend(outputs);
    Ok(x)
}

/// Appends the middle block: resnet, attention, resnet.
pub(super) fn mid_block(net: &mut Net<'_, '_>, x: ValueId, embedding: ValueId) -> Result<ValueId, ImportError> {
    let channels = net.graph.shape(x)[0];
    let divisor = net.config.mid_block_scale_factor;
    let mut x = resnet(net, "mid_block.resnets.0", channels, divisor, Scale::Keep, x, embedding)?;
    if net.config.add_attention {
        // Under scale_shift the library's middle attention has no normalization unless it is asked for.
        let usual = (!net.config.scale_shift).then_some(net.config.norm_num_groups);
        let groups = net.config.attn_norm_num_groups.or(usual);
        x = attention(net, "mid_block.attentions.0", groups, divisor, x)?;
    }
    x = resnet(net, "mid_block.resnets.1", channels, divisor, Scale::Keep, x, embedding)?;
    net.graph.tap("mid_block", x);
    Ok(x)
}

/// Appends up block `index` (0 at lowest resolution); takes one of `skips` for each resnet, latest first.
pub(super) fn up_block(
    net: &mut Net<'_, '_>,
    index: usize,
    mut x: ValueId,
    embedding: ValueId,
    skips: &mut Vec<ValueId>,
) -> Result<ValueId, ImportError> {
    let name = format!("up_blocks.{index}");
    let kind = net.config.up_blocks[index];
    let levels = net.config.block_out_channels.len();
    let channels = net.config.block_out_channels[levels - 1 - index];
    for j in 0..=net.config.layers_per_block {
        let at = format!("{name}.resnets.{j}");
        // The down path leaves exactly layers_per_block + 1 outputs for each up block.
        let mut inputs = vec![x];
        inputs.extend(skips.pop());
        if inputs[1..] == [x] {
            inputs[1] = twin(net, x)?;
        }
        x = net.graph.push(&format!("{at}.concat"), ops::Concat, &inputs)?;
        x = resnet(net, &at, channels, 1.0, Scale::Keep, x, embedding)?;
        if kind == BlockKind::Attention {
            let groups = Some(net.config.norm_num_groups);
            x = attention(net, &format!("{name}.attentions.{j}"), groups, 1.0, x)?;
        }
    }
    if index + 1 < levels {
        let at = format!("{name}.upsamplers.0");
        x = if inside_resnet(kind, net.config.upsample_type) {
            resnet(net, &at, channels, 1.0, Scale::Double, x, embedding)?
        } else {
            x = net.graph.push(&format!("{at}.upsample"), ops::Upsample2, &[x])?;
            let y = net.conv3(&format!("{at}.conv"), channels, x)?;
            net.graph.tap(at, y);
            y
        };
    }
    net.graph.tap(&name, x);
    Ok(x)
}

/// The value `x` computed once more. Without a middle block the up path begins by joining the last skip with itself, and a model file
/// holds no operator that reads one tensor twice. What is repeated is the sum at the end of a block and the convolution before it.
fn twin(net: &mut Net<'_, '_>, x: ValueId) -> Result<ValueId, ImportError> {
    let Some(sum) = net.graph.writer(x).cloned() else {
        return Ok(x);
    };
    let mut inputs = sum.inputs;
    if let Some(last) = inputs.last_mut()
        && let Some(conv) = net.graph.writer(*last).cloned()
    {
        *last = net.graph.push(&format!("{}.twin", conv.name), conv.op, &conv.inputs)?;
    }
    Ok(net.graph.push(&format!("{}.twin", sum.name), sum.op, &inputs)?)
}

/// Plain blocks always resample by convolution, resnet blocks never do, attention blocks do as they are told.
fn inside_resnet(kind: BlockKind, resample: Resample) -> bool {
    match kind {
        BlockKind::Plain => false,
        BlockKind::Attention => resample == Resample::Resnet,
        BlockKind::Resnet => true,
    }
}
