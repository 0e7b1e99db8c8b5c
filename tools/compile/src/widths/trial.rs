//! Trials: the model that an assignment of widths gives. What all of them share is program, calibration and reference.

use std::sync::Arc;

use mote_engine::calibrate::Stats;
use mote_runtime::{Model, ParseError, RunError};

use super::auto::AutoError;
use crate::emit::{Diffusion, EmitError, Emitted, emit};
use crate::plan::Arena;
use crate::program::Program;
use crate::quantize::Quantization;
use crate::quantize::formats::Format;
use crate::quantize::round::Row;
use crate::quantize::scheme::Assignment;

/// What the conversion is doing; for a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Calibration: trajectories done, of how many.
    Calibrating(usize, usize),
    /// `auto`: trials done, of how many.
    Measuring(usize, usize),
}

/// Why a model cannot be quantized.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// Too large for the file format, or refused by the runtime.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A trial model that the runtime refuses.
    #[error("the runtime refuses the model: {0}")]
    Parse(#[from] ParseError),
    /// A measuring run failed.
    #[error("a measuring run failed: {0}")]
    Run(#[from] RunError),
    /// No assignment of `auto` fits.
    #[error(transparent)]
    Auto(#[from] AutoError),
}

/// Integer models of one program, whatever the assignment.
pub struct Trials<'a> {
    /// The fused program.
    pub program: &'a Program,
    /// Schedule and conventions.
    pub diffusion: &'a Diffusion,
    /// Calibration.
    pub stats: &'a [Stats],
    /// Scales of 8-bit weights, by operator and output channel.
    pub scales: Vec<Vec<f64>>,
    /// Weights rounded to 4 bits, by operator and output channel; empty in schemes that have none.
    pub int4: Vec<Vec<Row>>,
    /// Weights rounded together to 8 bits; empty where each is rounded alone.
    pub int8: Vec<Vec<Row>>,
    /// Condition vectors to measure with: as many as are asked for or fewer, in fixed point.
    pub conditions: Option<&'a (dyn Fn(usize) -> Vec<Arc<[i32]>> + Sync)>,
    /// The f16 model.
    pub reference: Model<'a>,
    /// What the model file says of itself, by the arena that it is planned for.
    pub provenance: &'a (dyn Fn(Arena) -> String + Sync),
}

impl Trials<'_> {
    /// The integers of an assignment.
    pub fn quantization<'b>(&'b self, assignment: &'b Assignment, formats: &'b [Format]) -> Quantization<'b> {
        Quantization {
            formats,
            stats: self.stats,
            assignment,
            scales: &self.scales,
            int4: &self.int4,
            int8: &self.int8,
        }
    }

    /// The model of an assignment.
    pub fn emit(&self, assignment: &Assignment, formats: &[Format], arena: Arena) -> Result<Emitted, EmitError> {
        let quantization = self.quantization(assignment, formats);
        let provenance = (self.provenance)(arena);
        emit(self.program, self.diffusion, Some(&quantization), arena, &provenance)
    }
}
