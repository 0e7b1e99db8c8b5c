//! Small programs with the operators that a GPU does not take: what [`crate::synthetic`] holds runs there too.

use mote_graph::graph::ops::Over;
use mote_tools::ops::{Bound, Conv, Input, Kind, Norm, Silu, TimeProj};
use mote_tools::program::{Program, SlotId};

use crate::random::Random;
use crate::synthetic::{Form, diffusion, emitted};

/// [`norms`] as a model file.
pub fn model(seed: u64, form: Form) -> Vec<u8> {
    emitted(&norms(seed), &diffusion_without_classes(), form).bytes
}

fn diffusion_without_classes() -> mote_tools::emit::Diffusion {
    mote_tools::emit::Diffusion {
        null_class: None,
        ..diffusion()
    }
}

/// Normalizations of every kind that is no group normalization, on 3x5 samples; channels are drawn.
pub fn norms(seed: u64) -> Program {
    let mut b = Builder {
        program: Program {
            sample: [1, 3, 5],
            ..Program::default()
        },
        random: Random(seed),
    };
    let (some, more) = (2 * (1 + b.random.below(6)), 2 * (1 + b.random.below(10)));
    let both = some + more;
    let x = b.push("x", [1, 3, 5], Input::IDENTITY);
    let frequencies = vec![1.0, 0.3, 0.1, 0.03];
    let time = TimeProj {
        frequencies,
        cos_first: true,
    };
    let time = b.push("time", [8, 1, 1], time);
    let embedding = b.push("time.silu", [8, 1, 1], Silu { src: time });
    let vector = b.conv("vector", &[embedding], [2 * more, 1, 1], 1);
    let wide = b.conv("wide", &[embedding], [2 * both, 1, 1], 1);
    let first = b.conv("in", &[x], [some, 3, 5], 3);
    let second = b.conv("in.2", &[first], [more, 3, 5], 3);
    let rms = b.norm("rms", &[first], |n| n.beta.fill(0.0));
    let layer = b.norm("layer", &[second], |n| {
        (n.centred, n.silu, n.scale_shift) = (true, true, Some(vector));
    });
    let whole = b.norm("whole", &[rms, layer], |n| {
        (n.over, n.silu) = (Over::Groups(2), true);
    });
    let heads = b.norm("heads", &[first], |n| {
        (n.over, n.bound) = (Over::Position(2), Bound::Floor(0.8));
    });
    let joined = b.norm("joined", &[second, heads], |n| {
        (n.over, n.centred, n.scale_shift) = (Over::Position(2), true, Some(wide));
    });
    let floor = b.norm("floor", &[whole], |n| {
        (n.over, n.centred, n.bound) = (Over::Groups(1), true, Bound::Floor(0.1));
    });
    b.conv("out", &[joined, floor], [1, 3, 5], 3);
    b.program
}

struct Builder {
    program: Program,
    random: Random,
}

impl Builder {
    fn push(&mut self, name: &str, shape: [usize; 3], kind: impl Into<Kind>) -> SlotId {
        self.program.push_named(name, shape, kind)
    }

    fn many(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.random.unit() * size).collect()
    }

    fn channels(&self, source: &[SlotId]) -> usize {
        source.iter().map(|id| self.program.slot(*id).shape[0]).sum()
    }

    fn conv(&mut self, name: &str, source: &[SlotId], shape: [usize; 3], kernel: usize) -> SlotId {
        let taps = kernel * kernel * self.channels(source);
        let conv = Conv {
            source: source.to_vec(),
            weight: self.many(shape[0] * taps, libm::sqrtf(3.0 / taps as f32)),
            bias: self.many(shape[0], 0.3),
            kernel,
            stride: 1,
            pad: [kernel / 2; 4],
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups: vec![],
        };
        self.push(name, shape, conv)
    }

    /// RMSNorm over the channels of a position unless `change` says otherwise.
    fn norm(&mut self, name: &str, source: &[SlotId], change: impl Fn(&mut Norm)) -> SlotId {
        let [_, rows, cols] = self.program.slot(source[0]).shape;
        let channels = self.channels(source);
        let gamma = self.many(channels, 0.5).iter().map(|v| 1.0 + v).collect();
        let beta = self.many(channels, 0.5);
        let mut norm = Norm {
            over: Over::Position(1),
            centred: false,
            ..Norm::group(source.to_vec(), 1, 1e-5, gamma, beta)
        };
        change(&mut norm);
        self.push(name, [channels, rows, cols], norm)
    }
}
