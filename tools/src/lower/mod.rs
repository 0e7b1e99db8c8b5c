//! Lowering: the float graph becomes the fused program that a model file holds.
//!
//! Concatenations and nearest-neighbour x2 turn into ways of reading; SiLU and the timestep's scale and shift join their
//! group normalization; additions join the convolution before them; what is cheap and waited for long is computed twice. What has no place is refused by its name.

mod absorb;
mod again;
pub mod program;

use std::collections::HashMap;

use crate::plan::Arena;
use absorb::Readers;
use mote_host::graph::{Graph, Node, Op, ValueId, ops};
use program::{Conv, Kind, Norm, Program, Slot, SlotId, Step};

/// A node that the runtime has no operator for.
#[derive(Debug, thiserror::Error)]
#[error("cannot lower node '{node}' ({what}): this arrangement of layers has no operator in the runtime")]
pub struct LowerError {
    /// Name of the node.
    pub node: String,
    /// What about it.
    pub what: String,
}

/// How a graph value can be read.
#[derive(Debug, Clone, PartialEq)]
struct Reading {
    slots: Vec<SlotId>,
    upsample: bool,
}

/// Lowers a shape-checked graph to the program of `arena`: in the large one nothing is computed twice.
pub fn lower(graph: &Graph, arena: Arena) -> Result<Program, LowerError> {
    let mut lowering = Lowering {
        graph,
        readers: Readers::of(graph),
        readings: HashMap::new(),
        deferred: HashMap::new(),
        silus: HashMap::new(),
        program: Program {
            classes: graph.classes.unwrap_or(0),
            ..Program::default()
        },
    };
    for (index, node) in graph.nodes.iter().enumerate() {
        lowering.node(index, node)?;
    }
    Ok(match arena {
        Arena::Fast | Arena::Small => again::computed_again(lowering.program),
        Arena::Large => lowering.program,
    })
}

struct Lowering<'g> {
    graph: &'g Graph,
    readers: Readers,
    readings: HashMap<ValueId, Reading>,
    /// Steps that wait for the node that they are fused with, by the value they would have written.
    deferred: HashMap<ValueId, Step>,
    /// SiLUs of vectors, which every resnet asks for again.
    silus: HashMap<SlotId, SlotId>,
    program: Program,
}

impl Lowering<'_> {
    fn node(&mut self, index: usize, node: &Node) -> Result<(), LowerError> {
        match &node.op {
            Op::Sample(_) => {
                self.program.sample = self.graph.values[node.output.0].shape;
                self.emit_or_defer(index, node, Kind::Input { scale: 1.0, shift: 0.0 })
            }
            Op::Affine(ops::Affine { scale, shift }) => match self.take(node.inputs[0]) {
                Some(step) if matches!(step.kind, Kind::Input { .. }) => {
                    self.emit(
                        node,
                        &node.name,
                        Kind::Input {
                            scale: *scale,
                            shift: *shift,
                        },
                    );
                    Ok(())
                }
                _ => Err(refuse(node, "an affine map that does not follow the sample")),
            },
            Op::TimeProj(ops::TimeProj {
                dim,
                flip_sin_to_cos,
                freq_shift,
                max_period,
            }) => {
                let half = dim / 2;
                let exponent = |i: usize| -libm::log(*max_period) * i as f64 / (half as f64 - freq_shift);
                let frequencies = (0..half).map(|i| libm::exp(exponent(i))).collect();
                self.emit(
                    node,
                    &node.name,
                    Kind::TimeProj {
                        frequencies,
                        cos_first: *flip_sin_to_cos,
                    },
                );
                Ok(())
            }
            Op::ClassEmbed(ops::ClassEmbed { weight }) => {
                let table = self.param(node, weight)?;
                self.emit(node, &node.name, Kind::ClassEmbed { table });
                Ok(())
            }
            Op::Conv(_) => self.conv(index, node),
            Op::GroupNorm(ops::GroupNorm {
                groups,
                eps,
                weight,
                bias,
            }) => {
                let source = self.read(node, 0)?;
                if source.upsample {
                    return Err(refuse(node, "group normalization of an upsampled value"));
                }
                let (gamma, beta) = (self.param(node, weight)?, self.param(node, bias)?);
                let norm = Norm {
                    source: source.slots,
                    groups: *groups,
                    eps: *eps,
                    gamma,
                    beta,
                    silu: false,
                    scale_shift: None,
                };
                self.emit_or_defer(index, node, Kind::Norm(norm))
            }
            Op::Silu(_) => self.silu(node),
            Op::ScaleShift(_) => {
                let vector = self.single(node, 1)?;
                match self.take(node.inputs[0]) {
                    Some(Step {
                        kind: Kind::Norm(mut norm),
                        name,
                        ..
                    }) if !norm.silu => {
                        norm.scale_shift = Some(vector);
                        self.emit_or_defer_as(index, node, name, Kind::Norm(norm))
                    }
                    _ => Err(refuse(
                        node,
                        "scale and shift that does not follow a group normalization",
                    )),
                }
            }
            Op::Add(ops::Add { divisor }) => self.add(node, *divisor),
            Op::AddChannel(_) => {
                let vector = self.single(node, 1)?;
                match self.take(node.inputs[0]) {
                    Some(Step {
                        kind: Kind::Conv(mut conv),
                        name,
                        ..
                    }) if conv.addend.is_none() => {
                        conv.addend = Some((vector, 1.0));
                        self.emit(node, &name, Kind::Conv(conv));
                        Ok(())
                    }
                    _ => Err(refuse(node, "a timestep term that does not follow a convolution")),
                }
            }
            Op::Concat(_) => {
                let mut slots = Vec::new();
                for i in 0..node.inputs.len() {
                    slots.push(self.single(node, i)?);
                }
                if slots.len() != 2 {
                    return Err(refuse(node, "a concatenation of other than two values"));
                }
                self.readings.insert(node.output, Reading { slots, upsample: false });
                Ok(())
            }
            Op::Upsample2(_) => {
                let source = self.read(node, 0)?;
                let folds = |i: &usize| matches!(self.graph.nodes.get(*i), Some(n) if matches!(n.op, Op::Conv(_)));
                if !source.upsample && self.readers.of_value(node.output).iter().all(folds) {
                    self.readings.insert(
                        node.output,
                        Reading {
                            slots: source.slots,
                            upsample: true,
                        },
                    );
                    return Ok(());
                }
                let src = self.single(node, 0)?;
                self.emit(node, &node.name, Kind::Upsample { src });
                Ok(())
            }
            Op::AvgPool2(_) => {
                let src = self.single(node, 0)?;
                self.emit(node, &node.name, Kind::AvgPool { src });
                Ok(())
            }
            Op::Attention(ops::Attention { heads }) => {
                let qkv = [self.single(node, 0)?, self.single(node, 1)?, self.single(node, 2)?];
                self.emit(node, &node.name, Kind::Attention { qkv, heads: *heads });
                Ok(())
            }
            Op::Softmax(_) => {
                let src = self.single(node, 0)?;
                self.emit(node, &node.name, Kind::Softmax { src });
                Ok(())
            }
            Op::Readout(ops::Readout { weight, bias, first }) => {
                let conv = Conv {
                    source: vec![self.single(node, 0)?],
                    weight: self.param(node, weight)?,
                    bias: self.param(node, bias)?,
                    kernel: 1,
                    stride: 1,
                    pad: [0; 4],
                    upsample: false,
                    addend: None,
                    groups: first.iter().map(|t| *t as u32).collect(),
                };
                self.emit(node, &node.name, Kind::Conv(conv));
                Ok(())
            }
        }
    }

    fn conv(&mut self, index: usize, node: &Node) -> Result<(), LowerError> {
        let Op::Conv(ops::Conv {
            weight,
            bias,
            kernel,
            stride,
            pad,
        }) = &node.op
        else {
            return Ok(());
        };
        let source = self.read(node, 0)?;
        let outs = self.graph.values[node.output.0].shape[0];
        let bias = match bias {
            Some(key) => self.param(node, key)?,
            None => vec![0.0; outs],
        };
        let conv = Conv {
            source: source.slots,
            weight: channels_last(&self.param(node, weight)?, outs, kernel * kernel),
            bias,
            kernel: *kernel,
            stride: *stride,
            pad: *pad,
            upsample: source.upsample,
            addend: None,
            groups: vec![],
        };
        self.emit_or_defer(index, node, Kind::Conv(conv))
    }

    fn silu(&mut self, node: &Node) -> Result<(), LowerError> {
        if let Some(step) = self.take(node.inputs[0]) {
            return match step.kind {
                Kind::Norm(mut norm) => {
                    norm.silu = true;
                    self.emit(node, &step.name, Kind::Norm(norm));
                    Ok(())
                }
                _ => Err(refuse(node, "SiLU of this operator")),
            };
        }
        let src = self.single(node, 0)?;
        if let Some(done) = self.silus.get(&src) {
            self.readings.insert(
                node.output,
                Reading {
                    slots: vec![*done],
                    upsample: false,
                },
            );
            return Ok(());
        }
        let out = self.emit(node, &node.name, Kind::Silu { src });
        self.silus.insert(src, out);
        Ok(())
    }

    fn add(&mut self, node: &Node, divisor: f64) -> Result<(), LowerError> {
        let position = node.inputs.iter().position(|v| self.deferred.contains_key(v));
        let Some(position) = position else {
            return Err(refuse(node, "an addition with no convolution before it"));
        };
        let other = self.single(node, 1 - position)?;
        match self.take(node.inputs[position]) {
            Some(Step {
                kind: Kind::Conv(mut conv),
                name,
                ..
            }) if conv.addend.is_none() => {
                let divide = |v: &mut f32| *v = (f64::from(*v) / divisor) as f32;
                conv.weight.iter_mut().for_each(divide);
                conv.bias.iter_mut().for_each(divide);
                conv.addend = Some((other, (1.0 / divisor) as f32));
                self.emit(node, &name, Kind::Conv(conv));
                Ok(())
            }
            _ => Err(refuse(node, "an addition that does not follow a convolution")),
        }
    }

    /// Emits now, or waits for the one node that will absorb this one.
    fn emit_or_defer(&mut self, index: usize, node: &Node, kind: Kind) -> Result<(), LowerError> {
        self.emit_or_defer_as(index, node, node.name.clone(), kind)
    }

    fn emit_or_defer_as(&mut self, index: usize, node: &Node, name: String, kind: Kind) -> Result<(), LowerError> {
        if self.readers.absorb(self.graph, index, node, &kind) {
            self.deferred.insert(
                node.output,
                Step {
                    name,
                    kind,
                    out: SlotId(0),
                },
            );
        } else {
            self.emit(node, &name, kind);
        }
        Ok(())
    }

    fn take(&mut self, value: ValueId) -> Option<Step> {
        self.deferred.remove(&value)
    }

    fn emit(&mut self, node: &Node, name: &str, kind: Kind) -> SlotId {
        let value = &self.graph.values[node.output.0];
        let out = SlotId(self.program.slots.len());
        self.program.slots.push(Slot {
            name: value.name.clone(),
            shape: value.shape,
        });
        self.program.steps.push(Step {
            name: name.to_owned(),
            kind,
            out,
        });
        self.readings.insert(
            node.output,
            Reading {
                slots: vec![out],
                upsample: false,
            },
        );
        out
    }

    fn read(&self, node: &Node, input: usize) -> Result<Reading, LowerError> {
        let value = node.inputs[input];
        self.readings.get(&value).cloned().ok_or_else(|| {
            refuse(
                node,
                &format!("its input '{}' is not available yet", self.graph.values[value.0].name),
            )
        })
    }

    fn single(&self, node: &Node, input: usize) -> Result<SlotId, LowerError> {
        let reading = self.read(node, input)?;
        match reading.slots[..] {
            [slot] if !reading.upsample => Ok(slot),
            _ => Err(refuse(
                node,
                "reads a concatenation or an upsampled value as one tensor",
            )),
        }
    }

    fn param(&self, node: &Node, key: &str) -> Result<Vec<f32>, LowerError> {
        let param = self.graph.params.get(key);
        param
            .map(|p| p.data.clone())
            .ok_or_else(|| refuse(node, &format!("parameter '{key}' is missing")))
    }
}

/// `(out, in, tap)` to `(out, tap, in)`.
fn channels_last(weight: &[f32], outs: usize, taps: usize) -> Vec<f32> {
    let ins = weight.len() / (outs * taps).max(1);
    let mut to = Vec::with_capacity(weight.len());
    for filter in weight.chunks_exact(ins * taps) {
        for tap in 0..taps {
            to.extend((0..ins).map(|i| filter[i * taps + tap]));
        }
    }
    to
}

fn refuse(node: &Node, what: &str) -> LowerError {
    LowerError {
        node: node.name.clone(),
        what: what.to_owned(),
    }
}
