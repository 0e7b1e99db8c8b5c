//! Small programs with the operators that a GPU does not take: what [`crate::synthetic`] holds runs there too.

use mote_graph::graph::ops::Over;
use mote_runtime::internals::ops::rearrange::Way;
use mote_tools::ops::{Bound, Conv, Input, Kind, Norm, Rearrange, Band, Silu, TimeProj};
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

/// [`windows`] as a model file.
pub fn windows_model(seed: u64, form: Form) -> Vec<u8> {
    emitted(&windows(seed), &diffusion_without_classes(), form).bytes
}

/// Convolutions whose kernels are no squares, with a stride an axis, on 3x8 samples; channels are drawn.
pub fn windows(seed: u64) -> Program {
    let mut b = Builder {
        program: Program {
            sample: [1, 3, 8],
            ..Program::default()
        },
        random: Random(seed),
    };
    let (some, more) = (1 + b.random.below(6), 2 * (1 + b.random.below(10)));
    let x = b.push("x", [1, 3, 8], Input::IDENTITY);
    let along = b.window("along", &[x], [some, 3, 8], [1, 5], |_| {});
    let down = b.window("down", &[along], [more, 1, 8], [3, 2], |c| {
        (c.stride, c.pad) = ([2, 1], [0, 1, 0, 0]);
    });
    let layer = b.norm("layer", &[down], |n| (n.over, n.silu) = (Over::Groups(2), true));
    let signal = b.window("signal", &[layer], [more, 1, 8], [1, 7], |c| {
        c.addend = Some((down, 0.5))
    });
    let rows = b.window("rows", &[signal], [some, 3, 8], [3, 1], |c| c.pad = [2, 0, 2, 0]);
    let third = b.window("third", &[rows, along], [more, 3, 3], [1, 2], |c| {
        (c.stride, c.pad) = ([1, 3], [0, 0, 0, 1]);
    });
    let wide = b.window("wide", &[third], [1, 3, 8], [3, 3], |c| {
        (c.upsample, c.stride) = (true, [2, 1]);
        c.pad = [1, 2, 1, 2];
    });
    let moved = b.moved(wide, some);
    let rows = |b: &mut Builder, name: &str, source: &[SlotId], from: usize, shape: [usize; 3]| {
        let source = source.to_vec();
        b.push(name, shape, Band { source, from })
    };
    let above = rows(&mut b, "above", &[moved], 1, [2, 2, 8]);
    let both = rows(&mut b, "both.rows", &[above, moved], 1, [2, 3, 8]);
    b.conv("out", &[both], [1, 3, 8], 1);
    b.program
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

    /// Elements of a 3x8 activation moved in every way, back to 3x8.
    fn moved(&mut self, src: SlotId, channels: usize) -> SlotId {
        let step = |b: &mut Self, src, way, block, shape: [usize; 3]| {
            let name = format!("{way:?}{}", b.program.ops.len());
            b.push(&name, shape, Rearrange { src, way, block })
        };
        let deep = step(self, src, Way::Depth, [3, 2], [6, 1, 4]);
        let mixed = self.conv("mixed", &[deep], [6 * channels, 1, 4], 1);
        let spread = step(self, mixed, Way::Channels, [3, 2], [channels, 3, 8]);
        let twice = step(self, mixed, Way::Phases, [2, 3], [channels, 2, 12]);
        let rows = step(self, twice, Way::Reshape, [1, 1], [channels, 3, 8]);
        let signal = step(self, deep, Way::Phases, [1, 2], [3, 1, 8]);
        let repeated = step(self, signal, Way::Repeat, [3, 1], [3, 3, 8]);
        let joined = self.conv("joined", &[spread, rows], [3, 3, 8], 3);
        self.window("added", &[joined], [2, 3, 8], [1, 3], |_| {});
        self.window("both", &[joined, repeated], [2, 3, 8], [3, 1], |_| {})
    }

    fn many(&mut self, count: usize, size: f32) -> Vec<f32> {
        (0..count).map(|_| self.random.unit() * size).collect()
    }

    fn channels(&self, source: &[SlotId]) -> usize {
        source.iter().map(|id| self.program.slot(*id).shape[0]).sum()
    }

    fn conv(&mut self, name: &str, source: &[SlotId], shape: [usize; 3], kernel: usize) -> SlotId {
        self.window(name, source, shape, [kernel; 2], |_| {})
    }

    /// A convolution that keeps the extents unless `change` says otherwise.
    fn window(
        &mut self,
        name: &str,
        source: &[SlotId],
        shape: [usize; 3],
        kernel: [usize; 2],
        change: impl Fn(&mut Conv),
    ) -> SlotId {
        let taps = kernel[0] * kernel[1] * self.channels(source);
        let mut conv = Conv {
            source: source.to_vec(),
            weight: self.many(shape[0] * taps, libm::sqrtf(3.0 / taps as f32)),
            bias: self.many(shape[0], 0.3),
            kernel,
            stride: [1; 2],
            pad: [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2],
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups: vec![],
        };
        change(&mut conv);
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
