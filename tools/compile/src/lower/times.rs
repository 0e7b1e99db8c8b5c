//! Features of an affine function of the timestep, as plain ones.
//!
//! A network that is told `a t + b` of a model's timestep t (flow matching from noise to data, EDM's `ln(sigma) / 4`), or has phases of
//! its own, has features `sin(r t + p)`. By `sin(r t + p) = cos(p) sin(r t) + sin(p) cos(r t)` they are a matrix times plain sines and
//! cosines of `|r| t`, and the linear layers that read them take that matrix into their weights. The device's features and the sum are
//! then those of any other network. Where something else reads them, or the timestep itself is among them, the matrix is a linear layer
//! of its own ([`mixed`]).

use std::borrow::Cow;

use mote_graph::graph::ops::{Operator as _, Rate, Wave, WaveKind};
use mote_graph::graph::{Graph, Node, Op, ValueId, ops};

/// `graph` with plain features, where linear layers alone read them; as it is where that is no help.
pub(super) fn plain(graph: &Graph) -> Cow<'_, Graph> {
    let mut made = Cow::Borrowed(graph);
    for index in 0..graph.nodes.len() {
        if let Some(features) = Features::of(graph, index) {
            features.write(made.to_mut(), index);
        }
    }
    made
}

/// `t - (1.5 sin x - 0.3 sin 2 x + sin 3 x / 30) / w`, with x = w t, is `t x^6 / 140` and smaller terms: central differences of sixth order.
const LINE: [f64; 3] = [1.5, -0.3, 1.0 / 30.0];
/// The largest x: the three sines are then within 3e-5 of the last timestep, and their own units in Q15 leave as much.
const LARGEST: f64 = 0.4;

/// Features as a matrix times the sines, then the cosines of these rates (radians a timestep): the rates, and the matrix by rows.
pub struct Mixed {
    /// Rates, none below 0.
    pub rates: Vec<f64>,
    /// `(feature, 2 rates)`.
    pub matrix: Vec<f32>,
}

/// `waves` in a network of so many timesteps as plain sines and cosines and a matrix. The timestep itself is three slow sines.
pub fn mixed(waves: &ops::Waves, timesteps: usize) -> Mixed {
    let [a, b] = waves.time;
    let slow = LARGEST / timesteps.max(1) as f64;
    let mut rates: Vec<f64> = vec![];
    let mut place = |rate: f64| {
        rates.iter().position(|known| *known == rate).unwrap_or_else(|| {
            rates.push(rate);
            rates.len() - 1
        })
    };
    // Entries: the place of a rate, whether its cosine, and the factor.
    let mut rows: Vec<Vec<(usize, bool, f64)>> = vec![];
    for wave in &waves.features {
        let (rate, phase) = (wave.rate * a, wave.rate * b + wave.phase);
        let mut row = vec![];
        if wave.kind == WaveKind::Line {
            if rate != 0.0 {
                for (i, factor) in LINE.iter().enumerate() {
                    row.push((place(slow * (i + 1) as f64), false, rate * factor / slow));
                }
            }
            if phase != 0.0 {
                row.push((place(0.0), true, phase));
            }
        } else {
            let own = place(rate.abs());
            let [sine, cosine] = turned((wave.kind, rate, phase));
            row.extend([(own, false, sine), (own, true, cosine)]);
        }
        rows.push(row);
    }
    let count = rates.len().max(1);
    let mut matrix = vec![0f32; rows.len() * 2 * count];
    for (row, to) in rows.into_iter().zip(matrix.chunks_exact_mut(2 * count)) {
        for (place, cosine, factor) in row {
            to[place + if cosine { count } else { 0 }] += factor as f32;
        }
    }
    rates.resize(count, 0.0);
    Mixed { rates, matrix }
}

/// The factors of a feature's plain sine and cosine. A cosine is a sine a quarter ahead; a negative rate turns the sine alone.
fn turned((kind, rate, phase): (WaveKind, f64, f64)) -> [f64; 2] {
    let sign = if rate < 0.0 { -1.0 } else { 1.0 };
    let (sine, cosine) = (libm::sin(phase), libm::cos(phase));
    match kind {
        WaveKind::Cosine => [-sine * sign, cosine],
        _ => [cosine * sign, sine],
    }
}

/// A node's features and who reads them.
struct Features {
    /// Sine or cosine, radians a timestep, phase.
    lines: Vec<(WaveKind, f64, f64)>,
    /// Their rates without signs, each once.
    rates: Vec<f64>,
    /// f32 arithmetic, whatever the rest has.
    single: bool,
    readers: Vec<usize>,
}

impl Features {
    fn of(graph: &Graph, index: usize) -> Option<Self> {
        let node = &graph.nodes[index];
        let Op::Waves(waves) = &node.op else { return None };
        let [a, b] = waves.time;
        let line = |wave: &Wave| (wave.kind, wave.rate * a, wave.rate * b + wave.phase);
        let lines: Vec<_> = waves.features.iter().map(line).collect();
        let is_plain = waves.time == [1.0, 0.0] && lines.iter().all(|(_, rate, phase)| *rate >= 0.0 && *phase == 0.0);
        let has_line = lines.iter().any(|(kind, ..)| *kind == WaveKind::Line);
        let reads = |node: &Node| node.inputs.contains(&node_output(graph, index));
        let readers: Vec<usize> = (0..graph.nodes.len()).filter(|i| reads(&graph.nodes[*i])).collect();
        let linear = readers.iter().all(|i| is_linear(graph, *i));
        if is_plain || has_line || !linear || readers.is_empty() || graph.output == Some(node.output) {
            return None;
        }
        let mut rates: Vec<f64> = vec![];
        for (_, rate, _) in &lines {
            if !rates.contains(&rate.abs()) {
                rates.push(rate.abs());
            }
        }
        Some(Self {
            lines,
            rates,
            single: waves.single,
            readers,
        })
    }

    /// The factors of a feature's plain sine and cosine, and the place of its rate.
    fn row(&self, (kind, rate, phase): (WaveKind, f64, f64)) -> (usize, [f64; 2]) {
        let place = self.rates.iter().position(|known| *known == rate.abs()).unwrap_or(0);
        (place, turned((kind, rate, phase)))
    }

    fn write(&self, graph: &mut Graph, index: usize) {
        let count = self.rates.len();
        for reader in &self.readers {
            let Op::Conv(conv) = &graph.nodes[*reader].op else {
                continue;
            };
            let Some(param) = graph.params.get_mut(&conv.weight) else {
                continue;
            };
            let out = param.shape.first().copied().unwrap_or(0);
            let mut data = vec![0f64; out * 2 * count];
            let rows = param
                .data
                .chunks_exact(self.lines.len())
                .zip(data.chunks_exact_mut(2 * count));
            for (from, to) in rows {
                for (weight, line) in from.iter().zip(&self.lines) {
                    let (place, [sine, cosine]) = self.row(*line);
                    to[place] += f64::from(*weight) * sine;
                    to[count + place] += f64::from(*weight) * cosine;
                }
            }
            param.shape[1] = 2 * count;
            param.data = data.into_iter().map(|weight| weight as f32).collect();
        }
        let wave = |kind| move |rate: &f64| Wave::of(kind, Rate::plain(*rate, *rate as f32));
        let sines = self.rates.iter().map(wave(WaveKind::Sine));
        let features = sines.chain(self.rates.iter().map(wave(WaveKind::Cosine))).collect();
        let (single, output) = (self.single, graph.nodes[index].output);
        graph.values[output.0].shape = [2 * count, 1, 1];
        graph.nodes[index].op = Op::Waves(ops::Waves {
            features,
            time: [1.0, 0.0],
            single,
        });
    }
}

fn node_output(graph: &Graph, index: usize) -> ValueId {
    graph.nodes[index].output
}

/// Whether a node is a linear layer whose weights are its own.
fn is_linear(graph: &Graph, index: usize) -> bool {
    let Op::Conv(conv) = &graph.nodes[index].op else {
        return false;
    };
    let sharing = graph
        .nodes
        .iter()
        .filter(|node| node.op.params().contains(&conv.weight.as_str()));
    conv.kernel == [1, 1] && conv.groups == 1 && sharing.count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The timestep, a constant, a turned sine and a cosine that runs backwards: what the matrix makes of plain sines and cosines.
    #[test]
    fn a_matrix_makes_any_features_of_plain_ones() {
        let wave = |kind, rate: f64, phase| Wave {
            phase,
            ..Wave::of(kind, Rate::plain(rate, rate as f32))
        };
        let features = vec![
            wave(WaveKind::Line, 0.001, 0.0),
            wave(WaveKind::Line, 0.0, 0.5),
            wave(WaveKind::Sine, -0.3, 0.7),
            wave(WaveKind::Cosine, -0.3, 0.1),
        ];
        let waves = ops::Waves {
            features,
            time: [2.0, 1.0],
            single: false,
        };
        let found = mixed(&waves, 1000);
        let count = found.rates.len();
        for t in [0.0, 1.0, 250.0, 999.0] {
            let plain: Vec<f64> = (found.rates.iter().map(|r| libm::sin(r * t)))
                .chain(found.rates.iter().map(|r| libm::cos(r * t)))
                .collect();
            for (row, wave) in found.matrix.chunks_exact(2 * count).zip(&waves.features) {
                let value: f64 = row.iter().zip(&plain).map(|(m, v)| f64::from(*m) * v).sum();
                let expected = wave.at(2.0 * t + 1.0, mote_graph::float::TimeFeatures::F64);
                assert!(
                    (value - expected).abs() < 6e-5,
                    "{wave:?} at {t}: {value}, {expected} expected"
                );
            }
        }
    }
}
