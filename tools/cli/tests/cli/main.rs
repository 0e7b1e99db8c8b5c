//! The `mote` command as a user meets it: arguments in; files, stdout, stderr and exit status out.
//!
//! | file | promise |
//! |---|---|
//! | `files.rs` | what is written is whole, the same every time, and what `--json` says it is |
//! | `checks.rs` | `validate` and `crosscheck` hold where they should, and find a fault that was put in |
//! | `diff.rs` | two model files are compared: what they say, their operators, their images |
//! | `eval.rs` | what `eval` measures is what the data deserve, and its pictures are its samplers' |
//! | `refusals.rs` | bad input gives a message, the right exit status and no half-written file |
//! | `shards.rs` | any sharding of a run joins to the same bytes, and parts of no whole run are refused |
//! | `new.rs` | a firmware project is written whole, or refused with what to do |
//! | `next.rs` | `mote` alone says what can be done here, `mote doctor` which tools are here |
//! | `plan.rs` | a planned file makes the images of the file that it was planned from, and no others |
//! | `progress.rs` | where no terminal is, long work says in lines how far it is; `--quiet` says nothing |
//! | `train.rs` | a killed run ends with the same weights; what was trained converts |
//! | `chains.rs` | a chain of 2015 from training to a model file and its samples |
//! | `around.rs` | outputs eat no inputs, writes are whole, what has no end is not read, signals leave nothing behind |
//! | `conditions.rs` | a condition is given by numbers or files, and what it conditions is written as numbers |
//! | `tutorials.rs` | the book's tutorials run as they stand |
//! | `book.rs` | the reference of commands is what they say of themselves |
//! | `json.rs` | every key that a command prints stands in the book |
//! | `boards.rs` | simulated boards give the same bits, and take what was estimated |
//!
//! The tests belong to the package of the binary, so that Cargo builds it for them.

mod around;
mod boards;
mod book;
mod chains;
mod checks;
mod codes;
mod common;
mod conditions;
mod diff;
mod eval;
mod files;
mod json;
mod new;
mod next;
mod plan;
mod progress;
mod refusals;
mod shards;
mod split;
mod strip;
mod train;
mod tutorials;
