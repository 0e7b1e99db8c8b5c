//! The float network's kernels against the float executor of the CPU in f64, within stated tolerances.

mod gpu;
mod graphs;
mod ptx;

use mote_cuda::CudaError;
use mote_cuda::launch::Launcher;
use mote_cuda::network::{DeviceNetwork, Precision};
use mote_graph::float::{DType, Executor, FloatError, Observed, TimeFeatures};
use mote_graph::graph::{Graph, ValueId};
use mote_tests::checkpoints;
use mote_tests::random::Random;
use mote_tests::standin::SCHEDULES;

use crate::device;

/// Of the largest number of a tensor, the error that f32 may make on the way to it. The sums of a convolution have at most a few hundred
/// terms, whose roundings of 2^-24 each add up to some 1e-6 where they are independent; networks are some ten such sums deep.
const F32: f64 = 5e-6;
/// The same of f16, whose roundings are 2^-11 a stored activation or weight, some twenty of them on the way.
const F16: f64 = 5e-3;

/// Inputs of a batch.
struct Inputs {
    x: Vec<f32>,
    timesteps: Vec<usize>,
    labels: Vec<usize>,
}

impl Inputs {
    /// `count` samples of multiples of 2^-6, at timesteps of their own or at one.
    fn of(graph: &Graph, count: usize, seed: u64, apart: bool) -> Self {
        let mut random = Random(seed);
        let len = graph.sample_shape().iter().product::<usize>();
        Self {
            x: (0..count * len)
                .map(|_| (random.unit() * 128.0).round() / 64.0)
                .collect(),
            timesteps: (0..count).map(|i| if apart { 37 + 411 * i } else { 500 }).collect(),
            labels: (0..count * usize::from(graph.classes.is_some()))
                .map(|i| 2 - i % 3)
                .collect(),
        }
    }
}

/// Every value of `graph` in f64.
fn expected(graph: &Graph, inputs: &Inputs) -> Vec<Vec<f64>> {
    let executor = Executor::new(graph, DType::F64)
        .expect("a sound graph")
        .with_time_features(TimeFeatures::F32);
    let mut values = vec![Vec::new(); graph.values.len()];
    let keep = |id: ValueId, value: &Observed<'_>| values[id.0] = value.to_vec();
    executor
        .run_observed(&inputs.x, &inputs.timesteps, &inputs.labels, keep)
        .expect("a pass");
    values
}

/// The largest difference, by the largest number.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let largest = expected.iter().fold(f64::MIN_POSITIVE, |most, v| most.max(v.abs()));
    let far = |(f, e): (&f32, &f64)| {
        if f.is_finite() {
            (f64::from(*f) - e).abs()
        } else {
            f64::INFINITY
        }
    };
    found.iter().zip(expected).map(far).fold(0.0, f64::max) / largest
}

fn network<L: Launcher>(
    device: L,
    graph: &Graph,
    precision: Precision,
    wanted: &[ValueId],
    batch: usize,
) -> Result<DeviceNetwork<L>, String> {
    DeviceNetwork::new(device, graph, precision, wanted, batch).map_err(|error| error.to_string())
}

fn values<L: Launcher>(network: &mut DeviceNetwork<L>, inputs: &Inputs) -> Result<Vec<Vec<f32>>, String> {
    let found = network.run(&inputs.x, &inputs.timesteps, &inputs.labels);
    found.map_err(|error| error.to_string())
}

/// Every value of `graph` against the CPU's, then the output alone, where operators share kernels, and in batches of two: bit for bit the same.
fn hold<L: Launcher>(
    mut device: L,
    name: &str,
    graph: &Graph,
    inputs: &Inputs,
    precision: Precision,
    within: f64,
) -> Result<f64, String> {
    let expected = expected(graph, inputs);
    let all: Vec<ValueId> = (0..graph.values.len()).map(ValueId).collect();
    let found = values(&mut network(&mut device, graph, precision, &all, 64)?, inputs)?;
    let mut worst: f64 = 0.0;
    for (node, id) in graph.nodes.iter().map(|node| (node, node.output.0)) {
        let error = distance(&found[id], &expected[id]);
        if error.is_nan() || error > within {
            return Err(format!(
                "{name}, {precision:?}: {} ({:?}): {error:.2e} of the largest number",
                node.name, node.op
            ));
        }
        worst = worst.max(error);
    }
    device.free_all();
    let output = graph.output.expect("an output");
    let alone = values(&mut network(&mut device, graph, precision, &[output], 2)?, inputs)?;
    // In f16 what shares a kernel is not rounded in between.
    let (same, near) = (alone[0] == found[output.0], distance(&alone[0], &expected[output.0]));
    if (precision == Precision::F32 && !same) || near.is_nan() || near > within {
        return Err(format!(
            "{name}, {precision:?}: the output alone is another, {near:.2e} of the largest number"
        ));
    }
    device.free_all();
    Ok(worst.max(near))
}

/// Every problem on devices of `make`; the first difference.
pub fn solve<L: Launcher>(make: impl Fn(u64) -> L) -> Result<[f64; 2], String> {
    let mut worst = [0.0f64; 2];
    let ways = [(Precision::F32, F32), (Precision::F16, F16)];
    for seed in 0..8 {
        let graph = graphs::everything(seed);
        let inputs = Inputs::of(&graph, 3, seed, seed % 4 < 2);
        for (i, (precision, within)) in ways.into_iter().enumerate() {
            let error = hold(make(seed), &format!("graph {seed}"), &graph, &inputs, precision, within)?;
            worst[i] = worst[i].max(error);
        }
    }
    // Where inputs and weights are f16 and the output is not rounded, products are exact in either: the tighter tolerance holds both.
    for seed in 0..24 {
        let graph = graphs::single(seed);
        let inputs = Inputs::of(&graph, 1 + seed as usize % 5, seed, true);
        for (precision, _) in ways {
            hold(
                make(seed),
                &format!("convolution {seed}"),
                &graph,
                &inputs,
                precision,
                F32,
            )?;
        }
    }
    Ok(worst)
}

#[test]
fn every_operator_is_near_the_cpus_in_every_order_of_threads() {
    let worst = solve(|seed| device((seed % u64::from(SCHEDULES)) as u32)).unwrap_or_else(|first| panic!("{first}"));
    println!(
        "worst errors, of the largest number: f32 {:.1e}, f16 {:.1e}",
        worst[0], worst[1]
    );
}

/// The trained networks, whole: the network's output and its bottleneck.
fn trained<L: Launcher>(mut device: L, large: bool, count: usize) -> Result<[f64; 2], String> {
    let path = if large {
        checkpoints::fashion()
    } else {
        checkpoints::digits()
    };
    let graph = checkpoints::checkpoint(&path).graph;
    let inputs = Inputs::of(&graph, count, 7, true);
    let expected = expected(&graph, &inputs);
    let middle = graph
        .taps
        .iter()
        .find(|(name, _)| name == "mid_block")
        .expect("a mid-block")
        .1;
    let wanted = [graph.output.expect("an output"), middle];
    let mut worst = [0.0; 2];
    for (i, (precision, within)) in [(Precision::F32, F32), (Precision::F16, F16)].into_iter().enumerate() {
        let found = values(&mut network(&mut device, &graph, precision, &wanted, 64)?, &inputs)?;
        for (id, found) in wanted.iter().zip(&found) {
            let error = distance(found, &expected[id.0]);
            if error.is_nan() || error > within {
                return Err(format!("{}, {precision:?}: {error:.2e}", graph.values[id.0].name));
            }
            worst[i] = error.max(worst[i]);
        }
        device.free_all();
    }
    Ok(worst)
}

#[test]
fn trained_networks_are_near_the_cpus() {
    for (i, (large, count)) in [(false, 3), (true, 1)].into_iter().enumerate() {
        let worst = trained(device(i as u32 + 2), large, count).unwrap_or_else(|first| panic!("{first}"));
        println!(
            "trained: f32 {:.1e}, f16 {:.1e} of the largest number",
            worst[0], worst[1]
        );
    }
}

#[test]
fn weights_are_uploaded_once_and_launches_recorded_once() {
    let graph = graphs::everything(1);
    let output = graph.output.expect("an output");
    let mut network = network(device(0), &graph, Precision::F32, &[output], 3).expect("a network");
    let (seven, three) = (Inputs::of(&graph, 7, 1, true), Inputs::of(&graph, 3, 1, true));
    let found = values(&mut network, &seven).expect("a pass");
    let launches = network.launcher().launches;
    // Three batches, of three, three and one.
    assert!(launches > 0 && launches.is_multiple_of(3), "{launches}");
    let again = values(&mut network, &three).expect("a pass");
    assert_eq!(network.launcher().launches, launches / 3 * 4);
    assert_eq!(again[0][..], found[0][..again[0].len()]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = graphs::everything(0);
    let output = graph.output.expect("an output");
    let mut made = network(device(0), &graph, Precision::F32, &[output], 4).expect("a network");
    let good = Inputs::of(&graph, 2, 0, true);
    for (x, t, labels) in [
        (&good.x[1..], &good.timesteps[..], &good.labels[..]),
        (&good.x, &good.timesteps[..1], &good.labels),
        (&good.x, &good.timesteps, &[]),
        (&good.x, &good.timesteps, &[0, 3]),
        (&[], &[], &[]),
    ] {
        let refused = made.run(x, t, labels);
        assert!(
            matches!(&refused, Err(CudaError::Float(error)) if matches!(**error, FloatError::Input { .. })),
            "{refused:?}"
        );
    }
    // A weight, and an activation, beyond f16.
    let convolution = graphs::single(1);
    let mut heavy = convolution.clone();
    let key = heavy
        .params
        .iter()
        .find(|(_, param)| param.shape.len() == 4)
        .expect("a convolution")
        .0
        .clone();
    heavy.params.get_mut(&key).expect("its weights").data[0] = 7e4;
    let refused = DeviceNetwork::new(
        device(0),
        &heavy,
        Precision::F16,
        &[heavy.output.expect("an output")],
        1,
    );
    assert!(matches!(refused, Err(CudaError::Range)), "{refused:?}");
    let mut made = network(
        device(0),
        &convolution,
        Precision::F16,
        &[convolution.output.expect("an output")],
        1,
    )
    .expect("a network");
    let mut loud = Inputs::of(&convolution, 1, 0, false);
    loud.x.fill(7e4);
    assert!(matches!(
        made.run(&loud.x, &loud.timesteps, &loud.labels),
        Err(CudaError::Range)
    ));
    // What no block's shared memory holds.
    let mut small = device(0);
    small.shared = 16;
    let refused =
        network(small, &graph, Precision::F32, &[output], 1).and_then(|mut network| values(&mut network, &good));
    assert!(refused.is_err_and(|why| why.contains("shared memory")));
}
