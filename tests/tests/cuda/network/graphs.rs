//! Graphs for the float network: every operator in shapes drawn from a seed, and single convolutions.

use mote_graph::graph::{Builder, Graph, GraphError, Op, Param, ValueId, ops};
use mote_tests::random::Random;

/// Draws parameters, and names everything by a number.
struct Drawing {
    graph: Builder,
    random: Random,
    count: usize,
    /// Whether parameters are multiples of 2^-6, which f16 holds.
    coarse: bool,
}

impl Drawing {
    fn new(seed: u64, coarse: bool) -> Self {
        Self {
            graph: Builder::new(),
            random: Random(seed),
            count: 0,
            coarse,
        }
    }

    fn param(&mut self, shape: &[usize], centre: f32, width: f32) -> String {
        self.count += 1;
        let key = format!("param.{}", self.count);
        let draw = |_| {
            let v = centre + width * self.random.unit();
            if self.coarse { (v * 64.0).round() / 64.0 } else { v }
        };
        let data = (0..shape.iter().product()).map(draw).collect();
        let shape = shape.to_vec();
        self.graph.param(key.clone(), Param { shape, data });
        key
    }

    fn push(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, GraphError> {
        self.count += 1;
        self.graph.push(&format!("node.{}", self.count), op, inputs)
    }

    fn conv(&mut self, x: ValueId, outs: usize, (kernel, stride, pad): Window) -> Result<ValueId, GraphError> {
        let [channels, _, _] = self.graph.shape(x);
        let width = 1.7 / ((channels * kernel * kernel) as f32).sqrt();
        let weight = self.param(&[outs, channels, kernel, kernel], 0.0, width);
        let bias = self.random.below(4) > 0;
        let bias = bias.then(|| self.param(&[outs], 0.0, 0.5));
        let op = Op::Conv(ops::Conv::square(weight, bias, kernel, stride, pad));
        self.push(op, &[x])
    }

    fn norm(&mut self, x: ValueId) -> Result<ValueId, GraphError> {
        let [channels, _, _] = self.graph.shape(x);
        let groups: Vec<usize> = (1..=channels)
            .filter(|n| channels.is_multiple_of(*n) && channels / n > 1)
            .collect();
        let groups = self.random.pick(&groups);
        let eps = self.random.pick(&[1e-5, 0.05]);
        let (weight, bias) = (self.param(&[channels], 1.0, 0.5), self.param(&[channels], 0.0, 0.5));
        self.push(ops::Norm::group(groups, eps, weight, bias).into(), &[x])
    }
}

/// Side, stride, padding.
type Window = (usize, usize, [usize; 4]);
const LINEAR: Window = (1, 1, [0; 4]);
const SAME: Window = (3, 1, [1; 4]);

/// A network with every operator, in what the kernels fuse and in what they do not.
pub fn everything(seed: u64) -> Graph {
    draw(seed).expect("a sound graph")
}

fn draw(seed: u64) -> Result<Graph, GraphError> {
    let mut d = Drawing::new(seed, false);
    let pick = |d: &mut Drawing, of: &[usize]| d.random.pick(of);
    let colours = pick(&mut d, &[1, 2, 3, 4]);
    let (rows, cols) = (pick(&mut d, &[4, 8, 12]), pick(&mut d, &[4, 8, 20]));
    let [wide, wider, deep] = [
        pick(&mut d, &[6, 8, 33, 40]),
        pick(&mut d, &[4, 15, 36]),
        pick(&mut d, &[6, 12, 34, 48]),
    ];
    let vector = pick(&mut d, &[5, 16, 37]);

    let time = Op::TimeProj(ops::TimeProj {
        dim: pick(&mut d, &[4, 10, 16]),
        flip_sin_to_cos: seed.is_multiple_of(2),
        freq_shift: (seed % 3) as f64 / 2.0,
        max_period: 1e4,
    });
    let t = d.push(time, &[])?;
    let t = d.conv(t, vector, LINEAR)?;
    let t = d.push(Op::Silu(ops::Silu), &[t])?;
    let t = d.conv(t, vector, LINEAR)?;
    let weight = d.param(&[3, vector], 0.0, 1.0);
    d.graph.classes(3);
    let label = d.push(Op::ClassEmbed(ops::ClassEmbed { weight }), &[])?;
    let embedding = d.push(Op::Add(ops::Add { divisor: 1.0 }), &[t, label])?;

    let x = d.graph.sample([colours, rows, cols])?;
    let affine = Op::Affine(ops::Affine {
        scale: 1.5,
        shift: -0.25,
    });
    let x = d.push(affine, &[x])?;
    let first = d.conv(x, wide, SAME)?;
    let h = d.norm(first)?;
    let h = d.push(Op::Silu(ops::Silu), &[h])?;
    let h = d.conv(h, wider, (5, 1, [2; 4]))?;
    let v = d.conv(embedding, wider, LINEAR)?;
    let h = d.push(Op::AddChannel(ops::AddChannel), &[h, v])?;
    let h = d.norm(h)?;
    let v = d.conv(embedding, 2 * wider, LINEAR)?;
    let h = d.push(Op::ScaleShift(ops::ScaleShift), &[h, v])?;
    let h = d.push(Op::Silu(ops::Silu), &[h])?;
    let h = d.conv(h, wider, SAME)?;
    let shortcut = d.conv(first, wider, LINEAR)?;
    let skip = d.push(Op::Add(ops::Add { divisor: 1.5 }), &[shortcut, h])?;
    // What two read cannot be done on the way.
    let twice = d.push(Op::Silu(ops::Silu), &[skip])?;
    let twice = d.push(Op::Add(ops::Add { divisor: 1.0 }), &[twice, twice])?;
    let v = d.conv(embedding, wider, LINEAR)?;
    let twice = d.push(Op::AddChannel(ops::AddChannel), &[twice, v])?;

    let pad = if seed.is_multiple_of(2) { [0, 0, 1, 1] } else { [1; 4] };
    let h = d.conv(twice, deep, (3, 2, pad))?;
    let n = d.norm(h)?;
    let [q, k, v] = [
        d.conv(n, deep, LINEAR)?,
        d.conv(n, deep, LINEAR)?,
        d.conv(n, deep, LINEAR)?,
    ];
    let heads: Vec<usize> = (1..=deep).filter(|heads| deep.is_multiple_of(*heads)).collect();
    let heads = d.random.pick(&heads);
    let a = d.push(Op::Attention(ops::Attention { heads }), &[q, k, v])?;
    let a = d.conv(a, deep, LINEAR)?;
    let middle = d.push(Op::Add(ops::Add { divisor: 1.0 }), &[a, h])?;
    d.graph.tap("mid_block", middle);

    let h = d.push(Op::Upsample2(ops::Upsample2), &[middle])?;
    let h = d.conv(h, wide, SAME)?;
    let pooled = d.push(Op::AvgPool2(ops::AvgPool2), &[first])?;
    let grown = d.push(Op::Upsample2(ops::Upsample2), &[pooled])?;
    let h = d.push(Op::Concat(ops::Concat), &[h, skip, grown])?;
    let h = d.norm(h)?;
    let h = d.push(Op::Silu(ops::Silu), &[h])?;
    let out = d.conv(h, colours, SAME)?;
    d.graph.finish(out)
}

/// One convolution of values that f16 holds.
pub fn single(seed: u64) -> Graph {
    let mut d = Drawing::new(seed, true);
    let mut draw = || {
        let channels = d.random.pick(&[1, 2, 3, 4, 7, 8, 20, 37]);
        let (kernel, pad) = d.random.pick(&[
            (1, [0; 4]),
            (3, [1; 4]),
            (3, [0, 0, 1, 1]),
            (5, [2; 4]),
            (3, [2, 0, 0, 1]),
            (2, [0; 4]),
        ]);
        let (stride, rows, cols) = (1 + d.random.below(2), 2 + d.random.below(9), 2 + d.random.below(9));
        let outs = d.random.pick(&[1, 3, 8, 9, 31, 33, 70]);
        let x = d.graph.sample([channels, rows, cols])?;
        let x = if seed.is_multiple_of(3) {
            d.push(Op::Upsample2(ops::Upsample2), &[x])?
        } else {
            x
        };
        d.conv(x, outs, (kernel, stride, pad))
    };
    let out = draw().expect("a sound graph");
    d.graph.finish(out).expect("a sound graph")
}
