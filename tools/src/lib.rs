//! mote-tools

pub mod crosscheck;
pub mod import;
