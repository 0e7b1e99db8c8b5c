//! Blocks of `UNet1DModel`: residual ones with and without the timestep, attentions, and cubic resampling.

use super::{Built, Time, Unet};
use crate::exported::View;
use mote_graph::ops::Function;

/// Groups of a normalization in blocks with the timestep.
const TEMPORAL_GROUPS: usize = 8;
/// Channels of a head.
const HEAD: usize = 32;
/// Taps of the cubic kernel.
const TAPS: usize = 8;

impl Unet<'_> {
    /// Half as many positions; the first block has the timestep's features as channels instead.
    pub(super) fn entered(&mut self, name: &str, x: &View, time: &Time) -> Built<View> {
        let own = format!("{name}.down.kernel");
        if self.native.has(&own) {
            let kernel = self.kernel(&own)?;
            self.net.module = format!("{name}.down");
            let halved = self.net.reflected(x, &[kernel], 2, TAPS / 2 - 1);
            return self.told(&format!("{name}.down"), halved);
        }
        let Time::Channels(features) = time else {
            return Err(self.native.refuse(format!(
                "`{name}` reads features of the timestep, and there is an embedding of it"
            )));
        };
        self.net.module = name.to_string();
        let joined = self.net.joined(&[x.clone(), features.clone()], 1);
        self.told(name, joined)
    }

    /// Twice as many positions, where the block has a kernel.
    pub(super) fn risen(&mut self, name: &str, x: &View) -> Built<View> {
        let own = format!("{name}.up.kernel");
        if !self.native.has(&own) {
            return Ok(x.clone());
        }
        let kernel = self.kernel(&own)?;
        self.net.module = format!("{name}.up");
        let doubled = self.net.reflected_up(x, &kernel, 2, TAPS - 1);
        self.told(&format!("{name}.up"), doubled)
    }

    fn kernel(&mut self, name: &str) -> Built<Vec<f64>> {
        let kernel = self.native.take(name)?;
        match kernel.data.len() {
            TAPS => Ok(kernel.data.to_vec()),
            other => Err(self
                .native
                .refuse(format!("`{name}` has {other} taps; {TAPS} are known"))),
        }
    }

    /// Residual blocks of two convolutions, each followed by an attention where the block has them.
    pub(super) fn residuals(&mut self, name: &str, x: &View) -> Built<View> {
        let mut x = x.clone();
        for i in 0..self.native.count(&format!("{name}.resnets")) {
            x = self.residual(&format!("{name}.resnets.{i}"), &x)?;
            let own = format!("{name}.attentions.{i}");
            if self.native.has(&format!("{own}.query.weight")) {
                x = self.attention(&own, &x)?;
            }
        }
        Ok(x)
    }

    fn residual(&mut self, name: &str, x: &View) -> Built<View> {
        let shortcut = format!("{name}.conv_skip");
        let residual = match self.native.has(&format!("{shortcut}.weight")) {
            true => self.conv(&shortcut, x, 1)?,
            false => x.clone(),
        };
        let mut h = x.clone();
        for i in 1..=2 {
            h = self.conv(&format!("{name}.conv_{i}"), &h, 1)?;
            let norm = format!("{name}.group_norm_{i}");
            // The last one of all has neither norm nor function behind it.
            if self.native.has(&format!("{norm}.weight")) {
                h = self.norm(&norm, &h, 1)?;
                h = self.mapped(&format!("{name}.gelu_{i}"), &h, Function::Gelu)?;
            }
        }
        self.added(name, &h, &residual)
    }

    fn attention(&mut self, name: &str, x: &View) -> Built<View> {
        let (channels, positions) = (x.sizes()[1], x.sizes()[2]);
        let heads = channels / HEAD;
        let problem = || format!("`{name}` has {channels} channels, which are no heads of {HEAD} or more each");
        if heads == 0 || !channels.is_multiple_of(heads) {
            return Err(self.native.refuse(problem()));
        }
        let h = self.norm(&format!("{name}.group_norm"), x, 1)?;
        let tokens = h.permuted(&[0, 2, 1]);
        let tokens = tokens.ok_or_else(|| self.native.refuse(problem()))?;
        let mut views = vec![];
        for part in ["query", "key", "value"] {
            let view = self.linear(&format!("{name}.{part}"), &tokens)?;
            let view = view.reshaped(&[1, positions, heads, channels / heads]);
            let view = view.and_then(|view| view.permuted(&[0, 2, 1, 3]));
            views.push(view.ok_or_else(|| self.native.refuse(problem()))?);
        }
        self.net.module = name.to_string();
        let attended = self.net.attention([&views[0], &views[1], &views[2]], None);
        let attended = self.told(name, attended)?.permuted(&[0, 2, 1, 3]);
        let attended = attended.and_then(|view| view.reshaped(&[1, positions, channels]));
        let attended = attended.ok_or_else(|| self.native.refuse(problem()))?;
        let out = self
            .linear(&format!("{name}.proj_attn"), &attended)?
            .permuted(&[0, 2, 1]);
        let out = out.ok_or_else(|| self.native.refuse(problem()))?;
        self.added(name, &out, x)
    }

    /// Residual blocks to which the timestep's embedding is added.
    pub(super) fn temporal(&mut self, name: &str, x: &View, time: &Time) -> Built<View> {
        let Time::Vector(vector) = time else {
            return Err(self.native.refuse(format!(
                "`{name}` reads an embedding of the timestep: use_timestep_embedding is false"
            )));
        };
        let mut x = x.clone();
        for i in 0..self.native.count(&format!("{name}.resnets")) {
            let own = format!("{name}.resnets.{i}");
            let encoded = self.mapped(&format!("{own}.time_emb_act"), vector, Function::Mish)?;
            let encoded = self.linear(&format!("{own}.time_emb"), &encoded)?.unsqueezed(2);
            let encoded = encoded.ok_or_else(|| self.native.refuse("an embedding has no channels".to_string()))?;
            let h = self.unit(&format!("{own}.conv_in"), &x)?;
            let h = self.added(&own, &h, &encoded)?;
            let h = self.unit(&format!("{own}.conv_out"), &h)?;
            let shortcut = format!("{own}.residual_conv");
            let residual = match self.native.has(&format!("{shortcut}.weight")) {
                true => self.conv(&shortcut, &x, 1)?,
                false => x,
            };
            x = self.added(&own, &h, &residual)?;
        }
        Ok(x)
    }

    /// Convolution, group normalization, Mish.
    fn unit(&mut self, name: &str, x: &View) -> Built<View> {
        let x = self.conv(&format!("{name}.conv1d"), x, 1)?;
        let x = self.norm(&format!("{name}.group_norm"), &x, TEMPORAL_GROUPS)?;
        self.mapped(&format!("{name}.mish"), &x, Function::Mish)
    }
}
