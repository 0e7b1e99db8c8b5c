//! Gradients by an analytic pass in reverse against finite differences in f64, over a graph with every operator.

use super::{Call, Conditions, DType, Executor, Passes, PreparedGraph, SHARD};
use crate::graph::{Builder, Graph, Op, Param, ValueId, ops};
use std::ops::Range;

/// Numbers without a pattern, from -1 to 1.
fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let word = |i: usize| mote_runtime::internals::numeric::philox::philox4x32([i as u32, seed, 0, 0], [7, 7])[0];
    (0..len).map(|i| word(i) as f32 / 2f32.powi(31) - 1.0).collect()
}

struct Maker {
    builder: Builder,
    seed: u32,
}

impl Maker {
    fn param(&mut self, key: &str, shape: &[usize], size: f32, middle: f32) -> String {
        self.seed += 1;
        let data = numbers(self.seed, shape.iter().product());
        let param = Param {
            shape: shape.to_vec(),
            data: data.iter().map(|v| middle + size * v).collect(),
        };
        self.builder.param(key, param);
        key.to_owned()
    }

    fn conv(
        &mut self,
        name: &str,
        out: usize,
        (kernel, stride, pad): (usize, usize, [usize; 4]),
        x: ValueId,
    ) -> ValueId {
        let channels = self.builder.shape(x)[0];
        let weight = self.param(&format!("{name}.w"), &[out, channels, kernel, kernel], 0.5, 0.0);
        let bias = Some(self.param(&format!("{name}.b"), &[out], 0.2, 0.0));
        let op = ops::Conv::square(weight, bias, kernel, stride, pad);
        self.builder.push(name, op, &[x]).unwrap()
    }

    /// With `form` of kernel, stride, padding, dilation and groups.
    fn formed(&mut self, name: &str, out: usize, form: ops::Conv, x: ValueId) -> ValueId {
        let channels = self.builder.shape(x)[0] / form.groups;
        let shape = [out, channels, form.kernel[0], form.kernel[1]];
        let weight = self.param(&format!("{name}.w"), &shape, 0.5, 0.0);
        let bias = Some(self.param(&format!("{name}.b"), &[out], 0.2, 0.0));
        self.push(name, ops::Conv { weight, bias, ..form }, &[x])
    }

    fn transposed(&mut self, name: &str, out: usize, form: ops::ConvTranspose, x: ValueId) -> ValueId {
        let shape = [self.builder.shape(x)[0], out, form.kernel[0], form.kernel[1]];
        let weight = self.param(&format!("{name}.w"), &shape, 0.5, 0.0);
        let bias = Some(self.param(&format!("{name}.b"), &[out], 0.2, 0.0));
        self.push(name, ops::ConvTranspose { weight, bias, ..form }, &[x])
    }

    fn norm(&mut self, name: &str, groups: usize, x: ValueId) -> ValueId {
        let channels = self.builder.shape(x)[0];
        let weight = self.param(&format!("{name}.w"), &[channels], 0.3, 1.0);
        let bias = self.param(&format!("{name}.b"), &[channels], 0.3, 0.0);
        self.push(name, ops::Norm::group(groups, 1e-5, weight, bias), &[x])
    }

    /// A normalization of another kind, with gamma where it has one.
    fn other_norm(&mut self, name: &str, op: ops::Norm, x: ValueId) -> ValueId {
        let channels = self.builder.shape(x)[0];
        for key in [&op.gamma, &op.beta].into_iter().flatten() {
            self.param(key, &[channels], 0.3, 0.7);
        }
        self.push(name, op, &[x])
    }

    fn readout(&mut self, name: &str, out: usize, first: &[usize], x: ValueId) -> ValueId {
        let channels = self.builder.shape(x)[0];
        let op = ops::Readout {
            weight: self.param(&format!("{name}.w"), &[first.len(), out, channels], 0.5, 0.0),
            bias: self.param(&format!("{name}.b"), &[first.len(), out], 0.2, 0.0),
            first: first.to_vec(),
        };
        self.builder.push(name, op, &[x]).unwrap()
    }

    fn push(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.builder.push(name, op, inputs).unwrap()
    }

    /// Functions, both modulations, and products with every form of a second factor. `t` is a vector.
    ///
    /// Three functions that are lines above 0 are left out: a loss that they let grow leaves too few digits for differences, which
    /// step over their corners besides. The tests of functions hold their slopes.
    fn pointwise(&mut self, mut x: ValueId, t: ValueId) -> ValueId {
        let [channels, rows, cols] = self.builder.shape(x);
        use ops::Function::{Elu, LeakyRelu, Selu};
        let left_out = |function: &ops::Function| matches!(function, LeakyRelu(_) | Elu(_) | Selu);
        for function in ops::Function::ALL.into_iter().filter(|function| !left_out(function)) {
            let name = function.name();
            let h = self.norm(&format!("{name}.norm"), 1, x);
            let h = self.push(name, ops::Pointwise { function }, &[h]);
            x = self.push(&format!("{name}.sum"), ops::Add { divisor: 1.5 }, &[x, h]);
        }
        for one in [false, true] {
            let vector = self.conv(&format!("film.{one}"), 2 * channels, (1, 1, [0; 4]), t);
            x = self.push(&format!("modulate.{one}"), ops::Modulate { one }, &[x, vector]);
        }
        let gate = self.conv("gate", channels, (1, 1, [0; 4]), t);
        let mask = self.conv("mask", 1, (1, 1, [0; 4]), x);
        let other = self.norm("other", 1, x);
        assert_eq!(self.builder.shape(mask), [1, rows, cols]);
        for (name, second) in [("times", other), ("gated", gate), ("masked", mask)] {
            x = self.push(name, ops::Multiply, &[x, second]);
        }
        x
    }
}

/// Every operator, and every form of a convolution, on 2 x 6 x 4 samples.
fn every_operator() -> Graph {
    let mut m = Maker {
        builder: Builder::new(),
        seed: 0,
    };
    let time = Op::TimeProj(ops::TimeProj {
        dim: 6,
        flip_sin_to_cos: true,
        freq_shift: 0.0,
        max_period: 1e4,
    });
    let t = m.push("time", time, &[]);
    let t = m.conv("time_1", 8, (1, 1, [0; 4]), t);
    let table = m.param("classes", &[3, 8], 1.0, 0.0);
    let class = m.push("class", ops::ClassEmbed { weight: table }, &[]);
    m.builder.classes(3);
    let t = m.push("sum", ops::Add { divisor: 1.0 }, &[t, class]);
    let given = m.builder.condition("given", 5, Some([-1.0, 1.0])).unwrap();
    let given = m.conv("given_1", 8, (1, 1, [0; 4]), given);
    let t = m.push("sum_given", ops::Add { divisor: 1.0 }, &[t, given]);
    let t = m.push("time_act", ops::Silu, &[t]);
    let x = m.builder.sample([2, 6, 4]).unwrap();
    let x = m.push(
        "centre",
        ops::Affine {
            scale: 2.0,
            shift: -1.0,
        },
        &[x],
    );
    let skip = m.conv("in", 4, (3, 1, [1; 4]), x);
    let a = m.norm("norm_1", 2, skip);
    let a = m.push("act_1", ops::Silu, &[a]);
    let a = m.conv("same", 4, (3, 1, [1; 4]), a);
    let tp = m.conv("to_channels", 4, (1, 1, [0; 4]), t);
    let a = m.push("add_channel", ops::AddChannel, &[a, tp]);
    let a = m.push("residual", ops::Add { divisor: 1.5 }, &[a, skip]);
    let b = m.conv("down", 6, (3, 2, [1; 4]), a);
    let b = m.norm("norm_2", 3, b);
    let b = m.other_norm("rms", ops::Norm::rms(1e-2, Some("rms.w".to_string())), b);
    let key = |name: &str| Some(format!("layer.{name}"));
    let b = m.other_norm("layer", ops::Norm::layer(1e-2, key("w"), key("b")), b);
    let both = m.conv("to_both", 12, (1, 1, [0; 4]), t);
    let b = m.push("scale_shift", ops::ScaleShift, &[b, both]);
    let [q, k, v] = ["q", "k", "v"].map(|name| m.conv(name, 6, (1, 1, [0; 4]), b));
    let h = m.push("attend", ops::Attention { heads: 2 }, &[q, k, v]);
    let u = m.push("up", ops::Upsample2, &[h]);
    // Norms from 0.5 to 5, some of them below the floor.
    let u = m.other_norm("l2", ops::Norm::l2(6, 2.0, Some("l2.w".to_string())), u);
    let plain = ops::Norm {
        over: ops::Over::Position(3),
        centred: true,
        eps: 0.1,
        floor: 0.0,
        gamma: None,
        beta: Some("plain.b".to_string()),
    };
    let u = m.other_norm("plain", plain, u);
    let whole = ops::Norm {
        over: ops::Over::Groups(2),
        ..ops::Norm::rms(1e-3, None)
    };
    let u = m.other_norm("whole", whole, u);
    let u = m.conv("valid", 3, (3, 1, [2, 0, 0, 2]), u);
    let u = m.push("softmax", ops::Softmax, &[u]);
    let u = m.readout("readout", 3, &[0, 100, 500], u);
    let pooled = m.push("pool", ops::AvgPool2, &[u]);
    let again = m.push("up_again", ops::Upsample2, &[pooled]);
    let c = m.push("concat", ops::Concat, &[again, skip, u]);
    let odd = m.conv("asymmetric", 5, (3, 2, [0, 0, 1, 1]), c);
    let form = ops::Conv {
        kernel: [3, 1],
        groups: 5,
        ..ops::Conv::square("", None, 1, 1, [1, 0, 1, 0])
    };
    let odd = m.formed("depthwise", 10, form, odd);
    let odd = m.push("up_odd", ops::Upsample2, &[odd]);
    let form = ops::Conv {
        kernel: [1, 3],
        stride: [2, 1],
        dilation: [1, 2],
        groups: 2,
        ..ops::Conv::square("", None, 1, 1, [0, 2, 0, 2])
    };
    let odd = m.formed("dilated", 4, form, odd);
    let odd = m.transposed("transposed", 3, transposed([4, 3], [2, 1], [1; 4], [0; 2]), odd);
    let odd = m.pointwise(odd, t);
    let end = m.conv("out", 2, (3, 1, [1; 4]), odd);
    m.builder.finish(end).unwrap()
}

fn transposed(kernel: [usize; 2], stride: [usize; 2], pad: [usize; 4], output_pad: [usize; 2]) -> ops::ConvTranspose {
    ops::ConvTranspose {
        weight: String::new(),
        bias: None,
        kernel,
        stride,
        pad,
        output_pad,
    }
}

struct Case {
    graph: Graph,
    x: Vec<f32>,
    timesteps: Vec<usize>,
    labels: Vec<usize>,
    condition: Vec<f64>,
    target: Vec<f32>,
}

/// More than a shard of samples, and not a whole number of them.
fn case() -> Case {
    let (graph, n) = (every_operator(), SHARD + 3);
    let network = PreparedGraph::new(&graph).unwrap();
    Case {
        x: numbers(100, n * network.sample_len()),
        timesteps: (0..n).map(|i| i * 89).collect(),
        labels: (0..n).map(|i| i % 3).collect(),
        condition: numbers(102, n * network.condition_len())
            .into_iter()
            .map(f64::from)
            .collect(),
        target: numbers(101, n * network.output_len()),
        graph,
    }
}

impl Case {
    fn given(&self) -> Conditions<'_> {
        Conditions {
            labels: &self.labels,
            vectors: &self.condition,
        }
    }

    fn call(&self) -> Call<'_> {
        Call {
            x: &self.x,
            timesteps: &self.timesteps,
            labels: &self.labels,
            condition: &self.condition,
        }
    }

    /// Sum of squared distances from the target, and its gradient.
    fn gradient(&self) -> (f64, Vec<f32>) {
        let network = PreparedGraph::new(&self.graph).unwrap();
        let params = network.layout().values_of(&self.graph);
        let mut gradient = vec![f32::NAN; params.len()];
        let len = network.output_len();
        let loss = |range: Range<usize>, y: &[f32], slope: &mut [f32]| {
            let target = &self.target[range.start * len..range.end * len];
            let mut total = 0.0;
            for ((y, t), s) in y.iter().zip(target).zip(slope) {
                *s = 2.0 * (y - t);
                total += f64::from(y - t).powi(2);
            }
            total
        };
        let total = Passes::default()
            .gradient(&network, &params, self.call(), &loss, &mut gradient)
            .unwrap();
        (total, gradient)
    }

    /// The same loss in f64 for parameters of the caller's, and its gradient where that is asked for.
    fn exact(&self, params: &[f64], gradient: Option<&mut [f64]>) -> f64 {
        let wide = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let (x, target) = (wide(&self.x), wide(&self.target));
        let network = PreparedGraph::new(&self.graph).unwrap();
        let (len, mut passes) = (network.output_len(), Passes::of_shards(5));
        let call = Call {
            x: &x,
            timesteps: &self.timesteps,
            labels: &self.labels,
            condition: &self.condition,
        };
        let loss = |range: Range<usize>, y: &[f64], slope: &mut [f64]| {
            let target = &target[range.start * len..range.end * len];
            let pairs = y.iter().zip(target).zip(slope);
            pairs
                .map(|((y, t), s)| {
                    *s = 2.0 * (y - t);
                    (y - t) * (y - t)
                })
                .sum::<f64>()
        };
        match gradient {
            Some(gradient) => passes.gradient(&network, params, call, &loss, gradient).unwrap(),
            None => {
                let y = passes.forward(&network, params, call).unwrap();
                let mut slope = vec![0.0; y.len()];
                loss(0..self.timesteps.len(), &y, &mut slope)
            }
        }
    }

    fn params(&self) -> Vec<f64> {
        let network = PreparedGraph::new(&self.graph).unwrap();
        let params = network.layout().values_of(&self.graph);
        params.into_iter().map(f64::from).collect()
    }
}

#[test]
fn every_partial_derivative_is_a_finite_difference() {
    let case = case();
    let (loss, gradient) = case.gradient();
    let params = case.params();
    let mut exact = vec![f64::NAN; params.len()];
    let exact_loss = case.exact(&params, Some(&mut exact));
    assert!((loss / exact_loss - 1.0).abs() < 1e-5, "{loss}, {exact_loss} expected");
    let slope = |i: usize| {
        let step = 1e-5;
        let at = |h: f64| {
            let mut params = params.clone();
            params[i] += h;
            case.exact(&params, None)
        };
        (at(step) - at(-step)) / (2.0 * step)
    };
    let network = PreparedGraph::new(&case.graph).unwrap();
    for key in case.graph.params.keys() {
        let range = network.layout().range(key).unwrap();
        let expected: Vec<f64> = range.clone().map(slope).collect();
        let size = expected.iter().map(|v| v.abs()).fold(0.0, f64::max);
        assert!(size > 1e-3 || key == "k.b", "{key} has no part in the loss");
        // A constant added to every key changes no weight of an attention: all that is left is rounding.
        let allowed = if key == "k.b" {
            1e-6 * loss
        } else {
            2e-5 * size.max(1.0)
        };
        for ((e, f), d) in expected.iter().zip(&gradient[range.clone()]).zip(&exact[range]) {
            assert!((e - f64::from(*f)).abs() < allowed, "{key}: {f}, {e} expected");
            assert!((e - d).abs() < 1e-6 * size.max(1.0), "{key} in f64: {d}, {e} expected");
        }
    }
}

#[test]
fn gradients_are_finite_differences() {
    let case = case();
    let (_, gradient) = case.gradient();
    for seed in 0..4 {
        let direction = numbers(200 + seed, gradient.len());
        let step = 1e-6;
        let at = |h: f64| {
            let moved = case.params().into_iter().zip(&direction);
            let params: Vec<f64> = moved.map(|(p, d)| p + h * f64::from(*d)).collect();
            case.exact(&params, None)
        };
        let expected = (at(step) - at(-step)) / (2.0 * step);
        let found: f64 = gradient
            .iter()
            .zip(&direction)
            .map(|(g, d)| f64::from(*g) * f64::from(*d))
            .sum();
        assert!((found / expected - 1.0).abs() < 1e-4, "{found}, {expected} expected");
    }
}

/// The gradient by the sample, too, and with it the output that a pass without it gives.
#[test]
fn the_gradient_by_the_sample_is_a_finite_difference() {
    let case = case();
    let executor = Executor::new(&case.graph, DType::F64).unwrap();
    let x: Vec<f64> = case.x.iter().map(|v| f64::from(*v)).collect();
    let direction: Vec<f64> = case.target.iter().map(|v| f64::from(*v)).collect();
    let times: Vec<f64> = case.timesteps.iter().map(|t| *t as f64).collect();
    let run = |x: &[f64]| executor.run_at(x, &times, case.given()).unwrap();
    let (output, gradient) = executor.run_back(&x, &times, case.given(), &direction).unwrap();
    assert_eq!(output, run(&x));
    for i in (0..x.len()).step_by(7) {
        let step = 1e-5;
        let at = |h: f64| {
            let mut x = x.clone();
            x[i] += h;
            run(&x).iter().zip(&direction).map(|(y, d)| y * d).sum::<f64>()
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        assert!(
            (slope - gradient[i]).abs() < 1e-6 * slope.abs().max(1.0),
            "{i}: {slope} {}",
            gradient[i]
        );
    }
}

/// An operator with a pass forward alone is refused by its name, where a gradient would have to pass it.
#[test]
fn an_operator_without_reverse_mode_is_refused_by_its_name() {
    let case = case();
    let mut network = PreparedGraph::new(&case.graph).unwrap();
    network.check_reversible().unwrap();
    let layer = network.layers.iter_mut().find(|layer| layer.name == "act_1").unwrap();
    layer.op = ops::Sample.into();
    assert!(!layer.op.is_reversible());
    let error = network.check_reversible().unwrap_err().to_string();
    assert!(error.contains("`act_1`") && error.contains("Sample"), "{error}");
}

#[test]
fn the_forward_pass_is_the_float_executor_s() {
    let case = case();
    let network = PreparedGraph::new(&case.graph).unwrap();
    let params = network.layout().values_of(&case.graph);
    let found = Passes::default().forward(&network, &params, case.call()).unwrap();
    let expected: Vec<f32> = Executor::new(&case.graph, DType::F32)
        .unwrap()
        .run(&case.x, &case.timesteps, case.given())
        .unwrap();
    let size = expected.iter().fold(0f32, |m, v| m.max(v.abs()));
    for (f, e) in found.iter().zip(&expected) {
        assert!((f - e).abs() < 1e-5 * size, "{f}, {e} expected");
    }
}

#[test]
fn threads_change_no_bit() {
    let case = case();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| case.gradient())
    };
    let (one, three) = (with(1), with(3));
    assert_eq!(one.0.to_bits(), three.0.to_bits());
    assert!(one.1.iter().zip(&three.1).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    let case = case();
    let network = PreparedGraph::new(&case.graph).unwrap();
    let params = network.layout().values_of(&case.graph);
    let mut passes = Passes::default();
    let bad = [
        Call {
            x: &case.x[1..],
            ..case.call()
        },
        Call {
            condition: &case.condition[1..],
            ..case.call()
        },
        Call {
            labels: &[],
            ..case.call()
        },
        Call {
            labels: &vec![3; case.timesteps.len()],
            ..case.call()
        },
    ];
    for call in bad {
        assert!(passes.forward(&network, &params, call).is_err());
    }
    assert!(passes.forward(&network, &params[1..], case.call()).is_err());
}

/// Convolutions of every form against sums written out.
#[test]
fn a_convolution_is_its_definition() {
    for (n, [channels, rows, cols], outs, kernel, stride, pad) in [
        (3, [2, 5, 7], 4, 3, 1, [1; 4]),
        (1, [5, 4, 4], 2, 1, 1, [0; 4]),
        (2, [3, 1, 1], 4, 1, 1, [0; 4]),
        (2, [1, 3, 3], 1, 3, 1, [1; 4]),
        (2, [2, 6, 5], 3, 3, 2, [0, 0, 1, 1]),
        (3, [2, 5, 6], 3, 3, 1, [2, 0, 0, 2]),
        (2, [3, 6, 6], 2, 1, 2, [0; 4]),
        (2, [2, 6, 6], 2, 5, 2, [2; 4]),
    ] {
        let mut m = Maker {
            builder: Builder::new(),
            seed: 9,
        };
        let x = m.builder.sample([channels, rows, cols]).unwrap();
        let y = m.conv("conv", outs, (kernel, stride, pad), x);
        let graph = m.builder.finish(y).unwrap();
        let x: Vec<f64> = (0..n * channels * rows * cols)
            .map(|i| (i as f64 * 0.37).sin())
            .collect();
        let found = Executor::new(&graph, DType::F64).unwrap();
        let found = found.run(&x, &vec![0; n], &[]).unwrap();
        let [weight, bias] = ["conv.w", "conv.b"].map(|key| &graph.params[key].data);
        let [_, out_rows, out_cols] = graph.output_shape();
        for (i, found) in found.iter().enumerate() {
            let (col, row) = (i % out_cols, i / out_cols % out_rows);
            let (out, sample) = (i / (out_cols * out_rows) % outs, i / (out_cols * out_rows * outs));
            let mut sum = f64::from(bias[out]);
            for channel in 0..channels {
                for tap in 0..kernel * kernel {
                    let at = |i: usize, tap: usize, pad: usize| (i * stride + tap).checked_sub(pad);
                    let (r, c) = (at(row, tap / kernel, pad[0]), at(col, tap % kernel, pad[1]));
                    if let (Some(r), Some(c)) = (r.filter(|r| *r < rows), c.filter(|c| *c < cols)) {
                        let w = f64::from(weight[(out * channels + channel) * kernel * kernel + tap]);
                        sum += w * x[((sample * channels + channel) * rows + r) * cols + c];
                    }
                }
            }
            assert!((sum - found).abs() < 1e-13, "{i}: {found}, {sum} expected");
        }
    }
}

/// Kernel, stride, dilation, padding of an axis.
type Axis = (usize, usize, usize, [usize; 2]);

/// Rectangles, strides per axis, dilation and groups against sums written out.
#[test]
fn a_convolution_of_any_form_is_its_definition() {
    let cases: [([usize; 3], usize, usize, [Axis; 2]); 8] = [
        ([3, 1, 9], 4, 1, [(1, 1, 1, [0; 2]), (5, 1, 1, [2; 2])]),
        ([3, 1, 9], 4, 1, [(1, 1, 1, [0; 2]), (3, 2, 1, [1; 2])]),
        ([2, 7, 6], 3, 1, [(5, 2, 1, [2; 2]), (2, 1, 1, [0, 1])]),
        ([6, 5, 4], 6, 6, [(3, 1, 1, [1; 2]), (3, 1, 1, [1; 2])]),
        ([6, 5, 4], 4, 2, [(3, 1, 1, [1; 2]), (1, 2, 1, [0; 2])]),
        ([2, 9, 8], 2, 1, [(3, 1, 2, [2; 2]), (3, 1, 3, [3; 2])]),
        ([4, 9, 8], 8, 4, [(3, 2, 3, [3; 2]), (2, 2, 2, [0, 2])]),
        ([2, 8, 6], 3, 1, [(4, 4, 1, [0; 2]), (3, 3, 1, [0; 2])]),
    ];
    for (shape, outs, groups, axes) in cases {
        let mut m = Maker {
            builder: Builder::new(),
            seed: 9,
        };
        let [rows, cols] = axes;
        let form = ops::Conv {
            weight: String::new(),
            bias: None,
            kernel: axes.map(|a| a.0),
            stride: axes.map(|a| a.1),
            dilation: axes.map(|a| a.2),
            pad: [rows.3[0], cols.3[0], rows.3[1], cols.3[1]],
            groups,
        };
        let x = m.builder.sample(shape).unwrap();
        let y = m.formed("conv", outs, form, x);
        let graph = m.builder.finish(y).unwrap();
        let (n, [channels, height, width]) = (2, shape);
        let x: Vec<f64> = (0..n * channels * height * width)
            .map(|i| (i as f64 * 0.37).sin())
            .collect();
        let found = Executor::new(&graph, DType::F64).unwrap();
        let found = found.run(&x, &vec![0; n], &[]).unwrap();
        let [weight, bias] = ["conv.w", "conv.b"].map(|key| &graph.params[key].data);
        let [_, out_rows, out_cols] = graph.output_shape();
        let at = |i: usize, tap: usize, (_, stride, dilation, pad): Axis, extent: usize| {
            (i * stride + tap * dilation)
                .checked_sub(pad[0])
                .filter(|at| *at < extent)
        };
        let (ins, outs_a_group) = (channels / groups, outs / groups);
        for (i, found) in found.iter().enumerate() {
            let (col, row) = (i % out_cols, i / out_cols % out_rows);
            let (out, sample) = (i / (out_cols * out_rows) % outs, i / (out_cols * out_rows * outs));
            let mut sum = f64::from(bias[out]);
            let taps = (0..ins).flat_map(|c| (0..rows.0).flat_map(move |r| (0..cols.0).map(move |k| (c, r, k))));
            for (w, (channel, r, c)) in weight[out * ins * rows.0 * cols.0..].iter().zip(taps) {
                let channel = out / outs_a_group * ins + channel;
                if let (Some(r), Some(c)) = (at(row, r, rows, height), at(col, c, cols, width)) {
                    sum += f64::from(*w) * x[((sample * channels + channel) * height + r) * width + c];
                }
            }
            assert!((sum - found).abs() < 1e-13, "{i}: {found}, {sum} expected");
        }
    }
}

/// Every position of the input adds a kernel to the output.
#[test]
fn a_transposed_convolution_is_its_definition() {
    for (shape, outs, form) in [
        ([3, 1, 4], 2, transposed([1, 4], [1, 2], [0, 1, 0, 1], [0; 2])),
        ([3, 1, 4], 2, transposed([1, 3], [1, 2], [0, 1, 0, 1], [0, 1])),
        ([2, 3, 5], 4, transposed([4, 2], [2, 3], [1, 0, 2, 1], [1, 2])),
        ([2, 3, 3], 3, transposed([3, 3], [1, 1], [1; 4], [0; 2])),
    ] {
        let mut m = Maker {
            builder: Builder::new(),
            seed: 9,
        };
        let x = m.builder.sample(shape).unwrap();
        let y = m.transposed("t", outs, form.clone(), x);
        let graph = m.builder.finish(y).unwrap();
        let (n, [channels, height, width]) = (2, shape);
        let x: Vec<f64> = (0..n * channels * height * width)
            .map(|i| (i as f64 * 0.37).sin())
            .collect();
        let found: Vec<f64> = Executor::new(&graph, DType::F64)
            .unwrap()
            .run(&x, &vec![0; n], &[])
            .unwrap();
        let [weight, bias] = ["t.w", "t.b"].map(|key| &graph.params[key].data);
        let [_, rows, cols] = graph.output_shape();
        let mut expected: Vec<f64> = (0..found.len())
            .map(|i| f64::from(bias[i / (rows * cols) % outs]))
            .collect();
        let taps = form.kernel[0] * form.kernel[1];
        for (i, x) in x.iter().enumerate() {
            let (col, row) = (i % width, i / width % height);
            let (channel, sample) = (i / (width * height) % channels, i / (width * height * channels));
            for (at, w) in weight[channel * outs * taps..][..outs * taps].iter().enumerate() {
                let (out, tap) = (at / taps, at % taps);
                let r = (row * form.stride[0] + tap / form.kernel[1]).checked_sub(form.pad[0]);
                let c = (col * form.stride[1] + tap % form.kernel[1]).checked_sub(form.pad[1]);
                if let (Some(r), Some(c)) = (r.filter(|r| *r < rows), c.filter(|c| *c < cols)) {
                    expected[((sample * outs + out) * rows + r) * cols + c] += x * f64::from(*w);
                }
            }
        }
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert!((expected - found).abs() < 1e-13, "{i}: {found}, {expected} expected");
        }
    }
}

/// Softmax and readout by hand.
#[test]
fn a_softmax_and_a_readout_by_hand() {
    let mut g = Builder::new();
    let tensor = |shape: &[usize], data: &[f32]| Param {
        shape: shape.to_vec(),
        data: data.to_vec(),
    };
    g.param("w", tensor(&[2, 1, 2], &[1.0, 2.0, 3.0, 5.0]));
    g.param("b", tensor(&[2, 1], &[0.5, -0.5]));
    let x = g.sample([2, 1, 2]).unwrap();
    let y = g.push("softmax", ops::Softmax, &[x]).unwrap();
    let op = ops::Readout {
        weight: "w".to_string(),
        bias: "b".to_string(),
        first: vec![0, 10],
    };
    let y = g.push("readout", op, &[y]).unwrap();
    let graph = g.finish(y).unwrap();
    assert_eq!(graph.macs(), 2 * 2);
    let third = 2f64.ln();
    let x = [0.0, third, third, third].repeat(3);
    let executor = Executor::new(&graph, DType::F64).unwrap();
    let found: Vec<f64> = executor.run(&x, &[9, 10, 3], &[]).unwrap();
    // Softmax gives 1/3 and 2/3 at the first position, halves at the second.
    let first = [0.5 + 1.0 / 3.0 + 4.0 / 3.0, 0.5 + 0.5 + 1.0];
    let second = [-0.5 + 1.0 + 10.0 / 3.0, -0.5 + 1.5 + 2.5];
    let expected = [first, second, first].concat();
    assert!(
        found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-14),
        "{found:?}"
    );
}
