//! Sinusoidal features of the timestep (DDPM, section 3.3; Vaswani et al. 2017, section 3.5).

use mote_graph::graph::{Node, ops};
use mote_runtime::internals::ops as record;
use mote_runtime::internals::ops::Op as Record;
use mote_runtime::internals::tensor::Tensor;

use super::{Cost, Operator, OutputFormat};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, refuse, series, times};
use crate::program::SlotId;
use crate::quantize::formats::Format;

/// Sines and cosines of the timestep.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeProj {
    /// Radians a timestep.
    pub frequencies: Vec<f64>,
    /// Cosines first.
    pub cos_first: bool,
    /// Whether they are the terms of a series: what reads them has weights of 16 bits, as its sums are long.
    pub series: bool,
}

impl TimeProj {
    /// `freq_i = exp(-ln(max_period) * i / (dim/2 - freq_shift))`.
    pub(super) fn lower(op: &ops::TimeProj) -> Lowered {
        let half = op.dim / 2;
        let exponent = |i: usize| -libm::log(op.max_period) * i as f64 / (half as f64 - op.freq_shift);
        Lowered::Operator(
            Self {
                frequencies: (0..half).map(|i| libm::exp(exponent(i))).collect(),
                cos_first: op.flip_sin_to_cos,
                series: false,
            }
            .into(),
        )
    }

    /// Sines and cosines of the same frequencies, all of one before all of the other, as they are; others, and the timestep alone, through a
    /// matrix. The timestep beside sines of it is refused.
    pub(super) fn lower_waves(op: &ops::Waves, node: &Node, timesteps: usize) -> Result<Lowered, LowerError> {
        let is_line = |wave: &&ops::Wave| wave.kind == ops::WaveKind::Line && wave.rate != 0.0;
        let is_wave = |wave: &ops::Wave| wave.kind != ops::WaveKind::Line;
        if op.features.iter().any(|wave| is_line(&wave)) && op.features.iter().any(is_wave) {
            return Err(refuse(
                node,
                "features of the timestep that are no sines and cosines of the same frequencies, but the timestep beside them",
            ));
        }
        let (first, second) = op.features.split_at(op.features.len() / 2);
        let all =
            |part: &[ops::Wave], kind: ops::WaveKind| part.iter().all(|wave| wave.kind == kind && wave.phase == 0.0);
        let same = first.len() == second.len() && first.iter().zip(second).all(|(a, b)| a.rate == b.rate);
        let cos_first = all(first, ops::WaveKind::Cosine) && all(second, ops::WaveKind::Sine);
        let sin_first = all(first, ops::WaveKind::Sine) && all(second, ops::WaveKind::Cosine);
        let plain = op.time == [1.0, 0.0] && first.iter().all(|wave| wave.rate >= 0.0);
        if !same || !plain || !(cos_first || sin_first) || first.is_empty() {
            let mixed = times::mixed(op, timesteps);
            return Ok(Lowered::Mixed {
                count: 2 * mixed.rates.len(),
                features: Self {
                    frequencies: mixed.rates,
                    cos_first: false,
                    series: false,
                }
                .into(),
                matrix: mixed.matrix,
            });
        }
        let frequencies = first.iter().map(|wave| wave.rate).collect();
        Ok(Lowered::Operator(
            Self {
                frequencies,
                cos_first,
                series: false,
            }
            .into(),
        ))
    }

    /// Any function of the timestep, as a series.
    pub(super) fn lower_curves(op: &ops::Curves, node: &Node, timesteps: usize) -> Result<Lowered, LowerError> {
        let Some(mixed) = series::of(op, timesteps) else {
            return Err(refuse(
                node,
                "features of the timestep that have no finite value, or jump in more than 4096 timesteps",
            ));
        };
        Ok(Lowered::Mixed {
            count: 2 * mixed.rates.len(),
            features: Self {
                frequencies: mixed.rates,
                cos_first: false,
                series: true,
            }
            .into(),
            matrix: mixed.matrix,
        })
    }
}

/// What a record costs: its table of phases.
pub(super) fn cost(out: &Tensor) -> Cost {
    Cost::table(2 * u64::from(out.channels))
}

impl Operator for TimeProj {
    fn inputs(&self) -> Vec<SlotId> {
        vec![]
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        vec![]
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Fixed(Format::Q15)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        // Turns a timestep, Q32.
        let turn = |f: &f64| libm::round(f / core::f64::consts::TAU * 4_294_967_296.0) as u64 as u32;
        Record::TimeProj(record::TimeProj {
            out: e.id(out),
            phases: e.weights.put(self.frequencies.iter().map(turn)),
            cos_first: self.cos_first,
        })
    }
}
