//! Networks with memory keys and values, linear attention and pools: the float graph, its f16 model and its integer models say the same.

use mote_engine::memory::AlignedBytes;
use mote_graph::graph::{Builder, Graph, Param, ValueId, ops};
use mote_graph::schedule::Prediction;
use mote_runtime::internals::ops::Op;
use mote_runtime::{Config, Model};
use mote_tests::checkpoints::{checkpoint, digits};
use mote_tests::random::Random;
use mote_tools::backend::OpenModel;
use mote_tools::convert::{Options, convert};
use mote_tools::import::{Checkpoint, import};
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::{FloatDevice, against};
use std::path::Path;

fn network(name: &str) -> Checkpoint {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/importers/lucidrains");
    let mut checkpoint = import(&home.join(name)).expect("a checkpoint");
    // Weights are random: what they predict is no noise, and dividing it by small alphas says nothing.
    checkpoint.scheduler.prediction_type = Prediction::Sample;
    checkpoint
}

/// Attentions with and without rows, of a converted network: linear ones, and others over other keys.
fn attentions(model: &Model<'_>) -> [usize; 3] {
    let mut found = [0; 3];
    for op in model.ops() {
        match op {
            Op::LinearAttention(a) => found[usize::from(a.rows.is_some())] += 1,
            Op::CrossAttention(_) => found[2] += 1,
            _ => {}
        }
    }
    found
}

/// Mean x0 PSNR of four runs of so many steps against the float network, and the model's operators of this kind.
fn compared(checkpoint: &Checkpoint, scheme: Scheme, steps: u32, count: impl Fn(&Model<'_>)) -> f64 {
    let converted = convert(checkpoint, &Options::of(scheme), &|_| {}).expect("the network converts");
    let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
    let model = Model::parse(memory.bytes()).expect("a valid model");
    count(&model);
    let opened = OpenModel {
        model: &model,
        bytes: memory.bytes(),
    };
    let config = Config::of(model.header(), steps);
    let found = against(opened, checkpoint, &config, &[1, 2, 3, 4], FloatDevice::Cpu, &|| {});
    found.expect("the float network runs").x0_psnr_db_mean
}

#[test]
fn integers_and_f16_are_close_to_the_float_network() {
    // One call: a run of random weights magnifies what a call leaves.
    let checkpoint = network("image");
    for (scheme, least) in [(Scheme::F16, 50.0), (Scheme::W8A16, 35.0), (Scheme::W8A8, 22.0)] {
        let found = compared(&checkpoint, scheme, 1, |model| {
            assert_eq!(attentions(model), [0, 2, 3], "{scheme}");
        });
        println!("{scheme}: {found:.1} dB");
        assert!(found >= least, "{scheme}: {found:.1} dB, {least} wanted");
    }
}

/// Two levels, the lower one of maxima and of means of 1x8x8 samples.
fn pools() -> Graph {
    let (mut graph, mut random) = (Builder::new(), Random(5));
    let mut conv = |graph: &mut Builder, name: &str, out: usize, x: ValueId| {
        let channels = graph.shape(x)[0];
        let shape = vec![out, channels, 3, 3];
        let size = (3.0 / (9 * channels) as f32).sqrt();
        let data = (0..out * channels * 9).map(|_| random.unit() * size).collect();
        let key = format!("{name}.w");
        graph.param(&key, Param { shape, data });
        let conv = ops::Conv::square(key, None, 3, 1, [1; 4]);
        graph.push(name, conv, &[x]).expect("shapes that fit")
    };
    let x = graph.sample([1, 8, 8]).expect("a shape");
    let x = conv(&mut graph, "in", 8, x);
    let mut pool = |name: &str, window, stride, max, x| {
        let pool = ops::Pool { window, stride, max };
        graph.push(name, pool, &[x]).expect("shapes that fit")
    };
    let top = pool("top", [2, 2], [2, 2], true, x);
    let mean = pool("rows", [2, 1], [2, 1], false, x);
    let mean = pool("cols", [1, 2], [1, 2], false, mean);
    let sum = graph
        .push("sum", ops::Add { divisor: 1.0 }, &[top, mean])
        .expect("alike");
    let deep = conv(&mut graph, "deep", 4, sum);
    let block = [2, 2];
    let fine = graph
        .push("fine", ops::DepthToSpace { block }, &[deep])
        .expect("a block");
    let y = conv(&mut graph, "out", 1, fine);
    graph.finish(y).expect("a sound graph")
}

#[test]
fn pools_are_close_to_the_float_network() {
    let mut checkpoint = checkpoint(&digits());
    checkpoint.scheduler.prediction_type = Prediction::Sample;
    checkpoint.trained = None;
    let checkpoint = Checkpoint {
        graph: pools(),
        ..checkpoint
    };
    for (scheme, least) in [(Scheme::F16, 60.0), (Scheme::W8A16, 45.0), (Scheme::W8A8, 31.0)] {
        let found = compared(&checkpoint, scheme, 10, |model| {
            assert_eq!(
                model.ops().filter(|op| matches!(op, Op::Pool(_))).count(),
                3,
                "{scheme}"
            );
        });
        println!("pools, {scheme}: {found:.1} dB");
        assert!(found >= least, "{scheme}: {found:.1} dB, {least} wanted");
    }
}
