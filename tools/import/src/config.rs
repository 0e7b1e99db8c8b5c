//! `unet/config.json` of a diffusers `UNet2DModel`, every default filled in.

use super::index::NETWORK;
use super::{autoencoder, dit, unet1d};
use mote_graph::config::{ConfigError, Fields};

/// A level's block, down or up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// `DownBlock2D`, `UpBlock2D`: resamples by convolution, whatever the resample type says.
    Plain,
    /// `AttnDownBlock2D`, `AttnUpBlock2D`: attention after every resnet; honours the resample type.
    Attention,
    /// `ResnetDownsampleBlock2D`, `ResnetUpsampleBlock2D`: resamples inside a resnet.
    Resnet,
}

/// How a level changes resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resample {
    /// A strided convolution, or nearest-neighbour doubling and a convolution.
    Convolution,
    /// Inside a resnet: mean over 2x2, or nearest-neighbour doubling, on both its paths.
    Resnet,
}

/// A network's configuration. Names are those of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct UnetConfig {
    /// Rows and columns.
    pub sample_size: [usize; 2],
    /// Channels of the sample.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// The network sees `2 x - 1`.
    pub center_input_sample: bool,
    /// Width of the time embedding.
    pub time_embedding_dim: usize,
    /// Subtracted from half the feature count in the frequencies' exponent.
    pub freq_shift: f64,
    /// Cosines before sines.
    pub flip_sin_to_cos: bool,
    /// Down path, from full resolution.
    pub down_blocks: Vec<BlockKind>,
    /// Up path, from lowest resolution.
    pub up_blocks: Vec<BlockKind>,
    /// Whether there is a middle block.
    pub mid_block: bool,
    /// Channels of each level, from full resolution.
    pub block_out_channels: Vec<usize>,
    /// Resnets of a down block; an up block has one more.
    pub layers_per_block: usize,
    /// Divides the sums of the middle block's resnets and attention.
    pub mid_block_scale_factor: f64,
    /// 1, or 0 for one row and column of zeros at bottom and right.
    pub downsample_padding: usize,
    /// How attention blocks go down.
    pub downsample_type: Resample,
    /// How attention blocks go up.
    pub upsample_type: Resample,
    /// Channels of a head; `None` is a single head.
    pub attention_head_dim: Option<usize>,
    /// Groups of every normalization.
    pub norm_num_groups: usize,
    /// Groups of the normalization before the middle block's attention; `None` is [`UnetConfig::norm_num_groups`], or
    /// no normalization at all under `scale_shift`.
    pub attn_norm_num_groups: Option<usize>,
    /// Added to variances.
    pub norm_eps: f64,
    /// `resnet_time_scale_shift` is `scale_shift`.
    pub scale_shift: bool,
    /// Whether the middle block has attention.
    pub add_attention: bool,
    /// Rows of the class embedding.
    pub num_class_embeds: Option<usize>,
    /// The label that stands for none, if one does: `_null_class`, which diffusers does not have and passes on.
    pub null_class: Option<usize>,
}

/// What `EMAModel` writes into the configuration of averaged weights: how they were averaged.
const AVERAGING: [&str; 7] = [
    "decay",
    "inv_gamma",
    "min_decay",
    "optimization_step",
    "power",
    "update_after_step",
    "use_ema_warmup",
];

// Bounds that only stop absurdity: they keep every later product far inside 64 bits.
const MAX_CHANNELS: usize = 1 << 14;
const MAX_LEVELS: usize = 12;
const MAX_LAYERS: usize = 64;
const MAX_SIDE: usize = 1 << 13;
const MAX_CLASSES: usize = 1 << 20;

/// The least `norm_eps`: below it nothing is added to a variance in f32 or in integers.
const LEAST_EPS: f64 = 1e-12;
/// Largest size of `mid_block_scale_factor`, and the inverse of its smallest: weights are divided by it.
const MOST_FACTOR: f64 = 1024.0;

impl UnetConfig {
    /// Refuses the configuration of another class of network.
    pub fn check_class(file: &str, text: &str) -> Result<(), ConfigError> {
        class(&mut Fields::parse(file, text)?)
    }

    /// Reads a configuration. `file` is used in errors only.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut f = Fields::parse(file, text)?;
        class(&mut f)?;
        one_of(&mut f, "time_embedding_type", "positional", &["positional"])?;
        one_of(&mut f, "act_fn", "silu", &["silu", "swish"])?;
        f.refuse_set(
            "class_embed_type",
            "supported is null, with num_class_embeds for a table of labels",
        )?;
        // Dropout does nothing at inference; num_train_timesteps sizes the learned time embedding, which is refused.
        f.ignore(&["dropout", "num_train_timesteps"]);
        f.ignore(&AVERAGING);
        let block_out_channels = f
            .integers("block_out_channels", 1, MAX_CHANNELS)?
            .unwrap_or_else(|| vec![224, 448, 672, 896]);
        let first = block_out_channels.first().copied().unwrap_or(0);
        let config = Self {
            sample_size: sample_size(&mut f)?,
            in_channels: f.integer("in_channels", 1, MAX_CHANNELS)?.unwrap_or(3),
            out_channels: f.integer("out_channels", 1, MAX_CHANNELS)?.unwrap_or(3),
            center_input_sample: f.bool("center_input_sample", false)?,
            // Null and 0 are the default: the library takes `time_embedding_dim or 4 * block_out_channels[0]`.
            time_embedding_dim: f
                .optional("time_embedding_dim", 0, 4 * MAX_CHANNELS)?
                .filter(|dim| *dim > 0)
                .unwrap_or(4 * first),
            freq_shift: f.number("freq_shift", 0.0)?,
            flip_sin_to_cos: f.bool("flip_sin_to_cos", true)?,
            down_blocks: blocks(&mut f, "down_block_types", &DOWN, &DEFAULT_DOWN)?,
            up_blocks: blocks(&mut f, "up_block_types", &UP, &DEFAULT_UP)?,
            mid_block: mid_block(&mut f)?,
            layers_per_block: f.integer("layers_per_block", 1, MAX_LAYERS)?.unwrap_or(2),
            mid_block_scale_factor: scale_factor(&mut f)?,
            downsample_padding: f.integer("downsample_padding", 0, 1)?.unwrap_or(1),
            downsample_type: resample(&mut f, "downsample_type")?,
            upsample_type: resample(&mut f, "upsample_type")?,
            attention_head_dim: head_dim(&mut f)?,
            norm_num_groups: groups(&mut f)?,
            attn_norm_num_groups: f.optional("attn_norm_num_groups", 1, MAX_CHANNELS)?,
            norm_eps: f.number("norm_eps", 1e-5)?,
            scale_shift: one_of(
                &mut f,
                "resnet_time_scale_shift",
                "default",
                &["default", "scale_shift"],
            )? == 1,
            add_attention: f.bool("add_attention", true)?,
            num_class_embeds: f.optional("num_class_embeds", 1, MAX_CLASSES)?,
            null_class: f.optional("_null_class", 0, MAX_CLASSES - 1)?,
            block_out_channels,
        };
        config.check(&f)?;
        f.finish()?;
        Ok(config)
    }

    /// Heads of an attention over `channels`, and the channels of one head.
    #[must_use]
    pub fn heads(&self, channels: usize) -> (usize, usize) {
        let depth = self.attention_head_dim.unwrap_or(channels);
        (channels / depth, depth)
    }

    /// What no single field shows.
    fn check(&self, f: &Fields) -> Result<(), ConfigError> {
        let levels = self.block_out_channels.len();
        if levels == 0 || levels > MAX_LEVELS {
            return Err(f.error("block_out_channels", format!("expected 1 to {MAX_LEVELS} levels")));
        }
        for (field, blocks) in [
            ("down_block_types", &self.down_blocks),
            ("up_block_types", &self.up_blocks),
        ] {
            if blocks.len() != levels {
                return Err(f.error(
                    field,
                    format!("expected {levels} blocks, one for each of block_out_channels"),
                ));
            }
        }
        let factor = 1 << (levels - 1);
        if self.sample_size.iter().any(|side| side % factor != 0) {
            return Err(f.error(
                "sample_size",
                format!("must divide by {factor} for a network of {levels} levels"),
            ));
        }
        if !(LEAST_EPS..=1.0).contains(&self.norm_eps) {
            return Err(f.error("norm_eps", format!("expected a number from {LEAST_EPS:e} to 1")));
        }
        let size = self.mid_block_scale_factor.abs();
        if self.mid_block && !(1.0 / MOST_FACTOR..=MOST_FACTOR).contains(&size) {
            return Err(f.error(
                "mid_block_scale_factor",
                format!(
                    "expected a number whose size is from 1/{MOST_FACTOR} to {MOST_FACTOR}: sums are divided by it"
                ),
            ));
        }
        match (self.null_class, self.num_class_embeds) {
            (Some(_), None) => return Err(f.error("_null_class", "the network has no labels: remove the field")),
            (Some(null), Some(classes)) if null >= classes => {
                return Err(f.error("_null_class", format!("expected a label from 0 to {}", classes - 1)));
            }
            _ => {}
        }
        let half = (self.block_out_channels[0] / 2) as f64;
        if half <= self.freq_shift {
            return Err(f.error(
                "freq_shift",
                format!("half the first level's channels, {half}, must exceed it"),
            ));
        }
        self.check_groups(f)?;
        self.check_heads(f)
    }

    fn check_groups(&self, f: &Fields) -> Result<(), ConfigError> {
        let groups = self.norm_num_groups;
        if let Some(channels) = self.block_out_channels.iter().find(|channels| *channels % groups != 0) {
            return Err(f.error(
                "norm_num_groups",
                format!("does not divide a level's {channels} channels"),
            ));
        }
        let last = self.block_out_channels[self.block_out_channels.len() - 1];
        match self.attn_norm_num_groups {
            Some(groups) if self.mid_block && self.add_attention && !last.is_multiple_of(groups) => Err(f.error(
                "attn_norm_num_groups",
                format!("does not divide the middle block's {last} channels"),
            )),
            _ => Ok(()),
        }
    }

    fn check_heads(&self, f: &Fields) -> Result<(), ConfigError> {
        let levels = self.block_out_channels.len();
        for (i, &channels) in self.block_out_channels.iter().enumerate() {
            let mid = i + 1 == levels && self.mid_block && self.add_attention;
            let attends = mid
                || self.down_blocks[i] == BlockKind::Attention
                || self.up_blocks[levels - 1 - i] == BlockKind::Attention;
            if attends && self.heads(channels).0 == 0 {
                return Err(f.error(
                    "attention_head_dim",
                    format!("is more than the {channels} channels of level {i}, so attention there has no head"),
                ));
            }
        }
        Ok(())
    }
}

const DOWN: [(&str, BlockKind); 3] = [
    ("DownBlock2D", BlockKind::Plain),
    ("AttnDownBlock2D", BlockKind::Attention),
    ("ResnetDownsampleBlock2D", BlockKind::Resnet),
];
const UP: [(&str, BlockKind); 3] = [
    ("UpBlock2D", BlockKind::Plain),
    ("AttnUpBlock2D", BlockKind::Attention),
    ("ResnetUpsampleBlock2D", BlockKind::Resnet),
];
const DEFAULT_DOWN: [&str; 4] = ["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"];
const DEFAULT_UP: [&str; 4] = ["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"];

fn blocks(
    f: &mut Fields,
    field: &'static str,
    known: &[(&str, BlockKind)],
    default: &[&str],
) -> Result<Vec<BlockKind>, ConfigError> {
    let names = f
        .strings(field)?
        .unwrap_or_else(|| default.iter().map(|name| (*name).to_string()).collect());
    let kind = |name: &String| {
        // The library drops this prefix of an earlier naming.
        let name = name.strip_prefix("UNetRes").unwrap_or(name);
        known.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    };
    match names.iter().position(|name| kind(name).is_none()) {
        None => Ok(names.iter().filter_map(kind).collect()),
        Some(i) => {
            let supported: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            Err(f.error(
                field,
                format!(
                    "block {i}, {}, is not supported; {} are",
                    names[i],
                    supported.join(", ")
                ),
            ))
        }
    }
}

/// Whether it is a U-Net's; of another class, what is read in its place.
fn class(f: &mut Fields) -> Result<(), ConfigError> {
    if f.string("_class_name", NETWORK)? == NETWORK {
        return Ok(());
    }
    let [tiny, kl] = autoencoder::CLASSES;
    let problem = format!(
        "supported: {NETWORK}, {}, {}, {tiny}, {kl}; other networks go in as PyTorch exports them (net.pt2, net.onnx)",
        unet1d::CLASS.name,
        dit::CLASS.name
    );
    Err(f.error("_class_name", problem))
}

/// A string that must be one of `supported`; gives its index.
fn one_of(f: &mut Fields, field: &'static str, default: &str, supported: &[&str]) -> Result<usize, ConfigError> {
    let name = f.string(field, default)?;
    let index = supported.iter().position(|supported| *supported == name);
    index.ok_or_else(|| f.error(field, format!("supported: {}", supported.join(", "))))
}

fn resample(f: &mut Fields, field: &'static str) -> Result<Resample, ConfigError> {
    // Null is `conv`: the library's blocks take `type or "conv"`.
    if f.is_null(field) {
        return Ok(Resample::Convolution);
    }
    Ok(if one_of(f, field, "conv", &["conv", "resnet"])? == 0 {
        Resample::Convolution
    } else {
        Resample::Resnet
    })
}

/// Missing is `UNetMidBlock2D`; null is no middle block.
fn mid_block(f: &mut Fields) -> Result<bool, ConfigError> {
    if f.is_null("mid_block_type") {
        f.ignore(&["mid_block_type"]);
        return Ok(false);
    }
    one_of(f, "mid_block_type", "UNetMidBlock2D", &["UNetMidBlock2D"])?;
    Ok(true)
}

/// Read where there is a middle block; without one, null does no harm.
fn scale_factor(f: &mut Fields) -> Result<f64, ConfigError> {
    let field = "mid_block_scale_factor";
    if f.is_null("mid_block_type") && f.is_null(field) {
        f.ignore(&[field]);
        return Ok(1.0);
    }
    f.number(field, 1.0)
}

/// Missing is 8; null is one head over all channels.
fn head_dim(f: &mut Fields) -> Result<Option<usize>, ConfigError> {
    let whole = f.is_null("attention_head_dim");
    let depth = f.optional("attention_head_dim", 1, MAX_CHANNELS)?;
    Ok(if whole { None } else { Some(depth.unwrap_or(8)) })
}

/// Missing is 32; null leaves the library's resnets without a group count, and it refuses to build them.
fn groups(f: &mut Fields) -> Result<usize, ConfigError> {
    if f.is_null("norm_num_groups") {
        return Err(f.error(
            "norm_num_groups",
            "expected a whole number: resnets cannot be built without it",
        ));
    }
    Ok(f.integer("norm_num_groups", 1, MAX_CHANNELS)?.unwrap_or(32))
}

fn sample_size(f: &mut Fields) -> Result<[usize; 2], ConfigError> {
    let problem = "the size must be known to make a file for a device: write the side, or [rows, columns], there";
    match f.get("sample_size") {
        None => Err(f.error("sample_size", problem)),
        Some(serde_json::Value::Array(_)) => match f.integers("sample_size", 1, MAX_SIDE)?.as_deref() {
            Some(&[rows, cols]) => Ok([rows, cols]),
            _ => Err(f.error("sample_size", "expected one number, or two: [rows, columns]")),
        },
        Some(_) => f.integer("sample_size", 1, MAX_SIDE).map(|side| [side.unwrap_or(0); 2]),
    }
}
