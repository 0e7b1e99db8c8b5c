//! Blocks, attentions and resampling of lucidrains' U-Nets, on signals and on images.

use super::Built;
use crate::exported::{Kind, Net, Operand, Tensor, View};
use crate::native::Native;

/// The least length that a vector of channels is divided by.
const FLOOR: f64 = 1e-12;

/// Builds layers by the names of their weights.
pub(super) struct Layers<'a> {
    pub native: &'a mut Native,
    pub net: &'a mut Net,
    /// 1 on signals, 2 on images.
    pub axes: usize,
    /// Channels of a head, where no memory says so.
    pub dim_head: usize,
}

/// Queries, keys and values as the axes sample, head, depth and position.
struct Heads {
    qkv: [View; 3],
    depth: usize,
}

impl Layers<'_> {
    /// A residual block: two times convolution, RMSNorm and SiLU, the first modulated by the timestep, and a shortcut.
    pub fn block(&mut self, name: &str, x: &View, time: &View) -> Built<View> {
        let encoded = self.silu(&format!("{name}.mlp.0"), time)?;
        let encoded = self.linear(&format!("{name}.mlp.1"), &encoded)?;
        let h = self.unit(&format!("{name}.block1"), x, Some(&encoded))?;
        let h = self.unit(&format!("{name}.block2"), &h, None)?;
        let shortcut = format!("{name}.res_conv");
        let residual = match self.native.has(&format!("{shortcut}.weight")) {
            true => self.conv(&shortcut, x, 1)?,
            false => x.clone(),
        };
        self.added(name, &h, &residual)
    }

    fn unit(&mut self, name: &str, x: &View, encoded: Option<&View>) -> Built<View> {
        let x = self.conv(&format!("{name}.proj"), x, 1)?;
        let mut h = self.norm(&format!("{name}.norm"), &x)?;
        if let Some(encoded) = encoded {
            self.net.module = name.to_string();
            let channels = h.sizes()[1];
            let modulated = modulated(self.net, &h, encoded, channels, self.axes);
            h = self.told(name, modulated)?;
        }
        self.silu(&format!("{name}.act"), &h)
    }

    /// RMSNorm over channels: `x / max(length, floor) * g * sqrt(channels)`.
    fn norm(&mut self, name: &str, x: &View) -> Built<View> {
        let gain = self.native.take(&format!("{name}.g"))?;
        let channels = x.sizes()[1];
        if gain.data.len() != channels {
            let problem = format!(
                "`{name}.g` has extents {:?}, and there are {channels} channels",
                gain.sizes
            );
            return Err(self.native.refuse(problem));
        }
        let gain = Tensor {
            key: gain.key.clone(),
            ..Tensor::new(gain.kind, vec![channels], gain.data.clone())
        };
        self.net.module = name.to_string();
        let normed = self.net.root_norm(x, FLOOR / (channels as f64).sqrt(), gain);
        self.told(name, normed)
    }

    /// An attention, linear where its output is normalized, and what it is added to.
    pub fn attended(&mut self, name: &str, x: &View) -> Built<View> {
        // On signals it stands in a residual connection, with a normalization before it.
        let (own, norm) = match self.native.has(&format!("{name}.fn.fn.to_qkv.weight")) {
            true => (format!("{name}.fn.fn"), format!("{name}.fn.norm")),
            false => (name.to_string(), format!("{name}.norm")),
        };
        let linear = self.native.has(&format!("{own}.to_out.0.weight"));
        let normed = self.norm(&norm, x)?;
        let heads = self.heads(&own, &normed, linear)?;
        self.net.module.clone_from(&own);
        let read = match linear {
            true => linear_attention(self.net, &heads),
            false => self.attention(&heads),
        };
        let read = self.told(&own, read)?;
        let mut sizes = x.sizes();
        sizes[1] = read.sizes().iter().product::<usize>() / sizes[2..].iter().product::<usize>().max(1);
        let problem = || "its heads cannot be seen as channels".to_string();
        let read = self.told(&own, read.reshaped(&sizes).ok_or_else(problem))?;
        let out = match linear {
            true => {
                let out = self.conv(&format!("{own}.to_out.0"), &read, 1)?;
                self.norm(&format!("{own}.to_out.1"), &out)?
            }
            false => self.conv(&format!("{own}.to_out"), &read, 1)?,
        };
        self.added(name, &out, x)
    }

    /// Queries, keys and values; behind memory keys and values where there are any.
    fn heads(&mut self, name: &str, x: &View, linear: bool) -> Built<Heads> {
        let weight = self.native.take(&format!("{name}.to_qkv.weight"))?;
        let hidden = weight.sizes[0] / 3;
        let memory = format!("{name}.mem_kv");
        let memory = match self.native.has(&memory) {
            true => Some(self.native.take(&memory)?),
            false => None,
        };
        let depth = match &memory {
            None => self.dim_head,
            // (2, heads, depth, row), or (2, heads, row, depth).
            Some(memory) => memory.sizes.get(if linear { 2 } else { 3 }).copied().unwrap_or(0),
        };
        if depth == 0 || hidden % depth != 0 {
            let problem = format!(
                "`{name}` has {hidden} channels, which are no heads of {depth}: write attn_dim_head in config.json"
            );
            return Err(self.native.refuse(problem));
        }
        self.net.module = format!("{name}.to_qkv");
        let all = self.net.signal_or_image(x, weight, None, [1, 0]);
        let all = self.told(name, all)?;
        let positions: usize = all.sizes()[2..].iter().product();
        let problem = || "its channels cannot be seen as heads".to_string();
        let part = |i: usize| {
            let part = all.sliced(1, i * hidden, hidden, 1)?;
            part.reshaped(&[1, hidden / depth, depth, positions])
        };
        let (q, k, v) = match (part(0), part(1), part(2)) {
            (Some(q), Some(k), Some(v)) => (q, k, v),
            _ => return self.told(name, Err(problem())),
        };
        let mut qkv = [q, k, v];
        if let Some(memory) = memory {
            for (which, view) in qkv.iter_mut().skip(1).enumerate() {
                let rows = rows(&memory, which, linear);
                let rows = self.told(
                    name,
                    rows.ok_or_else(|| "its mem_kv has other extents than its heads".to_string()),
                )?;
                self.net.module = name.to_string();
                let extended = self.net.extended(&rows, view, 3);
                *view = self.told(name, extended)?;
            }
        }
        Ok(Heads { qkv, depth })
    }

    fn attention(&mut self, heads: &Heads) -> Result<View, String> {
        let turned = |view: &View| {
            view.permuted(&[0, 1, 3, 2])
                .ok_or("its heads cannot be turned".to_string())
        };
        let [q, k, v] = &heads.qkv;
        let (q, k, v) = (turned(q)?, turned(k)?, turned(v)?);
        let out = self.net.attention([&q, &k, &v], None)?;
        turned(&out)
    }

    pub fn down(&mut self, name: &str, x: &View) -> Built<View> {
        let blocks = format!("{name}.1");
        if self.native.has(&format!("{blocks}.weight")) {
            // The four positions of a block as channels (c, row, col), then a linear layer: a convolution of 2 x 2.
            let (weight, bias) = self.affine(&blocks)?;
            let [out, inputs] = [weight.sizes[0], weight.sizes[1]];
            if inputs % 4 != 0 || self.axes != 2 {
                return Err(self
                    .native
                    .refuse(format!("`{blocks}.weight` has extents {:?}", weight.sizes)));
            }
            let weight = Tensor {
                key: weight.key.clone(),
                ..Tensor::new(weight.kind, vec![out, inputs / 4, 2, 2], weight.data.clone())
            };
            self.net.module.clone_from(&blocks);
            let x = self.net.signal_or_image(x, weight, Some(bias), [2, 0]);
            return self.told(&blocks, x);
        }
        // A kernel of 4 halves the positions; the last level's, of 3, keeps them.
        let kernel = self.native.sizes(&format!("{name}.weight"))?;
        let stride = if kernel.last() == Some(&4) { 2 } else { 1 };
        self.conv(name, x, stride)
    }

    pub fn up(&mut self, name: &str, x: &View) -> Built<View> {
        let inner = format!("{name}.1");
        if !self.native.has(&format!("{inner}.weight")) {
            return self.conv(name, x, 1);
        }
        self.net.module = format!("{name}.0");
        let factors = if self.axes == 1 { [1, 2] } else { [2, 2] };
        let x = self.net.upsampled(x, factors);
        let x = self.told(name, x)?;
        self.conv(&inner, &x, 1)
    }

    /// A convolution that keeps the positions, or divides them by `stride`.
    pub fn conv(&mut self, name: &str, x: &View, stride: usize) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        let kernel = weight.sizes.last().copied().unwrap_or(1);
        self.net.module = name.to_string();
        let pad = kernel.saturating_sub(1) / 2;
        let x = self.net.signal_or_image(x, weight, Some(bias), [stride, pad]);
        self.told(name, x)
    }

    pub fn linear(&mut self, name: &str, x: &View) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        self.net.module = name.to_string();
        let x = self.net.linear(x, weight, Some(bias));
        self.told(name, x)
    }

    pub fn gelu(&mut self, name: &str, x: &View) -> Built<View> {
        self.net.module = name.to_string();
        let x = self.net.gelu(x);
        self.told(name, x)
    }

    fn silu(&mut self, name: &str, x: &View) -> Built<View> {
        self.net.module = name.to_string();
        let x = self.net.silu(x);
        self.told(name, x)
    }

    /// Channels of both, one after the other.
    pub fn joined(&mut self, name: &str, both: [View; 2]) -> Built<View> {
        self.net.module = String::new();
        let joined = self.net.joined(&both, 1);
        self.told(name, joined)
    }

    fn added(&mut self, name: &str, a: &View, b: &View) -> Built<View> {
        self.net.module = name.to_string();
        let sum = self.net.sum(a, b);
        self.told(name, sum)
    }

    fn affine(&mut self, name: &str) -> Built<(Tensor, Tensor)> {
        Ok((
            self.native.take(&format!("{name}.weight"))?,
            self.native.take(&format!("{name}.bias"))?,
        ))
    }

    pub fn told<T>(&self, name: &str, result: Result<T, String>) -> Built<T> {
        result.map_err(|problem| self.native.refuse(format!("module `{name}`: {problem}")))
    }
}

/// `x * (1 + scale) + shift`, both halves of the timestep's vector.
fn modulated(net: &mut Net, x: &View, encoded: &View, channels: usize, axes: usize) -> Result<View, String> {
    let problem = || {
        format!(
            "the timestep gives it {:?} numbers for {channels} channels",
            encoded.sizes()
        )
    };
    if encoded.sizes().last() != Some(&(2 * channels)) {
        return Err(problem());
    }
    let mut vector = encoded.clone();
    for _ in 0..axes {
        vector = vector.unsqueezed(2).ok_or_else(problem)?;
    }
    let part = |first: usize| vector.sliced(1, first, channels, 1).ok_or_else(problem);
    let scale = net.one_more(&part(0)?)?;
    let scaled = net.product(&scale, x)?;
    net.sum(&scaled, &part(channels)?)
}

/// `softmax_depth(q) / sqrt(depth) (softmax_positions(k)^T v)`.
fn linear_attention(net: &mut Net, heads: &Heads) -> Result<View, String> {
    let [q, k, v] = &heads.qkv;
    let q = net.softmax(q, 2)?;
    let q = net.scaled(&q, 1.0 / (heads.depth as f64).sqrt())?;
    let k = net.softmax(k, 3)?;
    let of = |view: View, labels: [char; 4]| Operand {
        view,
        labels: labels.to_vec(),
    };
    let [k, v] = [of(k, ['b', 'h', 'd', 'n']), of(v.clone(), ['b', 'h', 'e', 'n'])];
    let context = net.contracted(k, v, &['b', 'h', 'd', 'e'])?;
    let context = of(context, ['b', 'h', 'd', 'e']);
    net.contracted(context, of(q, ['b', 'h', 'd', 'p']), &['b', 'h', 'e', 'p'])
}

/// Memory keys (0) or values (1) as the axes sample, head, depth and row.
fn rows(memory: &Tensor, which: usize, linear: bool) -> Option<Tensor> {
    let [2, heads, a, b] = memory.sizes[..] else {
        return None;
    };
    let half = memory.data.get(which * heads * a * b..(which + 1) * heads * a * b)?;
    let (depth, count) = if linear { (a, b) } else { (b, a) };
    let at = |i: usize| {
        let (head, d, j) = (i / (depth * count), i / count % depth, i % count);
        half[head * a * b + if linear { d * b + j } else { j * b + d }]
    };
    let data: Vec<f64> = (0..half.len()).map(at).collect();
    let key = memory.key.as_ref().map(|key| format!("{key}.{which}"));
    Some(Tensor {
        key,
        ..Tensor::new(Kind::F32, vec![1, heads, depth, count], data)
    })
}
