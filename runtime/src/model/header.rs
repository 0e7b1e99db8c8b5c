//! Model-wide facts.

use serde::{Deserialize, Serialize};

use super::sampling::{Clip, Prediction, Schedule};
use crate::error::{ParseError, Refusal};
use crate::features::Feature;
use crate::tensor::TensorId;

/// Order of the weights in the file. It changes speed, never a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Packing {
    /// Integer: `(out, row, col, in)`, each output channel's row padded to whole words, which every kernel family reads at full
    /// speed. f16: `(row, col, in, out)`.
    Portable,
    /// As portable, with the weights of convolutions in another file ([`Streamed`](crate::Streamed)).
    #[cfg(feature = "streamed")]
    Apart,
}

/// How the model's numbers are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arithmetic {
    /// int8/int16 activations, int8/int16 weights, integer arithmetic only.
    Integer,
    /// f16 storage, f32 arithmetic in a stated order.
    F16,
}

/// Facts of the whole model; postcard in the file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Number formats of the network.
    pub arithmetic: Arithmetic,
    /// Order of the weights.
    pub packing: Packing,
    /// Channels of the sample.
    pub channels: u16,
    /// Rows of the sample.
    pub rows: u16,
    /// Columns of the sample.
    pub cols: u16,
    /// Rows of the class embedding; 0 for an unconditional model.
    pub classes: u16,
    /// Label that stands for 'no class' under classifier-free guidance.
    pub null_class: Option<u16>,
    /// Training timesteps T.
    pub train_steps: u32,
    /// What the network predicts.
    pub prediction: Prediction,
    /// Clipping of x0 that the checkpoint was saved with.
    pub clip: Clip,
    /// Bound of the clipped x0, Q24.
    pub clip_range_q24: i32,
    /// What the schedule section holds; spacing of timesteps that the checkpoint was saved with.
    pub schedule: Schedule,
    /// Added to `leading` timesteps.
    pub steps_offset: i32,
    /// alpha_bar before the first timestep, Q62.
    pub final_alpha_bar_q62: u64,
    /// The network's output: Q24, shape of the sample.
    pub output: TensorId,
    /// Bytes of the activation arena, scratch included.
    pub arena_bytes: u32,
    /// Number of operators.
    pub op_count: u16,
    /// Multiply-accumulates of one network call.
    pub macs: u64,
}

impl Header {
    /// Elements of one sample.
    pub fn sample_len(&self) -> usize {
        usize::from(self.channels) * usize::from(self.rows) * usize::from(self.cols)
    }

    /// A part of the runtime that its facts ask for and this build does not have; those of operators and samplers are elsewhere.
    #[inline(always)]
    pub(super) fn missing(&self) -> Option<Feature> {
        let lacks = |feature: Option<Feature>| feature.filter(|feature| !feature.is_built());
        let arithmetic = match self.arithmetic {
            Arithmetic::Integer => Feature::Integer,
            Arithmetic::F16 => Feature::F16,
        };
        let missing = lacks(Some(arithmetic)).or_else(|| lacks(self.prediction.feature()));
        if self.prediction.picture().is_some() {
            return missing;
        }
        missing.or_else(|| lacks(self.schedule.feature()))
    }

    /// Before anything is known: zeros, which take no place in flash.
    pub(super) const EMPTY: Self = Self {
        arithmetic: Arithmetic::Integer,
        packing: Packing::Portable,
        channels: 0,
        rows: 0,
        cols: 0,
        classes: 0,
        null_class: None,
        train_steps: 0,
        prediction: Prediction::Epsilon,
        clip: Clip::Off,
        clip_range_q24: 0,
        schedule: Schedule::Leading,
        steps_offset: 0,
        final_alpha_bar_q62: 0,
        output: TensorId(0),
        arena_bytes: 0,
        op_count: 0,
        macs: 0,
    };

    /// Checks every field that can be checked alone.
    #[inline(never)]
    pub(super) fn validate(&self, refusal: &mut Refusal) -> Option<()> {
        let count =
            |channels: u16, rows: u16, cols: u16| u64::from(u32::from(rows) * u32::from(cols)) * u64::from(channels);
        let elements = count(self.channels, self.rows, self.cols);
        if let Some([channels, rows, cols]) = self.prediction.picture()
            && !(1..=1 << 24).contains(&count(channels, rows, cols))
        {
            return refusal.with(ParseError::Header("picture"));
        }
        let bad = if !(1..=1 << 24).contains(&elements) {
            "shape"
        } else if self.null_class.is_some_and(|n| n >= self.classes) {
            "null_class"
        } else if !(1..=1 << 16).contains(&self.train_steps) {
            "train_steps"
        } else if !(1..=1 << 30).contains(&self.clip_range_q24) {
            "clip_range"
        } else if self.steps_offset.unsigned_abs() >= self.train_steps {
            "steps_offset"
        } else if self.final_alpha_bar_q62 > 1 << 62 {
            "final_alpha_bar"
        } else if self.arena_bytes > 1 << 30 {
            "arena_bytes"
        } else if self.op_count == 0 {
            "op_count"
        } else if !self.schedule.suits(self.prediction, self.train_steps) {
            "prediction"
        } else {
            return Some(());
        };
        refusal.with(ParseError::Header(bad))
    }
}
