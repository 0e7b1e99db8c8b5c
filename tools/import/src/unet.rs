//! `UNet2DModel.forward` as a graph.

use super::blocks::{down_block, mid_block, up_block};
use super::weights::Weights;
use super::{ImportError, UnetConfig};
use mote_graph::graph::{Builder, Graph, Param, ValueId, ops};

/// 10,000 in `Timesteps`, which has no setting for it.
const MAX_PERIOD: f64 = 10_000.0;

/// A graph under construction, with the configuration and the weights that it is made from.
pub(super) struct Net<'a, 'w> {
    pub(super) config: &'a UnetConfig,
    pub(super) graph: Builder,
    weights: &'a mut Weights<'w>,
    /// The network is told `time[0] * t + time[1]` of timestep t.
    time: [f64; 2],
}

/// Builds the network that `config` describes out of `weights`. It is told `time[0] * t + time[1]` of timestep t.
pub(super) fn build(config: &UnetConfig, weights: &mut Weights<'_>, time: [f64; 2]) -> Result<Graph, ImportError> {
    let mut net = Net {
        config,
        graph: Builder::new(),
        weights,
        time,
    };
    let embedding = net.time_embedding()?;
    let [rows, cols] = config.sample_size;
    let mut x = net.graph.sample([config.in_channels, rows, cols])?;
    if config.center_input_sample {
        x = net.graph.push(
            "center_input_sample",
            ops::Affine {
                scale: 2.0,
                shift: -1.0,
            },
            &[x],
        )?;
    }
    let channels = &config.block_out_channels;
    x = net.conv3("conv_in", channels[0], x)?;
    net.graph.tap("conv_in", x);
    let mut skips = vec![x];
    for level in 0..channels.len() {
        x = down_block(&mut net, level, x, embedding, &mut skips)?;
    }
    if config.mid_block {
        x = mid_block(&mut net, x, embedding)?;
    }
    for index in 0..channels.len() {
        x = up_block(&mut net, index, x, embedding, &mut skips)?;
    }
    x = net.norm("conv_norm_out", config.norm_num_groups, x)?;
    net.graph.tap("conv_norm_out", x);
    x = net.graph.push("conv_act", ops::Silu, &[x])?;
    net.graph.tap("conv_act", x);
    x = net.conv3("conv_out", config.out_channels, x)?;
    net.graph.tap("conv_out", x);
    Ok(net.graph.finish(x)?)
}

/// The features of another time than the timestep.
fn waves(op: &ops::TimeProj, time: [f64; 2]) -> ops::Waves {
    let half = op.dim / 2;
    let exponent = |i: usize| -libm::log(op.max_period) * i as f64 / (half as f64 - op.freq_shift);
    let wave = |kind| {
        move |i: usize| {
            let single = libm::expf(exponent(i) as f32);
            let rate = ops::Rate::exp(exponent(i), exponent(i) as f32);
            ops::Wave::of(kind, ops::Rate { single, ..rate })
        }
    };
    let (sines, cosines) = (
        (0..half).map(wave(ops::WaveKind::Sine)),
        (0..half).map(wave(ops::WaveKind::Cosine)),
    );
    let features = if op.flip_sin_to_cos {
        cosines.chain(sines).collect()
    } else {
        sines.chain(cosines).collect()
    };
    ops::Waves {
        features,
        time,
        single: false,
    }
}

impl Net<'_, '_> {
    /// Time and class embedding, and the SiLU that every resnet applies to their sum: computed once.
    fn time_embedding(&mut self) -> Result<ValueId, ImportError> {
        let (features, width) = (self.config.block_out_channels[0], self.config.time_embedding_dim);
        let op = ops::TimeProj {
            dim: features - features % 2,
            flip_sin_to_cos: self.config.flip_sin_to_cos,
            freq_shift: self.config.freq_shift,
            max_period: MAX_PERIOD,
        };
        let mut x = if self.time == [1.0, 0.0] {
            self.graph.push("time_proj", op, &[])?
        } else {
            self.graph.push("time_proj", waves(&op, self.time), &[])?
        };
        self.graph.tap("time_proj", x);
        let weight = self
            .weights
            .take("time_embedding.linear_1.weight", &[width, features])?;
        x = self.linear_of("time_embedding.linear_1", without_odd_column(weight), width, x)?;
        x = self.graph.push("time_embedding.act", ops::Silu, &[x])?;
        x = self.linear("time_embedding.linear_2", width, x)?;
        self.graph.tap("time_embedding", x);
        if let Some(classes) = self.config.num_class_embeds {
            let key = "class_embedding.weight".to_string();
            let table = self.weights.take(&key, &[classes, width])?;
            self.graph.param(&key, table);
            self.graph.classes(classes);
            let class = self
                .graph
                .push("class_embedding", ops::ClassEmbed { weight: key }, &[])?;
            self.graph.tap("class_embedding", class);
            x = self
                .graph
                .push("embedding_sum", ops::Add { divisor: 1.0 }, &[x, class])?;
        }
        Ok(self.graph.push("embedding_act", ops::Silu, &[x])?)
    }

    /// 3x3 convolution, stride 1, padding 1.
    pub(super) fn conv3(&mut self, name: &str, out: usize, x: ValueId) -> Result<ValueId, ImportError> {
        self.conv(name, out, 3, 1, [1; 4], x)
    }

    /// A convolution with bias, weights `{name}.weight` and `{name}.bias`.
    pub(super) fn conv(
        &mut self,
        name: &str,
        out: usize,
        kernel: usize,
        stride: usize,
        pad: [usize; 4],
        x: ValueId,
    ) -> Result<ValueId, ImportError> {
        let channels = self.graph.shape(x)[0];
        let weight = self
            .weights
            .take(&format!("{name}.weight"), &[out, channels, kernel, kernel])?;
        let bias = self.weights.take(&format!("{name}.bias"), &[out])?;
        self.push_conv(name, weight, bias, (kernel, stride, pad), x)
    }

    /// A linear layer with bias over channels.
    pub(super) fn linear(&mut self, name: &str, out: usize, x: ValueId) -> Result<ValueId, ImportError> {
        let channels = self.graph.shape(x)[0];
        let weight = self.weights.take(&format!("{name}.weight"), &[out, channels])?;
        self.linear_of(name, weight, out, x)
    }

    /// A linear layer that old files hold under `legacy`, some as a 1x1 convolution.
    pub(super) fn linear_renamed(
        &mut self,
        name: &str,
        legacy: &str,
        out: usize,
        x: ValueId,
    ) -> Result<ValueId, ImportError> {
        let channels = self.graph.shape(x)[0];
        let keys = |part: &str| (format!("{name}.{part}"), format!("{legacy}.{part}"));
        let ((weight, old_weight), (bias, old_bias)) = (keys("weight"), keys("bias"));
        let weight = self.weights.take_renamed(&weight, &old_weight, &[out, channels])?;
        let bias = self.weights.take_renamed(&bias, &old_bias, &[out])?;
        self.push_conv(name, weight, bias, (1, 1, [0; 4]), x)
    }

    /// Group normalization of `groups` groups.
    pub(super) fn norm(&mut self, name: &str, groups: usize, x: ValueId) -> Result<ValueId, ImportError> {
        let channels = self.graph.shape(x)[0];
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        for key in [&weight, &bias] {
            let param = self.weights.take(key, &[channels])?;
            self.graph.param(key, param);
        }
        let op = ops::Norm::group(groups, self.config.norm_eps, weight, bias);
        Ok(self.graph.push(name, op, &[x])?)
    }

    fn linear_of(&mut self, name: &str, weight: Param, out: usize, x: ValueId) -> Result<ValueId, ImportError> {
        let bias = self.weights.take(&format!("{name}.bias"), &[out])?;
        self.push_conv(name, weight, bias, (1, 1, [0; 4]), x)
    }

    fn push_conv(
        &mut self,
        name: &str,
        weight: Param,
        bias: Param,
        (kernel, stride, pad): (usize, usize, [usize; 4]),
        x: ValueId,
    ) -> Result<ValueId, ImportError> {
        let keys = (format!("{name}.weight"), format!("{name}.bias"));
        self.graph.param(&keys.0, weight);
        self.graph.param(&keys.1, bias);
        let op = ops::Conv::square(keys.0, Some(keys.1), kernel, stride, pad);
        Ok(self.graph.push(name, op, &[x])?)
    }
}

/// With an odd feature count the library appends a feature that is always 0: its weights have no effect and are dropped.
fn without_odd_column(weight: Param) -> Param {
    let columns = weight.shape[1];
    if columns.is_multiple_of(2) {
        return weight;
    }
    let data = weight
        .data
        .chunks_exact(columns)
        .flat_map(|row| &row[..columns - 1])
        .copied()
        .collect();
    Param {
        shape: vec![weight.shape[0], columns - 1],
        data,
    }
}
