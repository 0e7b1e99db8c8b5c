//! A chain's network as a list of steps, and its schedule.

use mote_host::chain::heartbeat::{Heartbeat, LENGTH};
use mote_host::chain::network::{Layer, Network, Real};
use mote_host::chain::swiss_roll::SwissRoll;
use mote_runtime::schedule::coefficients::{Clip, Prediction};
use mote_runtime::schedule::spacing::Spacing;

use super::files::Chain;
use crate::emit::Diffusion;
use crate::ops::{Conv, Input, Kind, Silu, Softmax};
use crate::program::{Program, SlotId};

/// The network: inputs are what the sampler holds, the last step's output is what its reverse kernel takes.
pub fn program(chain: &Chain) -> Program {
    match chain {
        Chain::Heartbeat(h) => heartbeat(h),
        Chain::SwissRoll(s) => swiss_roll(s),
    }
}

/// Schedule and kind of chain.
pub fn diffusion(chain: &Chain) -> Diffusion {
    let (alpha_bars, prediction) = match chain {
        Chain::Heartbeat(h) => {
            let prior_q31 = libm::round(h.chain.prior * 2_147_483_648.0) as u32;
            (h.chain.alpha[1..].to_vec(), Prediction::Bits { prior_q31 })
        }
        Chain::SwissRoll(s) => {
            let kernels = s.chain.kernels();
            (kernels.iter().map(|k| k.alpha_bar).collect(), Prediction::Kernel)
        }
    };
    Diffusion {
        alpha_bars,
        final_alpha_bar: 1.0,
        prediction,
        clip: Clip::Off,
        clip_range: 1.0,
        spacing: Spacing::Trailing,
        steps_offset: 0,
        null_class: None,
    }
}

fn heartbeat(h: &Heartbeat) -> Program {
    let mut b = Builder::new(LENGTH);
    let mut last = b.input();
    for layer in 0..h.network.layers.len() - 1 {
        let name = format!("hidden.{}", layer / 2);
        last = match h.network.layers[layer] {
            Layer::Linear { .. } => b.linear(&name, last, &tables(&h.network, layer), vec![]),
            Layer::Silu | Layer::Softmax => b.push(&format!("{name}.act"), b.channels(last), Kind::Silu { src: last }),
        };
    }
    // The first group is step 1, which is not learned: outputs of 0.
    let mut readouts = tables(&h.network, h.network.layers.len() - 1);
    let (weight, bias) = &readouts[0];
    readouts.insert(0, (vec![0.0; weight.len()], vec![0.0; bias.len()]));
    let first = h.groups.iter().map(|step| *step as u32 - 1).collect();
    b.linear("readout", last, &readouts, first);
    b.program
}

fn swiss_roll(s: &SwissRoll) -> Program {
    // The variance's log odds are those of beta and the network's: the former are in the biases.
    let network = s.network(&s.chain.kernels());
    let mut b = Builder::new(2);
    let x = b.input();
    let scores = b.linear("rbf", x, &tables(&network, 0), vec![]);
    let units = b.push("rbf.softmax", b.channels(scores), Kind::Softmax { src: scores });
    let readouts = tables(&network, 2);
    let first = (0..readouts.len() as u32).collect();
    b.linear("readout", units, &readouts, first);
    b.program
}

/// Weights `(out, in)` and biases of every group of a linear layer.
fn tables<F: Real>(network: &Network<F>, layer: usize) -> Vec<(Vec<f32>, Vec<f32>)> {
    let Layer::Linear { ins, outs, .. } = network.layers[layer] else {
        return vec![];
    };
    let single = |v: &F| v.f64() as f32;
    let [weights, biases] = network.places(layer).map(|place| &network.params[place]);
    let filter = |weights: &[F]| -> Vec<f32> {
        let of = |out: usize| weights.iter().skip(out).step_by(outs).map(single);
        (0..outs).flat_map(of).collect()
    };
    let groups = weights.chunks_exact(ins * outs).zip(biases.chunks_exact(outs));
    groups
        .map(|(weights, biases)| (filter(weights), biases.iter().map(single).collect()))
        .collect()
}

/// Appends operators.
struct Builder {
    program: Program,
}

impl Builder {
    fn new(channels: usize) -> Self {
        Self {
            program: Program {
                sample: [channels, 1, 1],
                ..Program::default()
            },
        }
    }

    fn push(&mut self, name: &str, channels: usize, kind: impl Into<Kind>) -> SlotId {
        self.program.push_named(name, [channels, 1, 1], kind)
    }

    fn channels(&self, slot: SlotId) -> usize {
        self.program.slot(slot).shape[0]
    }

    fn input(&mut self) -> SlotId {
        self.push("input", self.program.sample[0], Input::IDENTITY)
    }

    /// A linear layer, of weights `(out, in)` and biases for each group of timesteps.
    fn linear(&mut self, name: &str, source: SlotId, tables: &[(Vec<f32>, Vec<f32>)], groups: Vec<u32>) -> SlotId {
        let outs = tables.first().map_or(0, |(_, bias)| bias.len());
        let conv = Conv {
            source: vec![source],
            weight: tables.iter().flat_map(|(weight, _)| weight.clone()).collect(),
            bias: tables.iter().flat_map(|(_, bias)| bias.clone()).collect(),
            kernel: 1,
            stride: 1,
            pad: [0; 4],
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups,
        };
        self.push(name, outs, Kind::Conv(conv))
    }
}
