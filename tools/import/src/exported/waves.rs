//! Numbers that depend on the timestep alone, while they are put together: lines, then their sines and cosines.

use super::source::What;
use super::tensor::Tensor;
use super::view::View;
pub(crate) use mote_graph::ops::Rate;
pub(super) use mote_graph::ops::{Wave, WaveKind};

/// Most features.
pub(crate) const MOST: usize = 1 << 16;

/// A tensor of them.
#[derive(Debug, Clone)]
pub(crate) struct Waves {
    pub(super) sizes: Vec<usize>,
    pub(super) data: Vec<Wave>,
    /// The network's time of timestep `t` is `time[0] * t + time[1]`.
    pub(super) time: [f64; 2],
    /// Whether sines were cast afterwards: then they are computed in f32, whatever type the rest of the network has. Without
    /// such a cast they have the network's own type, or a linear layer could not read them.
    pub(super) single: bool,
    /// The module that computes the sines.
    pub(super) module: String,
}

impl Waves {
    /// The network's time.
    pub(super) fn timestep(sizes: Vec<usize>, time: [f64; 2]) -> Self {
        let line = Wave::of(WaveKind::Line, Rate::plain(1.0, 1.0));
        let count = sizes.iter().product();
        Self {
            sizes,
            data: vec![line; count],
            time,
            single: false,
            module: String::new(),
        }
    }

    /// Sines, then cosines, of the timestep times each rate.
    pub fn sinusoids(rates: &[Rate], module: &str) -> Self {
        let wave = |kind| move |rate: &Rate| Wave::of(kind, *rate);
        let sines = rates.iter().map(wave(WaveKind::Sine));
        let data: Vec<Wave> = sines.chain(rates.iter().map(wave(WaveKind::Cosine))).collect();
        Self {
            sizes: vec![1, data.len()],
            data,
            module: module.to_string(),
            ..Self::timestep(vec![], [1.0, 0.0])
        }
    }

    /// The second half before the first: cosines, then sines.
    pub fn cosines_first(mut self) -> Self {
        let half = self.data.len() / 2;
        self.data.rotate_left(half);
        self
    }

    /// The timestep itself, then these.
    pub fn behind_time(self) -> Self {
        let line = Self::timestep(vec![1], self.time).data;
        let data = [line, self.data].concat();
        Self {
            sizes: vec![1, data.len()],
            data,
            ..self
        }
    }

    /// The numbers that `view` shows of these.
    pub(super) fn shown(&self, view: &View) -> Self {
        Self {
            sizes: view.sizes(),
            data: view.offsets().map(|at| self.data[at]).collect(),
            time: self.time,
            single: self.single,
            module: self.module.clone(),
        }
    }

    /// The features at these places.
    pub(super) fn picked(&self, order: &[usize]) -> Self {
        Self {
            data: order.iter().map(|at| self.data[*at]).collect(),
            ..self.clone()
        }
    }

    /// One of each of the features that are repeated along axes behind the second, or along the second where another has them; `None` where none is repeated.
    pub(super) fn without_repetition(&self) -> Option<Self> {
        if self.sizes.len() < 3 {
            return None;
        }
        let whole = View::whole(0, &self.sizes);
        let repeats = |axis: &usize| {
            let size = self.sizes[*axis];
            let stride: usize = self.sizes[axis + 1..].iter().product();
            let first = |at: usize| at - at / stride % size * stride;
            size > 1 && (0..self.data.len()).all(|at| self.data[at] == self.data[first(at)])
        };
        let along: Vec<usize> = (1..self.sizes.len()).filter(repeats).collect();
        let wide = (1..self.sizes.len()).filter(|axis| self.sizes[*axis] > 1).count();
        if along.is_empty() || along.len() == wide && along.contains(&1) {
            return None;
        }
        let mut once = whole;
        along.into_iter().for_each(|axis| once.axes[axis] = vec![]);
        Some(self.shown(&once))
    }

    /// As the source of an activation.
    pub(super) fn what(&self) -> What {
        What::Waves {
            features: self.data.clone(),
            time: self.time,
            single: self.single,
        }
    }

    /// After a cast.
    pub fn cast(self) -> Self {
        let single = self.single || self.data.iter().any(|wave| wave.kind != WaveKind::Line);
        Self { single, ..self }
    }

    /// Each line times a number of `factors`, which has the same extents; where the network divides they are inverses in f64.
    ///
    /// In f32 every product is rounded by itself. The first factor of two is kept apart where it is the same for all features.
    pub(super) fn scaled(mut self, factors: &Tensor, divides: bool) -> Result<Self, String> {
        let stored = |factor: f64| if divides { factor } else { f64::from(factor as f32) };
        let first = factors.data.first().copied().unwrap_or(1.0);
        let is_first = |wave: &Wave| wave.before == 1.0 && wave.single == 1.0 && wave.phase == 0.0;
        let apart = factors.data.iter().all(|factor| *factor == first) && self.data.iter().all(is_first);
        let times = |rate: f64, factor: f64| match rate == 1.0 || divides {
            true => rate * stored(factor),
            false => f64::from(rate as f32 * factor as f32),
        };
        for (i, wave) in self.data.iter_mut().enumerate() {
            let (factor, exact, library) = (factors.data[i], factors.exact[i], factors.library()[i]);
            if factor != 1.0 {
                line(wave, "scaled")?;
                wave.rate *= exact;
                wave.phase *= exact;
                if apart {
                    wave.before = stored(factor);
                } else {
                    wave.single = times(wave.single, factor);
                    wave.library = times(wave.library, library);
                }
            }
        }
        Ok(self)
    }

    /// Each line plus a number of `shifts`.
    pub(super) fn shifted(mut self, shifts: &Tensor) -> Result<Self, String> {
        for (wave, shift) in self.data.iter_mut().zip(shifts.exact.iter()) {
            if *shift != 0.0 {
                line(wave, "shifted")?;
                wave.phase += shift;
            }
        }
        Ok(self)
    }

    /// Sines or cosines of all lines, which `module` computes.
    pub(super) fn waved(mut self, kind: WaveKind, module: &str) -> Result<Self, String> {
        self.module = module.to_string();
        for wave in &mut self.data {
            line(wave, "put into a sine")?;
            wave.kind = kind;
        }
        Ok(self)
    }
}

/// A number that does not depend on the timestep.
pub(super) fn level(value: f64) -> Wave {
    Wave {
        phase: value,
        ..Wave::of(WaveKind::Line, Rate::plain(0.0, 0.0))
    }
}

fn line(wave: &Wave, what: &str) -> Result<(), String> {
    match wave.kind {
        WaveKind::Line => Ok(()),
        _ => Err(format!("a sine of the timestep is {what}, which is not known")),
    }
}
