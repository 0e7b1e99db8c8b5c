//! Numbers that depend on the timestep alone, while they are put together: lines, then their sines and cosines.

use super::tensor::Kind;
use super::view::View;
pub(super) use mote_graph::ops::{Wave, WaveKind};

/// Most features.
pub(super) const MOST: usize = 1 << 16;

/// A tensor of them.
#[derive(Debug, Clone)]
pub(super) struct Waves {
    pub kind: Kind,
    pub sizes: Vec<usize>,
    pub data: Vec<Wave>,
}

impl Waves {
    /// The timestep itself, `scale * t + shift`.
    pub fn timestep(kind: Kind, sizes: Vec<usize>, scale: f64, shift: f64) -> Self {
        let line = Wave {
            kind: WaveKind::Line,
            rate: scale,
            phase: shift,
        };
        let count = sizes.iter().product();
        Self {
            kind,
            sizes,
            data: vec![line; count],
        }
    }

    /// The numbers that `view` shows of these.
    pub fn shown(&self, view: &View) -> Self {
        Self {
            sizes: view.sizes(),
            data: view.offsets().map(|at| self.data[at]).collect(),
            ..*self
        }
    }

    /// Each line times a number and plus a number.
    pub fn scaled(mut self, factors: &[f64], shifts: &[f64]) -> Result<Self, String> {
        for (i, wave) in self.data.iter_mut().enumerate() {
            let (factor, shift) = (factors[i % factors.len()], shifts[i % shifts.len()]);
            if wave.kind != WaveKind::Line {
                if factor == 1.0 && shift == 0.0 {
                    continue;
                }
                return Err("sines of the timestep are scaled or shifted, which is not known".to_string());
            }
            wave.rate *= factor;
            wave.phase = wave.phase * factor + shift;
        }
        Ok(self)
    }

    /// Sines or cosines of all lines.
    pub fn waved(mut self, kind: WaveKind) -> Result<Self, String> {
        for wave in &mut self.data {
            if wave.kind != WaveKind::Line {
                return Err("a sine of a sine of the timestep is not known".to_string());
            }
            wave.kind = kind;
        }
        Ok(self)
    }
}
