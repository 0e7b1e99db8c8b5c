//! What a network may have that a model file cannot hold, refused by file, field and value before anything is converted.

use crate::import::{Checkpoint, UnetConfig};
use crate::quantize::scheme::Scheme;
use mote_graph::config::{ConfigError, shown};
use mote_graph::schedule::Variance;

/// Labels and widths are counted by 16 bits in the file.
const MOST: usize = u16::MAX as usize;
/// Elements of a sample.
const MOST_ELEMENTS: usize = 1 << 24;
/// Bytes of one activation of 16 bits.
const MOST_BYTES: usize = 1 << 28;

/// Refuses `checkpoint` where a file of `scheme` cannot hold it.
pub(crate) fn check(checkpoint: &Checkpoint, scheme: Scheme) -> Result<(), ConfigError> {
    let [reads, rows, cols] = checkpoint.graph.sample_shape();
    let gives = checkpoint.graph.output_shape()[0];
    // What an importer calls these settings.
    let own = checkpoint.unet.is_some();
    let named = |setting: &'static str, other: &'static str| if own { setting } else { other };
    let refuse = |field: &str, problem: String| {
        let value = checkpoint
            .config
            .get(field)
            .map_or_else(|| "missing".to_string(), shown);
        Err(ConfigError {
            file: checkpoint.config_file.clone(),
            field: field.to_string(),
            value,
            problem,
        })
    };
    if checkpoint.scheduler.variance == Variance::LearnedRange && reads == gives {
        let problem = "variance_type is learned_range, so it must be twice `in_channels`: save the scheduler that the network was trained with";
        return refuse(named("out_channels", "inputs"), problem.to_string());
    }
    if reads != gives && !checkpoint.variances {
        let input = named("`in_channels`", "the sample's channel count");
        let problem = if gives == 2 * reads {
            format!(
                "{input} is {reads}: a sampler takes what the network gives; where the other half is its variance, the \
                 scheduler's variance_type must be learned_range; else train with a fixed variance"
            )
        } else {
            format!(
                "{input} is {reads}: a sampler takes what the network gives, so both must be the same; an input that is \
                 joined to the sample has no place in a model file"
            )
        };
        return refuse(named("out_channels", "inputs"), problem);
    }
    if checkpoint.graph.classes.is_some_and(|classes| classes > MOST) {
        return refuse(
            named("num_class_embeds", "inputs"),
            format!("a model file holds at most {MOST} labels"),
        );
    }
    if let Some(unet) = checkpoint.unet.as_ref().filter(|unet| unet.time_embedding_dim > MOST) {
        let field = match checkpoint.config.get("time_embedding_dim") {
            Some(value) if !value.is_null() => "time_embedding_dim",
            _ => "block_out_channels",
        };
        let problem = format!(
            "the time embedding has {} channels, and a model file counts at most {MOST}",
            unet.time_embedding_dim
        );
        return refuse(field, problem);
    }
    if rows * cols * reads > MOST_ELEMENTS {
        let problem =
            format!("with {reads} channels a sample has more than {MOST_ELEMENTS} elements, too many for a model file");
        return refuse(named("sample_size", "layout"), problem);
    }
    let largest = checkpoint
        .graph
        .values
        .iter()
        .map(|value| 2 * value.shape.iter().product::<usize>())
        .max();
    if largest.is_some_and(|bytes| bytes > MOST_BYTES) {
        return refuse(
            named("sample_size", "layout"),
            format!("an activation of this network has more than {MOST_BYTES} bytes, too many for a model file"),
        );
    }
    let negative = |unet: &UnetConfig| unet.mid_block && unet.mid_block_scale_factor < 0.0;
    if checkpoint.unet.as_ref().is_some_and(negative) && scheme != Scheme::F16 {
        return refuse(
            "mid_block_scale_factor",
            "integer models hold factors above 0: convert with --scheme f16".to_string(),
        );
    }
    Ok(())
}
