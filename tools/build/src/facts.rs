//! What a model and its run need of a firmware.

use std::path::Path;

use mote_runtime::{Config, Feature, Model, Sampler, arena_bytes};

use crate::aligned::AlignedCopy;
use crate::error::Error;
use crate::{Method, Run};

/// Steps of a run that nothing says the steps of.
const STEPS: u32 = 20;

/// What a model and its run need of a firmware.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Facts {
    /// The file's name.
    pub name: String,
    /// Bytes of the file.
    pub file_bytes: usize,
    /// Bytes of arena, at a multiple of 16.
    pub arena_bytes: usize,
    /// Bytes that a snapshot may take.
    pub snapshot_bytes: usize,
    /// Channels of the sample.
    pub channels: usize,
    /// Rows of the sample.
    pub rows: usize,
    /// Columns of the sample.
    pub cols: usize,
    /// Classes; 0 of an unconditional model.
    pub classes: usize,
    /// Numbers of the condition vector; 0 of a model that takes none.
    pub condition_len: usize,
    /// The run, with seed 0.
    pub config: Config,
    /// Parts of the runtime without which the run is refused. [`Feature::Fast`], which nothing needs, is not among them.
    pub features: Vec<Feature>,
    /// The sampler, where it is not the model's own.
    pub(crate) chosen: Option<Method>,
}

impl Facts {
    pub(crate) fn of(path: &Path, file: &[u8], run: &Run) -> Result<Self, Error> {
        let memory = AlignedCopy::of(file);
        let model = Model::parse(memory.bytes()).map_err(|error| Error::Model {
            path: path.to_owned(),
            error,
        })?;
        let config = config(&model, run);
        config.validate_for(&model).map_err(|error| Error::Run {
            path: path.to_owned(),
            error,
        })?;
        let header = model.header();
        let sampler = config.method.feature();
        let needed = |feature: &Feature| feature.needed_by(&model) || sampler == Some(*feature);
        Ok(Self {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            file_bytes: file.len(),
            arena_bytes: arena_bytes(&model, &config),
            snapshot_bytes: Sampler::snapshot_bytes(&model, &config),
            channels: header.channels.into(),
            rows: header.rows.into(),
            cols: header.cols.into(),
            classes: header.classes.into(),
            condition_len: model.condition_len(),
            config,
            features: Feature::ALL.into_iter().filter(needed).collect(),
            chosen: run
                .method
                .filter(|method| *method != Config::of(header, config.steps).method),
        })
    }

    /// Elements of a sample.
    #[must_use]
    pub fn sample_len(&self) -> usize {
        self.channels * self.rows * self.cols
    }

    /// What `features` of `mote-runtime` must hold in `Cargo.toml`: `["integer", "w16"]`.
    #[must_use]
    pub fn features_line(&self) -> String {
        let names: Vec<String> = self.features.iter().map(|feature| format!("\"{feature}\"")).collect();
        format!("[{}]", names.join(", "))
    }
}

fn config(model: &Model<'_>, run: &Run) -> Config {
    let header = model.header();
    let planned = header.schedule.plan();
    // A chain takes all of its steps.
    let own = if header.prediction.is_chain() {
        header.train_steps
    } else {
        STEPS.min(header.train_steps)
    };
    let steps = run.steps.unwrap_or_else(|| planned.map_or(own, |plan| plan.steps));
    let first = (header.classes > 0 && header.null_class.is_none()).then_some(0);
    let config = Config::of(header, steps);
    Config {
        class: run.class.or(first),
        guidance_q16: run.guidance_q16,
        method: run.method.unwrap_or(config.method),
        ..config
    }
}
