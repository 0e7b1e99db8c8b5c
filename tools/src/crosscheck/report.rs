//! What a crosscheck found.

use super::{Dtype, Quantity, Reference, tolerance};
use serde::Serialize;
use std::fmt;

/// In which type references have what they compute of the timestep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeType {
    /// Features in f32.
    F32,
    /// Frequencies in f32, features in f64.
    F32Frequencies,
    /// Features in f64.
    F64,
}

/// One key of the reference file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The key.
    pub key: String,
    /// What was compared.
    pub quantity: Quantity,
    /// What the reference was computed in.
    pub reference: Reference,
    /// Number of elements compared.
    pub elements: usize,
    /// Largest absolute difference; NaN (`null`) when either side is not a number.
    pub max_abs_err: f64,
    /// The largest that holds, from [`tolerance`].
    pub tolerance: f64,
    /// Whether it held.
    pub held: bool,
}

/// One block's output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Layer {
    /// The block, by its module path.
    pub name: String,
    /// Largest absolute difference to the f32 reference.
    pub max_abs_err: f64,
}

/// A crosscheck's result. The first keys are those of the command line's `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The type that the network was run in.
    pub dtype: Dtype,
    /// Blocks in execution order.
    pub layers: Vec<Layer>,
    /// Largest error of a single pass, against the most precise references that there are for `dtype`.
    pub forward_max_abs_err: Option<f64>,
    /// Largest error of whole runs, states on the way and at the end, against the most precise references that there are for
    /// `dtype`: in f64 those are final states, as states on the way exist in f32 only (they are among the comparisons).
    pub trajectory_max_abs_err: Option<f64>,
    /// Largest error of final images, against the most precise references that there are for `dtype`.
    pub x0_max_abs_err: Option<f64>,
    /// The quantized model from the same noise: filled in by the caller that has one.
    pub model: Option<serde_json::Value>,
    /// The checkpoint's name.
    pub checkpoint: String,
    /// Whether every comparison held.
    pub held: bool,
    /// Every key compared.
    pub comparisons: Vec<Comparison>,
    /// Keys in the file that are not understood, or that name blocks the graph does not have.
    pub unused: Vec<String>,
    /// The type of the timestep features of references in f64, where it is another than the network itself asks for: the arithmetic of
    /// the possible ones that meets the single passes, or comes nearest to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_features: Option<TimeType>,
    /// Wall-clock time.
    pub seconds: f64,
}

impl Comparison {
    pub(super) fn new(key: &str, quantity: Quantity, reference: Reference, found: &[f64], expected: &[f64]) -> Self {
        let max_abs_err = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, worst);
        let tolerance = tolerance(quantity, reference);
        let held = max_abs_err <= tolerance;
        Self {
            key: key.to_string(),
            quantity,
            reference,
            elements: found.len(),
            max_abs_err,
            tolerance,
            held,
        }
    }
}

/// The larger error; NaN is larger than all.
fn worst(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

impl Report {
    pub(super) fn new(
        checkpoint: &str,
        dtype: Dtype,
        comparisons: Vec<Comparison>,
        order: &[String],
        unused: Vec<String>,
        seconds: f64,
    ) -> Self {
        let row = |key: &str| comparisons.iter().find(|row| row.key == key);
        let layers = order
            .iter()
            .filter_map(|name| {
                Some(Layer {
                    name: name.clone(),
                    max_abs_err: row(&format!("layer.{name}"))?.max_abs_err,
                })
            })
            .collect();
        let headline = |quantities: &[Quantity]| {
            let rows = || comparisons.iter().filter(|row| quantities.contains(&row.quantity));
            let best = rows().map(|row| row.reference).max()?;
            rows()
                .filter(|row| row.reference == best)
                .map(|row| row.max_abs_err)
                .reduce(worst)
        };
        Self {
            dtype,
            layers,
            forward_max_abs_err: headline(&[Quantity::Forward]),
            trajectory_max_abs_err: headline(&[Quantity::Trajectory, Quantity::X0]),
            x0_max_abs_err: headline(&[Quantity::X0]),
            model: None,
            checkpoint: checkpoint.to_string(),
            held: comparisons.iter().all(|row| row.held),
            comparisons,
            unused,
            time_features: None,
            seconds,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtype = if self.dtype == Dtype::F32 { "f32" } else { "f64" };
        writeln!(f, "{} in {dtype}, {:.1} s", self.checkpoint, self.seconds)?;
        let width = self.comparisons.iter().map(|row| row.key.len()).max().unwrap_or(0);
        for row in &self.comparisons {
            let reference = match row.reference {
                Reference::F32 => "f32",
                Reference::F64 => "f64",
                Reference::F64Pure => "f64 pure",
            };
            let (err, limit) = (row.max_abs_err, row.tolerance);
            let verdict = if row.held { "held" } else { "NOT HELD" };
            writeln!(
                f,
                "  {:width$}  vs {reference:8}  {err:9.2e}  limit {limit:.0e}  {verdict}",
                row.key
            )?;
        }
        if let Some(time) = self.time_features {
            let name = match time {
                TimeType::F32 => "timestep features in f32",
                TimeType::F32Frequencies => "frequencies of the timestep in f32",
                TimeType::F64 => "timestep features in f64",
            };
            writeln!(f, "  references in f64 have their {name}, and are compared so")?;
        }
        for key in &self.unused {
            writeln!(f, "  {key:width$}  not understood, not compared")?;
        }
        let failed = self.comparisons.iter().filter(|row| !row.held).count();
        match failed {
            0 => writeln!(f, "all {} comparisons held", self.comparisons.len()),
            _ => writeln!(f, "{failed} of {} comparisons did NOT hold", self.comparisons.len()),
        }
    }
}
