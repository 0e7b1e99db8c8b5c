//! A conversion whose number formats stand while the weights move: what training outside of Mote asks for after every step.
//!
//! Nothing is calibrated or measured again: a model takes as long as its file takes to write. Every weight is rounded to the nearest multiple
//! of its channel's scale, and what the rounding takes from an output's mean goes into its bias, by the means of the calibration.

use std::collections::BTreeMap;

use mote_engine::calibrate::Stats;
use mote_graph::graph::Graph;
use mote_graph::graph::ops::Operator as _;
use mote_runtime::internals::model::header::Arithmetic;

use super::{Converted, diffusion};
use crate::emit::emit;
use crate::import::{Checkpoint, Trained};
use crate::lower::deployed;
use crate::ops::Conv;
use crate::plan::{Arena, recompute};
use crate::program::{FusedOp, Program, Slot};
use crate::quantize::Quantization;
use crate::quantize::round::Row;
use crate::quantize::trained;
use crate::quantize::weights::INT4;
use crate::{Error, ErrorKind, ModelFile};

/// How far from the middle of its interval a first weight lies at most, in units: it is rounded to the model's own.
const INSIDE: f64 = 0.49;

/// What a conversion has found out and does not ask again.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Calibration, by slot.
    pub stats: Vec<Stats>,
    /// Weights rounded to 4 bits, by operator and output channel.
    pub int4: Vec<Vec<Row>>,
}

/// The number formats of one conversion, for other weights of the same network.
#[derive(Debug, Clone)]
pub struct StandingFormats {
    trained: Trained,
    standing: Standing,
    slots: Vec<Slot>,
    arena: Arena,
    provenance: String,
}

/// The weights that a model file multiplies by, beside those of the checkpoint, in its order.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounded {
    /// As the checkpoint has them.
    pub float: Vec<f32>,
    /// Multiples of the channel's scale.
    pub rounded: Vec<f32>,
    /// As close to the checkpoint's as may be, where [`StandingFormats::model`] rounds them to those of the first model.
    pub first: Vec<f32>,
}

impl StandingFormats {
    /// The formats that `converted` chose.
    ///
    /// # Errors
    /// Of kind `Refused` where there are none that could stand.
    pub fn of(converted: &Converted) -> Result<Self, Error> {
        let refuse = |what: &str, help: &str| Err(Error::of(ErrorKind::Refused, what).help(help));
        if converted.decoder.is_some() {
            return refuse(
                "a model with a decoder cannot follow its network's weights",
                "convert the network without its autoencoder",
            );
        }
        let file = converted.file()?;
        if file.model().header().arithmetic == Arithmetic::F16 {
            return refuse(
                "a model in f16 rounds no weight that training would notice",
                "choose a scheme of integers, such as w8a8",
            );
        }
        let (Some(trained), Some(standing)) = (&converted.chosen, &converted.standing) else {
            return refuse(
                "layers of this model were put into other units, so it cannot follow its network's weights",
                "scale the network's large activations down; the conversion's notes name the layers",
            );
        };
        Ok(Self {
            trained: trained.clone(),
            standing: standing.clone(),
            slots: converted.program.slots.clone(),
            arena: converted.arena,
            provenance: String::from_utf8_lossy(file.model().provenance()).into_owned(),
        })
    }

    /// The model of `checkpoint`'s weights in the formats that stand.
    ///
    /// # Errors
    /// Of kind `Refused` where it is another network.
    pub fn model(&self, checkpoint: &Checkpoint) -> Result<ModelFile, Error> {
        let checkpoint = &*deployed(checkpoint).map_err(super::ConvertError::from)?;
        let program = self.program(checkpoint)?;
        let weights = trained::weights(&self.trained, &program).map_err(super::ConvertError::from)?;
        let formats = trained::formats(&self.trained, &program).map_err(super::ConvertError::from)?;
        let int4: Vec<Vec<Row>> = program
            .ops
            .iter()
            .zip(weights.int4)
            .map(|(op, rows)| self.shifted(op, rows))
            .collect();
        let quantization = Quantization {
            formats: &formats,
            stats: &self.standing.stats,
            assignment: &weights.assignment,
            scales: &weights.scales,
            int4: &int4,
            int8: &[],
        };
        let diffusion = diffusion(checkpoint).map_err(super::ConvertError::from)?;
        let provenance = self.provenance_of(&checkpoint.sha256);
        let emitted = emit(&program, &diffusion, Some(&quantization), self.arena, &provenance)
            .map_err(super::ConvertError::from)?;
        ModelFile::from_bytes(&emitted.bytes)
    }

    /// What becomes of `checkpoint`'s weights, by their name: those of layers that have them whole, in 4 or 8 bits.
    ///
    /// # Errors
    /// As [`StandingFormats::model`].
    pub fn rounded(&self, checkpoint: &Checkpoint) -> Result<BTreeMap<String, Rounded>, Error> {
        let checkpoint = &*deployed(checkpoint).map_err(super::ConvertError::from)?;
        let program = self.program(checkpoint)?;
        let graph = &checkpoint.graph;
        let found = program.ops.iter().enumerate();
        let found = found.filter_map(|(index, op)| self.rounded_of(index, op, &program, graph));
        Ok(found.flatten().collect())
    }

    fn program(&self, checkpoint: &Checkpoint) -> Result<Program, Error> {
        let lowered = super::lowered(checkpoint).map_err(super::ConvertError::from)?;
        let program = recompute(lowered, self.arena);
        if program.slots == self.slots {
            return Ok(program);
        }
        let what = "the model is one of another network: its layers are others";
        Err(Error::of(ErrorKind::Refused, what).help("give the network that the model was converted from"))
    }

    /// Rows with what their rounding takes from the output's mean.
    fn shifted(&self, op: &FusedOp, mut rows: Vec<Row>) -> Vec<Row> {
        let Some(conv) = op.kind.conv() else {
            return rows;
        };
        let means = self.means(conv);
        for (row, weights) in rows.iter_mut().zip(conv.rows()) {
            let error = |(w, n): (&f32, &i8)| f64::from(*w) - f64::from(*n) * row.scale;
            let errors = weights.iter().zip(&row.units).map(error);
            row.shift = errors.zip(means.iter().cycle()).map(|(error, mean)| error * mean).sum();
        }
        rows
    }

    fn provenance_of(&self, sha256: &str) -> String {
        match serde_json::from_str::<serde_json::Value>(&self.provenance) {
            Ok(mut value) => {
                value["checkpoint_sha256"] = sha256.into();
                value.to_string()
            }
            Err(_) => self.provenance.clone(),
        }
    }

    /// An operator's weights and biases, where its first parameter has the elements of its weights.
    fn rounded_of(
        &self,
        index: usize,
        op: &FusedOp,
        program: &Program,
        graph: &Graph,
    ) -> Option<Vec<(String, Rounded)>> {
        let is_copy = program.recomputed.iter().any(|[_, copy]| *copy == op.out);
        let conv = op.kind.conv().filter(|conv| !is_copy && conv.groups.is_empty())?;
        let trained = self.trained.weights.get(&op.name).filter(|weight| weight.bits != 16)?;
        let params = graph.nodes.get(*op.origin.nodes.first()?)?.op.params();
        let key = *params.first()?;
        let float = &graph.params.get(key)?.data;
        let order = order(conv, float)?;
        let (low, high) = if trained.bits == 4 {
            (INT4[0], INT4[1])
        } else {
            (-127.0, 127.0)
        };
        let row = conv.weight.len() / conv.bias.len();
        let own = self.standing.int4.get(index).filter(|_| trained.bits == 4);
        let means = self.means(conv);
        let mut to = Rounded::of(float);
        let mut shifts = vec![0.0; conv.bias.len()];
        for (place, (at, weight)) in order.iter().zip(&conv.weight).enumerate() {
            let (out, tap) = (place / row, place % row);
            let scale = trained.scales.get(out)?.max(1e-12);
            let exact = f64::from(*weight) / scale;
            let nearest = exact.round().clamp(low, high);
            let own = own
                .and_then(|rows| rows.get(out)?.units.get(tap))
                .map_or(nearest, |n| f64::from(*n));
            let real = |units: f64| (units * scale * conv.divisor) as f32;
            to.rounded[*at] = real(nearest);
            if own != nearest {
                to.first[*at] = real(own + (exact - own).clamp(-INSIDE, INSIDE));
            }
            let first = f64::from(to.first[*at]) / conv.divisor;
            shifts[out] += (first - own * scale) * means.get(tap % means.len().max(1))?;
        }
        let mut found = vec![(key.to_owned(), to)];
        let bias = params.get(1).and_then(|key| Some((key, &graph.params.get(*key)?.data)));
        if let (Some((key, float)), Some(rows)) = (bias.filter(|(_, float)| float.len() == conv.bias.len()), own) {
            let mut to = Rounded::of(float);
            // What moving the weights takes from the output's mean.
            for ((first, row), shift) in to.first.iter_mut().zip(rows).zip(&shifts) {
                *first = (f64::from(*first) + (row.shift - shift) * conv.divisor) as f32;
            }
            found.push(((*key).to_owned(), to));
        }
        Some(found)
    }

    /// Means of an operator's input channels.
    fn means(&self, conv: &Conv) -> Vec<f64> {
        let means = conv.source.iter().flat_map(|id| self.standing.stats[id.0].means());
        means.collect()
    }
}

impl Rounded {
    fn of(float: &[f32]) -> Self {
        Self {
            float: float.to_vec(),
            rounded: float.to_vec(),
            first: float.to_vec(),
        }
    }
}

/// Where each of an operator's weights, `(out, tap, in)`, stands among the checkpoint's, `(out, in, tap)`; `None` where they are others.
fn order(conv: &Conv, float: &[f32]) -> Option<Vec<usize>> {
    if float.len() != conv.weight.len() || conv.bias.is_empty() {
        return None;
    }
    let (taps, row) = (conv.kernel[0] * conv.kernel[1], conv.weight.len() / conv.bias.len());
    let ins = row / taps.max(1);
    let place = |i: usize| {
        let (out, tap, channel) = (i / row, i % row / ins, i % ins);
        out * row + channel * taps + tap
    };
    let order: Vec<usize> = (0..float.len()).map(place).collect();
    let same = |(at, weight): (&usize, &f32)| (f64::from(float[*at]) / conv.divisor) as f32 == *weight;
    order.iter().zip(&conv.weight).all(same).then_some(order)
}
