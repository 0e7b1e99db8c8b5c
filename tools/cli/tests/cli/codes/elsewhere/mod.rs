//! Codes that no command can meet, each with the reason and with an error that has it. An error's message and advice are what a program
//! that uses the library, the firmware's log, or a damaged machine would show.

mod machines;
mod networks;
mod runs;
mod stages;

use mote_tools::code::Coded;
use mote_tools::{Error, ErrorKind};

/// An error, its code, why no command meets it, and words of its message and advice.
pub type Row = (Error, u16, &'static str, &'static [&'static str]);

pub fn errors() -> Vec<Row> {
    let machines = [machines::machine(), machines::devices(), machines::processors()];
    let networks = [networks::oracle(), networks::graphs(), networks::schedules()];
    let others = [runs::files(), runs::runs(), stages::stages()];
    [machines, networks, others].concat().concat()
}

fn failed(error: impl Coded + std::fmt::Display) -> Error {
    Error::coded(ErrorKind::Failed, error)
}
