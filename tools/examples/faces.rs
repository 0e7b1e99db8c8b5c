//! A latent diffusion transformer of the shape that others run on a Cortex-M33, with random weights: what it takes of a chip.
//!
//!     cargo run --release -p mote-tools --example faces -- [OUT.mote]
//!
//! Twelve blocks of 128 channels over 64 tokens, RMSNorm, normalized queries and keys, ReLU squared, adaptive scales and gates. It is the
//! denoiser alone. A network that is written layer by layer becomes a checkpoint in the same way.

use mote_graph::graph::{Builder, Graph, GraphError, Param, ValueId, ops};
use mote_graph::ops::{Function, Over};
use mote_graph::schedule::SchedulerConfig;
use mote_tools::import::SampleLayout;
use mote_tools::{Arena, Checkpoint, Conversion, Error, Fit, Scheme, board_named};
use std::path::{Path, PathBuf};

/// Sizes of the network.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Blocks.
    pub layers: usize,
    /// Channels of a token.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Tokens along a side; a token is 2 x 2 of the latent.
    pub side: usize,
    /// Channels of the latent.
    pub channels: usize,
}

/// Those of the example.
pub const FACES: Shape = Shape {
    layers: 12,
    width: 128,
    heads: 4,
    side: 8,
    channels: 4,
};

fn main() -> Result<(), Error> {
    let output = std::env::args_os().nth(1).map(PathBuf::from);
    let fit = run(FACES, output.as_deref().unwrap_or(Path::new("faces.mote")))?;
    println!(
        "{}: {} of {} bytes of flash, {} of {} bytes of RAM",
        fit.name, fit.flash_bytes, fit.flash_total_bytes, fit.ram_bytes, fit.ram_total_bytes
    );
    println!("mote bench faces.mote --backends board:mps2-an505 counts the instructions of a step");
    Ok(())
}

/// Converts the network to int8 for a Cortex-M33, and writes the model file.
pub fn run(shape: Shape, output: &Path) -> Result<Fit, Error> {
    let checkpoint = checkpoint(shape)?;
    let file = Conversion::new(Scheme::W8A8)
        .in_arena(Arena::Small)
        .convert(&checkpoint)?
        .file()?;
    file.write(output)?;
    Ok(file.fit(board_named("mps2-an505")?))
}

/// A checkpoint of the network and the schedule of a flow.
fn checkpoint(shape: Shape) -> Result<Checkpoint, Error> {
    let text = r#"{"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.0}"#;
    Ok(Checkpoint {
        variances: false,
        name: "faces".to_owned(),
        graph: graph(shape).map_err(Error::new)?,
        scheduler: SchedulerConfig::parse("scheduler_config.json", text).map_err(Error::new)?,
        sha256: "0".repeat(64),
        config: serde_json::Value::Null,
        config_file: "faces".to_owned(),
        scheduler_config: serde_json::Value::Null,
        unet: None,
        null_class: None,
        layout: SampleLayout::plain(),
        calibration: None,
        trained: None,
        decoder: None,
        notes: vec![],
    })
}

/// The network, layer by layer.
fn graph(shape: Shape) -> Result<Graph, GraphError> {
    let Shape {
        layers,
        width,
        side,
        channels,
        ..
    } = shape;
    let mut net = Net {
        builder: Builder::new(),
        random: 1,
    };
    let latent = net.builder.sample([channels, 2 * side, 2 * side])?;
    let condition = net.condition(width)?;
    let mut x = net.patches("patch", latent, width, 2)?;
    let table = net.param("positions", vec![width, side, side], 0.0, 0.5);
    let table = net.builder.push("positions", ops::Constant { key: table }, &[])?;
    x = net.builder.push("placed", ops::Add { divisor: 1.0 }, &[x, table])?;
    for layer in 0..layers {
        x = net.block(&format!("blocks.{layer}"), x, condition, shape)?;
    }
    let x = net.norm("last", x, 1)?;
    let blocks = net.linear("out", x, 4 * channels)?;
    let output = net
        .builder
        .push("unpatch", ops::DepthToSpace { block: [2; 2] }, &[blocks])?;
    net.builder.finish(output)
}

struct Net {
    builder: Builder,
    random: u64,
}

impl Net {
    /// Uniform numbers within `size` of `centre`, under a name.
    fn param(&mut self, key: &str, shape: Vec<usize>, centre: f32, size: f32) -> String {
        let (multiplier, increment) = (6_364_136_223_846_793_005, 1_442_695_040_888_963_407);
        let mut number = || {
            self.random = self.random.wrapping_mul(multiplier).wrapping_add(increment);
            centre + ((self.random >> 40) as f32 / (1 << 23) as f32 - 1.0) * size
        };
        let data = (0..shape.iter().product()).map(|_| number()).collect();
        self.builder.param(key, Param { shape, data });
        key.to_owned()
    }

    /// A linear layer over squares of `side` positions that do not overlap.
    fn patches(&mut self, name: &str, x: ValueId, outs: usize, side: usize) -> Result<ValueId, GraphError> {
        let ins = self.builder.shape(x)[0];
        let size = (3.0 / (ins * side * side) as f32).sqrt();
        let weight = self.param(&format!("{name}.weight"), vec![outs, ins, side, side], 0.0, size);
        let bias = self.param(&format!("{name}.bias"), vec![outs], 0.0, 0.1);
        let conv = ops::Conv {
            stride: [side; 2],
            ..ops::Conv::square(weight, Some(bias), side, 1, [0; 4])
        };
        self.builder.push(name, conv, &[x])
    }

    fn linear(&mut self, name: &str, x: ValueId, outs: usize) -> Result<ValueId, GraphError> {
        self.patches(name, x, outs, 1)
    }

    /// RMSNorm over the channels of a token, in so many heads.
    fn norm(&mut self, name: &str, x: ValueId, heads: usize) -> Result<ValueId, GraphError> {
        let width = self.builder.shape(x)[0];
        let norm = ops::Norm {
            over: Over::Position(heads),
            centred: false,
            eps: 1e-6,
            floor: 0.0,
            gamma: Some(self.param(&format!("{name}.weight"), vec![width], 1.0, 0.2)),
            beta: None,
        };
        self.builder.push(name, norm, &[x])
    }

    /// The embedding of the step.
    fn condition(&mut self, width: usize) -> Result<ValueId, GraphError> {
        let features = ops::TimeProj {
            dim: width,
            flip_sin_to_cos: true,
            freq_shift: 0.0,
            max_period: 1e4,
        };
        let features = self.builder.push("step", features, &[])?;
        let hidden = self.linear("step.0", features, width)?;
        let hidden = self.builder.push("step.1", ops::Silu, &[hidden])?;
        let step = self.linear("step.2", hidden, width)?;
        self.builder.push("step.3", ops::Silu, &[step])
    }

    fn block(&mut self, name: &str, x: ValueId, condition: ValueId, shape: Shape) -> Result<ValueId, GraphError> {
        let named = |part: &str| format!("{name}.{part}");
        let h = self.modulated(&named("norm1"), x, condition)?;
        let [q, k, v] = ["q", "k", "v"].map(|part| self.linear(&named(part), h, shape.width));
        let (q, k) = (
            self.norm(&named("q_norm"), q?, shape.heads)?,
            self.norm(&named("k_norm"), k?, shape.heads)?,
        );
        let attention = ops::Attention { heads: shape.heads };
        let h = self.builder.push(&named("attention"), attention, &[q, k, v?])?;
        let h = self.linear(&named("attention.out"), h, shape.width)?;
        let x = self.gated(&named("gate1"), h, x, condition)?;
        let h = self.modulated(&named("norm2"), x, condition)?;
        let h = self.linear(&named("up"), h, 4 * shape.width)?;
        let function = Function::Relu2;
        let h = self.builder.push(&named("relu2"), ops::Pointwise { function }, &[h])?;
        let h = self.linear(&named("down"), h, shape.width)?;
        self.gated(&named("gate2"), h, x, condition)
    }

    /// RMSNorm, times 1 and a vector, plus a vector.
    fn modulated(&mut self, name: &str, x: ValueId, condition: ValueId) -> Result<ValueId, GraphError> {
        let width = self.builder.shape(x)[0];
        let h = self.norm(name, x, 1)?;
        let vector = self.linear(&format!("{name}.vector"), condition, 2 * width)?;
        let modulate = ops::Modulate { one: true };
        self.builder.push(&format!("{name}.modulate"), modulate, &[h, vector])
    }

    /// `gate * h + x`.
    fn gated(&mut self, name: &str, h: ValueId, x: ValueId, condition: ValueId) -> Result<ValueId, GraphError> {
        let width = self.builder.shape(x)[0];
        let gate = self.linear(&format!("{name}.vector"), condition, width)?;
        let h = self.builder.push(name, ops::Multiply, &[h, gate])?;
        self.builder
            .push(&format!("{name}.sum"), ops::Add { divisor: 1.0 }, &[h, x])
    }
}
