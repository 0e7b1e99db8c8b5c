//! A small policy: a network of actions over time, conditioned on an observation vector, as Diffusion Policy's is (Chi et al. 2023).

use std::path::Path;

use mote_graph::graph::{Builder, Graph, Op, Param, ValueId, ops};
use mote_graph::ops::Function;
use mote_graph::schedule::Prediction;
use mote_tools::import::Checkpoint;

use crate::checkpoints::{checkpoint, digits};
use crate::random::Random;

/// Numbers of the observation.
pub const OBSERVATIONS: usize = 6;
/// Actions, and points in time.
pub const ACTIONS: [usize; 2] = [2, 8];

/// A checkpoint of [`graph`] under the schedule of another; its calibration is what `demos` names.
pub fn policy(demos: Option<&Path>) -> Checkpoint {
    let mut policy = checkpoint(&digits());
    policy.name = "policy".into();
    policy.graph = graph();
    policy.unet = None;
    // Of random weights, what stays in range is a network that gives the clean sample itself.
    policy.scheduler.prediction_type = Prediction::Sample;
    policy.calibration = demos.map(|demos| demos.into());
    policy
}

/// 2 actions at 8 points in time from 6 numbers in [-1, 1]: FiLM from timestep and observation, Mish, kernels of 5.
pub fn graph() -> Graph {
    let mut m = Maker {
        builder: Builder::new(),
        random: Random(11),
    };
    let [actions, times] = ACTIONS;
    let time = Op::TimeProj(ops::TimeProj {
        dim: 8,
        flip_sin_to_cos: false,
        freq_shift: 1.0,
        max_period: 1e4,
    });
    let t = m.push("time", time, &[]);
    let t = m.linear("time_1", 16, t);
    let t = m.mish("time_act", t);
    let t = m.linear("time_2", 8, t);
    let given = m
        .builder
        .condition("obs", OBSERVATIONS, Some([-1.0, 1.0]))
        .expect("it fits");
    let both = m.push("both", ops::Concat, &[t, given]);
    let both = m.mish("both_act", both);
    let x = m.builder.sample([actions, 1, times]).expect("it fits");
    let h = m.conv("in", 16, 5, x);
    let h = m.norm("in_norm", h);
    let h = m.mish("in_act", h);
    let film = m.linear("film", 32, both);
    let h = m.push("modulate", ops::Modulate { one: false }, &[h, film]);
    let h = m.conv("middle", 16, 5, h);
    let h = m.norm("middle_norm", h);
    let h = m.mish("middle_act", h);
    let skip = m.conv("skip", 16, 1, x);
    let h = m.push("sum", ops::Add { divisor: 1.0 }, &[skip, h]);
    let out = m.conv("out", actions, 1, h);
    m.builder.finish(out).expect("the graph is sound")
}

/// Rows of observations as a `.npy` file of f32.
pub fn observations(rows: usize) -> Vec<u8> {
    let mut random = Random(3);
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {OBSERVATIONS}), }}");
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    file.extend((118u16).to_le_bytes());
    file.extend(format!("{header:<117}\n").bytes());
    (0..rows * OBSERVATIONS).for_each(|_| file.extend(random.unit().to_le_bytes()));
    file
}

struct Maker {
    builder: Builder,
    random: Random,
}

impl Maker {
    fn push(&mut self, name: &str, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        self.builder.push(name, op, inputs).expect("it fits")
    }

    fn param(&mut self, key: &str, shape: &[usize], middle: f32, size: f32) -> String {
        let count = shape.iter().product();
        let data = (0..count).map(|_| middle + size * self.random.unit()).collect();
        let shape = shape.to_vec();
        self.builder.param(key, Param { shape, data });
        key.to_owned()
    }

    fn conv(&mut self, name: &str, outs: usize, kernel: usize, x: ValueId) -> ValueId {
        let channels = self.builder.shape(x)[0];
        let size = (3.0 / (channels * kernel) as f32).sqrt();
        let weight = self.param(&format!("{name}.weight"), &[outs, channels, 1, kernel], 0.0, size);
        let bias = Some(self.param(&format!("{name}.bias"), &[outs], 0.0, 0.1));
        let op = ops::Conv {
            weight,
            bias,
            kernel: [1, kernel],
            stride: [1, 1],
            pad: [0, kernel / 2, 0, kernel / 2],
            dilation: [1, 1],
            groups: 1,
        };
        self.push(name, op, &[x])
    }

    fn linear(&mut self, name: &str, outs: usize, x: ValueId) -> ValueId {
        self.conv(name, outs, 1, x)
    }

    fn norm(&mut self, name: &str, x: ValueId) -> ValueId {
        let channels = self.builder.shape(x)[0];
        let gamma = self.param(&format!("{name}.weight"), &[channels], 1.0, 0.2);
        let beta = self.param(&format!("{name}.bias"), &[channels], 0.0, 0.2);
        self.push(name, ops::Norm::group(4, 1e-5, gamma, beta), &[x])
    }

    fn mish(&mut self, name: &str, x: ValueId) -> ValueId {
        let function = Function::Mish;
        self.push(name, ops::Pointwise { function }, &[x])
    }
}
