//! Weights that the core cannot address: each convolution's rows come in blocks, from a reader, into one of two buffers. While one block
//! is computed with, the reader fetches the next into the other, so that a DMA and the core work at the same time.

use core::ops::Range;

use super::Model;
use super::crc::{crc32, joined};
use super::exec::{Call, Network, Observer, class_exists, failed, run_op, show};
use crate::error::RunError;
use crate::features::Feature;
use crate::ops::conv::proof::{input_bound, row_holds, wide_bias};
use crate::ops::conv::streamed::{self, Block, Table, taps};
use crate::ops::conv::{Rows, Weights};
use crate::ops::reader::Reader;
use crate::ops::{At, Conv, Op};
use crate::tensor::arena::{ALIGN, Arena};
use crate::tensor::regions::Regions;
use crate::tensor::{Dtype, Tensor};

/// Where the file of weights lies: in SPI flash, on an SD card. [`Blocking`] makes one of a function that reads.
pub trait WeightReader {
    /// Fills `into` with the bytes from `at` on of the file of weights, and does `meanwhile`.
    ///
    /// A reader with a DMA starts it, does `meanwhile`, and waits for the DMA. The borrow of `into` lasts as long as the transfer, and nobody
    /// reads it before this returns. `at` and the length are multiples of 4, for models in f16 of 2.
    ///
    /// # Errors
    /// `ReadFailed` where the bytes did not come; the reader keeps its own reason.
    fn read(&mut self, at: u32, into: &mut [u8], meanwhile: impl FnOnce()) -> Result<(), ReadFailed>;
}

/// A reader did not get its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadFailed;

/// A reader of a function that returns when the bytes are there: nothing happens at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Blocking<F>(pub F);

impl<F: FnMut(u32, &mut [u8]) -> Result<(), ReadFailed>> WeightReader for Blocking<F> {
    fn read(&mut self, at: u32, into: &mut [u8], meanwhile: impl FnOnce()) -> Result<(), ReadFailed> {
        (self.0)(at, into)?;
        meanwhile();
        Ok(())
    }
}

/// A [`Network`] of a model whose weights lie apart ([`Model::parse_apart`]): the bits of the model that was cut.
///
/// No transfer is under way between two network calls. A call that fails has moved no state: the step can be run again, but Heun's method
/// may have moved it in the step's first call.
#[derive(Debug)]
pub struct Streamed<'s, R> {
    reader: R,
    /// As large as each other.
    buffers: [&'s mut [u8]; 2],
    /// The model's.
    crc: u32,
}

/// Bytes of the two buffers for blocks of `channels` output channels, or of all of them where a convolution has fewer. With 1 they are the
/// least that [`Streamed::new`] takes. More channels a block make fewer blocks, for each of which a convolution gathers its input anew.
/// A convolution in f16 is always one block.
///
/// It says the same of a model before it is cut and after.
pub fn stream_bytes(model: &Model<'_>, channels: usize) -> usize {
    let block = |table: Table| table.row * table.rows.min(channels.max(1));
    let largest = model
        .ops()
        .filter_map(|op| read_by(&op).map(|(c, _)| block(Table::of(&model.context, c))))
        .max();
    2 * largest.unwrap_or(0).next_multiple_of(ALIGN)
}

/// Where the rows of an operator's weights lie, those of all groups: in the weights section, or in the file of weights.
pub fn weights_of(model: &Model<'_>, op: &Op) -> Option<Range<usize>> {
    let (conv, groups) = read_by(op)?;
    let table = Table::of(&model.context, conv);
    let at = table.at as usize;
    Some(at..at + table.rows * table.row * usize::from(groups))
}

/// A block of an operator's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShare {
    /// The first row, the one behind the last, and how many there are.
    pub share: [usize; 3],
    /// Its bytes.
    pub bytes: usize,
}

/// The blocks in which an operator's rows are read into a buffer of `bytes`; `None` of one that reads none.
pub fn blocks_of(model: &Model<'_>, op: &Op, bytes: usize) -> Option<impl Iterator<Item = BlockShare>> {
    let (conv, _) = read_by(op)?;
    let table = Table::of(&model.context, conv);
    let count = table.block(bytes).max(1);
    let of = move |first: usize| {
        let end = (first + count).min(table.rows);
        BlockShare {
            share: [first, end, table.rows],
            bytes: (end - first) * table.row,
        }
    };
    Some((0..table.rows).step_by(count).map(of))
}

/// The convolution whose weights are read, and for how many groups of timesteps it has them.
fn read_by(op: &Op) -> Option<(&Conv, u16)> {
    match op {
        Op::Conv(conv) => Some((conv, 1)),
        Op::NormConv(both) if Feature::NormConv.is_built() => Some((&both.conv, 1)),
        Op::Readout(readout) if Feature::Chain.is_built() => Some((&readout.conv, readout.groups)),
        _ => None,
    }
}

impl<'s, R: WeightReader> Streamed<'s, R> {
    /// `memory` has [`stream_bytes`] or more; all of it is used. Every weight is read, and held to the model's checksum and to the limits of
    /// its accumulators.
    ///
    /// # Errors
    /// `ArenaTooSmall`, `Apart` for a model that was not cut, `Unread`, and `OtherWeights` where a weight is not the model's.
    pub fn new(model: &Model<'_>, reader: R, memory: &'s mut Arena<'_>) -> Result<Self, RunError> {
        let [bytes, crc] = model.weights_apart().ok_or(RunError::Apart)?;
        let (needed, found) = (stream_bytes(model, 1), memory.bytes.len());
        if found < needed {
            return Err(RunError::ArenaTooSmall {
                needed: needed as u32,
                found: found.min(u32::MAX as usize) as u32,
            });
        }
        let half = found / 2 / ALIGN * ALIGN;
        let (first, second) = memory.bytes.split_at_mut(half);
        let second = second.get_mut(..half).unwrap_or_default();
        let mut streamed = Self {
            reader,
            buffers: [first, second],
            crc: model.crc(),
        };
        streamed.is_whole(bytes, crc)?;
        for op in model.ops() {
            if let Some((conv, groups)) = read_by(&op) {
                streamed.holds(model, conv, groups.into())?;
            }
        }
        Ok(streamed)
    }

    /// The reader: to ask it why it failed.
    pub fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Gives back the reader.
    pub fn into_reader(self) -> R {
        self.reader
    }

    /// Whether the file of weights is the model's.
    fn is_whole(&mut self, bytes: u32, crc: u32) -> Result<(), RunError> {
        let [buffer, _] = &mut self.buffers;
        let (mut at, mut found) = (0, 0);
        while at < bytes {
            let len = buffer.len().min((bytes - at) as usize);
            let Some(part) = buffer.get_mut(..len).filter(|part| !part.is_empty()) else {
                return Err(RunError::OtherWeights);
            };
            self.reader
                .read(at, part, || ())
                .map_err(|ReadFailed| RunError::Unread { at })?;
            found = joined(found, crc32(part), len);
            at += len as u32;
        }
        if found == crc {
            Ok(())
        } else {
            Err(RunError::OtherWeights)
        }
    }

    /// Whether no accumulator of a convolution can overflow.
    fn holds(&mut self, model: &Model<'_>, conv: &Conv, groups: usize) -> Result<(), RunError> {
        let [buffer, _] = &mut self.buffers;
        let table = Table::of(&model.context, conv);
        let (taps, source) = (taps(&model.context, conv), model.known(conv.source.first));
        let input = match conv.source.second {
            None => input_bound(source.dtype, source.zero_point),
            Some(_) => input_bound(Dtype::I16, 0),
        };
        for group in 0..groups {
            let (table, mut row) = (table.group(group), 0);
            while row < table.rows {
                let count = table.block(buffer.len()).min(table.rows - row).max(1);
                let (at, len) = (table.at + (row * table.row) as u32, count * table.row);
                let part = buffer.get_mut(..len).ok_or(RunError::OtherWeights)?;
                self.reader
                    .read(at, part, || ())
                    .map_err(|ReadFailed| RunError::Unread { at })?;
                for (weights, index) in part.chunks_exact(table.row.max(1)).zip(group * table.rows + row..) {
                    let bias = bias(model, conv, index);
                    if !bias.is_some_and(|bias| row_holds(&conv.weights, weights, taps, bias, input)) {
                        return Err(RunError::OtherWeights);
                    }
                }
                row += count;
            }
        }
        Ok(())
    }
}

/// The bias of row `index` of a convolution's tables.
fn bias(model: &Model<'_>, conv: &Conv, index: usize) -> Option<i64> {
    let words = |at: At, words: usize| {
        let from = At(at.0.checked_add((index * words * 4) as u32)?);
        model.context.table::<i32>(from, words)
    };
    match conv.weights {
        Weights::W8 { bias, .. } | Weights::W4 { bias, .. } => words(bias, 1)?.first().map(|&bias| bias.into()),
        Weights::W16 { bias, .. } => Some(wide_bias(*words(bias, 2)?.first_chunk()?)),
        Weights::F16 { .. } => Some(0),
    }
}

/// A block of a network call.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    /// Its operator.
    op: u16,
    /// Rows of the operator's table: the first, and the one behind the last.
    rows: [usize; 2],
    /// Where it lies in the file of weights.
    at: u32,
    /// Bytes.
    len: usize,
    /// Whether the operator has no more.
    last: bool,
}

/// Finds the blocks of a network call, in their order.
struct Ahead<'m> {
    reader: Reader<'m>,
    /// Operators read.
    read: u16,
    /// What is left of the table of the operator that was read last, and its next row.
    table: Option<(Table, usize)>,
}

impl Ahead<'_> {
    /// The next block of at most `bytes`; `None` behind the last.
    fn next(&mut self, model: &Model<'_>, call: &Call<'_>, bytes: usize) -> Option<Chunk> {
        loop {
            if let Some((table, first)) = self.table {
                let end = (first + table.block(bytes).max(1)).min(table.rows);
                let last = end >= table.rows;
                self.table = if last { None } else { Some((table, end)) };
                return Some(Chunk {
                    op: self.read - 1,
                    rows: [first, end],
                    at: table.at + (first * table.row) as u32,
                    len: (end - first) * table.row,
                    last,
                });
            }
            if self.read >= model.header().op_count {
                return None;
            }
            let op = Op::read(&mut self.reader);
            self.read += 1;
            let group = match &op {
                Op::Readout(readout) if Feature::Chain.is_built() => readout.rows(&model.context, call)?.group,
                _ => 0,
            };
            self.table = read_by(&op).map(|(conv, _)| (Table::of(&model.context, conv).group(group), 0));
        }
    }
}

/// Runs the operators of a network call, some at a time.
struct Walk<'m, 'c, O> {
    model: &'m Model<'m>,
    call: &'c Call<'c>,
    activations: &'c mut [u8],
    observer: &'c mut O,
    reader: Reader<'m>,
    /// The operator that runs next, or whose next block does.
    next: u16,
    /// What its blocks so far have left behind.
    left: Option<bool>,
}

impl<O: Observer> Walk<'_, '_, O> {
    /// Runs a block, then all operators before `end`, which need none.
    fn run(&mut self, held: Option<(Chunk, &[u8])>, end: u16) -> Result<(), RunError> {
        if let Some((chunk, bytes)) = held {
            self.block(&chunk, bytes)?;
        }
        while self.next < end {
            let op = &Op::read(&mut self.reader);
            self.observer.before(self.next, op);
            let output = run_op(self.model, self.call, op, self.activations);
            let output = output.ok_or_else(|| failed(self.model, self.call, op, self.next))?;
            self.after(op, &output);
        }
        Ok(())
    }

    /// Shows an operator's output, and goes on to the next.
    fn after(&mut self, op: &Op, output: &Tensor) {
        show(self.observer, self.next, op, output, self.activations);
        self.next += 1;
    }

    /// Runs the next operator for a block of its weights.
    #[inline(never)]
    fn block(&mut self, chunk: &Chunk, bytes: &[u8]) -> Result<(), RunError> {
        let missing = RunError::Memory { op: self.next };
        let mut reader = self.reader.clone();
        let op = &Op::read(&mut reader);
        let [first, end] = chunk.rows;
        if first == 0 {
            (self.left, _) = (None, self.observer.before(self.next, op));
        }
        let context = &self.model.context;
        let mut regions = Regions::NONE;
        let r = &mut regions;
        r.find(context.tensors, &op.slots(), self.activations);
        let block = &Block {
            channels: first..end,
            bytes,
        };
        let done = match op {
            Op::Conv(conv) => streamed::run(context, conv, Rows::ALL, block, r),
            Op::Readout(readout) if Feature::Chain.is_built() => {
                let rows = readout.rows(context, self.call).ok_or(missing)?;
                streamed::run(context, &readout.conv, rows, block, r)
            }
            Op::NormConv(both) if Feature::NormConv.is_built() => {
                self.left = both.run_block(context, block, self.left, r);
                self.left.map(|_| ())
            }
            _ => None,
        };
        let output = regions.out();
        done.ok_or(missing)?;
        if chunk.last {
            self.reader = reader;
            self.after(op, &output);
        }
        Ok(())
    }
}

impl<R: WeightReader> Network for Streamed<'_, R> {
    fn forward(
        &mut self,
        model: &Model<'_>,
        call: &Call<'_>,
        activations: &mut [u8],
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        if model.weights_apart().is_none() || model.crc() != self.crc {
            return Err(RunError::Apart);
        }
        class_exists(model, call)?;
        let (reader, ops) = (model.ops().reader, model.header().op_count);
        let mut ahead = Ahead {
            reader: reader.clone(),
            read: 0,
            table: None,
        };
        let mut walk = Walk {
            model,
            call,
            activations,
            observer,
            reader,
            next: 0,
            left: None,
        };
        let [mut now, mut then] = self.buffers.each_mut().map(|buffer| &mut **buffer);
        let mut held: Option<Chunk> = None;
        loop {
            let next = ahead.next(model, call, then.len());
            let block = held.map(|chunk| (chunk, now.get(..chunk.len).unwrap_or_default()));
            let Some(chunk) = next else {
                return walk.run(block, ops);
            };
            let Some(into) = then.get_mut(..chunk.len) else {
                return Err(RunError::Memory { op: chunk.op });
            };
            let mut ran = None;
            let read = self
                .reader
                .read(chunk.at, into, || ran = Some(walk.run(block, chunk.op)));
            read.map_err(|ReadFailed| RunError::Unread { at: chunk.at })?;
            match ran {
                Some(ran) => ran?,
                // Of a reader that has left it out.
                None => walk.run(block, chunk.op)?,
            }
            (now, then, held) = (then, now, Some(chunk));
        }
    }
}
