//! LayerNorm, RMSNorm and the L2 norm in a network: the float graph, its f16 model and its integer models say the same.

use mote_engine::memory::AlignedBytes;
use mote_graph::graph::ops::{Norm, Over};
use mote_graph::graph::{Builder, Graph, Op, Param, ValueId, ops};
use mote_graph::schedule::Prediction;
use mote_runtime::internals::ops::Op as Record;
use mote_runtime::{Config, Model};
use mote_tests::checkpoints::{checkpoint, digits};
use mote_tests::random::Random;
use mote_tools::backend::OpenModel;
use mote_tools::convert::{Options, convert};
use mote_tools::import::Checkpoint;
use mote_tools::quantize::scheme::Scheme;
use mote_tools::validate::{FloatDevice, against};

struct Maker {
    graph: Builder,
    random: Random,
}

impl Maker {
    fn param(&mut self, key: &str, shape: &[usize], size: f32, middle: f32) -> String {
        let len = shape.iter().product();
        let data = (0..len).map(|_| middle + size * self.random.unit()).collect();
        let shape = shape.to_vec();
        self.graph.param(key, Param { shape, data });
        key.to_owned()
    }

    fn push(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.graph.push(name, op, inputs).expect("shapes that fit")
    }

    fn conv(&mut self, name: &str, out: usize, kernel: usize, x: ValueId) -> ValueId {
        let channels = self.graph.shape(x)[0];
        let taps = (kernel * kernel * channels) as f32;
        let weight = self.param(
            &format!("{name}.w"),
            &[out, channels, kernel, kernel],
            (3.0 / taps).sqrt(),
            0.0,
        );
        let bias = Some(self.param(&format!("{name}.b"), &[out], 0.1, 0.0));
        self.push(name, ops::Conv::square(weight, bias, kernel, 1, [kernel / 2; 4]), &[x])
    }

    fn norm(&mut self, name: &str, norm: Norm, x: ValueId) -> ValueId {
        let channels = self.graph.shape(x)[0];
        for (key, middle) in [(&norm.gamma, 1.0), (&norm.beta, 0.0)] {
            if let Some(key) = key {
                self.param(key, &[channels], 0.5, middle);
            }
        }
        self.push(name, norm, &[x])
    }
}

/// A residual network on 1x8x8 samples with every kind of normalization, attention with normalized queries and keys, and the
/// timestep's scale and shift behind a LayerNorm without an affine.
fn network() -> Graph {
    let mut m = Maker {
        graph: Builder::new(),
        random: Random(12),
    };
    let key = |name: &str| Some(name.to_string());
    let time = ops::TimeProj {
        dim: 8,
        flip_sin_to_cos: true,
        freq_shift: 0.0,
        max_period: 1e4,
    };
    let t = m.push("time", time, &[]);
    let t = m.conv("time.1", 16, 1, t);
    let t = m.push("time.silu", ops::Silu, &[t]);
    let x = m.graph.sample([1, 8, 8]).expect("a shape");
    let x = m.conv("in", 16, 3, x);
    let h = m.norm("rms", Norm::rms(1e-6, key("rms.g")), x);
    let h = m.push("rms.silu", ops::Silu, &[h]);
    let h = m.conv("conv.1", 16, 3, h);
    let x = m.push("add.1", ops::Add { divisor: 1.0 }, &[h, x]);
    let vector = m.conv("time.vector", 32, 1, t);
    let h = m.norm("layer", Norm::layer(1e-6, None, None), x);
    let h = m.push("layer.modulated", ops::ScaleShift, &[h, vector]);
    let [q, k, v] = ["q", "k", "v"].map(|name| m.conv(name, 16, 1, h));
    let heads = |gamma| Norm {
        over: Over::Position(2),
        ..Norm::rms(1e-6, Some(gamma))
    };
    let q = m.norm("q.norm", heads("q.norm.g".to_string()), q);
    let k = m.norm("k.norm", heads("k.norm.g".to_string()), k);
    let h = m.push("attend", ops::Attention { heads: 2 }, &[q, k, v]);
    let h = m.conv("proj", 16, 1, h);
    let x = m.push("add.2", ops::Add { divisor: 1.0 }, &[h, x]);
    let h = m.norm("l2", Norm::l2(16, 1e-12, key("l2.g")), x);
    let h = m.conv("conv.2", 16, 3, h);
    let x = m.push("add.3", ops::Add { divisor: 1.0 }, &[h, x]);
    let h = m.norm("affine", Norm::layer(1e-5, key("affine.g"), key("affine.b")), x);
    let y = m.conv("out", 1, 3, h);
    m.graph.finish(y).expect("a sound graph")
}

/// The network as one that predicts x0.
fn of_network(graph: Graph) -> Checkpoint {
    let mut checkpoint = checkpoint(&digits());
    checkpoint.scheduler.prediction_type = Prediction::Sample;
    checkpoint.trained = None;
    Checkpoint { graph, ..checkpoint }
}

#[test]
fn f16_and_integers_are_close_to_the_float_network() {
    let checkpoint = of_network(network());
    for (scheme, least) in [(Scheme::F16, 64.0), (Scheme::W8A16, 46.0), (Scheme::W8A8, 37.0)] {
        let converted = convert(&checkpoint, &Options::of(scheme), &|_| {}).expect("the network converts");
        let memory = AlignedBytes::copy_of(&converted.emitted.bytes);
        let model = Model::parse(memory.bytes()).expect("a valid model");
        let norms = model.ops().filter(|op| matches!(op, Record::Norm(_))).count();
        assert_eq!(norms, 6, "{scheme}");
        let opened = OpenModel {
            model: &model,
            bytes: memory.bytes(),
        };
        let config = Config::of(model.header(), 10);
        let found = against(opened, &checkpoint, &config, &[1, 2, 3, 4], FloatDevice::Cpu, &|| {});
        let found = found.expect("the float network runs").x0_psnr_db_mean;
        println!("{scheme}: {found:.1} dB");
        assert!(found >= least, "{scheme}: {found:.1} dB, {least} wanted");
    }
}
