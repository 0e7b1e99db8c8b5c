//! The `mote` command.
fn main() {}
