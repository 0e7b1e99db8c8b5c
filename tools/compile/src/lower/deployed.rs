//! The network that a model file holds, of a checkpoint whose network gives variances beside its prediction.
//!
//! The mean's half of the output is deployed (Nichol and Dhariwal 2021, section 3.1; Peebles and Xie 2023): deterministic samplers read no
//! other. The weights that make the other half are cut away, unless the ancestral sampler is to have them ([`Checkpoint::keep_variances`]).

use super::{LowerError, refuse};
use mote_graph::graph::{Graph, Node, Op, Param, ValueId};
use mote_graph::schedule::Variance;
use mote_import::Checkpoint;
use mote_runtime::Model;
use std::borrow::Cow;

/// The checkpoint as it is deployed: without variances, where they are not kept.
///
/// # Errors
/// Where the last layers are none whose channels can be cut.
pub fn deployed(checkpoint: &Checkpoint) -> Result<Cow<'_, Checkpoint>, LowerError> {
    if checkpoint.variances {
        return Ok(Cow::Borrowed(checkpoint));
    }
    without(checkpoint)
}

/// The checkpoint without variances.
fn without(checkpoint: &Checkpoint) -> Result<Cow<'_, Checkpoint>, LowerError> {
    if !checkpoint.has_variances() {
        return Ok(Cow::Borrowed(checkpoint));
    }
    let mut means = checkpoint.clone();
    let channels = means.graph.sample_shape()[0];
    if let Some(output) = means.graph.output {
        cut(&mut means.graph, output, channels)?;
    }
    means.scheduler.variance = Variance::FixedSmall;
    let graph = &mut means.graph;
    let used: Vec<String> = graph.nodes.iter().flat_map(|node| params(&node.op)).collect();
    graph.params.retain(|key, _| used.contains(key));
    Ok(Cow::Owned(means))
}

/// The checkpoint as `model` was made of it: with its variances or without, and with as many labels.
///
/// # Errors
/// As [`deployed`].
pub fn deployed_as<'a>(checkpoint: &'a Checkpoint, model: &Model<'_>) -> Result<Cow<'a, Checkpoint>, LowerError> {
    let header = model.header();
    let deployed = if model.has_variances() && checkpoint.has_variances() {
        Cow::Owned(Checkpoint {
            variances: true,
            ..checkpoint.clone()
        })
    } else {
        without(checkpoint)?
    };
    let classes = usize::from(header.classes);
    if classes == 0 || deployed.graph.classes.is_none_or(|all| classes >= all) {
        return Ok(deployed);
    }
    let last = Some(classes - 1);
    let null = usize::from(header.null_class.map(usize::from) == last && checkpoint.null_class != last);
    let mut fewer = deployed.into_owned();
    // A model of other labels is refused by their number.
    let _ = fewer.keep_labels(classes - null);
    Ok(Cow::Owned(fewer))
}

fn params(op: &Op) -> Vec<String> {
    use mote_graph::ops::Operator;
    op.params().into_iter().map(str::to_owned).collect()
}

/// Leaves the first `channels` of a value, which nothing but the network's end reads.
fn cut(graph: &mut Graph, value: ValueId, channels: usize) -> Result<(), LowerError> {
    let readers = graph
        .nodes
        .iter()
        .flat_map(|node| &node.inputs)
        .filter(|id| **id == value);
    let only = readers.count() <= 1;
    let Some(index) = graph.nodes.iter().position(|node| node.output == value) else {
        return Ok(());
    };
    let node = graph.nodes[index].clone();
    let apart = |node: &Node| {
        refuse(
            node,
            "the channels of its variances cannot be cut away from those of the mean",
        )
    };
    if !only {
        return Err(apart(&node));
    }
    match &node.op {
        Op::Conv(conv) if conv.groups == 1 => {
            let mut conv = conv.clone();
            conv.weight = rows(graph, &conv.weight, channels).ok_or_else(|| apart(&node))?;
            if let Some(bias) = &conv.bias {
                conv.bias = Some(rows(graph, bias, channels).ok_or_else(|| apart(&node))?);
            }
            graph.nodes[index].op = conv.into();
        }
        Op::DepthToSpace(op) => cut(graph, node.inputs[0], channels * op.block[0] * op.block[1])?,
        Op::Reshape(_) | Op::Repeat(_) | Op::Upsample2(_) | Op::Pointwise(_) | Op::Silu(_) | Op::Affine(_) => {
            cut(graph, node.inputs[0], channels)?;
        }
        _ => return Err(apart(&node)),
    }
    graph.values[value.0].shape[0] = channels;
    Ok(())
}

/// A parameter's first rows, under a name of their own.
fn rows(graph: &mut Graph, key: &str, count: usize) -> Option<String> {
    let param = graph.params.get(key)?;
    let each = param.data.len() / param.shape.first().filter(|rows| **rows > 0)?;
    let mut shape = param.shape.clone();
    shape[0] = count;
    let data = param.data.get(..count * each)?.to_vec();
    let name = format!("{key}[mean]");
    graph.params.insert(name.clone(), Param { shape, data });
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mote_graph::graph::Builder;
    use mote_graph::ops;

    /// A convolution of two outputs a position, in patches of 2, and what is left of it.
    #[test]
    fn the_first_half_of_the_channels_is_what_it_was() {
        let mut b = Builder::new();
        let x = b.sample([1, 2, 2]).unwrap();
        let data: Vec<f32> = (0..8 * 4).map(|i| i as f32).collect();
        let shape = vec![8, 1, 2, 2];
        b.param("w", Param { shape, data });
        let conv = ops::Conv {
            stride: [2; 2],
            ..ops::Conv::square("w", None, 2, 2, [0; 4])
        };
        let h = b.push("conv", conv, &[x]).unwrap();
        let out = b.push("out", ops::DepthToSpace { block: [2; 2] }, &[h]).unwrap();
        let mut graph = b.finish(out).unwrap();
        cut(&mut graph, out, 1).unwrap();
        graph.params.remove("w");
        graph.check().unwrap();
        assert_eq!(graph.output_shape(), [1, 2, 2]);
        let first: Vec<f32> = (0..16).map(|i| i as f32).collect();
        assert_eq!(graph.params["w[mean]"].data, first);
        assert!(cut(&mut graph, x, 1).is_err());
    }
}
