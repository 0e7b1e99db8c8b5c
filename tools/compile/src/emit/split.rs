//! A model file in two: what a core addresses, and the weights of convolutions, which a reader fetches.

use super::file::{assemble, encode};
use super::planned::{count, section};
use mote_engine::memory::AlignedBytes;
use mote_runtime::internals::model::crc::crc32;
use mote_runtime::internals::model::exec::{Call, Network};
use mote_runtime::internals::model::header::{Header, Packing};
use mote_runtime::internals::model::layout::{ALIGN, SECTIONS};
use mote_runtime::internals::model::streamed::weights_of;
use mote_runtime::internals::ops::{At, Op, Weights};
use mote_runtime::{
    Arena, Blocking, Model, ParseError, Portable, ReadFailed, RunError, Section, Streamed, Unobserved, stream_bytes,
};
use std::ops::Range;
use thiserror::Error;

/// A model file that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// The model without the weights of its convolutions: `Model::parse_apart` opens it.
    pub model: Vec<u8>,
    /// The file of weights, which a reader of `Streamed` reads: tables at multiples of 16 bytes.
    pub weights: Vec<u8>,
}

/// Why a model file cannot be cut.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SplitError {
    /// Not a model.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The file holds a decoder, or is one.
    #[error(
        "the file holds a decoder, whose weights are not read in blocks: cut the file of the latents' network alone"
    )]
    Decoder,
    /// It has an operator whose weights are not read in blocks.
    #[error("convolutions in groups are not read in blocks: keep the file whole")]
    Grouped,
    /// Its tables lie in each other, as in no file that was converted.
    #[error("tables of the file lie in each other, so that it cannot be cut: convert the checkpoint again")]
    Tables,
}

/// Cuts the file `bytes`: the two parts have the bits of the whole.
///
/// # Errors
/// Those of [`Model::parse`]; `Decoder`; `Tables` for a file that no converter writes.
pub fn split(bytes: &[u8]) -> Result<Split, SplitError> {
    let memory = AlignedBytes::copy_of(bytes);
    let model = Model::parse(memory.bytes())?;
    let file = memory.bytes();
    if count(file) > SECTIONS.len() || model.header().prediction.picture().is_some() {
        return Err(SplitError::Decoder);
    }
    if model.ops().any(|op| matches!(op, Op::Grouped(_))) {
        return Err(SplitError::Grouped);
    }
    let cut = Cut::of(&model);
    let ops: Vec<u8> = model.ops().flat_map(|op| encode(&cut.moved(op))).collect();
    let weights = cut.weights(model.weights());
    let header = Header {
        packing: Packing::Apart,
        ..*model.header()
    };
    let (header, kept) = (encode(&header), cut.kept(model.weights(), &weights));
    let of = |i: usize| match SECTIONS[i] {
        Section::Header => header.as_slice(),
        Section::Ops => &ops,
        Section::Weights => &kept,
        _ => section(file, i),
    };
    let sections: Vec<&[u8]> = (0..SECTIONS.len()).map(of).collect();
    let made = Split {
        model: assemble(&sections),
        weights,
    };
    let same = made.computes_as(&model).map_err(|_| SplitError::Tables)?;
    if same { Ok(made) } else { Err(SplitError::Tables) }
}

impl Split {
    /// Whether a network call of it gives what one of the whole model gives, or both refuse it alike.
    fn computes_as(&self, whole: &Model<'_>) -> Result<bool, RunError> {
        let memory = AlignedBytes::copy_of(&self.model);
        let Ok(model) = Model::parse_apart(memory.bytes()) else {
            return Ok(false);
        };
        let mut buffers = AlignedBytes::zeroed(stream_bytes(&model, 4));
        let mut buffers = Arena::new(buffers.bytes_mut())?;
        let reader = Blocking(|at, into: &mut [u8]| copy(&self.weights, at, into));
        let mut streamed = Streamed::new(&model, reader, &mut buffers)?;
        // Whatever is in it, it is the same for both.
        let x: Vec<i32> = (0..model.header().sample_len())
            .map(|i| (i as i32 * 0x9E_3779) % (2 << 24))
            .collect();
        let given = vec![0; model.condition_len()];
        let call = Call::at(&x, 0, 0).with_condition(&given);
        let run = |network: &mut dyn FnMut(&mut [u8]) -> Result<(), RunError>| {
            let mut arena = AlignedBytes::zeroed(model.header().arena_bytes as usize);
            network(arena.bytes_mut())?;
            let output = model.tensor(model.header().output).map(|output| output.range());
            Ok(output.map(|range| arena.bytes()[range].to_vec()))
        };
        let own = run(&mut |arena| streamed.forward(&model, &call, arena, &mut Unobserved))?;
        Ok(own == run(&mut |arena| Portable.forward(whole, &call, arena, &mut Unobserved))?)
    }
}

/// A reader's function of a file of weights that lies in memory.
///
/// # Errors
/// `ReadFailed` where it ends before.
pub fn copy(weights: &[u8], at: u32, into: &mut [u8]) -> Result<(), ReadFailed> {
    let from = weights.get(at as usize..).and_then(|from| from.get(..into.len()));
    into.copy_from_slice(from.ok_or(ReadFailed)?);
    Ok(())
}

/// Where a file is cut.
struct Cut {
    /// Rows of weights: where they lie in the weights section, none in another.
    rows: Vec<Range<usize>>,
    /// Where those begin in the file of weights.
    starts: Vec<usize>,
    /// What stays: where it lies, and where it is put.
    stay: Vec<(Range<usize>, usize)>,
}

impl Cut {
    fn of(model: &Model<'_>) -> Self {
        let mut all: Vec<Range<usize>> = model.ops().filter_map(|op| weights_of(model, &op)).collect();
        all.sort_by_key(|range| range.start);
        let mut rows: Vec<Range<usize>> = Vec::new();
        for range in all {
            match rows.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => rows.push(range),
            }
        }
        let (mut starts, mut end) = (Vec::new(), 0_usize);
        for range in &rows {
            starts.push(end);
            end = (end + range.len()).next_multiple_of(ALIGN);
        }
        // Each piece that stays keeps its place within a line of 16 bytes, and with it its alignment.
        let (mut stay, mut from, mut to) = (Vec::new(), 0, ALIGN);
        let ends = rows.iter().map(|range| range.start..range.end);
        for range in ends.chain(std::iter::once(model.weights().len()..model.weights().len())) {
            if range.start > from {
                let place = to + (from % ALIGN + ALIGN - to % ALIGN) % ALIGN;
                to = place + (range.start - from);
                stay.push((from..range.start, place));
            }
            from = from.max(range.end);
        }
        Self { rows, starts, stay }
    }

    /// The file of weights.
    fn weights(&self, section: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (range, &start) in self.rows.iter().zip(&self.starts) {
            out.resize(start, 0);
            out.extend_from_slice(&section[range.clone()]);
        }
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        out
    }

    /// The weights section of the part that stays: what identifies the other, then the tables.
    fn kept(&self, section: &[u8], weights: &[u8]) -> Vec<u8> {
        let mut out = [weights.len() as u32, crc32(weights)].map(u32::to_le_bytes).concat();
        for (range, place) in &self.stay {
            out.resize(*place, 0);
            out.extend_from_slice(&section[range.clone()]);
        }
        out
    }

    /// Where a row of weights is in the file of weights.
    fn row(&self, at: &mut At) {
        let old = at.0 as usize;
        let mut all = self.rows.iter().zip(&self.starts);
        if let Some((range, start)) = all.find(|(range, _)| range.contains(&old) || range.start == old) {
            at.0 = (start + old - range.start) as u32;
        }
    }

    /// Where another table is in the part that stays; out of its bounds where it does not stay.
    fn table(&self, at: &mut At) {
        let old = at.0 as usize;
        let found = self.stay.iter().find(|(range, _)| range.contains(&old));
        at.0 = found.map_or(u32::MAX, |(range, place)| (place + old - range.start) as u32);
    }

    /// An operator's record with its tables where they are now.
    fn moved(&self, mut op: Op) -> Op {
        let each = |weights: &mut Weights| match weights {
            Weights::W8 { data, bias, requant }
            | Weights::W16 { data, bias, requant }
            | Weights::W4 { data, bias, requant } => {
                self.row(data);
                self.table(bias);
                self.table(requant);
            }
            Weights::F16 { data, bias } => {
                self.row(data);
                self.table(bias);
            }
        };
        match &mut op {
            Op::Conv(conv) => each(&mut conv.weights),
            Op::NormConv(both) => {
                self.table(&mut both.norm.affine);
                each(&mut both.conv.weights);
            }
            Op::Readout(readout) => {
                each(&mut readout.conv.weights);
                self.table(&mut readout.first);
            }
            Op::TimeProj(op) => self.table(&mut op.phases),
            Op::ClassEmbed(op) => self.table(&mut op.table),
            Op::GroupNorm(norm) => self.table(&mut norm.affine),
            Op::Norm(norm) => self.table(&mut norm.affine),
            Op::Constant(op) => self.table(&mut op.table),
            Op::Pointwise(op) => op.table.iter_mut().for_each(|table| self.table(&mut table.at)),
            Op::LinearAttention(op) => op.rows.iter_mut().for_each(|rows| {
                self.table(&mut rows.keys);
                self.table(&mut rows.values);
            }),
            Op::CrossAttention(op) => op.rows.iter_mut().for_each(|rows| {
                self.table(&mut rows.keys);
                self.table(&mut rows.values);
            }),
            // No such file is cut.
            Op::Grouped(_)
            | Op::Input(_)
            | Op::Silu(_)
            | Op::Attention(_)
            | Op::Upsample(_)
            | Op::AvgPool(_)
            | Op::Softmax(_)
            | Op::Condition(_)
            | Op::Rearrange(_)
            | Op::Pool(_)
            | Op::Band(_) => {}
        }
        op
    }
}
