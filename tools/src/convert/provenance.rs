//! Where a model comes from, as its file tells.

use mote_runtime::Model;
use serde_json::{Value, json};

use super::calibration::{CALIBRATION_SEED, Calibration};
use crate::plan::Arena;

/// What diffusers calls learned variances.
const LEARNED: &str = "learned_range";

/// What a model file says of its origin, as JSON.
#[derive(Debug, Clone)]
pub struct Provenance(Value);

impl Provenance {
    /// Of a model that `runs` runs were observed for.
    pub fn new(name: &str, sha256: &str, scheme: &str, calibration: &Calibration, runs: usize) -> Self {
        Self(json!({
            "model": name,
            "checkpoint_sha256": sha256,
            "converter": concat!("mote ", env!("CARGO_PKG_VERSION")),
            "scheme": scheme,
            "calibration": {
                "trajectories": runs,
                "steps": calibration.steps,
                "first_seed": CALIBRATION_SEED,
            },
        }))
    }

    /// The same of a network whose variances were learned, and were cut away.
    #[must_use]
    pub fn of_variance(mut self, learned: bool) -> Self {
        if learned {
            self.0["variance"] = LEARNED.into();
        }
        self
    }

    /// The same of a refined model.
    #[must_use]
    pub fn refined(mut self, refined: bool) -> Self {
        if refined {
            self.0["refined"] = true.into();
        }
        self
    }

    /// Whether a model's variances were cut away.
    pub fn lacks_variances(model: &Model<'_>) -> bool {
        said(model).is_some_and(|value| value["variance"] == LEARNED)
    }

    /// Whether a model says that it is a refined one, whose channels have grown.
    pub fn is_refined(model: &Model<'_>) -> bool {
        said(model).is_some_and(|value| value["refined"] == true)
    }

    /// The text, with the arena where it is not the fast one.
    pub fn with(&self, arena: Arena) -> String {
        let mut value = self.0.clone();
        if arena != Arena::Fast {
            value["arena"] = arena.name().into();
        }
        value.to_string()
    }
}

fn said(model: &Model<'_>) -> Option<Value> {
    serde_json::from_slice(model.provenance()).ok()
}
