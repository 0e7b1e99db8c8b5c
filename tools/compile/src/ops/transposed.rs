//! A transposed convolution as a convolution and a rearrangement.
//!
//! With stride s and padding p, output `s m + r` of an axis is `sum over d of w[s d + r + p] x[m - d]`: each phase r is a convolution
//! of stride 1 over the taps that fit, and all phases together are one with `s` times the channels, whose taps are 0 where a phase has
//! none. Its output has the phases as channels; depth to space puts them in their places, which moves nothing where there is one row.

use mote_graph::graph::{Node, ops};

use super::Conv;
use crate::lower::{LowerError, Lowered, Lowering, refuse};

/// An axis of the convolution.
struct Axis {
    stride: usize,
    pad: usize,
    /// Taps of the transposed kernel.
    taps: usize,
    /// Most positions that an output looks back and ahead.
    back: usize,
    ahead: usize,
    /// Outputs, in whole strides.
    outputs: usize,
    /// Zeros behind the input.
    after: usize,
}

impl Axis {
    /// `None` where a file has no convolution for it.
    fn new([stride, taps, pad]: [usize; 3], input: usize, output: usize) -> Option<Self> {
        let (back, ahead) = ((taps - 1).checked_sub(pad)? / stride, pad.div_ceil(stride));
        let outputs = output / stride;
        let after = (outputs + ahead).checked_sub(input)?;
        let kernel = back + ahead + 1;
        let fits = output.is_multiple_of(stride) && kernel <= 15 && stride <= 15 && after < kernel;
        fits.then_some(Self {
            stride,
            pad,
            taps,
            back,
            ahead,
            outputs,
            after,
        })
    }

    fn kernel(&self) -> usize {
        self.back + self.ahead + 1
    }

    /// The tap of the transposed kernel that a phase has at a tap of the convolution's.
    fn tap(&self, phase: usize, at: usize) -> Option<usize> {
        // d = back - at
        (self.stride * self.back + phase + self.pad)
            .checked_sub(self.stride * at)
            .filter(|tap| *tap < self.taps)
    }
}

pub(super) fn lower(op: &ops::ConvTranspose, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
    let source = lowering.view(node, 0)?;
    if source.upsample {
        return Err(refuse(node, "a transposed convolution of an upsampled value"));
    }
    let ([ins, rows, cols], [outs, out_rows, out_cols]) = (lowering.shape(node.inputs[0]), lowering.shape(node.output));
    let axis = |i: usize, input, output| Axis::new([op.stride[i], op.kernel[i], op.pad[i]], input, output);
    let (Some(down), Some(across)) = (axis(0, rows, out_rows), axis(1, cols, out_cols)) else {
        return Err(refuse(
            node,
            "a transposed convolution whose output is no multiple of its stride, or that looks at more than 15 positions",
        ));
    };
    let weight = lowering.param(node, &op.weight)?;
    let bias = match &op.bias {
        Some(key) => lowering.param(node, key)?,
        None => vec![0.0; outs],
    };
    let phases = down.stride * across.stride;
    let (kernel, taps) = ([down.kernel(), across.kernel()], op.kernel[0] * op.kernel[1]);
    let mut to = Vec::with_capacity(phases * outs * kernel[0] * kernel[1] * ins);
    for (phase, out) in (0..phases).flat_map(|phase| (0..outs).map(move |out| (phase, out))) {
        for at in 0..kernel[0] * kernel[1] {
            let row = down.tap(phase / across.stride, at / kernel[1]);
            let tap = row.zip(across.tap(phase % across.stride, at % kernel[1]));
            let tap = tap.map(|(row, col)| row * op.kernel[1] + col);
            let of = |i: usize| tap.map_or(0.0, |tap| weight[(i * outs + out) * taps + tap]);
            to.extend((0..ins).map(of));
        }
    }
    let conv = Conv {
        source: source.slots,
        weight: to,
        bias: bias.repeat(phases),
        kernel,
        stride: [1; 2],
        pad: [down.back, across.back, down.after, across.after],
        upsample: false,
        addend: None,
        divisor: 1.0,
        groups: vec![],
        split: 1,
    };
    Ok(Lowered::Phases {
        conv,
        shape: [phases * outs, down.outputs, across.outputs],
        block: op.stride,
    })
}

#[cfg(test)]
mod tests {
    use mote_graph::DType;
    use mote_graph::float::Executor;
    use mote_graph::graph::{Builder, Param, ops};

    use crate::lower::lower;
    use crate::ops::Kind;

    fn values(count: usize, phase: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
    }

    fn param(shape: &[usize], phase: f32) -> Param {
        Param {
            shape: shape.to_vec(),
            data: values(shape.iter().product(), phase),
        }
    }

    /// The convolution that it is lowered to, in f64 and its phases put in their places, gives its numbers.
    #[test]
    fn phases_of_a_convolution_are_the_transposed_one() {
        for (shape, kernel, stride, pad, output_pad) in [
            ([3, 1, 4], [1, 4], [1, 2], [0, 1, 0, 1], [0, 0]),
            ([2, 1, 5], [1, 3], [1, 2], [0, 1, 0, 1], [0, 1]),
            ([2, 4, 3], [4, 2], [2, 2], [1, 0, 1, 0], [0, 0]),
            ([2, 3, 3], [3, 5], [1, 3], [1, 1, 1, 1], [0, 0]),
            ([1, 3, 2], [2, 6], [3, 4], [0, 1, 0, 1], [1, 0]),
        ] {
            let (outs, mut b) = (2, Builder::new());
            b.param("w", param(&[shape[0], outs, kernel[0], kernel[1]], 0.3));
            b.param("b", param(&[outs], 1.0));
            let x = b.sample(shape).unwrap();
            let op = ops::ConvTranspose {
                weight: "w".to_owned(),
                bias: Some("b".to_owned()),
                kernel,
                stride,
                pad,
                output_pad,
            };
            let y = b.push("up", op, &[x]).unwrap();
            let graph = b.finish(y).unwrap();
            let program = lower(&graph).unwrap();
            let [_, conv, moved] = &program.ops[..] else {
                panic!("{:?}", program.ops);
            };
            let Kind::Conv(conv) = &conv.kind else {
                panic!("{:?}", conv.kind);
            };
            assert!(matches!(moved.kind, Kind::Rearrange(_)));
            let (phases, taps) = (conv.bias.len(), conv.kernel[0] * conv.kernel[1]);
            let mut b = Builder::new();
            let order = (0..phases * shape[0] * taps).map(|i| {
                let (out, channel, tap) = (i / (shape[0] * taps), i / taps % shape[0], i % taps);
                conv.weight[(out * taps + tap) * shape[0] + channel]
            });
            let data = order.collect();
            let shape_of = vec![phases, shape[0], conv.kernel[0], conv.kernel[1]];
            b.param("w", Param { shape: shape_of, data });
            let bias = conv.bias.clone();
            let shape_of = vec![phases];
            b.param(
                "b",
                Param {
                    shape: shape_of,
                    data: bias,
                },
            );
            let x = b.sample(shape).unwrap();
            let op = ops::Conv {
                kernel: conv.kernel,
                ..ops::Conv::square("w", Some("b".to_owned()), 1, 1, conv.pad)
            };
            let y = b.push("phases", op, &[x]).unwrap();
            let lowered = b.finish(y).unwrap();
            let x: Vec<f64> = values(shape.iter().product(), 2.0)
                .iter()
                .map(|v| f64::from(*v))
                .collect();
            let run = |graph| -> Vec<f64> {
                let executor = Executor::new(graph, DType::F64).unwrap();
                executor.run(&x, &[0], &[]).unwrap()
            };
            let (expected, found) = (run(&graph), run(&lowered));
            let ([_, rows, cols], [_, blocks, across]) = (graph.output_shape(), lowered.output_shape());
            assert_eq!([rows, cols], [blocks * stride[0], across * stride[1]]);
            for (i, expected) in expected.iter().enumerate() {
                let (out, row, col) = (i / (rows * cols), i / cols % rows, i % cols);
                let channel = (row % stride[0] * stride[1] + col % stride[1]) * outs + out;
                let found = found[(channel * blocks + row / stride[0]) * across + col / stride[1]];
                assert!((found - expected).abs() < 1e-12, "{i}: {found}, {expected} expected");
            }
        }
    }
}
