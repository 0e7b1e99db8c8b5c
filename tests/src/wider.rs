//! Small programs with the operators that a GPU does not take: what [`crate::synthetic`] holds runs there too.

use mote_graph::graph::ops::Over;
use mote_runtime::internals::ops::rearrange::Pattern;
use mote_tools::ops::{
    Attention, Band, Bound, Constant, Conv, CrossAttention, Input, Kind, LinearAttention, Norm, Pool, Rearrange, Rows,
    Silu, TimeProj,
};
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

/// [`groups`] as a model file.
pub fn groups_model(seed: u64, form: Form) -> Vec<u8> {
    emitted(&groups(seed), &diffusion_without_classes(), form).bytes
}

/// Convolutions in groups on 2x5x6 samples: depthwise ones, ones with several channels a group on either side, with both kinds of addend, and
/// the network's last; channels and windows are drawn.
pub fn groups(seed: u64) -> Program {
    let mut b = Builder {
        program: Program {
            sample: [2, 5, 6],
            ..Program::default()
        },
        random: Random(seed),
    };
    let (half, more) = (1 + b.random.below(6), 1 + b.random.below(3));
    let some = 2 * half;
    let x = b.push("x", [2, 5, 6], Input::IDENTITY);
    let first = b.conv("in", &[x], [some, 5, 6], 1);
    let vector = b.window("vector", &[x], [some, 1, 1], [5, 6], |c| c.pad = [0; 4]);
    let other = b.conv("in.2", &[x], [some, 5, 6], 1);
    let depth = b.window("depth", &[first], [some, 5, 6], [3, 3], |c| {
        (c.split, c.addend) = (some, Some((other, 0.5)));
    });
    let wide = b.window("wide", &[depth], [some * more, 5, 6], [1, 5], |c| c.split = some);
    let down = b.window("down", &[wide], [some, 3, 2], [3, 2], |c| {
        (c.split, c.stride, c.pad) = (half, [2, 3], [1, 0, 1, 1]);
    });
    let far = b.window("far", &[down], [some, 3, 2], [5, 5], |c| c.split = some);
    let read = b.conv("read", &[far], [some, 3, 2], 1);
    let two = b.window("two", &[first], [some, 5, 6], [3, 3], |c| {
        (c.split, c.addend) = (2, Some((vector, 1.0)));
    });
    b.conv("read.2", &[read], [1, 3, 2], 1);
    b.window("out", &[two], [2, 5, 6], [3, 3], |c| c.split = 2);
    b.program
}

/// [`attentions`] as a model file.
pub fn attentions_model(seed: u64, form: Form) -> Vec<u8> {
    emitted(&attentions(seed), &diffusion_without_classes(), form).bytes
}

/// Linear attentions, and attentions over other positions than the queries', with and without constant rows, and pools, on 2x6 samples;
/// heads and their channels are drawn.
pub fn attentions(seed: u64) -> Program {
    let mut b = Builder {
        program: Program {
            sample: [1, 2, 6],
            ..Program::default()
        },
        random: Random(seed),
    };
    let (heads, depth) = (1 + b.random.below(3), 1 + b.random.below(9));
    let channels = heads * depth;
    let shape = [channels, 2, 6];
    let x = b.push("x", [1, 2, 6], Input::IDENTITY);
    let first = b.conv("in", &[x], shape, 3);
    let small = b.window("small", &[x], [channels, 1, 5], [2, 2], |c| c.pad = [0; 4]);
    let mut last = first;
    for (name, source, rows) in [
        ("linear", first, 0),
        ("linear.rows", first, 3),
        ("linear.other", small, 1),
    ] {
        let (qkv, keys, rows) = b.attended(name, last, source, rows);
        let scale = 1.0 / (depth as f64).sqrt();
        let linear = LinearAttention {
            qkv,
            heads,
            scale,
            keys,
            rows,
        };
        last = b.push(name, shape, linear);
    }
    for (name, source, rows) in [("cross", small, 0), ("cross.rows", small, 2), ("memory", first, 4)] {
        let (qkv, keys, rows) = b.attended(name, last, source, rows);
        last = b.push(name, shape, CrossAttention { qkv, heads, keys, rows });
    }
    let pool = |b: &mut Builder, name: &str, window, stride, max, shape: [usize; 2]| {
        let [rows, cols] = shape;
        let src = last;
        let pooled = b.push(
            name,
            [channels, rows, cols],
            Pool {
                src,
                window,
                stride,
                max,
            },
        );
        b.conv(&format!("{name}.read"), &[pooled], [1, rows, cols], 1)
    };
    pool(&mut b, "mean", [1, 3], [2, 1], false, [1, 4]);
    pool(&mut b, "largest", [2, 3], [1, 2], true, [1, 2]);
    pool(&mut b, "mean.2", [2, 2], [2, 3], false, [1, 2]);
    b.conv("out", &[last, first], [1, 2, 6], 3);
    b.program
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
    let phases = b.window("phases", &[both], [6, 1, 4], [3, 2], |c| {
        (c.stride, c.pad) = ([3, 2], [0; 4]);
    });
    let (src, way, block) = (phases, Pattern::Phases, [3, 2]);
    b.push("out", [1, 3, 8], Rearrange { src, way, block });
    b.program
}

/// Normalizations of every kind that is no group normalization, and tables of the file, on 3x5 samples; channels are drawn.
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
        series: false,
    };
    let time = b.push("time", [8, 1, 1], time);
    let embedding = b.push("time.silu", [8, 1, 1], Silu { src: time });
    let term = b.constant("term", [2 * more, 1, 1], None);
    let vector = b.window("vector", &[embedding], [2 * more, 1, 1], [1; 2], |c| {
        c.addend = Some((term, 0.5))
    });
    let wide = b.conv("wide", &[embedding], [2 * both, 1, 1], 1);
    let first = b.conv("in", &[x], [some, 3, 5], 3);
    let table = b.constant("table", [more, 3, 5], None);
    let second = b.window("in.2", &[first], [more, 3, 5], [3; 2], |c| {
        c.addend = Some((table, 1.0))
    });
    let rms = b.norm("rms", &[first], |n| n.beta.fill(0.0));
    let placed = b.constant("placed", [some, 3, 5], Some(rms));
    let layer = b.norm("layer", &[second], |n| {
        (n.centred, n.silu, n.scale_shift) = (true, true, Some(vector));
    });
    let whole = b.norm("whole", &[placed, layer], |n| {
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

/// [`blocks`] as a model file.
pub fn blocks_model(seed: u64, form: Form) -> Vec<u8> {
    emitted(&blocks(seed), &diffusion_without_classes(), form).bytes
}

/// Two blocks of a transformer on 4x6 samples: normalizations with a scale and a shift, attentions of whole words of channels,
/// convolutions along rows.
pub fn blocks(seed: u64) -> Program {
    let mut b = Builder {
        program: Program {
            sample: [1, 4, 6],
            ..Program::default()
        },
        random: Random(seed),
    };
    let (heads, depth) = (2 + b.random.below(3), 8 * (1 + b.random.below(2)));
    let channels = heads * depth;
    let shape = [channels, 4, 6];
    let x = b.push("x", [1, 4, 6], Input::IDENTITY);
    let time = TimeProj {
        frequencies: vec![1.0, 0.3, 0.1, 0.03],
        cos_first: true,
        series: false,
    };
    let time = b.push("time", [8, 1, 1], time);
    let mut last = b.conv("in", &[x], shape, 3);
    for (block, plain) in [true, false].into_iter().enumerate() {
        let name = |part: &str| format!("{block}.{part}");
        let vector = b.conv(&name("vector"), &[time], [2 * channels, 1, 1], 1);
        let norm = b.norm(&name("norm"), &[last], |n| {
            (n.centred, n.scale_shift) = (true, Some(vector));
            if plain {
                n.gamma.fill(1.0);
                n.beta.fill(0.0);
            }
        });
        let (qkv, ..) = b.attended(&name("attention"), norm, norm, 0);
        let attended = b.push(&name("attention"), shape, Attention { qkv, heads });
        last = b.window(&name("sum"), &[attended], shape, [1; 2], |c| {
            c.addend = Some((last, 1.0))
        });
    }
    // Kernels of one row whose ends meet zeros.
    let along = b.window("along", &[last], shape, [1, 5], |_| {});
    let further = b.window("further", &[along], shape, [1, 7], |c| c.addend = Some((last, 0.5)));
    let rms = b.norm("rms", &[further], |_| {});
    b.conv("out", &[rms], [1, 4, 6], 3);
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
        let deep = step(self, src, Pattern::Depth, [3, 2], [6, 1, 4]);
        let mixed = self.conv("mixed", &[deep], [6 * channels, 1, 4], 1);
        let spread = step(self, mixed, Pattern::Channels, [3, 2], [channels, 3, 8]);
        let twice = step(self, mixed, Pattern::Phases, [2, 3], [channels, 2, 12]);
        let rows = step(self, twice, Pattern::Reshape, [1, 1], [channels, 3, 8]);
        let signal = step(self, deep, Pattern::Phases, [1, 2], [3, 1, 8]);
        let repeated = step(self, signal, Pattern::Repeat, [3, 1], [3, 3, 8]);
        let joined = self.conv("joined", &[spread, rows], [3, 3, 8], 3);
        self.window("added", &[joined], [2, 3, 8], [1, 3], |_| {});
        self.window("both", &[joined, repeated], [2, 3, 8], [3, 1], |_| {})
    }

    /// Queries of one activation, keys and values of another behind so many constant rows.
    fn attended(
        &mut self,
        name: &str,
        queries: SlotId,
        source: SlotId,
        count: usize,
    ) -> ([SlotId; 3], usize, Option<Rows>) {
        let qkv = [("q", queries), ("k", source), ("v", source)].map(|(part, from)| {
            let shape = self.program.slot(from).shape;
            self.conv(&format!("{name}.{part}"), &[from], shape, 1)
        });
        let [channels, some, more] = self.program.slot(source).shape;
        let rows = (count > 0).then(|| Rows {
            count,
            keys: self.many(count * channels, 2.0),
            values: self.many(count * channels, 2.0),
        });
        (qkv, some * more + count, rows)
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
            split: 1,
        };
        change(&mut conv);
        for out in (0..shape[0]).filter(|_| conv.split > 1) {
            let seen: Vec<usize> = conv.seen(out).collect();
            let row = conv.weight[out * taps..][..taps].iter_mut().enumerate();
            row.filter(|(tap, _)| !seen.contains(tap)).for_each(|(_, w)| *w = 0.0);
        }
        self.push(name, shape, conv)
    }

    /// A table, alone or added to an activation.
    fn constant(&mut self, name: &str, shape: [usize; 3], src: Option<SlotId>) -> SlotId {
        let table = self.many(shape.iter().product(), 1.5);
        self.push(name, shape, Constant { table, src })
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
