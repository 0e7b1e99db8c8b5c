//! An independent, naive `UNet2DModel` in f64, written from the library's module structure and straight from the JSON
//! configuration: no graph, no tensor library. It makes up each weight as it first asks for it, so the set of tensors
//! that a configuration implies is its own opinion too.

use serde_json::Value;
use std::collections::BTreeMap;

/// `(channel, row, col)`.
#[derive(Debug, Clone)]
pub struct Image {
    pub shape: [usize; 3],
    pub data: Vec<f64>,
}

impl Image {
    pub fn new(shape: [usize; 3], f: impl Fn(usize, usize, usize) -> f64) -> Self {
        let [c, h, w] = shape;
        let data = (0..c * h * w).map(|i| f(i / (h * w), i / w % h, i % w)).collect();
        Self { shape, data }
    }

    /// Zero outside.
    fn at(&self, c: usize, y: isize, x: isize) -> f64 {
        let [_, h, w] = self.shape;
        let inside = y >= 0 && x >= 0 && (y as usize) < h && (x as usize) < w;
        if inside {
            self.data[(c * h + y as usize) * w + x as usize]
        } else {
            0.0
        }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            shape: self.shape,
            data: self.data.iter().map(|v| f(*v)).collect(),
        }
    }

    fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape);
        Self {
            shape: self.shape,
            data: self.data.iter().zip(&other.data).map(|(a, b)| f(*a, *b)).collect(),
        }
    }
}

fn silu(v: f64) -> f64 {
    v / (1.0 + (-v).exp())
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Resize {
    No,
    Up,
    Down,
}

/// The network, and the weights it has asked for so far: shape and values.
#[derive(Debug)]
pub struct Unet {
    config: Value,
    pub weights: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Unet {
    pub fn new(config: &Value) -> Self {
        Self {
            config: config.clone(),
            weights: BTreeMap::new(),
        }
    }

    fn int(&self, field: &str) -> usize {
        self.config[field].as_u64().unwrap() as usize
    }

    fn text(&self, field: &str) -> String {
        self.config[field].as_str().unwrap().to_string()
    }

    /// `UNet2DModel.forward` for one sample.
    pub fn forward(&mut self, sample: &Image, t: f64, label: Option<usize>) -> Image {
        let blocks: Vec<usize> = self.config["block_out_channels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_u64().unwrap() as usize)
            .collect();
        let levels = blocks.len();
        let sample = if self.config["center_input_sample"] == true {
            sample.map(|v| 2.0 * v - 1.0)
        } else {
            sample.clone()
        };
        let emb = self.embedding(blocks[0], t, label);
        let mut x = self.conv("conv_in", &sample, blocks[0], 3, 1, [1; 4]);
        let mut res = vec![x.clone()];
        for (i, &channels) in blocks.iter().enumerate() {
            let kind = self.config["down_block_types"][i].as_str().unwrap().to_string();
            let name = format!("down_blocks.{i}");
            for j in 0..self.int("layers_per_block") {
                x = self.resnet(&format!("{name}.resnets.{j}"), &x, &emb, channels, 1.0, Resize::No);
                if kind == "AttnDownBlock2D" {
                    let groups = Some(self.int("norm_num_groups"));
                    x = self.attention(&format!("{name}.attentions.{j}"), &x, groups, 1.0);
                }
                res.push(x.clone());
            }
            if i != levels - 1 {
                let in_resnet = kind == "ResnetDownsampleBlock2D"
                    || (kind == "AttnDownBlock2D" && self.text("downsample_type") == "resnet");
                x = if in_resnet {
                    self.resnet(&format!("{name}.downsamplers.0"), &x, &emb, channels, 1.0, Resize::Down)
                } else {
                    // F.pad(x, (0, 1, 0, 1)): right, then bottom.
                    let pad = if self.int("downsample_padding") == 0 {
                        [0, 0, 1, 1]
                    } else {
                        [1, 1, 1, 1]
                    };
                    self.conv(&format!("{name}.downsamplers.0.conv"), &x, channels, 3, 2, pad)
                };
                res.push(x.clone());
            }
        }
        if !(self.config.get("mid_block_type").is_some_and(Value::is_null)) {
            x = self.mid(&x, &emb, blocks[levels - 1]);
        }
        for i in 0..levels {
            let kind = self.config["up_block_types"][i].as_str().unwrap().to_string();
            let (name, channels) = (format!("up_blocks.{i}"), blocks[levels - 1 - i]);
            for j in 0..self.int("layers_per_block") + 1 {
                let skip = res.pop().unwrap();
                let joined = [x.data, skip.data].concat();
                let joined = Image {
                    shape: [x.shape[0] + skip.shape[0], x.shape[1], x.shape[2]],
                    data: joined,
                };
                x = self.resnet(&format!("{name}.resnets.{j}"), &joined, &emb, channels, 1.0, Resize::No);
                if kind == "AttnUpBlock2D" {
                    let groups = Some(self.int("norm_num_groups"));
                    x = self.attention(&format!("{name}.attentions.{j}"), &x, groups, 1.0);
                }
            }
            if i != levels - 1 {
                let in_resnet = kind == "ResnetUpsampleBlock2D"
                    || (kind == "AttnUpBlock2D" && self.text("upsample_type") == "resnet");
                x = if in_resnet {
                    self.resnet(&format!("{name}.upsamplers.0"), &x, &emb, channels, 1.0, Resize::Up)
                } else {
                    self.conv(
                        &format!("{name}.upsamplers.0.conv"),
                        &upsample(&x),
                        channels,
                        3,
                        1,
                        [1; 4],
                    )
                };
            }
        }
        assert!(res.is_empty());
        x = self.norm("conv_norm_out", &x, self.int("norm_num_groups")).map(silu);
        self.conv("conv_out", &x, self.int("out_channels"), 3, 1, [1; 4])
    }

    fn mid(&mut self, x: &Image, emb: &[f64], channels: usize) -> Image {
        let factor = self.config["mid_block_scale_factor"].as_f64().unwrap();
        let mut x = self.resnet("mid_block.resnets.0", x, emb, channels, factor, Resize::No);
        if self.config["add_attention"] == true {
            let groups = match self.config["attn_norm_num_groups"].as_u64() {
                Some(groups) => Some(groups as usize),
                None if self.text("resnet_time_scale_shift") == "default" => Some(self.int("norm_num_groups")),
                None => None,
            };
            x = self.attention("mid_block.attentions.0", &x, groups, factor);
        }
        self.resnet("mid_block.resnets.1", &x, emb, channels, factor, Resize::No)
    }

    fn embedding(&mut self, dim: usize, t: f64, label: Option<usize>) -> Vec<f64> {
        let (half, shift) = (dim / 2, self.config["freq_shift"].as_f64().unwrap());
        let args: Vec<f64> = (0..half)
            .map(|i| t * (-(1e4f64.ln()) * i as f64 / (half as f64 - shift)).exp())
            .collect();
        let sin: Vec<f64> = args.iter().map(|a| a.sin()).collect();
        let cos: Vec<f64> = args.iter().map(|a| a.cos()).collect();
        let mut features = if self.config["flip_sin_to_cos"] == true {
            [cos, sin].concat()
        } else {
            [sin, cos].concat()
        };
        if dim % 2 == 1 {
            features.push(0.0);
        }
        let width = self.config["time_embedding_dim"]
            .as_u64()
            .map_or(4 * dim, |v| v as usize);
        let hidden: Vec<f64> = self
            .linear("time_embedding.linear_1", &features, width)
            .into_iter()
            .map(silu)
            .collect();
        let mut emb = self.linear("time_embedding.linear_2", &hidden, width);
        if let Some(classes) = self.config["num_class_embeds"].as_u64() {
            let table = self.weight("class_embedding.weight", &[classes as usize, width]);
            let label = label.unwrap();
            emb.iter_mut().zip(&table[label * width..]).for_each(|(e, c)| *e += c);
        }
        emb
    }

    fn resnet(&mut self, name: &str, input: &Image, emb: &[f64], out: usize, factor: f64, resize: Resize) -> Image {
        let groups = self.int("norm_num_groups");
        let resized = |x: &Image| match resize {
            Resize::No => x.clone(),
            Resize::Up => upsample(x),
            Resize::Down => Image::new([x.shape[0], x.shape[1] / 2, x.shape[2] / 2], |c, y, z| {
                let at = |dy, dx| x.at(c, (2 * y + dy) as isize, (2 * z + dx) as isize);
                (at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4.0
            }),
        };
        let mut h = resized(&self.norm(&format!("{name}.norm1"), input, groups).map(silu));
        let input = resized(input);
        h = self.conv(&format!("{name}.conv1"), &h, out, 3, 1, [1; 4]);
        let act: Vec<f64> = emb.iter().map(|v| silu(*v)).collect();
        if self.text("resnet_time_scale_shift") == "scale_shift" {
            let time = self.linear(&format!("{name}.time_emb_proj"), &act, 2 * out);
            h = self.norm(&format!("{name}.norm2"), &h, groups);
            h = Image::new(h.shape, |c, y, x| {
                h.at(c, y as isize, x as isize) * (1.0 + time[c]) + time[out + c]
            });
        } else {
            let time = self.linear(&format!("{name}.time_emb_proj"), &act, out);
            h = Image::new(h.shape, |c, y, x| h.at(c, y as isize, x as isize) + time[c]);
            h = self.norm(&format!("{name}.norm2"), &h, groups);
        }
        h = self.conv(&format!("{name}.conv2"), &h.map(silu), out, 3, 1, [1; 4]);
        let shortcut = if input.shape[0] == out {
            input
        } else {
            self.conv(&format!("{name}.conv_shortcut"), &input, out, 1, 1, [0; 4])
        };
        shortcut.zip(&h, |a, b| (a + b) / factor)
    }

    fn attention(&mut self, name: &str, x: &Image, groups: Option<usize>, factor: f64) -> Image {
        let [channels, rows, cols] = x.shape;
        let depth = self.config["attention_head_dim"]
            .as_u64()
            .map_or(channels, |v| v as usize);
        let (heads, positions) = (channels / depth, rows * cols);
        let h = match groups {
            Some(groups) => self.norm(&format!("{name}.group_norm"), x, groups),
            None => x.clone(),
        };
        // One row of channels a position.
        let tokens: Vec<Vec<f64>> = (0..positions)
            .map(|p| (0..channels).map(|c| h.data[c * positions + p]).collect())
            .collect();
        let mut project = |part: &str| -> Vec<Vec<f64>> {
            tokens
                .iter()
                .map(|token| self.linear(&format!("{name}.{part}"), token, heads * depth))
                .collect()
        };
        let (q, k, v) = (project("to_q"), project("to_k"), project("to_v"));
        let mut joined = vec![vec![0.0; heads * depth]; positions];
        for head in 0..heads {
            let range = head * depth..(head + 1) * depth;
            for i in 0..positions {
                let dot = |j: usize| range.clone().map(|c| q[i][c] * k[j][c]).sum::<f64>() / (depth as f64).sqrt();
                let powers: Vec<f64> = (0..positions).map(|j| dot(j).exp()).collect();
                let total: f64 = powers.iter().sum();
                for c in range.clone() {
                    joined[i][c] = (0..positions).map(|j| powers[j] / total * v[j][c]).sum();
                }
            }
        }
        let out: Vec<Vec<f64>> = joined
            .iter()
            .map(|token| self.linear(&format!("{name}.to_out.0"), token, channels))
            .collect();
        Image::new(x.shape, |c, y, z| {
            (out[y * cols + z][c] + x.at(c, y as isize, z as isize)) / factor
        })
    }

    fn norm(&mut self, name: &str, x: &Image, groups: usize) -> Image {
        let eps = self.config["norm_eps"].as_f64().unwrap();
        let [channels, rows, cols] = x.shape;
        let gamma = self.weight(&format!("{name}.weight"), &[channels]);
        let beta = self.weight(&format!("{name}.bias"), &[channels]);
        let size = channels / groups * rows * cols;
        let stats: Vec<(f64, f64)> = x
            .data
            .chunks(size)
            .map(|group| {
                let mean = group.iter().sum::<f64>() / size as f64;
                (
                    mean,
                    group.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / size as f64,
                )
            })
            .collect();
        Image::new(x.shape, |c, y, z| {
            let (mean, variance) = stats[c / (channels / groups)];
            (x.at(c, y as isize, z as isize) - mean) / (variance + eps).sqrt() * gamma[c] + beta[c]
        })
    }

    /// `pad` is zeros at top, left, bottom, right.
    fn conv(&mut self, name: &str, x: &Image, out: usize, kernel: usize, stride: usize, pad: [usize; 4]) -> Image {
        let [channels, rows, cols] = x.shape;
        let weight = self.weight(&format!("{name}.weight"), &[out, channels, kernel, kernel]);
        let bias = self.weight(&format!("{name}.bias"), &[out]);
        let extent = |n: usize, before: usize, after: usize| (n + before + after - kernel) / stride + 1;
        Image::new(
            [out, extent(rows, pad[0], pad[2]), extent(cols, pad[1], pad[3])],
            |o, y, z| {
                let mut sum = bias[o];
                for c in 0..channels {
                    for i in 0..kernel {
                        for j in 0..kernel {
                            let (row, col) = (stride * y + i, stride * z + j);
                            let v = x.at(c, row as isize - pad[0] as isize, col as isize - pad[1] as isize);
                            sum += v * weight[((o * channels + c) * kernel + i) * kernel + j];
                        }
                    }
                }
                sum
            },
        )
    }

    fn linear(&mut self, name: &str, x: &[f64], out: usize) -> Vec<f64> {
        let weight = self.weight(&format!("{name}.weight"), &[out, x.len()]);
        let bias = self.weight(&format!("{name}.bias"), &[out]);
        (0..out)
            .map(|o| bias[o] + x.iter().zip(&weight[o * x.len()..]).map(|(a, b)| a * b).sum::<f64>())
            .collect()
    }

    fn weight(&mut self, key: &str, shape: &[usize]) -> Vec<f64> {
        let entry = self
            .weights
            .entry(key.to_string())
            .or_insert_with(|| (shape.to_vec(), made_up(key, shape)));
        assert_eq!(entry.0, shape, "{key}");
        entry.1.iter().map(|v| f64::from(*v)).collect()
    }
}

fn upsample(x: &Image) -> Image {
    Image::new([x.shape[0], 2 * x.shape[1], 2 * x.shape[2]], |c, y, z| {
        x.at(c, (y / 2) as isize, (z / 2) as isize)
    })
}

/// Values that differ from key to key and element to element, scaled by the fan-in; normalizations stay near 1.
fn made_up(key: &str, shape: &[usize]) -> Vec<f32> {
    let seed = key
        .bytes()
        .fold(0x9e37_79b9u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let fan_in = shape[1..].iter().product::<usize>().max(1) as f64;
    let offset = if shape.len() == 1 && key.ends_with(".weight") {
        1.0
    } else {
        0.0
    };
    (0..shape.iter().product::<usize>())
        .map(|i| {
            let mut h = seed.wrapping_add((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let unit = (h >> 11) as f64 / (1u64 << 53) as f64;
            (offset + (2.0 * unit - 1.0) * (1.5 / fan_in.sqrt()).min(0.5)) as f32
        })
        .collect()
}
