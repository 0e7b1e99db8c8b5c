//! A parsed model: everything checked, borrowed from the file's bytes.

use super::decode;
#[cfg(feature = "streamed")]
use super::header::Packing;
use super::header::{Arithmetic, Header};
use super::layout::{LENGTH_AT, Sections, read_u32, read_u64};
use super::validate;
use crate::error::{ParseError, Refusal, Section};
use crate::features::Feature;
use crate::ops::reader::Reader;
use crate::ops::{At, Condition, Context, Op};
use crate::tensor::{Record, Tensor, TensorId};

/// Tensors that a file may have. Each is held against those before it, so that no file takes longer to check than this many do.
pub const TENSORS_MAX: usize = 1 << 12;

/// A model that passed every check: versions, checksums, bounds, shapes, dataflow, memory map and accumulator proof.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    pub(crate) header: Header,
    /// What operators see of it.
    pub(crate) context: Context<'a>,
    pub(crate) sections: Sections<'a>,
}

impl<'a> Model<'a> {
    /// Checks `bytes` and borrows them. They must start at a multiple of 16 (see [`crate::Aligned`]).
    ///
    /// Never panics, whatever the bytes; the error says what is wrong and where.
    // The memory it takes is free again when it returns.
    #[inline(never)]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let refusal = &mut Refusal(ParseError::NotAModel);
        match Self::open(bytes, false, refusal) {
            Some(model) if model.check(refusal).is_some() => Ok(model),
            _ => Err(refusal.0),
        }
    }

    /// [`Model::parse`] of a file whose convolutions have their weights in another. All of it is checked but these weights:
    /// [`Streamed::new`](crate::Streamed::new) checks them, and runs the model. Nothing else does.
    ///
    /// # Errors
    /// Those of [`Model::parse`]; `Header("packing")` for a file with all of its weights.
    #[cfg(feature = "streamed")]
    #[inline(never)]
    pub fn parse_apart(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let refusal = &mut Refusal(ParseError::NotAModel);
        match Self::open(bytes, false, refusal) {
            Some(model) if model.check_apart(refusal).is_some() => Ok(model),
            _ => Err(refusal.0),
        }
    }

    /// Every check of a model without its weights, which has no decoder.
    #[cfg(feature = "streamed")]
    fn check_apart(&self, refusal: &mut Refusal) -> Option<()> {
        if !self.context.apart {
            return refusal.with(ParseError::Header("packing"));
        }
        #[cfg(feature = "decoder")]
        if self.sections.has_decoder() {
            return refusal.with(ParseError::Header("decoder"));
        }
        validate::model(self, refusal)
    }

    /// Bytes and CRC-32 of the file of weights, where they lie apart.
    #[cfg(feature = "streamed")]
    pub fn weights_apart(&self) -> Option<[u32; 2]> {
        self.context.apart()
    }

    /// Every check of what it says, and of its decoder.
    #[inline(always)]
    fn check(&self, refusal: &mut Refusal) -> Option<()> {
        #[cfg(feature = "streamed")]
        if self.context.apart {
            return refusal.with(ParseError::Apart);
        }
        validate::model(self, refusal)?;
        #[cfg(feature = "decoder")]
        if self.sections.has_decoder() {
            return self.check_decoder(refusal);
        }
        Some(())
    }

    /// Whether the decoder's section holds a decoder, of this model's samples and within its arena.
    #[cfg(feature = "decoder")]
    #[inline(never)]
    fn check_decoder(&self, refusal: &mut Refusal) -> Option<()> {
        let bytes = self.sections.content(super::layout::DECODER);
        let decoder = Self::open(bytes, false, refusal)?;
        validate::model(&decoder, refusal)?;
        let (own, its) = (&self.header, &decoder.header);
        let fits = (own.channels, own.rows, own.cols) == (its.channels, its.rows, its.cols)
            && its.arena_bytes <= own.arena_bytes
            && !decoder.sections.has_decoder();
        let sampled = own.prediction.picture().is_none() && !own.prediction.is_chain();
        if fits && sampled && its.prediction.picture().is_some() {
            Some(())
        } else {
            refusal.with(ParseError::Header("decoder"))
        }
    }

    /// The network that makes a picture of the last state, where the file holds one.
    #[cfg(not(feature = "decoder"))]
    #[inline(always)]
    pub fn decoder(&self) -> Option<Self> {
        None
    }

    /// The network that makes a picture of the last state, where the file holds one.
    #[cfg(feature = "decoder")]
    #[inline(never)]
    pub fn decoder(&self) -> Option<Self> {
        if !self.sections.has_decoder() {
            return None;
        }
        let sections = Sections::again(self.sections.content(super::layout::DECODER))?;
        Self::of(sections, &mut Refusal(ParseError::NotAModel))
    }

    /// Channels, rows and columns of the picture that a run ends in: the decoder's, or of the sample itself.
    pub fn picture(&self) -> [u16; 3] {
        if let Some(decoder) = self.decoder() {
            return decoder.own_picture();
        }
        self.own_picture()
    }

    /// The same without a look at its decoder.
    fn own_picture(&self) -> [u16; 3] {
        let header = &self.header;
        let own = header.prediction.picture();
        own.unwrap_or([header.channels, header.rows, header.cols])
    }

    /// [`Model::parse`] of the file at the beginning of `slot`, which may go on behind it: a partition of flash that later holds a longer
    /// file. What stands behind the file is not looked at.
    ///
    /// # Errors
    /// Those of [`Model::parse`]; `Length` for a slot that is shorter than the file.
    #[inline(always)]
    pub fn parse_slot(slot: &'a [u8]) -> Result<Self, ParseError> {
        Self::parse(Self::in_slot(slot))
    }

    /// The file at the beginning of `slot`, which may go on behind it: a partition of flash. All of `slot` where the file says to be
    /// longer, so that [`Model::parse`] refuses it.
    #[inline]
    pub fn in_slot(slot: &'a [u8]) -> &'a [u8] {
        slot.get(..read_u32(slot, LENGTH_AT) as usize).unwrap_or(slot)
    }

    /// Borrows bytes that [`Model::parse`] has accepted elsewhere, such as in the build of the firmware that holds them. Where this is
    /// the only call, the checks are not linked.
    ///
    /// What flash can do to a file is still found: alignment, versions and the checksum of all bytes are checked, and the errors are
    /// those of [`Model::parse`]. What the file says is not.
    ///
    /// # Safety
    /// [`Model::parse`] of this very version of the runtime, built with these Cargo features or fewer, must have accepted these
    /// bytes. The kernels rely on what it checks.
    #[allow(unsafe_code, reason = "the caller vouches for what the kernels rely on")]
    pub unsafe fn parse_trusted(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let refusal = &mut Refusal(ParseError::NotAModel);
        Self::open(bytes, true, refusal).ok_or(refusal.0)
    }

    /// Finds header and tensors in the sections.
    #[inline(always)]
    fn open(bytes: &'a [u8], trusted: bool, refusal: &mut Refusal) -> Option<Self> {
        Self::of(Sections::open(bytes, trusted, refusal)?, refusal)
    }

    /// The model in these sections.
    #[inline(always)]
    fn of(sections: Sections<'a>, refusal: &mut Refusal) -> Option<Self> {
        let mut model = Self {
            sections,
            header: Header::EMPTY,
            context: Context {
                tensors: &[],
                weights: &[],
                float: false,
                #[cfg(feature = "streamed")]
                apart: false,
            },
        };
        let r = &mut Reader::new(model.sections.content(0));
        decode::header(r, &mut model.header);
        if r.failed() || !r.rest().is_empty() {
            return refusal.with(ParseError::Section(Section::Header));
        }
        match bytemuck::try_cast_slice(model.sections.content(1)) {
            Ok(tensors) => model.context.tensors = tensors,
            _ => return refusal.with(ParseError::Section(Section::Tensors)),
        }
        model.context.weights = model.sections.content(3);
        #[cfg(feature = "streamed")]
        {
            model.context.apart = model.header.packing == Packing::Apart;
        }
        if Feature::F16.is_built() {
            model.context.float = model.header.arithmetic == Arithmetic::F16;
        }
        Some(model)
    }

    /// Model-wide facts.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes of the file.
    pub fn file_bytes(&self) -> u32 {
        self.sections.bytes()
    }

    /// CRC-32 of the file: its identity.
    pub fn crc(&self) -> u32 {
        self.sections.crc
    }

    /// The operators, decoded one at a time.
    pub fn ops(&self) -> Ops<'a> {
        Ops {
            reader: Reader::new(self.sections.content(2)),
        }
    }

    /// The condition that a run is given, if the model takes one. Its length: [`Model::condition_len`].
    pub fn condition(&self) -> Option<Condition> {
        #[cfg(feature = "condition")]
        return self.ops().find_map(|op| match op {
            Op::Condition(condition) => Some(condition),
            _ => None,
        });
        #[cfg(not(feature = "condition"))]
        None
    }

    /// Numbers of the condition vector; 0 where the model takes none.
    pub fn condition_len(&self) -> usize {
        let channels = |condition: Condition| self.known(condition.out).channels.into();
        self.condition().map_or(0, channels)
    }

    /// Whether the network gives variances beside its prediction: its output has twice the sample's channels, and it is no chain of 2015.
    #[cfg(feature = "learned-variance")]
    pub fn has_variances(&self) -> bool {
        let header = &self.header;
        let levels = header.prediction.picture().is_none() && !header.prediction.levels().are_continuous();
        let own = levels && !header.prediction.is_chain();
        own && u32::from(self.known(header.output).channels) == 2 * u32::from(header.channels)
    }

    /// Number of activations.
    pub fn tensor_count(&self) -> u16 {
        self.context.tensors.len() as u16
    }

    /// One activation's record.
    pub fn tensor(&self, id: TensorId) -> Option<Tensor> {
        Tensor::from_words(self.record(Some(id))?)
    }

    /// One activation's record.
    #[inline(always)]
    pub(crate) fn record(&self, id: Option<TensorId>) -> Option<&'a Record> {
        self.context.record(id)
    }

    /// One activation, which is there: an operator that was checked names it.
    pub(crate) fn known(&self, id: TensorId) -> Tensor {
        self.context.known(id)
    }

    /// Bytes of the weights section.
    pub fn weights(&self) -> &'a [u8] {
        self.context.weights
    }

    /// The schedule section: what is in it, the header's [`Schedule`](super::sampling::Schedule) says.
    pub fn schedule(&self) -> &'a [u8] {
        self.sections.content(4)
    }

    /// alpha_bar of a training timestep, Q62, of a file that holds them: one that plans its run does not.
    pub fn alpha_bar_q62(&self, timestep: u32) -> u64 {
        read_u64(self.schedule(), timestep as usize * 8)
    }

    /// Names of tensors then operators, newline-separated UTF-8, for reports.
    pub fn names(&self) -> &'a [u8] {
        self.sections.content(5)
    }

    /// Where the model came from, JSON.
    pub fn provenance(&self) -> &'a [u8] {
        self.sections.content(6)
    }

    /// `count` values of `T` from the weights section; `None` when out of bounds or misaligned.
    pub fn table<T: bytemuck::AnyBitPattern>(&self, at: At, count: usize) -> Option<&'a [T]> {
        self.context.table(at, count)
    }
}

/// Iterator over the operators.
#[derive(Debug, Clone)]
pub struct Ops<'a> {
    /// For those who decode an operator where it is wanted: an option's content is copied.
    pub(crate) reader: Reader<'a>,
}

impl Ops<'_> {
    /// Bytes not yet decoded.
    pub fn remaining(&self) -> usize {
        self.reader.rest().len()
    }
}

impl Iterator for Ops<'_> {
    type Item = Op;

    /// The next operator; `None` at the end or at bytes that are no operator (which `parse` has ruled out).
    fn next(&mut self) -> Option<Op> {
        let op = Op::read(&mut self.reader);
        if self.reader.failed() { None } else { Some(op) }
    }
}
