//! Diffusion Policy's 1-D U-Net from its weights (Chi et al. 2023; `diffusion_policy/model/diffusion/conditional_unet1d.py`), as its own
//! repository saves it (`.ckpt`, prefix `model.` in `state_dicts.ema_model`) and as LeRobot does (`config.json`, `model.safetensors`).
//!
//! Every size but three follows from the weights. `config.json` beside them says the horizon, the groups of the normalizations
//! (8 where it does not), and whether conditions scale as well as shift.

use super::exported::{Net, Plan, Rate, Tensor, View, Waves};
use super::native::{Native, Settings};
use super::pickle::Saved;
use super::{Checkpoint, ImportError};
use std::path::{Path, PathBuf};

/// Its class, and the type that LeRobot gives it.
const CLASS: &str = "ConditionalUnet1D";
const TYPE: &str = "diffusion";
/// Groups of a normalization where nothing says how many.
const GROUPS: usize = 8;
/// Prefixes of its weights' names.
const PREFIXES: [&str; 4] = ["model.", "diffusion.unet.", "unet.", ""];
/// Where a checkpoint holds the weights, averaged ones first.
const DICTIONARIES: [&[&str]; 4] = [
    &["state_dicts", "ema_model"],
    &["state_dicts", "model"],
    &["ema_model"],
    &[],
];

/// The weights that `path` is or holds; `None` where another importer reads it.
pub(super) fn find(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return path
            .extension()
            .is_some_and(|end| end == "ckpt")
            .then(|| path.to_path_buf());
    }
    let ours = Settings::peek(&path.join("config.json"), |fields| {
        let is = |key: &str, name: &str| fields.get(key).and_then(|value| value.as_str()) == Some(name);
        is("_class_name", CLASS) || is("type", TYPE)
    });
    let file = ["model.safetensors", "policy.ckpt"]
        .map(|name| path.join(name))
        .into_iter()
        .find(|file| file.is_file());
    if ours {
        file
    } else {
        file.filter(|file| file.extension().is_some_and(|end| end == "ckpt"))
    }
}

/// Reads the checkpoint of these weights.
pub(super) fn import(file: &Path) -> Result<Checkpoint, ImportError> {
    let mut native = Native::open(file, &DICTIONARIES, &PREFIXES, "final_conv.1.weight")?;
    let settings = native.settings(&["horizon"])?;
    let sizes = |key: &str| native.sizes(key);
    let (last, step) = (sizes("final_conv.1.weight")?, sizes("diffusion_step_encoder.1.weight")?);
    let embedding = sizes("diffusion_step_encoder.3.weight")?;
    let condition = sizes("mid_modules.0.cond_encoder.1.weight")?;
    let (action, dim) = (last[0], step[1]);
    let length = condition[1].checked_sub(embedding[0]);
    let length =
        length.ok_or_else(|| native.refuse("its condition is shorter than its step's embedding".to_string()))?;
    let plan = Plan {
        shape: [action, 1, settings.whole("horizon")?.unwrap_or(0)],
        condition: Some(length).filter(|length| *length > 0),
        layout: "(horizon, action)",
        range: Some([-1.0, 1.0]),
    };
    native.finish(file, plan, |native, net, sample, condition| {
        let groups = settings.whole("n_groups")?.unwrap_or(GROUPS);
        let scales = settings
            .flag("cond_predict_scale")
            .or(settings.flag("use_film_scale_modulation"));
        let mut policy = Policy {
            native,
            net,
            groups,
            scales,
        };
        policy.forward(sample, condition, dim)
    })
}

/// Numbers of tensors that a policy's `.ckpt` holds beside its network, such as those of its normalizer; `None` for one that is not there.
///
/// # Errors
/// A file that is none of `torch.save`, or is damaged.
pub fn numbers_beside(file: &Path, names: &[String]) -> Result<Vec<Option<Vec<f64>>>, ImportError> {
    let saved = Saved::open(file)?;
    let found: Vec<_> = DICTIONARIES.iter().filter_map(|keys| saved.tensors(keys)).collect();
    let numbers = |name: &String| {
        let stored = found.iter().find_map(|tensors| tensors.get(name));
        let numbers = stored.map(|stored| saved.tensor(name, stored).map(|tensor| tensor.data.to_vec()));
        numbers.transpose()
    };
    names.iter().map(numbers).collect()
}

/// The network while it is built.
struct Policy<'a> {
    native: &'a mut Native,
    net: &'a mut Net,
    groups: usize,
    /// Whether conditions scale; from the weights where nothing says so.
    scales: Option<bool>,
}

type Built<T> = Result<T, ImportError>;

impl Policy<'_> {
    fn forward(&mut self, sample: View, condition: Option<View>, dim: usize) -> Built<View> {
        let step = self.step(dim)?;
        let global = match condition {
            None => step,
            Some(condition) => {
                self.net.module = String::new();
                let joined = self.net.joined(&[step, condition], 1);
                self.told("diffusion_step_encoder", joined)?
            }
        };
        let mut x = sample;
        let mut skips = vec![];
        let levels = self.native.count("down_modules");
        for level in 0..levels {
            let name = format!("down_modules.{level}");
            x = self.block(&format!("{name}.0"), &x, &global)?;
            x = self.block(&format!("{name}.1"), &x, &global)?;
            skips.push(x.clone());
            if let Some(own) = self.between(&name) {
                x = self.conv(&own, &x, 2)?;
            }
        }
        for i in 0..self.native.count("mid_modules") {
            x = self.block(&format!("mid_modules.{i}"), &x, &global)?;
        }
        for level in 0..self.native.count("up_modules") {
            let name = format!("up_modules.{level}");
            let skip = skips
                .pop()
                .ok_or_else(|| self.native.refuse(format!("{name} has no level to join")))?;
            self.net.module = String::new();
            let joined = self.net.joined(&[x, skip], 1);
            x = self.told(&name, joined)?;
            x = self.block(&format!("{name}.0"), &x, &global)?;
            x = self.block(&format!("{name}.1"), &x, &global)?;
            if let Some(own) = self.between(&name) {
                x = self.up(&own, &x)?;
            }
        }
        // Both libraries leave the last block its default groups, whatever `n_groups` says.
        let groups = [GROUPS, self.groups];
        let groups = groups.into_iter().find(|groups| x.sizes()[1].is_multiple_of(*groups));
        x = self.unit("final_conv.0.block", &x, groups.unwrap_or(GROUPS))?;
        self.conv("final_conv.1", &x, 1)
    }

    /// The convolution that ends a level, where it has one: in a module of its own, or by itself as LeRobot has it.
    fn between(&self, level: &str) -> Option<String> {
        let names = ["2.conv", "2"].map(|own| format!("{level}.{own}"));
        names
            .into_iter()
            .find(|name| self.native.has(&format!("{name}.weight")))
    }

    /// The step's embedding: sinusoidal features, linear, Mish, linear.
    fn step(&mut self, dim: usize) -> Built<View> {
        self.net.module = "diffusion_step_encoder.0".to_string();
        let half = dim / 2;
        let exponent = -libm::log(10_000.0) / (half.max(2) - 1) as f64;
        let rate = |i: usize| Rate::exp(exponent * i as f64, exponent as f32 * i as f32);
        let rates: Vec<Rate> = (0..half).map(rate).collect();
        let features = self.net.features(&Waves::sinusoids(&rates, &self.net.module));
        let features = self.told("diffusion_step_encoder.0", features)?;
        let hidden = self.linear("diffusion_step_encoder.1", &features)?;
        let hidden = self.mish("diffusion_step_encoder.2", &hidden)?;
        self.linear("diffusion_step_encoder.3", &hidden)
    }

    /// A residual block: convolution, modulation by the condition, convolution, and a shortcut.
    fn block(&mut self, name: &str, x: &View, global: &View) -> Built<View> {
        let own = ["blocks.0.block", "conv1.block"]
            .into_iter()
            .find(|own| self.native.has(&format!("{name}.{own}.0.weight")));
        let second = if own == Some("conv1.block") {
            "conv2.block"
        } else {
            "blocks.1.block"
        };
        let groups = self.groups;
        let mut h = self.unit(&format!("{name}.{}", own.unwrap_or("blocks.0.block")), x, groups)?;
        let encoded = self.mish(&format!("{name}.cond_encoder.0"), global)?;
        let encoded = self.linear(&format!("{name}.cond_encoder.1"), &encoded)?;
        self.net.module = name.to_string();
        let (channels, width) = (h.sizes()[1], encoded.sizes()[1]);
        let scales = self.scales.unwrap_or(width == 2 * channels);
        if width != channels * (1 + usize::from(scales)) {
            let problem = format!("`{name}.cond_encoder.1` gives {width} numbers for {channels} channels");
            return Err(self.native.refuse(problem));
        }
        let vector = encoded.unsqueezed(2);
        let problem = || "its condition does not fit its channels".to_string();
        let part = |first: usize| vector.as_ref().and_then(|vector| vector.sliced(1, first, channels, 1));
        let modulated = if scales {
            let (scale, shift) = (part(0), part(channels));
            scale.zip(shift).ok_or_else(problem).and_then(|(scale, shift)| {
                let scaled = self.net.product(&scale, &h)?;
                self.net.sum(&scaled, &shift)
            })
        } else {
            part(0).ok_or_else(problem).and_then(|shift| self.net.sum(&h, &shift))
        };
        h = self.told(name, modulated)?;
        h = self.unit(&format!("{name}.{second}"), &h, groups)?;
        let shortcut = format!("{name}.residual_conv");
        let residual = match self.native.has(&format!("{shortcut}.weight")) {
            true => self.conv(&shortcut, x, 1)?,
            false => x.clone(),
        };
        self.net.module = name.to_string();
        let sum = self.net.sum(&h, &residual);
        self.told(name, sum)
    }

    /// Convolution, group normalization, Mish.
    fn unit(&mut self, name: &str, x: &View, groups: usize) -> Built<View> {
        let x = self.conv(&format!("{name}.0"), x, 1)?;
        let norm = format!("{name}.1");
        let affine = [
            self.native.take(&format!("{norm}.weight"))?,
            self.native.take(&format!("{norm}.bias"))?,
        ];
        self.net.module.clone_from(&norm);
        let x = self.net.group_norm(&x, groups, 1e-5, affine.map(Some));
        let x = self.told(&norm, x)?;
        self.mish(&format!("{name}.2"), &x)
    }

    fn conv(&mut self, name: &str, x: &View, stride: usize) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        let kernel = weight.sizes.last().copied().unwrap_or(1);
        self.net.module = name.to_string();
        let x = self.net.signal(x, weight, Some(bias), stride, kernel / 2, false);
        self.told(name, x)
    }

    /// The transposed convolution that doubles the positions.
    fn up(&mut self, name: &str, x: &View) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        self.net.module = name.to_string();
        let x = self.net.signal(x, weight, Some(bias), 2, 1, true);
        self.told(name, x)
    }

    fn linear(&mut self, name: &str, x: &View) -> Built<View> {
        let (weight, bias) = self.affine(name)?;
        self.net.module = name.to_string();
        let x = self.net.linear(x, weight, Some(bias));
        self.told(name, x)
    }

    fn mish(&mut self, name: &str, x: &View) -> Built<View> {
        self.net.module = name.to_string();
        let x = self.net.mish(x);
        self.told(name, x)
    }

    fn affine(&mut self, name: &str) -> Built<(Tensor, Tensor)> {
        Ok((
            self.native.take(&format!("{name}.weight"))?,
            self.native.take(&format!("{name}.bias"))?,
        ))
    }

    fn told<T>(&self, name: &str, result: Result<T, String>) -> Built<T> {
        result.map_err(|problem| self.native.refuse(format!("module `{name}`: {problem}")))
    }
}
