//! The steps of a file that plans its run, from the document's table of a row.

use crate::file::File;
use crate::request::{Clip, Method};

use super::coefficients::{Coefficients, Form};

/// Bytes of a row.
const ROW: usize = 36;

/// The rows of a file.
pub struct Rows<'a> {
    bytes: &'a [u8],
    /// Rows a step.
    calls: usize,
}

/// One of them.
pub struct Row<'a>(&'a [u8]);

impl<'a> Rows<'a> {
    /// Of a file that has them.
    pub fn of(model: &File<'a>) -> Option<Self> {
        let plan = model.header().schedule.plan()?;
        Some(Self {
            bytes: model.schedule(),
            calls: if plan.method == Method::Heun { 2 } else { 1 },
        })
    }

    /// That of a step's call.
    pub fn at(&self, step: u32, call: usize) -> Option<Row<'a>> {
        let row = self.bytes.chunks(ROW).nth(step as usize * self.calls + call)?;
        (row.len() == ROW && call < self.calls).then_some(Row(row))
    }
}

impl Row<'_> {
    fn word(&self, at: usize) -> i32 {
        let bytes = [0, 1, 2, 3].map(|i| self.0[4 * at + i]);
        i32::from_le_bytes(bytes)
    }

    /// Where the network is asked.
    pub fn timestep(&self) -> u32 {
        u16::from_le_bytes([self.0[0], self.0[1]]).into()
    }

    /// The noising there, Q30.
    pub fn noising(&self) -> [i128; 2] {
        [7, 8].map(|at| self.word(at).into())
    }

    /// The forms.
    pub fn coefficients(&self, clip: Clip) -> Coefficients {
        let form = |words: std::ops::Range<usize>, frac: u8| {
            Form::of(words.map(|at| self.word(at).into()).collect(), frac.into())
        };
        Coefficients::of(form(1..3, self.0[2]), form(3..7, self.0[3]), clip)
    }
}
