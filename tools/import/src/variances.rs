//! Variances that a network gives beside its prediction (Nichol and Dhariwal 2021, section 3.1; Peebles and Xie 2023).

use crate::Checkpoint;
use mote_graph::config::{ConfigError, shown};
use mote_graph::schedule::Variance;

impl Checkpoint {
    /// Whether the network gives variances after its prediction.
    #[must_use]
    pub fn has_variances(&self) -> bool {
        let ([reads, ..], [gives, ..]) = (self.graph.sample_shape(), self.graph.output_shape());
        self.scheduler.variance == Variance::LearnedRange && gives == 2 * reads
    }

    /// Has the variances of the network deployed with its prediction: the ancestral sampler takes them.
    ///
    /// # Errors
    /// Where it gives none, and on continuous noise levels.
    pub fn keep_variances(&mut self) -> Result<(), ConfigError> {
        if self.has_variances() && !self.scheduler.levels.are_continuous() {
            self.variances = true;
            return Ok(());
        }
        Err(ConfigError {
            file: "scheduler_config.json".to_owned(),
            field: "variance_type".to_owned(),
            value: (self.scheduler_config.get("variance_type")).map_or_else(|| "missing".to_owned(), shown),
            problem: "the network gives no variances beside its prediction, so none can be kept: leave --learned-variance out".to_owned(),
        })
    }
}
