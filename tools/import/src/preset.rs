//! Networks and schedules that are known to work, by name.

use crate::UnetConfig;
use mote_graph::schedule::Prediction;
use serde_json::{Value, json};

/// A network, its schedule, and how it is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// `(channel, row, col)` of the images.
    pub sample: [usize; 3],
    /// Channels of each level, from full resolution.
    pub channels: Vec<usize>,
    /// Groups of every normalization.
    pub groups: usize,
    /// Attention at the lowest resolution.
    pub attention: bool,
    /// Whether sampling clips x0.
    pub clip: bool,
    /// The last step goes to alpha-bar 1, and timesteps start at 0; else to alpha-bar of timestep 0, and they start at 1.
    pub to_one: bool,
    /// Images are mirrored.
    pub flip: bool,
    /// Steps, images a step, peak of the learning rate.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Peak of the learning rate.
    pub rate: f64,
}

/// What is chosen of a network beside its preset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// What it predicts.
    pub prediction: Prediction,
    /// Labels, the one for none included; 0 for an unconditional network.
    pub classes: usize,
    /// Twice the output's channels: the prediction and the variance.
    pub learned_variance: bool,
    /// Flow matching: the network predicts its velocity.
    pub flow: bool,
}

impl Choice {
    /// `scheduler/scheduler_config.json` of flow matching, as the library writes it: levels as they are trained, unshifted.
    fn flow_scheduler() -> Value {
        json!({
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "invert_sigmas": false,
            "num_train_timesteps": 1000,
            "shift": 1.0,
            "shift_terminal": null,
            "stochastic_sampling": false,
            "use_beta_sigmas": false,
            "use_dynamic_shifting": false,
            "use_exponential_sigmas": false,
            "use_karras_sigmas": false,
        })
    }
}

impl Preset {
    /// Every preset.
    #[must_use]
    pub fn all() -> [Self; 2] {
        [
            Self {
                name: "digits8-micro",
                sample: [1, 8, 8],
                channels: vec![12, 12],
                groups: 4,
                attention: false,
                clip: false,
                to_one: false,
                flip: false,
                steps: 6000,
                batch: 64,
                rate: 1.5e-3,
            },
            Self {
                name: "fashion16-tiny",
                sample: [1, 16, 16],
                channels: vec![16, 24, 32],
                groups: 8,
                attention: true,
                clip: true,
                to_one: true,
                flip: true,
                steps: 8000,
                batch: 64,
                rate: 1e-3,
            },
        ]
    }

    /// The preset of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|preset| preset.name == name)
    }

    /// The preset whose network is `unet`, with or without labels and learned variances.
    #[must_use]
    pub fn of(unet: &UnetConfig) -> Option<Self> {
        Self::all().into_iter().find(|preset| {
            let choice = Choice {
                prediction: Prediction::Epsilon,
                classes: 0,
                learned_variance: unet.out_channels == 2 * unet.in_channels,
                flow: false,
            };
            let own = UnetConfig::parse("config.json", &preset.unet(choice).to_string());
            let unlabelled = UnetConfig {
                num_class_embeds: None,
                null_class: None,
                ..unet.clone()
            };
            own.is_ok_and(|own| own == unlabelled)
        })
    }

    /// `unet/config.json`. The last label stands for none.
    #[must_use]
    pub fn unet(&self, choice: Choice) -> Value {
        let levels = self.channels.len();
        let blocks = |kind: &str, attends: usize| -> Vec<String> {
            let name = |level: usize| {
                let prefix = if self.attention && level == attends { "Attn" } else { "" };
                format!("{prefix}{kind}Block2D")
            };
            (0..levels).map(name).collect()
        };
        let [channels, rows, cols] = self.sample;
        let mut config = json!({
            "_class_name": "UNet2DModel",
            "act_fn": "silu",
            "add_attention": self.attention,
            "attention_head_dim": 8,
            "block_out_channels": self.channels,
            "center_input_sample": false,
            "down_block_types": blocks("Down", levels - 1),
            "downsample_padding": 1,
            "flip_sin_to_cos": true,
            "freq_shift": 0,
            "in_channels": channels,
            "layers_per_block": 1,
            "mid_block_scale_factor": 1,
            "norm_eps": 1e-5,
            "norm_num_groups": self.groups,
            "num_class_embeds": (choice.classes > 0).then_some(choice.classes),
            "out_channels": if choice.learned_variance { 2 * channels } else { channels },
            "sample_size": if rows == cols { json!(rows) } else { json!([rows, cols]) },
            "time_embedding_type": "positional",
            "up_block_types": blocks("Up", 0),
        });
        if let Some(null) = choice.classes.checked_sub(1) {
            config["_null_class"] = null.into();
        }
        config
    }

    /// `scheduler/scheduler_config.json`.
    #[must_use]
    pub fn scheduler(&self, choice: Choice) -> Value {
        if choice.flow {
            return Choice::flow_scheduler();
        }
        let mut config = json!({
            "_class_name": "DDIMScheduler",
            "beta_end": 0.02,
            "beta_schedule": "linear",
            "beta_start": 0.0001,
            "clip_sample": self.clip,
            "clip_sample_range": 1.0,
            "num_train_timesteps": 1000,
            "prediction_type": choice.prediction.name(),
            "rescale_betas_zero_snr": false,
            "set_alpha_to_one": self.to_one,
            "steps_offset": i32::from(!self.to_one),
            "thresholding": false,
            "timestep_spacing": "leading",
        });
        if choice.learned_variance {
            // DDIM samples with the prediction alone; only DDPM's scheduler knows of a learned variance.
            config["_class_name"] = "DDPMScheduler".into();
            config["variance_type"] = "learned_range".into();
            for key in ["set_alpha_to_one", "steps_offset"] {
                config.as_object_mut().map(|fields| fields.remove(key));
            }
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fresh;

    /// The presets are the bundled checkpoints' networks, tensor by tensor.
    #[test]
    fn presets_are_the_checkpoints_of_their_names() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (name, path) in [("digits8-micro", "../tests/data"), ("fashion16-tiny", "assets")] {
            let preset = Preset::named(name).unwrap();
            let choice = Choice {
                prediction: Prediction::Epsilon,
                classes: 0,
                learned_variance: false,
                flow: false,
            };
            let (unet, scheduler) = (preset.unet(choice).to_string(), preset.scheduler(choice).to_string());
            let made = fresh(name, &unet, &scheduler, 0).unwrap();
            let trained = crate::import(&root.join(path).join(name)).unwrap();
            assert_eq!((&made.unet, &made.scheduler), (&trained.unet, &trained.scheduler));
            assert_eq!(made.graph.nodes, trained.graph.nodes);
            assert!(
                made.graph.params.iter().map(|(k, p)| (k, &p.shape)).eq(trained
                    .graph
                    .params
                    .iter()
                    .map(|(k, p)| (k, &p.shape)))
            );
        }
    }
}
