//! Diffusion transformers of diffusers, `DiTTransformer2DModel` (Peebles and Xie 2023), from their weights and `config.json`.
//!
//! Every block has adaptive layer norms from an embedding of step and class of its own. The position table is no weight: it is computed.

use super::exported::{Geometry, Kind, Map, Net, Plan, Rate, Tensor, View, Waves, What};
use super::native::{Native, Settings};
use super::network_place::{Class, NetworkPlace};
use super::{Checkpoint, ImportError};
use mote_graph::config::ConfigError;
use mote_graph::ops::Function;

/// Its class.
pub(super) const CLASS: Class = Class {
    name: "DiTTransformer2DModel",
    folder: "transformer",
};
/// Features of the step.
const FEATURES: usize = 256;
/// Added to variances in norms whose size no setting says.
const EPS: f64 = 1e-6;
/// Settings of the class.
const SETTINGS: [&str; 16] = [
    "num_attention_heads",
    "attention_head_dim",
    "in_channels",
    "out_channels",
    "num_layers",
    "dropout",
    "norm_num_groups",
    "attention_bias",
    "sample_size",
    "patch_size",
    "activation_fn",
    "num_embeds_ada_norm",
    "upcast_attention",
    "norm_type",
    "norm_elementwise_affine",
    "norm_eps",
];

/// Reads the checkpoint.
pub(super) fn import(place: &NetworkPlace) -> Result<Checkpoint, ImportError> {
    let mut native = place.open("pos_embed.proj.weight")?;
    let settings = native.settings(&["sample_size"])?;
    let sizes = Sizes::read(&native, &settings)?;
    let plan = Plan {
        shape: [sizes.channels, sizes.side, sizes.side],
        condition: None,
        layout: "(channel, row, col)",
        range: None,
    };
    let labels = settings.whole("num_embeds_ada_norm")?;
    let mut checkpoint = native.finish(&place.network, plan, |native, net, sample, _| {
        let mut dit = Dit {
            native,
            net,
            sizes: &sizes,
        };
        dit.forward(&sample)
    })?;
    // The last row stands for no class, where the table has one more than there are classes.
    let null = labels.filter(|labels| checkpoint.graph.classes == Some(labels + 1));
    checkpoint.null_class = checkpoint.null_class.or(null);
    Ok(checkpoint)
}

/// What settings and weights say of the network.
#[derive(Debug)]
struct Sizes {
    channels: usize,
    side: usize,
    patch: usize,
    /// Channels of a token.
    dim: usize,
    heads: usize,
    /// Channels of the output.
    outs: usize,
    eps: f64,
    function: Function,
}

impl Sizes {
    fn read(native: &Native, settings: &Settings) -> Result<Self, ImportError> {
        settings.known(&SETTINGS)?;
        let only = "the forward pass of the class is written for `ada_norm_zero` alone";
        settings.one_of("norm_type", &["ada_norm_zero".into()], only)?;
        let function = match settings.text("activation_fn") {
            Some("gelu") => Function::Gelu,
            None | Some("gelu-approximate") => Function::GeluTanh,
            Some(_) => {
                return Err(settings
                    .error("activation_fn", "known are gelu and gelu-approximate")
                    .into());
            }
        };
        let weight = native.sizes("pos_embed.proj.weight")?;
        let [dim, channels, patch, cols] = weight[..] else {
            return Err(native.refuse(format!("its patches have a weight of extents {weight:?}")));
        };
        let side = settings.whole("sample_size")?.unwrap_or(0);
        let number = |key: &'static str, found: usize| -> Result<(), ConfigError> {
            match settings.whole(key)? {
                Some(stated) if stated != found => Err(settings.error(key, &format!("the weights have {found}"))),
                _ => Ok(()),
            }
        };
        number("in_channels", channels)?;
        number("patch_size", patch)?;
        let heads = settings.whole("num_attention_heads")?.unwrap_or(16);
        let last = native.sizes("proj_out_2.weight")?[0];
        let square =
            patch == cols && patch > 0 && side.is_multiple_of(patch.max(1)) && last.is_multiple_of(patch * patch);
        if !square {
            return Err(settings
                .error("patch_size", "patches do not divide the sample, or the output")
                .into());
        }
        if !dim.is_multiple_of(heads) || !dim.is_multiple_of(4) {
            let problem = format!("{dim} channels of the weights do not divide by it, or by 4");
            return Err(settings.error("num_attention_heads", &problem).into());
        }
        number("attention_head_dim", dim / heads)?;
        number("num_layers", native.count("transformer_blocks"))?;
        let outs = last / (patch * patch);
        number("out_channels", outs)?;
        Ok(Self {
            channels,
            side,
            patch,
            dim,
            heads,
            outs,
            eps: settings.number("norm_eps")?.unwrap_or(1e-5),
            function,
        })
    }

    /// Patches along a side.
    fn grid(&self) -> usize {
        self.side / self.patch
    }
}

/// The network while it is built.
struct Dit<'a> {
    native: &'a mut Native,
    net: &'a mut Net,
    sizes: &'a Sizes,
}

type Built<T> = Result<T, ImportError>;

impl Dit<'_> {
    fn forward(&mut self, sample: &View) -> Built<View> {
        let (grid, dim) = (self.sizes.grid(), self.sizes.dim);
        let tokens = grid * grid;
        let mut x = self.patches(sample)?;
        x = self.seen(x.reshaped(&[1, dim, tokens]))?;
        x = self.seen(x.permuted(&[0, 2, 1]))?;
        let table = Tensor {
            key: Some("pos_embed.pos_embed".to_string()),
            ..Tensor::new(Kind::F32, vec![1, tokens, dim], positions(dim, grid))
        };
        self.net.module = "pos_embed".to_string();
        let placed = self.net.plus(&x, &table);
        x = self.told("pos_embed", placed)?;
        let mut first = None;
        for i in 0..self.native.count("transformer_blocks") {
            let name = format!("transformer_blocks.{i}");
            let condition = self.condition(&format!("{name}.norm1.emb"))?;
            first.get_or_insert_with(|| condition.clone());
            x = self.block(&name, &x, &condition)?;
        }
        let condition = first.ok_or_else(|| self.native.refuse("it has no blocks".to_string()))?;
        self.last(&x, &condition)
    }

    /// The sample's patches, each a position.
    fn patches(&mut self, sample: &View) -> Built<View> {
        let name = "pos_embed.proj";
        let (weight, bias) = self.affine(name)?;
        let geometry = Geometry {
            stride: [self.sizes.patch; 2],
            pad: [0; 4],
            dilation: [1; 2],
            groups: 1,
            output_pad: None,
        };
        self.net.module = name.to_string();
        let x = self.net.conv(sample, weight, bias, geometry);
        self.told(name, x)
    }

    /// The embedding of step and class.
    fn condition(&mut self, name: &str) -> Built<View> {
        let features = self.step(&format!("{name}.time_proj"))?;
        let hidden = self.linear(&format!("{name}.timestep_embedder.linear_1"), &features)?;
        let hidden = self.mapped(&format!("{name}.timestep_embedder.act"), &hidden, Function::Silu)?;
        let step = self.linear(&format!("{name}.timestep_embedder.linear_2"), &hidden)?;
        let own = format!("{name}.class_embedder.embedding_table");
        let table = self.native.take(&format!("{own}.weight"))?;
        let width = table.sizes.get(1).copied().unwrap_or(0);
        self.net.module.clone_from(&own);
        let source = self.net.add(vec![width, 1, 1], What::Class(table));
        let source = self.told(&own, source)?;
        let class = self.seen(View::whole(source, &[width]).reshaped(&[1, width]))?;
        self.net.module = name.to_string();
        let sum = self.net.sum(&step, &class);
        self.told(name, sum)
    }

    /// Cosines and sines of the step, in f32 whatever the rest is in.
    fn step(&mut self, name: &str) -> Built<View> {
        let half = FEATURES / 2;
        let exponent = -libm::log(10_000.0);
        let rate = |i: usize| {
            let single = (i as f32 * exponent as f32) / (half - 1) as f32;
            Rate::exp(exponent * i as f64 / (half - 1) as f64, single)
        };
        let rates: Vec<Rate> = (0..half).map(rate).collect();
        let waves = Waves::sinusoids(&rates, name).cosines_first().cast();
        let features = self.net.features(&waves);
        self.told(name, features)
    }

    /// A block: attention, then a layer of each token, both between a modulated norm and a gate.
    fn block(&mut self, name: &str, x: &View, condition: &View) -> Built<View> {
        let own = format!("{name}.norm1");
        let hidden = self.mapped(&format!("{own}.silu"), condition, Function::Silu)?;
        let vectors = self.linear(&format!("{own}.linear"), &hidden)?;
        let dim = self.sizes.dim;
        let part = |i: usize| vectors.sliced(1, i * dim, dim, 1).and_then(|part| part.unsqueezed(1));
        let parts: Option<Vec<View>> = (0..6).map(part).collect();
        let parts = self.seen(parts)?;
        let h = self.norm(&format!("{own}.norm"), x, EPS)?;
        let h = self.modulated(&own, &h, [&parts[1], &parts[0]])?;
        let h = self.attention(&format!("{name}.attn1"), &h)?;
        let x = self.gated(name, &parts[2], &h, x)?;
        let h = self.norm(&format!("{name}.norm3"), &x, self.sizes.eps)?;
        let h = self.modulated(name, &h, [&parts[4], &parts[3]])?;
        let h = self.linear(&format!("{name}.ff.net.0.proj"), &h)?;
        let h = self.mapped(&format!("{name}.ff.net.0"), &h, self.sizes.function)?;
        let h = self.linear(&format!("{name}.ff.net.2"), &h)?;
        self.gated(name, &parts[5], &h, &x)
    }

    fn attention(&mut self, name: &str, x: &View) -> Built<View> {
        let (heads, dim) = (self.sizes.heads, self.sizes.dim);
        let tokens = x.sizes()[1];
        let mut views = vec![];
        for part in ["to_q", "to_k", "to_v"] {
            let view = self.linear(&format!("{name}.{part}"), x)?;
            let view = view.reshaped(&[1, tokens, heads, dim / heads]);
            views.push(self.seen(view.and_then(|view| view.permuted(&[0, 2, 1, 3])))?);
        }
        self.net.module = name.to_string();
        let attended = self.net.attention([&views[0], &views[1], &views[2]], None);
        let attended = self.told(name, attended)?;
        let attended = attended.permuted(&[0, 2, 1, 3]);
        let attended = self.seen(attended.and_then(|view| view.reshaped(&[1, tokens, dim])))?;
        self.linear(&format!("{name}.to_out.0"), &attended)
    }

    /// What comes after the blocks, and patches put back.
    fn last(&mut self, x: &View, condition: &View) -> Built<View> {
        let (dim, grid, patch, outs) = (self.sizes.dim, self.sizes.grid(), self.sizes.patch, self.sizes.outs);
        let hidden = self.mapped("", condition, Function::Silu)?;
        let vectors = self.linear("proj_out_1", &hidden)?;
        let part = |i: usize| vectors.sliced(1, i * dim, dim, 1).and_then(|part| part.unsqueezed(1));
        let parts = self.seen(part(1).zip(part(0)))?;
        let h = self.norm("norm_out", x, EPS)?;
        let h = self.modulated("", &h, [&parts.0, &parts.1])?;
        let h = self.linear("proj_out_2", &h)?;
        let blocks = h.reshaped(&[1, grid, grid, patch, patch, outs]);
        let image = blocks.and_then(|view| view.permuted(&[0, 5, 1, 3, 2, 4]));
        let image = image.and_then(|view| view.reshaped(&[1, outs, grid * patch, grid * patch]));
        self.seen(image)
    }

    /// `x * (1 + scale) + shift`.
    fn modulated(&mut self, name: &str, x: &View, [scale, shift]: [&View; 2]) -> Built<View> {
        self.net.module = name.to_string();
        let one = Map::Affine { scale: 1.0, shift: 1.0 };
        let scale = self.net.map(scale, one);
        let scaled = scale.and_then(|scale| self.net.product(x, &scale));
        let sum = scaled.and_then(|scaled| self.net.sum(&scaled, shift));
        self.told(name, sum)
    }

    /// `gate * h + x`.
    fn gated(&mut self, name: &str, gate: &View, h: &View, x: &View) -> Built<View> {
        self.net.module = name.to_string();
        let product = self.net.product(gate, h);
        let sum = product.and_then(|product| self.net.sum(&product, x));
        self.told(name, sum)
    }

    /// A layer norm, with an affine where the weights have one.
    fn norm(&mut self, name: &str, x: &View, eps: f64) -> Built<View> {
        let affine = [self.own(name, "weight")?, self.own(name, "bias")?];
        self.net.module = name.to_string();
        let x = self.net.last_norm(x, true, eps, affine);
        self.told(name, x)
    }

    fn linear(&mut self, name: &str, x: &View) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        self.net.module = name.to_string();
        let x = self.net.linear(x, weight, bias);
        self.told(name, x)
    }

    fn mapped(&mut self, name: &str, x: &View, function: Function) -> Built<View> {
        self.net.module = name.to_string();
        let x = self.net.map(x, Map::Function(function));
        self.told(name, x)
    }

    /// A weight, and a bias where there is one.
    fn affine(&mut self, name: &str) -> Built<(Tensor, Option<Tensor>)> {
        Ok((self.native.take(&format!("{name}.weight"))?, self.own(name, "bias")?))
    }

    fn own(&mut self, name: &str, part: &str) -> Built<Option<Tensor>> {
        let key = format!("{name}.{part}");
        if self.native.has(&key) {
            self.native.take(&key).map(Some)
        } else {
            Ok(None)
        }
    }

    fn told<T>(&self, name: &str, result: Result<T, String>) -> Built<T> {
        result.map_err(|problem| self.native.refuse(format!("module `{name}`: {problem}")))
    }

    fn seen<T>(&self, view: Option<T>) -> Built<T> {
        view.ok_or_else(|| self.native.refuse("its weights do not fit each other".to_string()))
    }
}

/// Sines and cosines of the columns, then of the rows, of a grid of `side` (`(position, channel)`): omega_i = 10000^(-i / (dim / 4)).
fn positions(dim: usize, side: usize) -> Vec<f64> {
    let quarter = dim / 4;
    let mut table = Vec::with_capacity(side * side * dim);
    for (row, col) in (0..side * side).map(|i| (i / side, i % side)) {
        for at in [col, row] {
            let angle = |i: usize| at as f64 * (1.0 / libm::pow(10_000.0, i as f64 / quarter as f64));
            let sines = (0..quarter).map(|i| libm::sin(angle(i)));
            table.extend(
                sines
                    .chain((0..quarter).map(|i| libm::cos(angle(i))))
                    .map(|v| f64::from(v as f32)),
            );
        }
    }
    table
}
