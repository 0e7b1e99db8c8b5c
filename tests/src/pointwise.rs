//! Programs of pointwise operators in every form: functions, modulation, gates, sums, products, and a bounded output.

use mote_graph::ops::Function;
use mote_tools::emit::Diffusion;
use mote_tools::ops::pointwise::table::Scalar;
use mote_tools::ops::pointwise::{Addend, Pointwise};
use mote_tools::ops::{Conv, Input, Kind};
use mote_tools::program::{Program, SlotId};

use crate::random::Random;
use crate::synthetic::{Form, diffusion, emitted};

/// Channels around a block of the kernel, and odd ones.
const CHANNELS: [usize; 6] = [1, 3, 15, 16, 17, 35];
/// Rows and columns.
const EXTENTS: [[usize; 2]; 4] = [[1, 1], [1, 7], [4, 3], [3, 2]];

/// The program of one seed as a model file.
pub fn model(form: Form, seed: u64) -> Vec<u8> {
    let diffusion = Diffusion {
        null_class: None,
        ..diffusion()
    };
    emitted(&program(seed), &diffusion, form).bytes
}

/// Every form of the operator on an activation of a shape drawn from the seed.
pub fn program(seed: u64) -> Program {
    let mut random = Random(seed);
    let [rows, cols] = EXTENTS[seed as usize % EXTENTS.len()];
    let channels = CHANNELS[seed as usize % CHANNELS.len()];
    let mut b = Builder {
        program: Program {
            sample: [2, rows, cols],
            ..Program::default()
        },
        random: Random(seed + 1),
        shape: [channels, rows, cols],
    };
    let x = b.push([2, rows, cols], Input::IDENTITY);
    let [a, other] = [(); 2].map(|()| b.conv(x, channels, 1.0));
    let mask = b.conv(x, 1, 1.0);
    let pooled = b.pooled(x);
    let [vector, gate, both] = [1, 1, 2].map(|times| b.conv(pooled, times * channels, 1.0));
    let mut function = || {
        let named = Scalar::Function(random.pick(&Function::ALL));
        let (scale, shift) = (0.5 + random.below(4) as f64, 0.25 - random.below(3) as f64);
        match random.below(4) {
            0 => vec![Scalar::Affine { scale, shift }, named],
            1 => vec![Scalar::Square, named],
            _ => vec![named],
        }
    };
    let of = |function: &mut dyn FnMut() -> Vec<Scalar>, src| Pointwise {
        function: function(),
        ..Pointwise::of(src)
    };
    let film = |one: f64, op: Pointwise| Pointwise {
        one,
        factor: Some(both),
        addend: Some(Addend::Modulation),
        ..op
    };
    let product = |factor, op: Pointwise| Pointwise {
        one: 0.0,
        factor: Some(factor),
        ..op
    };
    let sum = |slot, divisor: f64, op: Pointwise| Pointwise {
        one: op.one / divisor,
        addend: Some(Addend::Slot(slot, 1.0 / divisor)),
        ..op
    };
    let ops = [
        of(&mut function, a),
        of(&mut function, other),
        film(0.0, of(&mut function, a)),
        film(1.0, Pointwise::of(other)),
        sum(other, 1.0, of(&mut function, a)),
        sum(a, 1.5, Pointwise::of(other)),
        sum(vector, 1.0, Pointwise::of(a)),
        product(other, Pointwise::of(a)),
        product(gate, of(&mut function, a)),
        product(mask, Pointwise::of(a)),
        sum(other, 1.0, product(gate, Pointwise::of(a))),
        sum(vector, 1.0, product(mask, of(&mut function, a))),
        sum(a, 1.0, product(mask, Pointwise::of(other))),
    ];
    let mut last = a;
    for op in ops {
        last = b.push(b.shape, op);
        // Read by the next operator alone, which may take over its memory.
        last = b.push(b.shape, of(&mut function, last));
    }
    b.push([channels, 1, 1], of(&mut function, vector));
    let end = b.conv(last, 2, 1.0);
    let bounded = vec![Scalar::Function(Function::Tanh)];
    b.push(
        [2, rows, cols],
        Pointwise {
            function: bounded,
            ..Pointwise::of(end)
        },
    );
    b.program
}

struct Builder {
    program: Program,
    random: Random,
    shape: [usize; 3],
}

impl Builder {
    fn push(&mut self, shape: [usize; 3], kind: impl Into<Kind>) -> SlotId {
        let name = format!("step.{}", self.program.ops.len());
        self.program.push_named(&name, shape, kind)
    }

    /// A 1x1 convolution.
    fn conv(&mut self, src: SlotId, outs: usize, size: f32) -> SlotId {
        let [_, rows, cols] = self.program.slot(src).shape;
        self.window(src, [outs, rows, cols], 1, size)
    }

    /// A vector: a convolution over rows and columns where there is more than one.
    fn pooled(&mut self, src: SlotId) -> SlotId {
        let [_, rows, cols] = self.program.slot(src).shape;
        let side = rows.max(cols);
        self.window(src, [3, 1, 1], side, 0.5)
    }

    fn window(&mut self, src: SlotId, shape: [usize; 3], kernel: usize, size: f32) -> SlotId {
        let [ins, rows, cols] = self.program.slot(src).shape;
        let taps = kernel * kernel * ins;
        let mut values = |count: usize, size: f32| (0..count).map(|_| self.random.unit() * size).collect();
        let conv = Conv {
            source: vec![src],
            weight: values(shape[0] * taps, size * (6.0 / ins as f32).sqrt()),
            bias: values(shape[0], 0.3),
            kernel: [kernel; 2],
            stride: [1; 2],
            pad: match kernel {
                1 => [0; 4],
                side => [0, 0, side - rows, side - cols],
            },
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups: vec![],
            split: 1,
        };
        self.push(shape, conv)
    }
}
