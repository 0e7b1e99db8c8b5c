//! Gradients against candle's, in f64, and against finite differences.

use super::*;
use candle_core::{DType, Device, Tensor, Var};
use mote_graph::float::{Batch, Executor};
use mote_graph::graph::{Builder, Op, Param, ops};
use std::collections::BTreeMap;

/// Numbers without a pattern, from -1 to 1.
fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let word = |i: usize| mote_runtime::numeric::philox::philox4x32([i as u32, seed, 0, 0], [7, 7])[0];
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
        let op = Op::Conv(ops::Conv {
            weight,
            bias,
            kernel,
            stride,
            pad,
        });
        self.builder.push(name, op, &[x]).unwrap()
    }

    fn norm(&mut self, name: &str, groups: usize, x: ValueId) -> ValueId {
        let channels = self.builder.shape(x)[0];
        let weight = self.param(&format!("{name}.w"), &[channels], 0.3, 1.0);
        let bias = self.param(&format!("{name}.b"), &[channels], 0.3, 0.0);
        let op = Op::GroupNorm(ops::GroupNorm {
            groups,
            eps: 1e-5,
            weight,
            bias,
        });
        self.builder.push(name, op, &[x]).unwrap()
    }

    fn push(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.builder.push(name, op, inputs).unwrap()
    }
}

use mote_graph::graph::ValueId;

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
    let both = m.conv("to_both", 12, (1, 1, [0; 4]), t);
    let b = m.push("scale_shift", ops::ScaleShift, &[b, both]);
    let [q, k, v] = ["q", "k", "v"].map(|name| m.conv(name, 6, (1, 1, [0; 4]), b));
    let h = m.push("attend", ops::Attention { heads: 2 }, &[q, k, v]);
    let u = m.push("up", ops::Upsample2, &[h]);
    let u = m.conv("valid", 3, (3, 1, [2, 0, 0, 2]), u);
    let pooled = m.push("pool", ops::AvgPool2, &[u]);
    let again = m.push("up_again", ops::Upsample2, &[pooled]);
    let c = m.push("concat", ops::Concat, &[again, skip, u]);
    let odd = m.conv("asymmetric", 5, (3, 2, [0, 0, 1, 1]), c);
    let odd = m.push("up_odd", ops::Upsample2, &[odd]);
    let end = m.conv("out", 2, (3, 1, [1; 4]), odd);
    m.builder.finish(end).unwrap()
}

struct Case {
    graph: Graph,
    x: Vec<f32>,
    timesteps: Vec<usize>,
    labels: Vec<usize>,
    target: Vec<f32>,
}

/// More than a shard of samples, and not a whole number of them.
fn case() -> Case {
    let (graph, n) = (every_operator(), SHARD + 3);
    let network = Network::new(&graph).unwrap();
    Case {
        x: numbers(100, n * network.sample_len()),
        timesteps: (0..n).map(|i| i * 89).collect(),
        labels: (0..n).map(|i| i % 3).collect(),
        target: numbers(101, n * network.output_len()),
        graph,
    }
}

impl Case {
    fn call(&self) -> Call<'_> {
        Call {
            x: &self.x,
            timesteps: &self.timesteps,
            labels: &self.labels,
        }
    }

    /// Sum of squared distances from the target, and its gradient.
    fn gradient(&self) -> (f64, Vec<f32>) {
        let network = Network::new(&self.graph).unwrap();
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

    /// The same loss in f64 by the float executor, on tensors of the caller's.
    fn exact(&self, params: BTreeMap<String, Tensor>) -> Tensor {
        let executor = Executor::with_params(&self.graph, params, DType::F64).unwrap();
        let x: Vec<f64> = self.x.iter().map(|v| f64::from(*v)).collect();
        let batch: Batch = executor.batch(&x, &self.timesteps, &self.labels).unwrap();
        let y = executor.forward(&batch).unwrap();
        let target: Vec<f64> = self.target.iter().map(|v| f64::from(*v)).collect();
        let target = Tensor::from_vec(target, y.shape(), &Device::Cpu).unwrap();
        (y - target).unwrap().sqr().unwrap().sum_all().unwrap()
    }

    fn tensors(&self, change: impl Fn(usize) -> f64) -> BTreeMap<String, Tensor> {
        let mut first = 0;
        let tensor = |(key, p): (&String, &Param)| {
            let data: Vec<f64> = p
                .data
                .iter()
                .enumerate()
                .map(|(i, v)| f64::from(*v) + change(first + i))
                .collect();
            first += data.len();
            (
                key.clone(),
                Tensor::from_vec(data, p.shape.as_slice(), &Device::Cpu).unwrap(),
            )
        };
        self.graph.params.iter().map(tensor).collect()
    }
}

#[test]
fn gradients_are_candle_s() {
    let case = case();
    let (loss, gradient) = case.gradient();
    let vars: BTreeMap<String, Var> = case
        .tensors(|_| 0.0)
        .into_iter()
        .map(|(k, t)| (k, Var::from_tensor(&t).unwrap()))
        .collect();
    let exact = case.exact(vars.iter().map(|(k, v)| (k.clone(), v.as_tensor().clone())).collect());
    let exact_loss = exact.to_scalar::<f64>().unwrap();
    assert!((loss / exact_loss - 1.0).abs() < 1e-5, "{loss}, {exact_loss} expected");
    let store = exact.backward().unwrap();
    let mut first = 0;
    for (key, var) in &vars {
        let expected: Vec<f64> = store.get(var).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let found = &gradient[first..first + expected.len()];
        first += expected.len();
        let size = expected.iter().map(|v| v.abs()).fold(0.0, f64::max);
        // A constant added to every key changes no weight of an attention: all that is left is rounding.
        let allowed = if key == "k.b" {
            1e-6 * loss
        } else {
            2e-5 * size.max(1.0)
        };
        assert!(size > 1e-3 || key == "k.b", "{key} has no part in the loss");
        for (e, f) in expected.iter().zip(found) {
            assert!((e - f64::from(*f)).abs() < allowed, "{key}: {f}, {e} expected");
        }
    }
    assert_eq!(first, gradient.len());
}

#[test]
fn gradients_are_finite_differences() {
    let case = case();
    let (_, gradient) = case.gradient();
    for seed in 0..4 {
        let direction = numbers(200 + seed, gradient.len());
        let step = 1e-6;
        let at = |h: f64| {
            case.exact(case.tensors(|i| h * f64::from(direction[i])))
                .to_scalar::<f64>()
                .unwrap()
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

#[test]
fn the_forward_pass_is_the_float_executor_s() {
    let case = case();
    let network = Network::new(&case.graph).unwrap();
    let params = network.layout().values_of(&case.graph);
    let found = Passes::default().forward(&network, &params, case.call()).unwrap();
    let expected: Vec<f32> = Executor::new(&case.graph, DType::F32)
        .unwrap()
        .run(&case.x, &case.timesteps, &case.labels)
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
    let network = Network::new(&case.graph).unwrap();
    let params = network.layout().values_of(&case.graph);
    let mut passes = Passes::default();
    let bad = [
        Call {
            x: &case.x[1..],
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
