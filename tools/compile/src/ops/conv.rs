//! Convolutions and linear layers, with the addition that follows them.
//!
//! A convolution reads through a concatenation and through a nearest-neighbour x2. It absorbs one addition: of a residual, whose divisor goes
//! into the weights, or of a vector over channels. Where it has weights by groups of timesteps, its record is a readout.

use mote_graph::graph::{Node, Op, ValueId, ops};
use mote_runtime::Model;
use mote_runtime::internals::family::padded;
use mote_runtime::internals::numeric::requant::ADD_GUARD_BITS;
use mote_runtime::internals::ops::conv::{Sides, conv_scratch_bytes};
use mote_runtime::internals::ops::{Addend, Conv as Fields, Grouped, Op as Record, Readout, Weights};
use mote_runtime::internals::tensor::{Tensor, int4};

use super::{Cost, Operator, OutputFormat, Room, filter, source};
use crate::emit::Emitter;
use crate::lower::{LowerError, Lowered, Lowering, Next, refuse};
use crate::program::{Program, Slot, SlotId};

/// A convolution with what was fused into it. A linear layer has a kernel of 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv {
    /// One input, or the two halves of a concatenation.
    pub source: Vec<SlotId>,
    /// `(out, row, col, in)`, divided by `divisor`.
    pub weight: Vec<f32>,
    /// `(out)`, divided by `divisor`.
    pub bias: Vec<f32>,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps between outputs, of rows and of columns.
    pub stride: [usize; 2],
    /// Zeros at top, left, bottom, right.
    pub pad: [usize; 4],
    /// Reads through a nearest-neighbour x2.
    pub upsample: bool,
    /// A term and its factor, added to the output.
    pub addend: Option<(SlotId, f32)>,
    /// What the checkpoint's weights and biases were divided by: the divisor of the addition that was absorbed.
    pub divisor: f64,
    /// First timesteps of groups that have weights of their own. The weights of all groups then follow each other. Empty where all
    /// timesteps share them.
    pub groups: Vec<u32>,
    /// Groups of channels that see each other alone: weights between two of them are zeros. With 1 every output sees every input. With more the
    /// record holds no such zeros.
    pub split: usize,
}

impl Conv {
    /// A linear layer without biases of `outs` channels.
    pub fn linear(source: Vec<SlotId>, weight: Vec<f32>, outs: usize) -> Self {
        Self {
            source,
            weight,
            bias: vec![0.0; outs],
            kernel: [1; 2],
            stride: [1; 2],
            pad: [0; 4],
            upsample: false,
            addend: None,
            divisor: 1.0,
            groups: vec![],
            split: 1,
        }
    }

    pub(super) fn lower(op: &ops::Conv, node: &Node, lowering: &Lowering<'_>) -> Result<Lowered, LowerError> {
        check_window(op, node)?;
        let source = lowering.view(node, 0)?;
        let outs = lowering.shape(node.output)[0];
        let bias = match &op.bias {
            Some(key) => lowering.param(node, key)?,
            None => vec![0.0; outs],
        };
        let weight = lowering.param(node, &op.weight)?;
        let apart = op.groups >= LEAST_GROUPS && source.slots.len() == 1 && !source.upsample;
        let conv = Self {
            source: source.slots,
            weight: dense(op, &weight, outs),
            bias,
            kernel: op.extent(),
            stride: op.stride,
            pad: op.pad,
            upsample: source.upsample,
            addend: None,
            divisor: 1.0,
            groups: vec![],
            split: if apart { op.groups } else { 1 },
        };
        Ok(Lowered::Operator(conv.into()))
    }

    /// A linear layer with weights by groups of timesteps. The graph has them in the same order.
    pub(super) fn lower_readout(
        op: &ops::Readout,
        node: &Node,
        lowering: &Lowering<'_>,
    ) -> Result<Lowered, LowerError> {
        let source = lowering.view(node, 0)?;
        let conv = Self {
            source: source.slots,
            weight: lowering.param(node, &op.weight)?,
            bias: lowering.param(node, &op.bias)?,
            kernel: [1; 2],
            stride: [1; 2],
            pad: [0; 4],
            upsample: source.upsample,
            addend: None,
            divisor: 1.0,
            groups: op.first.iter().map(|t| *t as u32).collect(),
            split: 1,
        };
        Ok(Lowered::Operator(conv.into()))
    }

    /// Weights of each output channel, those of all groups one after the other.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.weight.chunks_exact(self.taps().max(1))
    }

    /// Where the weights of an output channel that are in the record stand in its row: all of them, or those of its group.
    pub fn seen(&self, out: usize) -> impl Iterator<Item = usize> + '_ {
        let (outs, taps) = (self.bias.len(), self.taps());
        let ins = taps / (self.kernel[0] * self.kernel[1]).max(1);
        let each = ins / self.split;
        let first = out * self.split / outs.max(1) * each;
        let of_tap = move |tap: usize| (tap * ins + first)..(tap * ins + first + each);
        (0..taps / ins.max(1)).flat_map(of_tap)
    }

    /// Weights of an output channel.
    pub fn taps(&self) -> usize {
        self.weight.len() / self.bias.len().max(1)
    }

    /// Rows of its input that it looks at for an output row that has `cols` columns, so that they fill a block of `columns`. `None` where
    /// it does not read its input row by row.
    pub fn window_rows(&self, cols: usize, columns: usize) -> Option<usize> {
        let row_by_row = self.split == 1 && !self.upsample && self.kernel[0] > 1 && self.groups.is_empty();
        row_by_row.then(|| (columns.div_ceil(cols) - 1) * self.stride[0] + self.kernel[0])
    }

    fn fields(&self, out: SlotId, e: &mut Emitter<'_>) -> Fields {
        let (source, units) = source::record_by_slot(&self.source, e);
        let input_unit = units[0];
        // With an addend the accumulator has some bits more than the output.
        let guard = self.addend.map_or(1.0, |_| f64::from(1 << ADD_GUARD_BITS));
        let unit = e.scale(out) / guard;
        let addend = self.addend.map(|(slot, factor)| Addend {
            tensor: e.id(slot),
            requant: e.requant(e.scale(slot) * f64::from(factor) / unit),
            factor,
        });
        Fields {
            source,
            out: e.id(out),
            // One in groups has none, and names its output instead.
            scratch: if self.split == 1 { e.scratch(out) } else { e.id(out) },
            weights: filter::weights(self, out, &units, input_unit / unit, e),
            kernel: sides(self.kernel),
            stride: sides(self.stride),
            pad: self.pad.map(|p| p as u8),
            upsample: self.upsample,
            addend,
        }
    }
}

impl Operator for Conv {
    fn inputs(&self) -> Vec<SlotId> {
        let addend = self.addend.map(|(id, _)| id);
        self.source.iter().copied().chain(addend).collect()
    }

    fn inputs_mut(&mut self) -> Vec<&mut SlotId> {
        let addend = self.addend.iter_mut().map(|(id, _)| id);
        self.source.iter_mut().chain(addend).collect()
    }

    /// Of two convolutions that are added the later one absorbs the addition.
    fn absorbs(&self, next: &Next<'_>) -> bool {
        let ready = |value| value == next.value || !is_later_conv(next, value);
        // What it reads under its kernel is no term as well: the device reads the two apart.
        let own = |input| {
            next.lowering
                .slot(next.node, input)
                .is_ok_and(|slot| self.source.contains(&slot))
        };
        let others = next
            .node
            .inputs
            .iter()
            .enumerate()
            .filter(|(_, value)| **value != next.value);
        let apart = !others.into_iter().any(|(input, _)| own(input));
        let plain = self.addend.is_none() && self.groups.is_empty() && apart;
        plain
            && match &next.node.op {
                Op::AddChannel(_) => next.node.inputs[0] == next.value,
                Op::Add(_) => next.node.inputs.iter().all(|value| ready(*value)),
                _ => false,
            }
    }

    fn absorb(&mut self, node: &Node, input: usize, lowering: &Lowering<'_>) -> Result<(), LowerError> {
        match &node.op {
            Op::AddChannel(_) => self.addend = Some((lowering.slot(node, 1)?, 1.0)),
            Op::Add(add) => {
                let divisor = add.divisor;
                let divide = |v: &mut f32| *v = (f64::from(*v) / divisor) as f32;
                self.weight.iter_mut().for_each(divide);
                self.bias.iter_mut().for_each(divide);
                self.addend = Some((lowering.slot(node, 1 - input)?, (1.0 / divisor) as f32));
                self.divisor = divisor;
            }
            _ => return Err(refuse(node, "it cannot join a convolution")),
        }
        Ok(())
    }

    fn macs(&self, out: &Slot) -> u64 {
        (out.positions() * self.weight.len() / self.groups.len().max(1) / self.split) as u64
    }

    fn output_format(&self) -> OutputFormat {
        OutputFormat::Calibrated
    }

    fn multiplied_inputs(&self) -> &[SlotId] {
        &self.source
    }

    fn in_place(&self) -> Option<SlotId> {
        self.addend.map(|(id, _)| id)
    }

    fn scratch_bytes(&self, program: &Program, out: &Slot, room: Room) -> usize {
        if self.split > 1 {
            return 0;
        }
        let columns = if out.positions() < room.columns {
            1
        } else {
            room.columns
        };
        let ins = program.channels(&self.source);
        conv_scratch_bytes(room.float, self.kernel[0] * self.kernel[1], ins, out.shape[0], columns)
    }

    fn record(&self, out: SlotId, e: &mut Emitter<'_>) -> Record {
        let conv = self.fields(out, e);
        if self.split > 1 {
            return Record::Grouped(Grouped {
                conv,
                groups: self.split as u16,
            });
        }
        if self.groups.is_empty() {
            return Record::Conv(conv);
        }
        Record::Readout(Readout {
            conv,
            first: e.weights.put(self.groups.iter().copied()),
            groups: self.groups.len() as u16,
        })
    }
}

/// Refuses a kernel, a stride and a padding that no file holds.
fn check_window(op: &ops::Conv, node: &Node) -> Result<(), LowerError> {
    let extent = op.extent();
    if extent.iter().chain(&op.stride).any(|side| *side > MAX_SIDE) {
        return Err(refuse(
            node,
            "a convolution that spans or strides more than 15 positions",
        ));
    }
    if (0..4).any(|i| op.pad[i] >= extent[i % 2]) {
        return Err(refuse(node, "a convolution padded by its kernel's extent or more"));
    }
    Ok(())
}

/// Rows and columns as a file holds them.
fn sides([rows, cols]: [usize; 2]) -> Sides {
    Sides::of(rows as u8, cols as u8)
}

/// Groups from which on a convolution has a record of its own. With fewer, products with zeros in quick kernels are cheaper: on a
/// Cortex-M4 0.9 instructions each, and 14 to 20 for one without zeros in portable code.
const LEAST_GROUPS: usize = 24;

/// Largest side of a kernel that a file holds.
const MAX_SIDE: usize = 15;

/// Whether a value is written later than `next.value`, by a convolution that only this node reads.
fn is_later_conv(next: &Next<'_>, value: ValueId) -> bool {
    let later = next.lowering.graph.nodes.iter().skip(next.writer + 1);
    let writer = later.into_iter().find(|node| node.output == value);
    writer.is_some_and(|node| matches!(node.op, Op::Conv(_)) && next.lowering.readers(value).count() == 1)
}

/// `(out, in / groups, tap)` to `(out, tap, in)`, with zeros between the taps of a dilated kernel and where a group does not look: the
/// file's convolutions see every channel and position under them.
fn dense(op: &ops::Conv, weight: &[f32], outs: usize) -> Vec<f32> {
    let taps = op.kernel[0] * op.kernel[1];
    let (each, [rows, cols]) = (weight.len() / (outs * taps).max(1), op.extent());
    let ins = each * op.groups;
    let mut to = vec![0.0; outs * rows * cols * ins];
    for (out, filter) in weight.chunks_exact(each * taps).enumerate() {
        let first = out / (outs / op.groups) * each;
        for (i, w) in filter.iter().enumerate() {
            let (channel, row, col) = (first + i / taps, i % taps / op.kernel[1], i % op.kernel[1]);
            let tap = row * op.dilation[0] * cols + col * op.dilation[1];
            to[(out * rows * cols + tap) * ins + channel] = *w;
        }
    }
    to
}

/// What a record in so many groups costs.
pub(super) fn cost(model: &Model<'_>, record: &Fields, groups: u16, out: &Tensor) -> Cost {
    let outs = u64::from(out.channels);
    let second = record.source.second.map(|(id, _)| id);
    let groups = u64::from(groups);
    let sources = [Some(record.source.first), second].into_iter().flatten();
    let ins: u64 = sources
        .filter_map(|id| model.tensor(id))
        .map(|t| u64::from(t.channels))
        .sum();
    let taps = record.kernel().area() as u64 * (ins / groups);
    let row = padded(taps as usize) as u64;
    let (weights, bytes_an_output) = match record.weights {
        Weights::W8 { .. } => ("int8", row + 4 + 5),
        Weights::W4 { .. } => ("int4", 4 * int4::row_words(taps as usize) as u64 + 4 + 5),
        Weights::W16 { .. } => ("int16", 2 * row + 8 + 5),
        Weights::F16 { .. } => ("f16", 2 * taps + 4),
    };
    Cost {
        weights,
        macs: out.positions() as u64 * taps * outs,
        weight_bytes: outs * bytes_an_output,
    }
}

/// What a record with weights by groups of timesteps costs.
pub(super) fn cost_by_timestep(model: &Model<'_>, record: &Readout, out: &Tensor) -> Cost {
    let one = cost(model, &record.conv, 1, out);
    Cost {
        weight_bytes: one.weight_bytes * u64::from(record.groups),
        ..one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_kernel_has_its_channels_last() {
        let op = ops::Conv::square("w", None, 3, 1, [1; 4]);
        let weight: Vec<f32> = (0..2 * 4 * 9).map(|i| i as f32).collect();
        let found = dense(&op, &weight, 2);
        for (i, w) in found.iter().enumerate() {
            let (out, tap, channel) = (i / 36, i / 4 % 9, i % 4);
            assert_eq!(*w, weight[(out * 4 + channel) * 9 + tap]);
        }
    }

    /// Two groups of two channels, three taps of a row two positions apart.
    #[test]
    fn groups_and_gaps_are_zeros() {
        let op = ops::Conv {
            kernel: [1, 3],
            dilation: [1, 2],
            groups: 2,
            ..ops::Conv::square("w", None, 1, 1, [0; 4])
        };
        let weight: Vec<f32> = (1..=4 * 2 * 3).map(|i| i as f32).collect();
        let found = dense(&op, &weight, 4);
        assert_eq!(found.len(), 4 * 5 * 4);
        for (i, w) in found.iter().enumerate() {
            let (out, tap, channel) = (i / 20, i / 4 % 5, i % 4);
            let inside = channel / 2 == out / 2 && tap.is_multiple_of(2);
            let expected = if inside {
                weight[(out * 2 + channel % 2) * 3 + tap / 2]
            } else {
                0.0
            };
            assert_eq!(*w, expected, "{out} {tap} {channel}");
        }
    }
}
