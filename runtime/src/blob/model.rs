//! A parsed model: everything checked, borrowed from the file's bytes.

use core::ops::Range;

use super::header::Header;
use super::layout::{Sections, read_u64};
use super::op::{At, Op};
use super::tensor::{Tensor, TensorId};
use super::validate;
use crate::error::{ParseError, Section};

/// A model that passed every check: versions, checksums, bounds, shapes, dataflow, memory map and accumulator proof.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    pub(crate) header: Header,
    pub(crate) sections: Sections<'a>,
}

impl<'a> Model<'a> {
    /// Checks `bytes` and borrows them. They must start at a multiple of 16 (see [`crate::Aligned`]).
    ///
    /// Never panics, whatever the bytes; the error says what is wrong and where.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let sections = Sections::parse(bytes)?;
        let (header, rest) = postcard::take_from_bytes::<Header>(sections.content[0])
            .map_err(|_| ParseError::Section(Section::Header))?;
        if !rest.is_empty() {
            return Err(ParseError::Section(Section::Header));
        }
        header.validate()?;
        let model = Self { header, sections };
        validate::model(&model)?;
        Ok(model)
    }

    /// Model-wide facts.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// CRC-32 of the file: its identity.
    pub fn crc(&self) -> u32 {
        self.sections.crc
    }

    /// The operators, decoded one at a time.
    pub fn ops(&self) -> Ops<'a> {
        Ops {
            rest: self.sections.content[2],
        }
    }

    /// Number of activations.
    pub fn tensor_count(&self) -> u16 {
        (self.sections.content[1].len() / Tensor::RECORD_BYTES) as u16
    }

    /// One activation's record.
    pub fn tensor(&self, id: TensorId) -> Option<Tensor> {
        let at = usize::from(id.0) * Tensor::RECORD_BYTES;
        let record = self.sections.content[1].get(at..at + Tensor::RECORD_BYTES)?;
        Tensor::from_bytes(record.try_into().ok()?)
    }

    /// Bytes of the weights section.
    pub fn weights(&self) -> &'a [u8] {
        self.sections.content[3]
    }

    /// alpha_bar of a training timestep, Q62.
    pub fn alpha_bar_q62(&self, timestep: u32) -> u64 {
        read_u64(self.sections.content[4], timestep as usize * 8)
    }

    /// Names of tensors then operators, newline-separated UTF-8, for reports.
    pub fn names(&self) -> &'a [u8] {
        self.sections.content[5]
    }

    /// Where the model came from, JSON.
    pub fn provenance(&self) -> &'a [u8] {
        self.sections.content[6]
    }

    /// `count` values of `T` from the weights section; `None` when out of bounds or misaligned.
    pub fn table<T: bytemuck::AnyBitPattern>(&self, at: At, count: usize) -> Option<&'a [T]> {
        let start = at.0 as usize;
        let len = count.checked_mul(size_of::<T>())?;
        let bytes = self.weights().get(Range {
            start,
            end: start.checked_add(len)?,
        })?;
        bytemuck::try_cast_slice(bytes).ok()
    }
}

/// Iterator over the operators.
#[derive(Debug, Clone)]
pub struct Ops<'a> {
    rest: &'a [u8],
}

impl Ops<'_> {
    /// Bytes not yet decoded.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }
}

impl Iterator for Ops<'_> {
    type Item = Op;

    /// The next operator; `None` at the end or at bytes that are no operator (which `parse` has ruled out).
    fn next(&mut self) -> Option<Op> {
        let (op, rest) = postcard::take_from_bytes(self.rest).ok()?;
        self.rest = rest;
        Some(op)
    }
}
