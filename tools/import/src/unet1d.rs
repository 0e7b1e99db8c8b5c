//! `UNet1DModel` of diffusers from its weights and `config.json`: the U-Net on signals of Dance Diffusion, and that of reinforcement learning.
//!
//! What a block is follows from the names of its weights; the configuration's names of blocks are checked against those that are known.

mod blocks;

use super::exported::{Map, Net, Plan, Rate, Tensor, View, Waves};
use super::native::{Native, Settings};
use super::network_place::{Class, NetworkPlace};
use super::{Checkpoint, ImportError};
use mote_graph::ops::Function;
use serde_json::Value;

/// Its class.
pub(super) const CLASS: Class = Class {
    name: "UNet1DModel",
    folder: "unet",
};
/// Settings of the class.
const SETTINGS: [&str; 19] = [
    "sample_size",
    "sample_rate",
    "in_channels",
    "out_channels",
    "extra_in_channels",
    "time_embedding_type",
    "time_embedding_dim",
    "flip_sin_to_cos",
    "use_timestep_embedding",
    "freq_shift",
    "down_block_types",
    "up_block_types",
    "mid_block_type",
    "out_block_type",
    "block_out_channels",
    "act_fn",
    "norm_num_groups",
    "layers_per_block",
    "downsample_each_block",
];
const BLOCKS: [&str; 8] = [
    "DownBlock1DNoSkip",
    "DownBlock1D",
    "AttnDownBlock1D",
    "DownResnetBlock1D",
    "UpBlock1DNoSkip",
    "UpBlock1D",
    "AttnUpBlock1D",
    "UpResnetBlock1D",
];

type Built<T> = Result<T, ImportError>;

/// Reads the checkpoint.
pub(super) fn import(place: &NetworkPlace) -> Built<Checkpoint> {
    let settings_file = place.network.join("config.json");
    let temporal = "down_blocks.0.resnets.0.conv_in.conv1d.weight";
    let is_temporal = Settings::peek(&settings_file, |fields| {
        let first = fields.get("down_block_types").and_then(|types| types.get(0)?.as_str());
        first == Some("DownResnetBlock1D")
    });
    let known = if is_temporal {
        temporal
    } else {
        "down_blocks.0.resnets.0.conv_1.weight"
    };
    let mut native = place.open(known)?;
    let settings = native.settings(&["sample_size"])?;
    check(&settings)?;
    let channels = settings.whole("in_channels")?.unwrap_or(2);
    let length = settings.whole("sample_size")?.unwrap_or(0);
    let plan = Plan {
        shape: [channels, 1, length],
        condition: None,
        layout: "(channel, time)",
        range: None,
    };
    native.finish(&place.network, plan, |native, net, sample, _| {
        let mut unet = Unet {
            native,
            net,
            settings: &settings,
        };
        unet.forward(&sample, length)
    })
}

/// Refuses what is not known, by name.
fn check(settings: &Settings) -> Built<()> {
    settings.known(&SETTINGS)?;
    for key in ["down_block_types", "up_block_types"] {
        for name in settings.names(key) {
            if !BLOCKS.contains(&name) {
                return Err(settings.error(key, &format!("known are {}", BLOCKS.join(", "))).into());
            }
        }
    }
    let mids = ["UNetMidBlock1D", "MidResTemporalBlock1D"].map(Value::from);
    settings.one_of(
        "mid_block_type",
        &mids,
        "known are UNetMidBlock1D and MidResTemporalBlock1D: a value function makes no sample",
    )?;
    let outs = [Value::Null, "OutConv1DBlock".into()];
    settings.one_of(
        "out_block_type",
        &outs,
        "known are null and OutConv1DBlock: a value function makes no sample",
    )?;
    let times = ["fourier", "positional"].map(Value::from);
    settings.one_of("time_embedding_type", &times, "known are fourier and positional")?;
    Ok(())
}

/// The network while it is built.
struct Unet<'a> {
    native: &'a mut Native,
    net: &'a mut Net,
    settings: &'a Settings,
}

/// The timestep, as blocks read it.
enum Time {
    /// An embedding, of axes sample and channel.
    Vector(View),
    /// Its features at every position, as channels.
    Channels(View),
}

impl Unet<'_> {
    fn forward(&mut self, sample: &View, length: usize) -> Built<View> {
        let time = self.time(length)?;
        let mut x = sample.clone();
        let mut skips = vec![];
        for i in 0..self.native.count("down_blocks") {
            let name = format!("down_blocks.{i}");
            if self.native.has(&format!("{name}.resnets.0.conv_in.conv1d.weight")) {
                x = self.temporal(&name, &x, &time)?;
                skips.push(x.clone());
                if self.native.has(&format!("{name}.downsample.conv.weight")) {
                    x = self.conv(&format!("{name}.downsample.conv"), &x, 2)?;
                }
            } else {
                x = self.entered(&name, &x, &time)?;
                x = self.residuals(&name, &x)?;
                skips.push(x.clone());
            }
        }
        x = self.middle(&x, &time)?;
        for i in 0..self.native.count("up_blocks") {
            let name = format!("up_blocks.{i}");
            let problem = || self.native.refuse(format!("`{name}` has no block to join"));
            let skip = skips.pop().ok_or_else(problem)?;
            self.net.module.clone_from(&name);
            let joined = self.net.joined(&[x, skip], 1);
            x = self.told(&name, joined)?;
            if self.native.has(&format!("{name}.resnets.0.conv_in.conv1d.weight")) {
                x = self.temporal(&name, &x, &time)?;
                if self.native.has(&format!("{name}.upsample.conv.weight")) {
                    x = self.transposed(&format!("{name}.upsample.conv"), &x)?;
                }
            } else {
                x = self.residuals(&name, &x)?;
                x = self.risen(&name, &x)?;
            }
        }
        if !self.native.has("out_block.final_conv1d_1.weight") {
            return Ok(x);
        }
        x = self.conv("out_block.final_conv1d_1", &x, 1)?;
        let groups = match self.settings.whole("norm_num_groups")? {
            Some(groups) => groups,
            // Where it is null; missing, it is 8.
            None if self.settings.has("norm_num_groups") => (x.sizes()[1] / 4).min(32),
            None => 8,
        };
        x = self.norm("out_block.final_conv1d_gn", &x, groups)?;
        let function = self.function()?;
        x = self.mapped("out_block.final_conv1d_act", &x, function)?;
        self.conv("out_block.final_conv1d_2", &x, 1)
    }

    /// The middle block: residual blocks, with attentions between resamplings, or with the timestep.
    fn middle(&mut self, x: &View, time: &Time) -> Built<View> {
        let name = "mid_block";
        if self.native.has("mid_block.resnets.0.conv_in.conv1d.weight") {
            let mut x = self.temporal(name, x, time)?;
            if self.native.has("mid_block.downsample.conv.weight") {
                x = self.conv("mid_block.downsample.conv", &x, 2)?;
            }
            return Ok(x);
        }
        let x = self.entered(name, x, time)?;
        let x = self.residuals(name, &x)?;
        self.risen(name, &x)
    }

    /// The timestep: features of trained or of fixed rates, with two linear layers where it is an embedding.
    fn time(&mut self, length: usize) -> Built<Time> {
        let flip = self.settings.flag("flip_sin_to_cos").unwrap_or(true);
        let waves = if self.native.has("time_proj.weight") {
            let weight = self.native.take("time_proj.weight")?;
            let turn = 2.0 * std::f64::consts::PI;
            let rate = |w: &f64| Rate::plain(w * turn, (*w as f32 * 2.0) * std::f32::consts::PI);
            let rates: Vec<Rate> = weight.data.iter().map(rate).collect();
            Waves::sinusoids(&rates, "time_proj")
        } else {
            let features = match self.native.has("time_mlp.linear_1.weight") {
                true => self.native.sizes("time_mlp.linear_1.weight")?[1],
                false => self.settings.first("block_out_channels").unwrap_or(32),
            };
            let half = features / 2;
            let divisor = half as f64 - self.settings.number("freq_shift")?.unwrap_or(0.0);
            if divisor <= 0.0 || !features.is_multiple_of(2) {
                let problem = format!(
                    "{features} features of the timestep: half of them must exceed it, and their count be even"
                );
                return Err(self.settings.error("freq_shift", &problem).into());
            }
            let exponent = -libm::log(10_000.0);
            let rate = |i: usize| {
                let single = exponent as f32 * i as f32 / divisor as f32;
                Rate::exp(exponent * i as f64 / divisor, single)
            };
            Waves::sinusoids(&(0..half).map(rate).collect::<Vec<_>>(), "time_proj").cast()
        };
        let waves = if flip { waves.cosines_first() } else { waves };
        let features = self.net.features(&waves);
        let features = self.told("time_proj", features)?;
        if self.native.has("time_mlp.linear_1.weight") {
            let hidden = self.linear("time_mlp.linear_1", &features)?;
            let function = self.function()?;
            let hidden = self.mapped("time_mlp.act", &hidden, function)?;
            return Ok(Time::Vector(self.linear("time_mlp.linear_2", &hidden)?));
        }
        self.net.module = "time_proj".to_string();
        let spread = self
            .net
            .spread_over(&features, [1, length])
            .map(|view| self.net.shown_as(view.source, 3));
        self.told("time_proj", spread).map(Time::Channels)
    }

    /// The function that `act_fn` names.
    fn function(&self) -> Built<Function> {
        match self.settings.text("act_fn") {
            Some("silu" | "swish") => Ok(Function::Silu),
            Some("mish") => Ok(Function::Mish),
            Some("gelu") => Ok(Function::Gelu),
            Some("relu") => Ok(Function::Relu),
            _ => Err(self
                .settings
                .error("act_fn", "known are silu, swish, mish, gelu and relu")
                .into()),
        }
    }

    fn conv(&mut self, name: &str, x: &View, stride: usize) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        let kernel = weight.sizes.last().copied().unwrap_or(1);
        self.net.module = name.to_string();
        let x = self.net.signal(x, weight, bias, stride, kernel / 2, false);
        self.told(name, x)
    }

    fn transposed(&mut self, name: &str, x: &View) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        self.net.module = name.to_string();
        let x = self.net.signal(x, weight, bias, 2, 1, true);
        self.told(name, x)
    }

    fn linear(&mut self, name: &str, x: &View) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        self.net.module = name.to_string();
        let x = self.net.linear(x, weight, bias);
        self.told(name, x)
    }

    fn norm(&mut self, name: &str, x: &View, groups: usize) -> Built<View> {
        let affine = [
            self.native.take(&format!("{name}.weight"))?,
            self.native.take(&format!("{name}.bias"))?,
        ];
        self.net.module = name.to_string();
        let x = self.net.group_norm(x, groups, 1e-5, affine.map(Some));
        self.told(name, x)
    }

    fn mapped(&mut self, name: &str, x: &View, function: Function) -> Built<View> {
        self.net.module = name.to_string();
        let x = self.net.map(x, Map::Function(function));
        self.told(name, x)
    }

    fn added(&mut self, name: &str, a: &View, b: &View) -> Built<View> {
        self.net.module = name.to_string();
        let sum = self.net.sum(a, b);
        self.told(name, sum)
    }

    /// A weight, and a bias where there is one.
    fn affine(&mut self, name: &str) -> Built<(Tensor, Option<Tensor>)> {
        let weight = self.native.take(&format!("{name}.weight"))?;
        let bias = format!("{name}.bias");
        let bias = match self.native.has(&bias) {
            true => Some(self.native.take(&bias)?),
            false => None,
        };
        Ok((weight, bias))
    }

    fn told<T>(&self, name: &str, result: Result<T, String>) -> Built<T> {
        result.map_err(|problem| self.native.refuse(format!("module `{name}`: {problem}")))
    }
}
